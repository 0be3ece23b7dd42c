#!/bin/sh
# Functions of at most 70 lines, files of at most 800. TAP output.
set -eu
cd "$(dirname "$0")/../.."

files=$(find src -name '*.c' | sort)
# shellcheck disable=SC2086
long=$(awk '
	FNR == 1 { inside = 0 }
	/^[A-Za-z_].*\)[[:space:]]*$/ { name = $0 }
	/^\{/ { inside = 1; start = FNR }
	/^\}/ { if (inside && FNR - start > 70) printf "# %s:%d: %d lines: %s\n", FILENAME, start, FNR - start, name; inside = 0 }
' $files)
# shellcheck disable=SC2086
big=$(wc -l $files | awk '$2 != "total" && $1 > 800 { print "# " $2 ": " $1 " lines" }')

report() {
	if [ -z "$3" ]; then echo "ok $1 - $2"; else
		echo "not ok $1 - $2"
		echo "$3"
	fi
}
echo 1..2
report 1 "no function has more than 70 lines" "$long"
report 2 "no file has more than 800 lines" "$big"
[ -z "$long$big" ]
