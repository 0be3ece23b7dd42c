load common.bash

setup() {
	work=$(mktemp -d)
	# a store of some bytes, without a daemon
	"$AGENT_SRE" doctor --data "$work/data" >/dev/null || true
	export AGENT_SRE_BACKUP_TARGET=
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL AGENT_SRE_ENCRYPTION_KEY
}

teardown() {
	rm -rf "$work"
}

@test "a backup is taken, listed, tried and restored" {
	run -0 "$AGENT_SRE" backup "$work/vault" --data "$work/data"
	says "(full)"
	run -0 "$AGENT_SRE" backup "$work/vault" --data "$work/data"
	says "nothing is due; --now takes one all the same"
	run -0 "$AGENT_SRE" backup "$work/vault" --data "$work/data" --now
	says "(increment)"
	run -0 "$AGENT_SRE" restore list --from "$work/vault"
	[ "${#lines[@]}" -eq 2 ]
	run -0 "$AGENT_SRE" backup drill "$work/vault" --data "$work/data"
	says "can be restored"
	run -0 "$AGENT_SRE" restore --from "$work/vault" --data "$work/new" --key "$work/data/seal.key"
	says "restored into $work/new"
	run "$AGENT_SRE" doctor --data "$work/new" --json # its exit code is about peers too
	says '"check":"store","detail":"'"$work/new"'","result":"ok"'
}

@test "without the key the needed one is named" {
	"$AGENT_SRE" backup "$work/vault" --data "$work/data"
	run -1 "$AGENT_SRE" restore --from "$work/vault" --data "$work/new"
	[[ "$output" =~ sealed\ with\ the\ key\ [0-9a-f]{8} ]]
	says "--key FILE"
	[ ! -e "$work/new" ]
}

@test "a backup needs a place" {
	run -1 "$AGENT_SRE" backup --data "$work/data"
	says "backup.target"
	run -1 "$AGENT_SRE" backup ftp://host/x --data "$work/data"
	says "want a directory or s3://BUCKET/PREFIX"
	run -1 "$AGENT_SRE" backup s3://vault/x --data "$work/data"
	says "AWS_ACCESS_KEY_ID"
}

@test "a place without backups is told from one that is not there" {
	mkdir "$work/empty"
	run -0 "$AGENT_SRE" restore list --from "$work/empty"
	says "holds no backup"
	run -1 "$AGENT_SRE" restore --from "$work/empty" --data "$work/new" --key "$work/data/seal.key"
	says "holds no backup"
	run -1 "$AGENT_SRE" backup drill "$work/empty" --data "$work/data"
	says "the drill failed"
}

@test "wrong usage of backup and restore" {
	run -2 "$AGENT_SRE" restore
	says "needs --data DIR"
	run -2 "$AGENT_SRE" restore everything --data "$work/new"
	says "unknown action everything"
	run -2 "$AGENT_SRE" backup a b
	says "one argument too many: b"
	run -2 "$AGENT_SRE" backup drill "$work/vault" --full
	says "neither --full nor --now"
	run -1 "$AGENT_SRE" restore --from "$work/vault" --data "$work/new" --to yesterday
	says "2026-01-15T10:45:00Z"
	run -1 "$AGENT_SRE" restore --from "$work/vault" --data "$work/new" --key "$work/none"
	says "--key"
}
