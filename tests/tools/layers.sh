#!/bin/sh
# Who may include whom (docs/decisions/0001-layout.md). TAP output.
set -eu
cd "$(dirname "$0")/../../src"

allowed() {
	case $1 in
	base) echo base ;;
	domain) echo base domain ;;
	insight) echo base domain insight ;;
	chart) echo base domain chart ;;
	store) echo base domain store ;;
	net) echo base net ;;
	clients) echo base domain net clients ;;
	config) echo base domain net config ;;
	flow) echo base domain insight chart store net clients flow ;;
	daemon) echo base domain insight store net clients config flow daemon ;;
	cli) echo base domain insight store net config daemon cli ;;
	*) echo none ;;
	esac
}

n=0
bad=0
folders=$(find . -mindepth 1 -maxdepth 1 -type d | sed 's|^\./||' | sort)
for folder in $folders; do
	n=$((n + 1))
	wrong=$(grep -rHno '^#include "[a-z]*/' "$folder" | while IFS= read -r line; do
		target=$(printf '%s' "$line" | sed 's/.*"//; s|/$||')
		case " $(allowed "$folder") " in
		*" $target "*) ;;
		*) echo "# $line" ;;
		esac
	done)
	if [ -z "$wrong" ]; then
		echo "ok $n - $folder includes only what it may"
	else
		echo "not ok $n - $folder includes only what it may"
		echo "$wrong"
		bad=1
	fi
done
echo "1..$n"
exit $bad
