load common.bash

setup_file() {
	export DOUBLE="$BATS_FILE_TMPDIR"
	python3 "$BATS_TEST_DIRNAME/api_double.py" "$DOUBLE" 3>&- &
	echo $! >"$DOUBLE/pid"
	for _ in $(seq 200); do
		[ -e "$DOUBLE/url" ] && return 0
		sleep 0.05
	done
	return 1
}

teardown_file() {
	kill "$(cat "$DOUBLE/pid")"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	AGENT_SRE_SERVER=$(cat "$DOUBLE/url")
	export AGENT_SRE_SERVER
	: >"$DOUBLE/requests"
}

# The next answer of the double: CODE BODY
answer() {
	printf '%s\n%s' "$1" "$2" >"$DOUBLE/answer"
}

# Asserts something about the last request `r`, its body parsed as `b`.
request() {
	python3 -c 'import json, sys
r = json.loads(open(sys.argv[1]).readlines()[-1])
b = json.loads(r["body"]) if r["body"] else None
assert eval(sys.argv[2]), r' "$DOUBLE/requests" "$1"
}

event='{"specversion":"1.0","type":"io.homelab.prometheus.alert.fired","source":"test","id":"e-1"}'

@test "incidents prints an aligned table without colours into a pipe" {
	run -0 "$AGENT_SRE" incidents
	says "INC-7"
	[ "${#lines[@]}" -eq 3 ]
	[[ "${lines[0]}" == "INCIDENT  STATE      ALERT "* ]]
	says_not $'\033'
	python3 -c 'import sys
head, *rows = sys.argv[1].splitlines()
for title in ("STATE", "ALERT", "RESOURCE", "TICKET", "AGE"):
    at = head.index(title)
    assert all(row[at - 1] == " " and row[at] != " " for row in rows), (title, rows)
assert all(row.split()[-1] == "d" for row in rows), rows' "$output"
	request 'r["path"] == "/incidents?limit=50"'
}

@test "incidents passes state and limit on" {
	run -0 "$AGENT_SRE" incidents --state verifying --limit=3
	request 'set(r["path"].partition("?")[2].split("&")) == {"state=verifying", "limit=3"}'
}

@test "no incidents: says so, and what to do next" {
	run -0 "$AGENT_SRE" incidents --state recovered
	says "no incidents in state recovered"
	says "agent-sre incidents"
	answer 200 '{"incidents": []}'
	run -0 "$AGENT_SRE" incidents
	says "agent-sre submit FILE"
}

@test "incidents --json prints what the agent said" {
	"$AGENT_SRE" incidents --json >out
	python3 -c 'import json
rows = json.load(open("out"))
assert [r["id"] for r in rows] == ["INC-7", "INC-6"]
assert rows[1]["alertname"] == "Gr\u00f6\u00dfe\u001b[2JZuKlein"'
	answer 200 '{"incidents": []}'
	run -0 "$AGENT_SRE" incidents --json
	[ "$output" = "[]" ]
}

@test "a terminal gets colours, but not with NO_COLOR, and never an alert's control characters" {
	run -0 python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$AGENT_SRE" incidents
	says $'\033[36mverifying\033[0m'
	says_not $'\033[2J'
	NO_COLOR=1 run -0 python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' "$AGENT_SRE" incidents
	says_not $'\033'
}

@test "show prints header, timeline and checks" {
	run -0 "$AGENT_SRE" show latest
	says "INC-7  verifying  QueueStuck - payments/ledger"
	says "https://tickets.example/SRE-7"
	says 'restart-consumer {"queue":"ledger"}'
	says "annotation, confidence 0.95"
	says "auto: low risk"
	[[ "$output" =~ \+0\.120\ s\ +open\ +done\ +120\ ms ]]
	[[ "$output" =~ \+1\.500\ s\ +remediate\ +success\ +1\.3\ s\ +consumer\ restarted ]]
	says "verification: recovered"
	says "queue depth: observed 3, limit <= 10"
	says "alert is over: observed firing"
	request 'r["method"] == "GET" and r["path"] == "/incidents/latest"'
}

@test "show names the next step when an approval is wanted" {
	run -0 "$AGENT_SRE" show INC-9
	says "agent-sre approve INC-9 --digest 0123456789ab"
}

@test "show --json prints the incident" {
	"$AGENT_SRE" show INC-7 --json >out
	python3 -c 'import json; assert len(json.load(open("out"))["timeline"]) == 3'
}

@test "show --ticket prints the ticket" {
	run -0 "$AGENT_SRE" show INC-7 --ticket
	says "SRE-7  QueueStuck in ledger  [In Progress]"
	says "The queue is stuck."
	says "Restarting the consumer."
}

@test "show --follow prints each row once and ends when the incident is closed" {
	run -0 timeout 60 "$AGENT_SRE" show INC-8 --follow
	[ "$(grep -c ' open ' <<<"$output")" -eq 1 ]
	[ "$(grep -c ' remediate ' <<<"$output")" -eq 1 ]
	[ "$(grep -c ' verify ' <<<"$output")" -eq 1 ]
	says "verification: recovered"
}

@test "show --follow ends when nobody reads it any more" {
	run timeout 30 bash -c 'set -o pipefail; "$0" show INC-7 --follow | true' "$AGENT_SRE"
	[ "$status" -ne 124 ]
}

@test "what does not exist is a failure with the agent's words" {
	run -1 "$AGENT_SRE" show INC-404
	says "there is no /incidents/INC-404"
	[ "${#lines[@]}" -eq 1 ]
}

@test "submit tells the three kinds apart" {
	echo "$event" >event.json
	run -0 "$AGENT_SRE" submit event.json
	says "processed"
	says "e-1"
	request 'r["path"] == "/" and r["type"] == "application/cloudevents+json" and b["id"] == "e-1"'
	echo "[$event]" >batch.json
	run -0 "$AGENT_SRE" submit batch.json
	says "(duplicate)"
	request 'r["path"] == "/" and r["type"] == "application/cloudevents-batch+json"'
	echo '{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"QueueStuck"}}]}' >webhook.json
	run -0 "$AGENT_SRE" submit webhook.json
	says "alert-0"
	request 'r["path"] == "/webhook" and r["type"] == "application/json"'
}

@test "submit reads standard input" {
	run -0 bash -c 'echo "$1" | "$0" submit - --json' "$AGENT_SRE" "$event"
	says '"status":"processed"'
}

@test "submit refuses what is not JSON, not an event, or not there" {
	echo '{"specversion": ' >broken.json
	run -1 "$AGENT_SRE" submit broken.json
	says "broken.json: line "
	for text in '{}' '[]' '[1]' '7' '{"alerts": 1}'; do
		echo "$text" >other.json
		run -1 "$AGENT_SRE" submit other.json
		says "other.json: neither a CloudEvent"
	done
	run -1 "$AGENT_SRE" submit absent.json
	says "absent.json: No such file"
	[ ! -s "$DOUBLE/requests" ]
}

@test "submit fails with the reason when the agent refuses" {
	echo "$event" >event.json
	answer 400 '{"error": "Invalid CloudEvent", "detail": "data must be an object"}'
	run -1 "$AGENT_SRE" submit event.json
	says "Invalid CloudEvent: data must be an object"
	echo "[$event]" >batch.json
	answer 400 '{"error": "Invalid CloudEvents", "events": [{"event_id": "e-1", "status": "rejected", "detail": "no data"}]}'
	run -1 "$AGENT_SRE" submit batch.json
	says "Invalid CloudEvents: no data"
	answer 200 '{"status": "processed", "events": [{"event_id": "e-1", "status": "processed"},
		{"event_id": "e-2", "status": "rejected", "detail": "no data"}]}'
	run -1 "$AGENT_SRE" submit batch.json
	says "processed  e-1"
	says "rejected   e-2: no data"
}

@test "approve and reject send the decision" {
	run -0 "$AGENT_SRE" approve INC-7 --digest 0123456789ab --by kim
	[ "$output" = "INC-7 is approved" ]
	request 'r["method"] == "POST" and r["path"] == "/approvals/INC-7"'
	request 'b == {"decision": "approve", "by": "kim", "digest": "0123456789ab"}'
	run -0 "$AGENT_SRE" reject INC-7
	[ "$output" = "INC-7 is rejected" ]
	request "b == {\"decision\": \"reject\", \"by\": \"$(id -un)\"}"
	run -0 "$AGENT_SRE" approve INC-7 --json
	says '"approval_status":"approved"'
}

@test "an approval that comes too late is a failure" {
	answer 409 '{"error": "INC-7 is rejected already, by kim"}'
	run -1 "$AGENT_SRE" approve INC-7
	says "INC-7 is rejected already, by kim"
}

@test "dlq list prints a table and passes every filter on" {
	run -0 "$AGENT_SRE" dlq list
	says "order-7"
	says "validation_failure"
	says_not $'\033'
	says "there may be more: --before 7"
	request 'r["path"] == "/dlq"'
	run -0 "$AGENT_SRE" dlq list --state all --reason missing --category data --type order.created --correlation-id corr-7 \
		--group 0123456789ab --text shop --from 2026-01-15T00:00:00Z --to 2026-01-16T00:00:00Z --before 9 --limit 3 --archived
	request 'sorted(p.split("=")[0] for p in r["path"].partition("?")[2].split("&")) == sorted(["state", "reason", "category",
		"type", "correlation_id", "group", "text", "from", "to", "before", "limit", "archived"])'
	answer 200 '{"dead_letters": []}'
	run -0 "$AGENT_SRE" dlq list
	[ "$output" = "no dead letters" ]
	answer 200 '{"dead_letters": []}'
	run -0 "$AGENT_SRE" dlq list --json
	[ "$output" = "[]" ]
}

@test "dlq show prints the letter, its replays and its event" {
	run -0 "$AGENT_SRE" dlq show 7
	says "data.total"
	says_not $'\033'
	says "c0ffee000000"
	says "SRE-4"
	says "2, 1 of them replays"
	says "still missing  by kim"
	says '"total": null'
	"$AGENT_SRE" dlq show 7 --json >out
	python3 -c 'import json; assert json.load(open("out"))["drop_token"] == "c0ffee000000"'
	run -1 "$AGENT_SRE" dlq show 9
	says "no dead letter 9"
}

@test "dlq groups prints what fails most" {
	run -0 "$AGENT_SRE" dlq groups
	says "0123456789ab"
	says "75 %"
	says "data.<...> is missing"
}

@test "dlq replay of one says what became of it" {
	run -0 "$AGENT_SRE" dlq replay 7 --by kim
	says "7  resolved opened INC-9"
	request 'r["method"] == "POST" and r["path"] == "/dlq/7/replay" and b == {"by": "kim"}'
	run -1 "$AGENT_SRE" dlq replay 8
	says "8  stays    still missing"
	answer 409 '{"error": "it was replayed 5 times, which is as often as allowed (dlq.max_replays)"}'
	run -1 "$AGENT_SRE" dlq replay 7
	says "as often as allowed"
}

@test "dlq replay --all goes on until the agent is done" {
	answer 200 '{"succeeded": 2, "failed": 0, "refused": 0, "done": true, "last": 9, "results": []}'
	run -0 "$AGENT_SRE" dlq replay --all --group 0123456789ab --rate 20 --limit 50 --by kim
	says "2 resolved, 0 stay, 0 refused"
	request 'r["path"] == "/dlq/replay" and b["filter"] == {"group": "0123456789ab"} and b["count"] == 50 and b["rate"] == 20'
	answer 200 '{"succeeded": 1, "failed": 1, "refused": 1, "done": true, "last": 9, "results": [
		{"dlq_id": 9, "success": false, "outcome": "still missing"}]}'
	run -1 "$AGENT_SRE" dlq replay --all
	says "9  stays    still missing"
	says "1 resolved, 1 stay, 1 refused"
}

@test "dlq archive takes one, or all that are chosen" {
	answer 200 '{"archived": 1, "refused": []}'
	run -0 "$AGENT_SRE" dlq archive 7
	[ "$output" = "1 archived" ]
	request 'r["path"] == "/dlq/archive" and b["ids"] == [7]'
	answer 200 '{"archived": 0, "refused": [{"dlq_id": 7, "reason": "it is replaying"}]}'
	run -1 "$AGENT_SRE" dlq archive --all --reason missing
	says "dead letter 7 stays: it is replaying"
	request 'b["filter"] == {"reason": "missing"}'
}

@test "dlq drop needs the letter's token" {
	run -2 "$AGENT_SRE" dlq drop 7
	says "agent-sre dlq show 7"
	[ ! -s "$DOUBLE/requests" ]
	run -0 "$AGENT_SRE" dlq drop 7 --confirm c0ffee000000 --by kim
	says "dead letter 7 is dropped"
	request 'r["method"] == "DELETE" and set(r["path"].partition("?")[2].split("&")) == {"confirm=c0ffee000000", "by=kim"}'
	answer 403 '{"error": "the token does not confirm that dead letter 7 is meant"}'
	run -1 "$AGENT_SRE" dlq drop 7 --confirm c0ffee000001
	says "does not confirm"
}

@test "dlq without a known action, or with too much, is wrong usage" {
	run -2 "$AGENT_SRE" dlq
	run -2 "$AGENT_SRE" dlq explode
	says "want list, show, groups, replay, archive or drop"
	run -2 "$AGENT_SRE" dlq show
	says "show needs ID"
	run -2 "$AGENT_SRE" dlq list 7
	says "list takes no ID"
	run -2 "$AGENT_SRE" dlq replay
	run -2 "$AGENT_SRE" dlq replay 7 --all
	run -2 "$AGENT_SRE" dlq archive seven
	run -2 "$AGENT_SRE" dlq replay --all --rate fast
}

@test "an id is one segment of the path, whatever it holds" {
	run -1 "$AGENT_SRE" show '../metrics?x=1'
	request 'r["path"].upper() == "/INCIDENTS/..%2FMETRICS%3FX%3D1"'
}

@test "the token goes along, from the environment or from a file" {
	AGENT_SRE_TOKEN=0123456789abcdef run -0 "$AGENT_SRE" incidents
	request 'r["authorization"] == "Bearer 0123456789abcdef"'
	echo fedcba9876543210 >token
	AGENT_SRE_TOKEN_FILE=token run -0 "$AGENT_SRE" incidents
	request 'r["authorization"] == "Bearer fedcba9876543210"'
	run -0 "$AGENT_SRE" incidents
	request 'r["authorization"] is None'
	AGENT_SRE_TOKEN_FILE=absent run -1 "$AGENT_SRE" incidents
	says "absent"
}

@test "without the right token the message says what to set" {
	answer 401 '{"error": "a valid bearer token is needed"}'
	run -1 "$AGENT_SRE" incidents
	says "AGENT_SRE_TOKEN_FILE"
}

@test "a server that is not there: every client command says what to do" {
	export AGENT_SRE_SERVER=http://127.0.0.1:1
	echo "$event" >event.json
	for words in "dlq list" "dlq groups" "dlq show 1" "dlq replay 1" "dlq archive 1" "incidents" "show latest" "show latest --json" "submit event.json" "approve INC-1" "reject INC-1"; do
		# shellcheck disable=SC2086
		run -1 "$AGENT_SRE" $words
		says "agent-sre serve"
		says "--server"
		says "http://127.0.0.1:1"
	done
}

@test "--server wins over the environment" {
	url=$AGENT_SRE_SERVER
	AGENT_SRE_SERVER=http://127.0.0.1:1 run -0 "$AGENT_SRE" incidents --server "$url"
	run -1 "$AGENT_SRE" incidents --server nonsense://x
	says "--server nonsense://x: "
}

@test "an answer that is not an agent's is a failure" {
	for body in '<html>' '' '[]' '{}' '{"incidents": 7}'; do
		answer 200 "$body"
		run -1 "$AGENT_SRE" incidents
		says "answer"
		answer 200 "$body"
		run -1 "$AGENT_SRE" show latest
		says "answer"
	done
}

@test "incomplete answers do not end in a crash" {
	answer 200 '{"id": "INC-1", "state": "approval", "plan": {}, "verification": {"checks": [{}]}, "timeline": [{}, 1]}'
	run -0 "$AGENT_SRE" show latest
	says "INC-1  approval  -"
	answer 200 '{"incidents": [{}, null, {"received_at": "yesterday"}]}'
	run -0 "$AGENT_SRE" incidents
	answer 200 '{}'
	run -0 "$AGENT_SRE" approve INC-1
}

@test "partitions prints a table, active ones first as the agent sends them" {
	run -0 "$AGENT_SRE" partitions
	[ "${#lines[@]}" -eq 3 ]
	[[ "${lines[0]}" == "PEER "*"STATE "*"KIND "*"LASTED "*"REPLAYED "* ]]
	[[ "${lines[1]}" == "linear "*"active "*"silent "*"1 m"* ]]
	[[ "${lines[2]}" == "function:pod-restart.ai.svc.cluster.local "*"healed "*"refused "*"12"* ]]
	says_not $'\033'
	request 'r["path"] == "/partitions?limit=50"'
	run -0 "$AGENT_SRE" partitions --limit 2
	request 'r["path"] == "/partitions?limit=2"'
}

@test "partitions --json prints what the agent said, and no partition is good news" {
	"$AGENT_SRE" partitions --json >out
	python3 -c 'import json
rows = json.load(open("out"))
assert [(r["peer"], r["seconds"]) for r in rows][0] == ("linear", 75.5), rows'
	answer 200 '{"partitions": []}'
	run -0 "$AGENT_SRE" partitions
	says "no peer was ever away"
}

@test "partitions survives answers that are none" {
	for body in '{}' '{"partitions": 7}'; do
		answer 200 "$body"
		run -1 "$AGENT_SRE" partitions
		says "not a list of partitions"
	done
	answer 200 '{"partitions": [{}, null, {"seconds": -1e300, "peer": 7}]}'
	run -0 "$AGENT_SRE" partitions
	answer 401 '{"error": "a valid bearer token is needed"}'
	run -1 "$AGENT_SRE" partitions
}
