#!/usr/bin/env bash
# Layout, sizes, banned calls, formatting, headers that compile alone, clang-tidy, shellcheck.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0
say() {
	if [ "$1" -eq 0 ]; then echo "   ok: $2"; else
		echo "   FAILED: $2"
		bad=1
	fi
}

for check in layers sizes banned; do
	out=$(bash tests/tools/$check.sh) || echo "$out" | grep -v '^ok'
	bash tests/tools/$check.sh >/dev/null
	say $? "$check"
done

mapfile -t sources < <(find src fuzz tests bench -name '*.c' | sort)
clang-format --dry-run --Werror "${sources[@]}" 2>/dev/null
say $? "clang-format ('clang-format -i src/*/*.c' mends it)"

flags=$(pkg-config --cflags jansson talloc libcurl libmicrohttpd sqlite3 yaml-0.1 cairo pangocairo libpng)
alone=0
while IFS= read -r header; do
	# shellcheck disable=SC2086
	gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Isrc $flags -x c -fsyntax-only -include "$header" /dev/null || alone=1
done < <(cd src && find . -name '*.h' | sed 's|^\./||' | sort)
say $alone "every header compiles alone"

[ -f build/compile_commands.json ] || meson setup build --buildtype=release >/dev/null
mapfile -t code < <(find src -name '*.c' | sort)
printf '%s\n' "${code[@]}" | xargs -P 2 -n 8 clang-tidy -p build --quiet 2>/dev/null | grep -E 'warning:|error:' | sort -u | tee /tmp/tidy.$$ | head -40
[ ! -s /tmp/tidy.$$ ]
say $? "clang-tidy"
rm -f /tmp/tidy.$$

shellcheck tests/run.sh tests/python.sh tests/tools/*.sh fuzz/*.sh .ci/run
say $? "shellcheck"
exit $bad
