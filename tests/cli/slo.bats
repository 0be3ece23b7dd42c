load common.bash

DATA=$BATS_TEST_DIRNAME/../data/slo

@test "rules of OpenSLO files are accepted by promtool and do what they promise" {
	command -v promtool || skip "promtool is not installed"
	"$AGENT_SRE" slo rules "$DATA/definitions" >"$BATS_TEST_TMPDIR/rules.yaml"
	run -0 promtool check rules "$BATS_TEST_TMPDIR/rules.yaml"
	says "SUCCESS"
	cp "$DATA/rules_test.yaml" "$BATS_TEST_TMPDIR/"
	run promtool test rules "$BATS_TEST_TMPDIR/rules_test.yaml"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a wrong promise is noticed by that test" {
	command -v promtool || skip "promtool is not installed"
	"$AGENT_SRE" slo rules "$DATA/definitions" | sed 's/3 \* (1 - 0.999)/30 * (1 - 0.999)/g; s/ 1 \* (1 - 0.999)/ 30 * (1 - 0.999)/g' \
		>"$BATS_TEST_TMPDIR/rules.yaml"
	cp "$DATA/rules_test.yaml" "$BATS_TEST_TMPDIR/"
	run promtool test rules "$BATS_TEST_TMPDIR/rules_test.yaml"
	[ "$status" -ne 0 ]
}

@test "files and directories are read together, and a name that comes twice is refused" {
	run -0 "$AGENT_SRE" slo rules "$DATA/definitions/shop.yaml" "$DATA/definitions/speed.yml"
	says "slo:sli_error:ratio_rate30d"
	run -1 "$AGENT_SRE" slo rules "$DATA/definitions" "$DATA/definitions/shop.yaml"
	says "already"
}

@test "notes go to standard error" {
	run -0 --separate-stderr "$AGENT_SRE" slo rules "$DATA/definitions"
	says_not "passed over"
	# shellcheck disable=SC2154
	[[ "$stderr" == *"kind DataSource is passed over"* ]]
}

@test "trouble names file and line" {
	printf 'apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec: {service: 7}\n' >"$BATS_TEST_TMPDIR/bad.yaml"
	run -1 "$AGENT_SRE" slo rules "$BATS_TEST_TMPDIR/bad.yaml"
	says "bad.yaml:4: spec.service: must be text"
	run -1 "$AGENT_SRE" slo rules "$BATS_TEST_TMPDIR/missing.yaml"
	says "no such file"
	: >"$BATS_TEST_TMPDIR/empty.yaml"
	run -1 "$AGENT_SRE" slo rules "$BATS_TEST_TMPDIR/empty.yaml"
	says "no document of kind SLO"
}

@test "wrong usage is told" {
	run -2 "$AGENT_SRE" slo
	run -2 "$AGENT_SRE" slo rules
	says "rules needs a file"
	run -2 "$AGENT_SRE" slo show
	run -2 "$AGENT_SRE" slo list x
	run -2 "$AGENT_SRE" slo dance
	says "unknown action dance"
}

@test "without Prometheus what is defined is listed as unknown" {
	printf '{"prometheus": {"url": "http://127.0.0.1:9"}, "slo": {"definitions": ["%s"]}}' "$DATA/definitions" >"$BATS_TEST_TMPDIR/c.yaml"
	run -0 --separate-stderr "$AGENT_SRE" slo list --config "$BATS_TEST_TMPDIR/c.yaml"
	[[ "$output" =~ availability\ +99.9%\ +unknown\ +unknown ]]
	run -0 --separate-stderr "$AGENT_SRE" slo show availability --config "$BATS_TEST_TMPDIR/c.yaml"
	says "unavailable"
	says "violation              unknown"
	run -0 --separate-stderr "$AGENT_SRE" slo show availability --json --config "$BATS_TEST_TMPDIR/c.yaml"
	python3 -c 'import json,sys; d=json.loads(sys.argv[1]); assert d["target"] == 0.999 and d["current"] is None and d["source"] is None and d["trouble"], d' "$output"
	PROMETHEUS_URL=http://127.0.0.1:9 run -1 "$AGENT_SRE" slo list
}
