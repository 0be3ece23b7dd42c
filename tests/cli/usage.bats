load common.bash

@test "every command has help" {
	names=$(commands)
	[ "$(wc -w <<<"$names")" -ge 10 ]
	for name in $names; do
		run -0 "$AGENT_SRE" "$name" --help
		says "usage: agent-sre $name"
		says "--help"
		text=$output
		run -0 "$AGENT_SRE" help "$name"
		[ "$output" = "$text" ]
	done
}

@test "the help of every command fits a terminal of 110 columns" {
	for name in $(commands); do
		"$AGENT_SRE" "$name" --help | awk -v name="$name" 'length > 110 {print name ": " $0; bad = 1} END {exit bad}'
	done
}

@test "help goes to standard output, complaints to standard error" {
	[ -n "$("$AGENT_SRE" --help 2>/dev/null)" ]
	[ -z "$("$AGENT_SRE" nonsense 2>/dev/null || true)" ]
}

@test "the version is printed" {
	run -0 "$AGENT_SRE" --version
	[[ "$output" =~ ^agent-sre\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "no command is wrong usage" {
	run -2 "$AGENT_SRE"
	says "agent-sre --help"
}

@test "an unknown command is wrong usage" {
	run -2 "$AGENT_SRE" srve
	says "unknown command 'srve'"
	says "try 'agent-sre --help'"
	run -2 "$AGENT_SRE" help srve
	says "unknown command 'srve'"
}

@test "an unknown option is wrong usage for every command" {
	for name in $(commands); do
		run -2 "$AGENT_SRE" "$name" --bogus
		says "unknown option --bogus"
		says "try 'agent-sre $name --help'"
		run -2 "$AGENT_SRE" "$name" -x
		says "unknown option -x"
	done
}

@test "an option without its value is wrong usage" {
	run -2 "$AGENT_SRE" serve --config
	says "--config needs FILE"
	run -2 "$AGENT_SRE" incidents --json=yes
	says "--json takes no value"
}

@test "too few and too many arguments are wrong usage" {
	run -2 "$AGENT_SRE" show
	says "needs ID|latest"
	run -2 "$AGENT_SRE" show INC-1 INC-2
	says "one argument too many: INC-2"
	run -2 "$AGENT_SRE" approve
	run -2 "$AGENT_SRE" reject
	run -2 "$AGENT_SRE" submit
	run -2 "$AGENT_SRE" config
	run -2 "$AGENT_SRE" config explode
	says "explain or check"
	run -2 "$AGENT_SRE" serve now
}

@test "options that exclude each other are wrong usage" {
	run -2 "$AGENT_SRE" show latest --json --follow
}

@test "forward needs a sink" {
	run -2 "$AGENT_SRE" forward
	says "--sink URL"
	says "K_SINK"
}

@test "forward refuses a sink that is no URL" {
	run -1 "$AGENT_SRE" forward --sink nonsense --listen 127.0.0.1:0
	says "agent-sre: "
	K_SINK=ftp://sink.example run -1 "$AGENT_SRE" forward --listen 127.0.0.1:0
	says "only http:// and https://"
}

@test "an output that cannot be written is a failure" {
	[ -e /dev/full ] || skip "there is no /dev/full"
	run -1 bash -c '"$0" --help >/dev/full' "$AGENT_SRE"
	says "standard output"
}
