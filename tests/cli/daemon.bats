# The client commands against the real daemon: what they expect of its API must be what it does. The tests build
# on each other, in this order.
load common.bash

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	program=${AGENT_SRE:-$BATS_TEST_DIRNAME/../../build/agent-sre}
	cat >catalogue.yaml <<-'END'
		functions:
		  - name: restart-consumer
		    description: Restarts the consumer of a queue
		    risk: low
	END
	env -u PORT PROMETHEUS_URL=http://127.0.0.1:1 "$program" serve --listen 127.0.0.1:0 --data data \
		--mode supervised >log 2>errors 3>&- &
	echo $! >pid
	for _ in $(seq 400); do
		port=$(sed -n 's/.*"event":"ready".*"port":"*\([0-9]*\).*/\1/p' log)
		[ -z "$port" ] || break
		sleep 0.05
	done
	[ -n "$port" ] || { cat errors; return 1; }
	export URL="http://127.0.0.1:$port"
}

teardown_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	kill "$(cat pid)"
	for _ in $(seq 400); do
		kill -0 "$(cat pid)" 2>/dev/null || break
		sleep 0.05
	done
	! grep -A20 Sanitizer errors
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	export AGENT_SRE_SERVER=$URL
}

# Tries a command for some seconds until its output holds a text.
eventually() {
	local wanted=$1
	shift
	for _ in $(seq 200); do
		run "$@"
		[[ "$output" == *"$wanted"* ]] && return 0
		sleep 0.05
	done
	says "$wanted"
}

@test "nothing yet" {
	run -0 "$AGENT_SRE" incidents
	says "no incidents yet"
	run -1 "$AGENT_SRE" show latest
	says "no incidents yet"
}

@test "an alert becomes an incident with a ticket and a timeline" {
	echo '{"version": "4", "groupKey": "g", "status": "firing", "alerts": [{"status": "firing",
		"labels": {"alertname": "QueueStuck", "severity": "critical", "namespace": "payments", "queue": "ledger"},
		"annotations": {"summary": "nothing moves"}, "startsAt": "2026-01-15T10:40:00Z", "fingerprint": "00ff00ff00ff00ff"}]}' >alert.json
	run -0 "$AGENT_SRE" submit alert.json
	says "processed"
	run -0 "$AGENT_SRE" submit alert.json # Alertmanager repeats itself: a refresh, no second incident
	says "processed"
	eventually "SRE-1" "$AGENT_SRE" incidents
	says "QueueStuck"
	eventually "plan" "$AGENT_SRE" show latest
	says "INC-1"
	says "critical"
	run -0 "$AGENT_SRE" show INC-1 --ticket
	says "SRE-1  "
	says "QueueStuck"
}

@test "filters and refusals come from the agent" {
	run -0 "$AGENT_SRE" incidents --state active --json
	says '"id":"INC-1"'
	run -0 "$AGENT_SRE" incidents --state closed
	says "no incidents in state closed"
	run -1 "$AGENT_SRE" incidents --state sleeping
	run -1 "$AGENT_SRE" incidents --limit many
	says "'many' is not a whole number"
	run -1 "$AGENT_SRE" show INC-99
	says "there is no incident INC-99"
	run -1 "$AGENT_SRE" reject INC-99
	says "there is no incident INC-99"
	run -1 "$AGENT_SRE" approve INC-1
	says "INC-1 waits for no approval"
	echo '{"specversion": "1.0", "type": "x", "source": "test"}' >event.json
	run -1 "$AGENT_SRE" submit event.json
	says "Invalid CloudEvent"
}

@test "the resolved alert closes the incident, and --follow sees it" {
	echo '{"version": "4", "groupKey": "g", "status": "resolved", "alerts": [{"status": "resolved",
		"labels": {"alertname": "QueueStuck", "severity": "critical", "namespace": "payments", "queue": "ledger"},
		"annotations": {}, "startsAt": "2026-01-15T10:40:00Z", "endsAt": "2026-01-15T10:50:00Z",
		"fingerprint": "00ff00ff00ff00ff"}]}' >alert.json
	run -0 "$AGENT_SRE" submit alert.json
	run -0 timeout 60 "$AGENT_SRE" show INC-1 --follow
	says "close"
	run -0 "$AGENT_SRE" incidents --state closed
	says "INC-1"
}

@test "a refused event is a dead letter: found, replayed, archived, dropped" {
	echo '{"specversion": "1.0", "type": "io.homelab.prometheus.alert.fired", "source": "test", "id": "dead-1", "data": {}}' >event.json
	run -1 "$AGENT_SRE" submit event.json
	run -0 "$AGENT_SRE" dlq list --text dead-1
	says "dead-1"
	id=$("$AGENT_SRE" dlq list --text dead-1 --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["dlq_id"])')
	run -1 "$AGENT_SRE" dlq replay "$id"
	says "stays"
	run -0 "$AGENT_SRE" dlq show "$id"
	says "2, 1 of them replays"
	run -0 "$AGENT_SRE" dlq groups
	says "intake"
	run -1 "$AGENT_SRE" dlq drop "$id" --confirm 000000000000
	says "does not confirm"
	run -0 "$AGENT_SRE" dlq archive "$id"
	run -0 "$AGENT_SRE" dlq list --archived
	says "dead-1"
	run -0 "$AGENT_SRE" dlq archive --all
	run -0 "$AGENT_SRE" dlq list
	says "no dead letters"
	sed -i 's/dead-1/dead-2/' event.json
	run -1 "$AGENT_SRE" submit event.json
	id=$("$AGENT_SRE" dlq list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["dlq_id"])')
	token=$("$AGENT_SRE" dlq show "$id" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["drop_token"])')
	run -0 "$AGENT_SRE" dlq drop "$id" --confirm "$token"
	run -1 "$AGENT_SRE" dlq show "$id"
}
