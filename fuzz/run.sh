#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (default 60), with clang's libFuzzer, ASan and UBSan, starting from its corpus.
set -u
cd "$(dirname "$0")/.." || exit 1
[ -f build-fuzz/build.ninja ] || CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
	-Dc_args=-fsanitize=fuzzer-no-link >/dev/null || exit 1
ninja -C build-fuzz >/dev/null || exit 1
bad=0
for target in build-fuzz/fuzz/fuzz_*; do
	if [ ! -x "$target" ] || [ -d "$target" ]; then continue; fi
	name=$(basename "$target" | sed 's/^fuzz_//')
	mkdir -p "build-fuzz/found/$name"
	if "$target" -max_total_time="${FUZZ_SECONDS:-60}" -print_final_stats=1 -artifact_prefix="build-fuzz/found/" \
		"build-fuzz/found/$name" "fuzz/corpus/$name" >"build-fuzz/$name.log" 2>&1; then
		echo "ok   $name $(grep -o 'number_of_executed_units: *[0-9]*' "build-fuzz/$name.log" | grep -o '[0-9]*') runs"
	else
		echo "FAIL $name"
		tail -n 30 "build-fuzz/$name.log"
		bad=1
	fi
done
exit $bad
