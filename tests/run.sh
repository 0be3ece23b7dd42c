#!/usr/bin/env bash
# All tests, over four builds; the last line is "N passed, N failed[, N skipped]".
#   release     what ships: unit tests, end-to-end tests with real Prometheus and Alertmanager, 70 kills and 40 power cuts under load
#   asan        AddressSanitizer + UBSan, fake clock, crash points: unit, corpus, command line, scenarios
#   tsan        ThreadSanitizer: unit tests, scenarios of flow and intake
#   clang       compiles without a warning; unit tests
# Then the lint of tests/tools/lint.sh. tests/run.sh BUILD… runs only those (and "lint").
set -u
cd "$(dirname "$0")/.." || exit 1
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(release asan tsan clang lint)
passed=0
failed=0
skipped=0

venv() {
	[ -x build/venv/bin/python ] || { mkdir -p build && /usr/bin/python3 -m venv build/venv; } || return 1
	build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
}

configure() { # directory, options…
	local directory=$1
	shift
	[ -f "$directory/build.ninja" ] || meson setup "$directory" "$@" >"$directory.setup.log" 2>&1 || {
		cat "$directory.setup.log"
		return 1
	}
	rm -f "$directory.setup.log"
	ninja -C "$directory" >"$directory/build.log" 2>&1 || {
		grep -E 'error|warning|FAILED' "$directory/build.log"
		return 1
	}
}

add() { # passed failed skipped
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

run() { # title, directory, meson test arguments…
	local title=$1 directory=$2 counts
	shift 2
	echo "== $title"
	rm -f "$directory/meson-logs/testlog.json"
	meson test -C "$directory" --no-rebuild --print-errorlogs --num-processes 2 "$@" >"$directory/test.log" 2>&1 ||
		grep -vE '^(ninja|Ok:|Expected|Skipped:|Timeout:)' "$directory/test.log" | tail -n 150
	counts=$(python3 tests/tools/count.py "$directory/meson-logs/testlog.json") || counts="0 1 0"
	# shellcheck disable=SC2086
	add $counts
	echo "   $counts (passed failed skipped)"
}

part() {
	case $1 in
	release)
		configure build --buildtype=release || return 1
		run "release build: unit, contract, end to end, torture" build \
			--suite unit --suite contract --suite e2e --suite model --suite torture
		;;
	asan)
		configure build-asan -Dtesting=true -Db_sanitize=address,undefined -Db_lundef=false || return 1
		ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
			run "ASan + UBSan: everything under the fake clock" build-asan
		;;
	tsan)
		configure build-tsan -Dtesting=true -Db_sanitize=thread || return 1
		export TSAN_OPTIONS=second_deadlock_stack=1
		run "TSan: unit" build-tsan --suite unit
		run "TSan: scenarios" build-tsan --suite scenario flow intake
		;;
	clang)
		CC=clang configure build-clang || return 1
		run "clang: unit" build-clang --suite unit
		;;
	lint)
		echo "== lint"
		if tests/tools/lint.sh; then add 1 0 0; else add 0 1 0; fi
		;;
	*)
		echo "unknown part $1"
		return 1
		;;
	esac
}

venv || { echo "python packages cannot be installed"; add 0 1 0; }
for one in "${parts[@]}"; do
	began=$SECONDS
	part "$one" || { echo "part $one could not run"; add 0 1 0; }
	echo "   $((SECONDS - began)) s"
done
if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
