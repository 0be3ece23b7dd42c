load common.bash

# A real agent: what it answers is what these commands are for.
setup_file() {
	export DATA="$BATS_FILE_TMPDIR"
	"$AGENT_SRE" serve --data "$DATA/data" --listen 127.0.0.1:0 >"$DATA/log" 2>&1 3>&- &
	echo $! >"$DATA/pid"
	for _ in $(seq 200); do
		grep -q '"event":"ready"' "$DATA/log" && return 0
		sleep 0.05
	done
	cat "$DATA/log"
	return 1
}

teardown_file() {
	kill "$(cat "$DATA/pid")"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	port=$(sed -n 's/.*"event":"ready".*"port":"\([0-9]*\)".*/\1/p' "$DATA/log")
	export AGENT_SRE_SERVER=http://127.0.0.1:$port
	cat >v3.yaml <<-'YAML'
		type: io.homelab.prometheus.alert.*
		version: v3.0
		breaking_changes: [alert_name is called alert.name]
		schema:
		  type: object
		  required: [status, alert]
		adapters:
		  v3.0->v2.0:
		    - move: {from: /alert/name, to: /alert_name}
		    - drop: /alert
	YAML
	sed '/^adapters/,$d' v3.yaml >naked.yaml
	cat >event.json <<-'JSON'
		{"specversion": "1.0", "id": "e-1", "source": "s", "type": "io.homelab.prometheus.alert.fired",
		 "dataschema": "https://schemas.homelab.com/alert/v3.0",
		 "data": {"status": "firing", "alert": {"name": "Far"}, "slo": "availability"}}
	JSON
}

@test "check needs no agent and shows how each version would be read" {
	AGENT_SRE_SERVER=http://127.0.0.1:1 run -0 "$AGENT_SRE" schemas check v3.yaml
	says "v3.yaml is valid (1 documents)"
	says "v3.0     io.homelab.prometheus.alert.fired     by v2.0, v1.0"
	says "v1.1     io.homelab.prometheus.alert.resolved  as it is"
}

@test "the example of the documentation is valid" {
	sed -n '/^```yaml/,/^```$/{/^```/d;p}' "$HERE/../../docs/howto/evolve-a-schema.md" >example.yaml
	[ -s example.yaml ]
	run -0 "$AGENT_SRE" schemas check example.yaml --event event.json
	says 'v3.0, read as {"alertname":"Far"'
}

@test "check refuses what the agent would refuse, naming the file" {
	run -1 "$AGENT_SRE" schemas check naked.yaml
	says "naked.yaml: v3.0 of io.homelab.prometheus.alert.fired breaks and has no adapter"
	printf 'type: [\n' >broken.yaml
	run -1 "$AGENT_SRE" schemas check broken.yaml
	says "broken.yaml:"
	run -1 "$AGENT_SRE" schemas check absent.yaml
	says "absent.yaml: there is no such file"
	printf 'type: io.homelab.prometheus.alert.fired\nversion: v1.2\nschema: {type: thing}\n' >wrong.yaml
	run -1 "$AGENT_SRE" schemas check wrong.yaml
	says "wrong.yaml: schema: type: unknown type"
}

@test "check --event shows how an event would be read, or why not" {
	run -0 "$AGENT_SRE" schemas check v3.yaml --event event.json
	says 'v3.0, read as {"alertname":"Far","slo":"availability","status":"firing"}'
	sed 's/"alert": {"name": "Far"}/"alert": 5/' event.json >wrong.json
	run -1 "$AGENT_SRE" schemas check v3.yaml --event wrong.json
	says '"detected_version":"v3.0"'
	says "leads through alert, which is no object"
	sed 's/v3.0/v7.0/' event.json >unknown.json
	run -1 "$AGENT_SRE" schemas check v3.yaml --event unknown.json
	says "unknown schema version"
	echo '{}' >none.json
	run -1 "$AGENT_SRE" schemas check v3.yaml --event none.json
	says "none.json: no structured CloudEvent"
}

@test "check --with takes schemas that are there already" {
	printf 'type: io.homelab.prometheus.alert.*\nversion: v4.0\nadapters: {"v4.0->v3.0": []}\n' >v4.yaml
	run -1 "$AGENT_SRE" schemas check v4.yaml
	says "v4.0->v3.0: no such version"
	run -0 "$AGENT_SRE" schemas check v4.yaml --with v3.yaml
	says "by v3.0, v2.0, v1.0"
}

@test "convert brings an event to another version, without an agent" {
	run -0 "$AGENT_SRE" schemas convert event.json --to v1.0 --with v3.yaml
	says '"alertname":"Far"'
	says '"dataschema":"https://schemas.homelab.com/alert/v1.0"'
	says '"id":"e-1"'
	run -0 "$AGENT_SRE" schemas convert event.json --to v3.0 --with v3.yaml
	says '"alert":{"name":"Far"}'
	run -1 "$AGENT_SRE" schemas convert event.json --to v1.1 --with v3.yaml
	says "No transformation defined for v3.0->v1.1"
	run -2 "$AGENT_SRE" schemas convert event.json
	says "convert needs --to VERSION"
}

@test "add makes a running agent take the version in; list and show tell of it" {
	run -1 "$AGENT_SRE" schemas show v3.0
	says "there is no version v3.0"
	run -1 "$AGENT_SRE" submit event.json
	run -1 "$AGENT_SRE" schemas add naked.yaml
	says "breaks and has no adapter"
	run -0 "$AGENT_SRE" schemas add v3.yaml --by tester
	says "added v3.0 of io.homelab.prometheus.alert.*"
	says "agent-sre dlq replay --all --category schema_evolution"
	grep -q '"who":"tester@127.0.0.1","what":"schemas.add"' "$DATA/log"
	run -0 "$AGENT_SRE" dlq replay --all --category schema_evolution
	says "1 resolved"
	run -0 "$AGENT_SRE" schemas list --type io.homelab.prometheus.alert.fired
	says "v3.0     io.homelab.prometheus.alert.fired  by v2.0, v1.0  1      0"
	says "run time"
	says_not "alert.resolved"
	says "1 events of unknown versions of io.homelab.prometheus.alert.fired"
	run -0 "$AGENT_SRE" schemas show v3.0 --type io.homelab.prometheus.alert.fired
	says '"v3.0->v2.0"'
	says '"alert_name is called alert.name"'
	"$AGENT_SRE" schemas list --json | python3 -c 'import json, sys
found = json.load(sys.stdin)
assert {v["version"] for v in found["versions"]} == {"v1.0", "v1.1", "v2.0", "v3.0"}, found'
}

@test "a deprecated version says how long it is supported" {
	printf 'type: io.homelab.prometheus.alert.*\nversion: v1.1\ndeprecated: true\n' >old.yaml
	run -0 "$AGENT_SRE" schemas add old.yaml
	run -0 "$AGENT_SRE" schemas list
	says "deprecated, 90 days left"
}

@test "wrong usage says what is wanted" {
	run -2 "$AGENT_SRE" schemas frob
	says "want list, show, add, check or convert"
	run -2 "$AGENT_SRE" schemas add
	says "add needs FILE"
	run -2 "$AGENT_SRE" schemas list x
	says "list takes no argument"
}
