# What all test files share. AGENT_SRE names the program.
bats_require_minimum_version 1.5.0

AGENT_SRE=${AGENT_SRE:-$BATS_TEST_DIRNAME/../../build/agent-sre}
export HERE=$BATS_TEST_DIRNAME

# Nothing of the caller's environment may decide a test.
unset PORT K_SINK NO_COLOR NAMESPACE ENVIRONMENT LOG_LEVEL OPERATION_MODE SSL_CERT_FILE \
	PROMETHEUS_URL LOKI_URL TEMPO_URL AGENT_SRE_SERVER AGENT_SRE_TOKEN AGENT_SRE_TOKEN_FILE AGENT_SRE_DATA

commands() {
	"$AGENT_SRE" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'
}

# shellcheck disable=SC2154 # bats sets output
says() {
	[[ "$output" == *"$1"* ]] || {
		echo "wanted: $1"
		echo "got: $output"
		return 1
	}
}

# shellcheck disable=SC2154
says_not() {
	[[ "$output" != *"$1"* ]] || {
		echo "not wanted: $1"
		echo "got: $output"
		return 1
	}
}
