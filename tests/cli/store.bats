# agent-sre store: what may be done to a data directory by hand. The tests build on each other, in this order.
load common.bash

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	program=${AGENT_SRE:-$BATS_TEST_DIRNAME/../../build/agent-sre}
	env -u PORT PROMETHEUS_URL=http://127.0.0.1:1 "$program" serve --listen 127.0.0.1:0 --data data >log 2>errors 3>&- &
	echo $! >pid
	for _ in $(seq 400); do
		port=$(sed -n 's/.*"event":"ready".*"port":"*\([0-9]*\).*/\1/p' log)
		[ -z "$port" ] || break
		sleep 0.05
	done
	[ -n "$port" ] || { cat errors; return 1; }
}

teardown_file() {
	kill "$(cat "$BATS_FILE_TMPDIR/pid")" 2>/dev/null || true
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return 1
}

@test "beside a running agent a store can be checked, and nothing else" {
	run -0 "$AGENT_SRE" store check --data data
	says "ok   database"
	says "ok   relations"
	says "ok   intake log"
	says "ok   key"
	says "the store is whole"
	run -1 "$AGENT_SRE" store repair --data data
	says "in use by another agent-sre; stop it"
	run -1 "$AGENT_SRE" store compact --data data
	says "in use by another agent-sre; stop it"
}

@test "a check changes nothing" {
	kill "$(cat pid)"
	for _ in $(seq 400); do
		kill -0 "$(cat pid)" 2>/dev/null || break
		sleep 0.05
	done
	before=$(cd data && sha256sum agent-sre.db intake-*.log seal.key)
	run -0 "$AGENT_SRE" store check --data data
	[ "$before" = "$(cd data && sha256sum agent-sre.db intake-*.log seal.key)" ]
}

@test "findings are JSON on request" {
	run -0 "$AGENT_SRE" store check --data data --json
	says '"ok":true'
	says '"what":"database"'
}

@test "a missing key is found, and not replaced by the check" {
	mv data/seal.key kept.key
	run -1 "$AGENT_SRE" store check --data data
	says "bad  key"
	[ ! -e data/seal.key ]
	mv kept.key data/seal.key
}

@test "a damaged database is found, refused at the start, and repaired" {
	dd if=/dev/zero of=data/agent-sre.db bs=4096 count=1 conv=notrunc status=none
	run -1 "$AGENT_SRE" store check --data data
	says "bad  "
	says "agent-sre store repair"
	run -1 env PROMETHEUS_URL=http://127.0.0.1:1 "$AGENT_SRE" serve --listen 127.0.0.1:0 --data data
	says "agent-sre store repair"
	run -1 "$AGENT_SRE" store repair --data data
	says "everything as it was is in data/damaged-"
	says "its first page is damaged"
	says "the store works again"
	run -0 "$AGENT_SRE" store check --data data
}

@test "repairing what is whole loses nothing" {
	run -0 "$AGENT_SRE" store repair --data data
	says "the store is whole again, nothing was lost"
}

@test "compact says how large it was and is" {
	run -0 "$AGENT_SRE" store compact --data data
	[[ "$output" =~ [0-9]+\ kB\ before,\ [0-9]+\ kB\ after ]]
}

@test "what cannot be done is said with what to do" {
	run -1 "$AGENT_SRE" store check --data nowhere
	says "there is no directory nowhere to read; name it with --data"
	run -2 "$AGENT_SRE" store
	says "needs check|repair|compact"
	run -2 "$AGENT_SRE" store mend
	says "check, repair or compact"
}
