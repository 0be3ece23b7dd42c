load common.bash

setup_file() {
	export PAGE="$BATS_FILE_TMPDIR/agent-sre.1"
	"${AGENT_SRE:-$BATS_TEST_DIRNAME/../../build/agent-sre}" man >"$PAGE"
	export PLAIN="$BATS_FILE_TMPDIR/plain"
	sed -e 's/\\-/-/g' -e 's/\\f[BIR]//g' -e 's/\\&//g' "$PAGE" >"$PLAIN"
}

@test "the page passes mandoc's lint" {
	command -v mandoc || skip "mandoc is not installed"
	run -0 mandoc -Tlint -W warning "$PAGE"
	[ -z "$output" ]
}

@test "every command and each of its options stands in the page" {
	for name in $(commands); do
		section=$(awk -v name="$name" '/^\.S[SH]/ {on = $1 == ".SS" && $2 == name} on' "$PLAIN")
		[ -n "$section" ] || { echo "no section for $name"; return 1; }
		for option in $("$AGENT_SRE" "$name" --help | sed -n 's/^  \(--[a-z-]*\) .*/\1/p'); do
			[ "$option" = --help ] || grep -q -e "^$option" <<<"$section" || { echo "$name $option"; return 1; }
		done
	done
}

@test "every setting and its variable stands in the page" {
	"$AGENT_SRE" config explain --json >"$BATS_TEST_TMPDIR/settings"
	python3 - "$BATS_TEST_TMPDIR/settings" "$PLAIN" <<-'END'
		import json, sys
		page = open(sys.argv[2]).read()
		settings = json.load(open(sys.argv[1]))
		assert len(settings) > 40
		for s in settings:
		    assert f"\n{s['key']} (" in page, s["key"]
		    assert not s["environment"] or s["environment"] in page, s["environment"]
	END
}

@test "the page has the customary sections" {
	for section in NAME SYNOPSIS DESCRIPTION COMMANDS CONFIGURATION ENVIRONMENT "EXIT STATUS" FILES EXAMPLES; do
		grep -q "^\.SH $section\$" "$PAGE" || { echo "no $section"; return 1; }
	done
}
