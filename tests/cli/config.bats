load common.bash

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

@test "explain shows value, source and meaning of a setting" {
	printf 'policy:\n  mode: shadow\n' >agent-sre.yaml
	run -0 "$AGENT_SRE" config explain --config agent-sre.yaml
	says "policy.mode = shadow"
	says "from agent-sre.yaml:2; mode, allowed: autopilot|agentic|supervised|shadow"
	says "listen = 127.0.0.1:8000"
	says "from default; string"
}

@test "explain --json is JSON with one entry per setting" {
	OPERATION_MODE=supervised "$AGENT_SRE" config explain --json >out
	python3 -c 'import json
rows = {r["key"]: r for r in json.load(open("out"))}
assert rows["policy.mode"]["value"] == "supervised", rows["policy.mode"]
assert rows["policy.mode"]["source"] == "environment OPERATION_MODE"
assert "value" not in rows["auth.token"]'
}

@test "explain hides secrets" {
	AGENT_SRE_TOKEN=open-sesame-open-sesame run -0 "$AGENT_SRE" config explain
	says "auth.token = (set, hidden)"
	says_not sesame
	AGENT_SRE_TOKEN=open-sesame-open-sesame run -0 "$AGENT_SRE" config explain --json
	says_not sesame
}

@test "check accepts the sample" {
	run -0 "$AGENT_SRE" config check --config "$HERE/../../etc/agent-sre.yaml"
	says "valid"
}

@test "check names file, line and what is allowed" {
	printf '# nothing\n\nworkers: many\n' >agent-sre.yaml
	run -1 "$AGENT_SRE" config check --config agent-sre.yaml
	[ "$output" = "agent-sre: agent-sre.yaml:3: workers: 'many' is not a whole number (allowed: 1..4096)" ]
}

@test "check suggests the key that was meant" {
	printf 'policy:\n  mod: shadow\n' >agent-sre.yaml
	run -1 "$AGENT_SRE" config check --config agent-sre.yaml
	[ "$output" = "agent-sre: agent-sre.yaml:2: policy.mod: unknown key; did you mean policy.mode?" ]
}

@test "a configuration that is not there is a failure" {
	for name in "config check" "config explain" serve doctor; do
		# shellcheck disable=SC2086
		run -1 "$AGENT_SRE" $name --config absent.yaml
		says "absent.yaml: No such file"
	done
}

@test "serve refuses to listen for others without token and TLS" {
	run -1 "$AGENT_SRE" serve --listen 0.0.0.0:0 --data data
	says "auth.token"
	AGENT_SRE_TOKEN=0123456789abcdef run -1 "$AGENT_SRE" serve --listen 0.0.0.0:0 --data data
	says "tls.certificate"
	PORT=0 run -1 "$AGENT_SRE" serve --data data
	says "auth.token"
	[ ! -e data ]
}

@test "serve names the option that is wrong" {
	run -1 "$AGENT_SRE" serve --mode yolo
	says "--mode: policy.mode: "
	run -1 "$AGENT_SRE" serve --listen nowhere
	says "--listen: listen: "
}

@test "doctor --json is JSON even when peers are away" {
	PROMETHEUS_URL=http://127.0.0.1:1 run "$AGENT_SRE" doctor --json --data data
	[ "$status" -le 1 ]
	python3 -c 'import json, sys; json.loads(sys.argv[1])' "$output"
}

@test "doctor asks Loki and Tempo, and only warns without them" {
	cat >agent-sre.yaml <<-'END'
		prometheus: {url: "http://127.0.0.1:1"}
		loki: {url: "http://127.0.0.1:1"}
		tempo: {url: ""}
	END
	run "$AGENT_SRE" doctor --json --data data --config agent-sre.yaml
	python3 - "$output" <<-'END'
		import json, sys
		found = {f["check"]: (f["result"], f["detail"], f["advice"]) for f in json.loads(sys.argv[1])}
		assert found["loki"][0] == "warning" and "loki.url" in found["loki"][2], found
		assert found["tempo"] == ("ok", "not configured", ""), found
	END
}
