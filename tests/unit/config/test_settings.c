#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char FILE_NAME[] = "agent-sre.yaml";

/* NAME, value, NAME, value, …, NULL */
static char *environment[16];

static char *environ_of(const char *name)
{
	for (size_t n = 0; environment[n] != NULL; n += 2)
		if (strcmp(environment[n], name) == 0)
			return environment[n + 1];
	return NULL;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static enum status load_yaml(void *mem, const char *yaml, struct settings **out,
			     struct setting_source **sources)
{
	write_file(FILE_NAME, yaml);
	return settings_load(mem, FILE_NAME, NULL, 0, environ_of, false, out, sources);
}

static size_t place_of(const char *key)
{
	size_t count;
	const struct setting_info *table = settings_table(&count);

	for (size_t n = 0; n < count; n++)
		if (strcmp(table[n].key, key) == 0)
			return n;
	fail_msg("no key %s", key);
	return 0;
}

static int forget(void **state)
{
	(void)state;
	environment[0] = NULL;
	return 0;
}

static void without_any_source_the_defaults_hold(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;
	size_t count;

	(void)state;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, true, &s, &sources), OK);
	assert_string_equal(s->listen, "127.0.0.1:8000");
	assert_string_equal(s->token, "");
	assert_string_equal(s->otlp_endpoint, "");
	assert_int_equal(s->mode, MODE_AUTOPILOT);
	assert_int_equal(s->risk_limit, RISK_LOW);
	assert_int_equal(s->intake_max_body, 1024 * 1024);
	assert_int_equal(s->approval_timeout, 3600000);
	assert_int_equal(s->workers, 640);
	assert_true(s->act_confidence == 0.70);
	assert_false(s->allow_anonymous);
	assert_string_equal(s->protected_namespaces[0], "kube-system");
	assert_string_equal(s->protected_namespaces[2], "kube-node-lease");
	assert_null(s->protected_namespaces[3]);
	settings_table(&count);
	for (size_t n = 0; n < count; n++)
		assert_string_equal(sources[n].from, "default");
}

static void every_type_is_read_from_yaml(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_yaml(mem,
				   "listen: '[::1]:9000'\n"
				   "public_url: https://agent.example/base\n"
				   "data: /var/lib/agent\n"
				   "log: {level: debug}\n"
				   "auth: {token: 1234567890123456}\n"
				   "intake:\n  max_body: 64KiB\n  request_timeout: 250ms\n"
				   "functions: {gateway: '127.0.0.1:8080'}\n"
				   "policy:\n  mode: agentic\n  risk_limit: high\n"
				   "  act_confidence: 0.9\n  ask_confidence: 0\n"
				   "  protected_namespaces: [payments, ledger]\n"
				   "approval: {timeout: 90}\n"
				   "tls: {allow_plaintext: true}\n"
				   "workers: 8\n",
				   &s, NULL),
			 OK);
	assert_string_equal(s->listen, "[::1]:9000");
	assert_string_equal(s->public_url, "https://agent.example/base");
	assert_string_equal(s->data, "/var/lib/agent");
	assert_string_equal(s->log_level, "debug");
	assert_string_equal(s->token, "1234567890123456");
	assert_int_equal(s->intake_max_body, 65536);
	assert_int_equal(s->intake_request_timeout, 250);
	assert_string_equal(s->function_gateway, "127.0.0.1:8080");
	assert_int_equal(s->mode, MODE_AUTOPILOT);
	assert_int_equal(s->risk_limit, RISK_HIGH);
	assert_true(s->act_confidence == 0.9);
	assert_true(s->ask_confidence == 0.0);
	assert_string_equal(s->protected_namespaces[0], "payments");
	assert_string_equal(s->protected_namespaces[1], "ledger");
	assert_null(s->protected_namespaces[2]);
	assert_int_equal(s->approval_timeout, 90000);
	assert_true(s->allow_plaintext);
	assert_int_equal(s->workers, 8);
}

static void wrong_values_are_refused_with_their_line_and_what_is_allowed(void **state)
{
	static const struct {
		const char *yaml, *message;
	} CASES[] = {
		{"\nworkers: many\n",
		 "agent-sre.yaml:2: workers: 'many' is not a whole number (allowed: 1..4096)"},
		{"workers: 0\n",
		 "agent-sre.yaml:1: workers: 0 is out of bounds (allowed: 1..4096)"},
		{"workers: 4097\n", "agent-sre.yaml:1: workers: 4097 is out of bounds"},
		{"workers: 1.5\n", "agent-sre.yaml:1: workers: '1.5' is not a whole number"},
		{"workers:\n", "agent-sre.yaml:1: workers: '' is not a whole number"},
		{"workers: [1]\n", "agent-sre.yaml:1: workers: must be a plain value"},
		{"workers: {a: 1}\n", "agent-sre.yaml:1: workers: must be a plain value"},
		{"log:\n  level: loud\n",
		 "agent-sre.yaml:2: log.level: 'loud' is not one of the allowed words (allowed: "
		 "debug|info|warn|error)"},
		{"log: {level: debug|info}\n", "log.level: 'debug|info' is not one of"},
		{"log: {level: inf}\n", "log.level: 'inf' is not one of"},
		{"log: {level: ''}\n", "log.level: '' is not one of"},
		{"policy:\n  mode: yolo\n", "agent-sre.yaml:2: policy.mode: "},
		{"policy:\n  risk_limit: hgh\n", "agent-sre.yaml:2: policy.risk_limit: "},
		{"policy:\n  act_confidence: 1.01\n",
		 "agent-sre.yaml:2: policy.act_confidence: 1.01 is out of bounds (allowed: 0..1)"},
		{"policy:\n  act_confidence: -0.1\n", "policy.act_confidence: -0.1 is out of"},
		{"policy:\n  act_confidence: NaN\n", "policy.act_confidence: NaN is out of"},
		{"policy: {protected_namespaces: [a, 1]}\n",
		 "agent-sre.yaml:1: policy.protected_namespaces: must be a plain value"},
		{"policy: {protected_namespaces: [[a]]}\n",
		 "protected_namespaces: must be a plain"},
		{"drain: soon\n", "agent-sre.yaml:1: drain: 'soon' is not a duration such as"},
		{"drain: 11m\n", "drain: 11m is out of bounds (allowed: 0ms..10m)"},
		{"drain: 0.5\n", "drain: '0.5' is not a duration"},
		{"intake: {max_body: 1MB}\n", "intake.max_body: '1MB' is not a size such as"},
		{"intake: {max_body: 1}\n", "intake.max_body: 1 is out of bounds"},
		{"intake: {max_body: 65MiB}\n", "intake.max_body: 65MiB is out of bounds"},
		{"intake: {max_body: 999999999GiB}\n", "999999999GiB is out of bounds"},
		{"intake: {max_body: 999999999999GiB}\n", "is not a size"},
		{"tls: {allow_plaintext: yes}\n",
		 "agent-sre.yaml:1: tls.allow_plaintext: 'yes' is neither true nor false"},
		{"tls: {allow_plaintext: 1}\n", "'1' is neither true nor false"},
		{"prometheus:\n  url: ftp://host/\n",
		 "agent-sre.yaml:2: prometheus.url: only http"},
		{"prometheus: {url: host:9090}\n", "agent-sre.yaml:1: prometheus.url: "},
		{"prometheus: {url: 'https://u:p@host/'}\n", "must not carry credentials"},
		{"functions: {gateway: host}\n", "functions.gateway: 'host' is not HOST:PORT"},
		{"functions: {gateway: 'host:99999'}\n", "functions.gateway: 99999 is not between"},
		{"listen: ''\n", "agent-sre.yaml:1: listen: '' is not a whole number"},
		{"listen: nowhere\n", "agent-sre.yaml:1: listen: 'nowhere' is not a whole number"},
		{"listen: 127.0.0.1:x\n", "agent-sre.yaml:1: listen: 'x' is not a whole number"},
		{"listen: '::1:8000'\n", "write an IPv6 address in brackets"},
		{"namespace: 1.5\n",
		 "agent-sre.yaml:1: namespace: must be a plain value, in quotes"},
		{"namespace: \"a\\nb\"\n", "namespace: the value holds a control character"},
		{"data: [a]\n", "agent-sre.yaml:1: data: must be a plain value"},
		{"auth: {token: short}\n",
		 "agent-sre.yaml:1: auth.token: the value is too short to be a secret (allowed: 16 "
		 "characters or more)"},
		{"auth: {token: 0123456789abcdef, previous_token: 0123456789abcde}\n",
		 "auth.previous_token: the value is too short"},
		{"auth: {token: 0123456789 abcdef}\n", "auth.token: a secret has no spaces"},
		{"linear: {api_key: 1234567}\n", "linear.api_key: the value is too short"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct settings *s = NULL;
		print_message("# case %zu\n", n);
		assert_int_equal(load_yaml(mem, CASES[n].yaml, &s, NULL), E_INVALID);
		assert_null(s);
		if (strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("got: %s\nwant: %s", status_message(), CASES[n].message);
	}
}

static void secrets_never_stand_in_messages(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_yaml(mem, "auth: {token: opensesame}\n", &s, NULL), E_INVALID);
	assert_null(strstr(status_message(), "opensesame"));
	assert_int_equal(load_yaml(mem, "auth: {token: \"open sesame and go in\"}\n", &s, NULL),
			 E_INVALID);
	assert_null(strstr(status_message(), "sesame"));
}

static void unknown_keys_name_the_nearest_known_one(void **state)
{
	static const struct {
		const char *yaml, *message;
	} CASES[] = {
		{"\n\npolicy:\n  mod: shadow\n",
		 "agent-sre.yaml:4: policy.mod: unknown key; did you mean policy.mode?"},
		{"lissten: 127.0.0.1:1\n",
		 "agent-sre.yaml:1: lissten: unknown key; did you mean listen?"},
		{"mode: shadow\n",
		 "agent-sre.yaml:1: mode: unknown key; did you mean policy.mode?"},
		{"polcy: {mode: shadow}\n",
		 "agent-sre.yaml:1: polcy: unknown key; did you mean policy?"},
		{"completely_different: 1\n",
		 "agent-sre.yaml:1: completely_different: unknown key; "
		 "'agent-sre config explain' lists all"},
		{"xyz: {a: {b: 1}}\n", "agent-sre.yaml:1: xyz: unknown key; "},
		{"policy: {mode: {deep: 1}}\n", "agent-sre.yaml:1: policy.mode: must be a plain"},
		{"policy: shadow\n", "agent-sre.yaml:1: policy: is a section"},
		{"policy: [shadow]\n", "agent-sre.yaml:1: policy: is a section"},
		{"\"\": 1\n", "agent-sre.yaml:1: : unknown key"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct settings *s = NULL;
		print_message("# case %zu\n", n);
		assert_int_equal(load_yaml(mem, CASES[n].yaml, &s, NULL), E_INVALID);
		if (strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("got: %s\nwant: %s", status_message(), CASES[n].message);
	}
}

static void broken_files_are_refused(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_yaml(mem, "a: [1\n", &s, NULL), E_INVALID);
	assert_true(str_starts(status_message(), "agent-sre.yaml:"));
	assert_int_equal(load_yaml(mem, "- listen\n", &s, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "must be a mapping"));
	assert_int_equal(load_yaml(mem, "drain: 1s\ndrain: 2s\n", &s, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "agent-sre.yaml:2:"));
	assert_int_equal(settings_load(mem, "absent.yaml", NULL, 0, environ_of, false, &s, NULL),
			 E_INVALID);
	assert_non_null(strstr(status_message(), "absent.yaml"));
	assert_null(s);
}

static void an_empty_file_and_empty_sections_change_nothing(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;

	(void)state;
	assert_int_equal(load_yaml(mem, "", &s, NULL), OK);
	assert_int_equal(load_yaml(mem, "policy:\ntls: {}\n", &s, NULL), OK);
	assert_int_equal(s->mode, MODE_AUTOPILOT);
}

static void later_sources_win_and_are_named(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;
	char shadow[] = "shadow";
	char silent[] = "";
	const struct setting_flag flag = {"policy.mode", "supervised"};
	size_t mode = place_of("policy.mode");

	(void)state;
	assert_int_equal(load_yaml(mem, "\npolicy:\n  mode: supervised\n", &s, &sources), OK);
	assert_int_equal(s->mode, MODE_SUPERVISED);
	assert_string_equal(sources[mode].from, "agent-sre.yaml:3");
	assert_string_equal(sources[mode].value, "supervised");

	environment[0] = (char *)"OPERATION_MODE";
	environment[1] = shadow;
	environment[2] = (char *)"LOG_LEVEL";
	environment[3] = silent;
	environment[4] = NULL;
	assert_int_equal(load_yaml(mem, "policy:\n  mode: supervised\n", &s, &sources), OK);
	assert_int_equal(s->mode, MODE_SHADOW);
	assert_string_equal(sources[mode].from, "environment OPERATION_MODE");
	assert_string_equal(s->log_level, "info");

	assert_int_equal(settings_load(mem, NULL, &flag, 1, environ_of, false, &s, &sources), OK);
	assert_int_equal(s->mode, MODE_SUPERVISED);
	assert_string_equal(sources[mode].from, "--mode");
}

static void wrong_variables_and_flags_are_named(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	char value[] = "TRUE";
	const struct setting_flag wrong = {"listen", "here"};
	const struct setting_flag unknown = {"lisen", "127.0.0.1:1"};

	(void)state;
	environment[0] = (char *)"AGENT_SRE_ALLOW_ANONYMOUS";
	environment[1] = value;
	environment[2] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_string_equal(status_message(), "environment AGENT_SRE_ALLOW_ANONYMOUS: "
					      "auth.allow_anonymous: 'TRUE' is neither true nor "
					      "false (allowed: true|false)");
	environment[0] = NULL;
	assert_int_equal(settings_load(mem, NULL, &wrong, 1, environ_of, false, &s, NULL),
			 E_INVALID);
	assert_true(str_starts(status_message(), "--listen: listen: 'here' is not"));
	assert_int_equal(settings_load(mem, NULL, &unknown, 1, environ_of, false, &s, NULL),
			 E_INVALID);
	assert_non_null(strstr(status_message(), "did you mean listen?"));
}

static void durations_of_the_platform_are_plain_seconds(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	char approval[] = "1800";
	char prometheus[] = "45";

	(void)state;
	environment[0] = (char *)"APPROVAL_TIMEOUT_SECONDS";
	environment[1] = approval;
	environment[2] = (char *)"PROMETHEUS_TIMEOUT";
	environment[3] = prometheus;
	environment[4] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), OK);
	assert_int_equal(s->approval_timeout, 1800 * 1000);
	assert_int_equal(s->prometheus_timeout, 45 * 1000);
}

static void lists_of_the_environment_are_split_at_commas(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	char peers[] = " one.example , ,*.two.example,prometheus,*.svc.cluster.local,";

	(void)state;
	environment[0] = (char *)"AGENT_SRE_ALLOW_PLAINTEXT_PEERS";
	environment[1] = peers;
	environment[2] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), OK);
	assert_string_equal(s->allow_plaintext_peers[0], "one.example");
	assert_string_equal(s->allow_plaintext_peers[1], "*.two.example");
	assert_string_equal(s->allow_plaintext_peers[3], "*.svc.cluster.local");
	assert_null(s->allow_plaintext_peers[4]);
}

static void a_default_that_is_not_allowed_is_not_used(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;

	(void)state;
	environment[0] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), OK);
	assert_string_equal(s->loki_url, "http://loki:3100");
	assert_string_equal(s->tempo_url, "http://tempo:3200");
	assert_int_equal(
		load_yaml(mem,
			  "allow_plaintext_peers: [prometheus, tempo, '*.svc.cluster.local']\n", &s,
			  &sources),
		OK);
	assert_string_equal(s->loki_url, "");
	assert_string_equal(s->tempo_url, "http://tempo:3200");
}

static void port_listens_on_all_addresses_so_it_needs_a_token_and_tls(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;
	char port[] = "9000";
	char yes[] = "true";
	char nonsense[] = "http";
	const struct setting_flag flag = {"listen", "127.0.0.1:7000"};

	(void)state;
	environment[0] = (char *)"PORT";
	environment[1] = port;
	environment[2] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "auth.token"));
	environment[2] = (char *)"AGENT_SRE_ALLOW_ANONYMOUS";
	environment[3] = yes;
	environment[4] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "tls.certificate"));
	environment[4] = (char *)"AGENT_SRE_ALLOW_PLAINTEXT";
	environment[5] = yes;
	environment[6] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, &sources), OK);
	assert_string_equal(s->listen, "9000");
	assert_string_equal(sources[place_of("listen")].from, "environment PORT");
	assert_int_equal(settings_load(mem, NULL, &flag, 1, environ_of, false, &s, NULL), OK);
	assert_string_equal(s->listen, "127.0.0.1:7000");
	environment[1] = nonsense;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_true(str_starts(status_message(), "environment PORT: listen: 'http'"));
}

static void secrets_of_the_environment_are_wiped_on_request(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	char token[] = "0123456789abcdef";
	char level[] = "warn";

	(void)state;
	environment[0] = (char *)"AGENT_SRE_TOKEN";
	environment[1] = token;
	environment[2] = (char *)"LOG_LEVEL";
	environment[3] = level;
	environment[4] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), OK);
	assert_string_equal(token, "0123456789abcdef");
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, true, &s, NULL), OK);
	assert_string_equal(s->token, "0123456789abcdef");
	for (size_t n = 0; n < sizeof(token); n++)
		assert_int_equal(token[n], 0);
	assert_string_equal(level, "warn");
}

static void secrets_come_from_files(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;
	char path[] = "secret";
	char absent[] = "absent";
	char direct[] = "direct-direct-direct";

	(void)state;
	write_file("secret", "0123456789abcdef\r\n\n");
	environment[0] = (char *)"AGENT_SRE_TOKEN_FILE";
	environment[1] = path;
	environment[2] = (char *)"AGENT_SRE_TOKEN";
	environment[3] = direct;
	environment[4] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, &sources), OK);
	assert_string_equal(s->token, "0123456789abcdef");
	assert_string_equal(sources[place_of("auth.token")].from,
			    "environment AGENT_SRE_TOKEN_FILE");
	environment[1] = absent;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_true(str_starts(status_message(), "environment AGENT_SRE_TOKEN_FILE: absent"));
	write_file("secret", "short\n");
	environment[1] = path;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_true(str_starts(status_message(), "environment AGENT_SRE_TOKEN_FILE: auth.token:"));
}

static void values_that_are_not_utf8_are_refused(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	char bad[] = "caf\xe9";

	(void)state;
	environment[0] = (char *)"NAMESPACE";
	environment[1] = bad;
	environment[2] = NULL;
	assert_int_equal(settings_load(mem, NULL, NULL, 0, environ_of, false, &s, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "the value is not UTF-8"));
}

#define TOKEN "auth: {token: 0123456789abcdef}\n"
#define TLS "tls: {certificate: c.pem, key: k.pem}\n"

static void unsafe_combinations_are_refused(void **state)
{
	static const struct {
		const char *yaml, *message; /* NULL: it is safe */
	} CASES[] = {
		{"listen: 127.0.0.1:1\n", NULL},
		{"listen: 127.8.9.10:1\n", NULL},
		{"listen: localhost:1\n", NULL},
		{"listen: '[::1]:1'\n", NULL},
		{"listen: 0.0.0.0:1\n", "listen 0.0.0.0:1 can be reached from other machines: set "
					"auth.token"},
		{"listen: '[::]:1'\n", "set auth.token"},
		{"listen: 10.0.0.1:1\n", "set auth.token"},
		{"listen: 8000\n", "set auth.token"},
		{"listen: 127.evil.example:1\n", "set auth.token"},
		{"listen: 0.0.0.0:1\n" TOKEN, "set tls.certificate"},
		{"listen: 0.0.0.0:1\n" TLS, "set auth.token"},
		{"listen: 0.0.0.0:1\n" TOKEN TLS, NULL},
		{"listen: 0.0.0.0:1\ntls: {allow_plaintext: true}\n", "set auth.token"},
		{"listen: 0.0.0.0:1\nauth: {allow_anonymous: true}\n", "set tls.certificate"},
		{"listen: 0.0.0.0:1\nauth: {allow_anonymous: true}\ntls: {allow_plaintext: true}\n",
		 NULL},
		{"tls: {certificate: c.pem}\n", "tls.certificate and tls.key belong together"},
		{"tls: {key: k.pem}\n", "tls.certificate and tls.key belong together"},
		{"auth: {previous_token: 0123456789abcdef}\n", "auth.previous_token needs"},
		{"prometheus: {url: 'http://metrics.example'}\n",
		 "prometheus.url: http:// to metrics.example is not encrypted"},
		{"prometheus: {url: 'https://metrics.example'}\n", NULL},
		{"prometheus: {url: 'http://127.0.0.1:9090'}\n", NULL},
		{"prometheus: {url: 'http://[fd00::1]:9090'}\n",
		 "http:// to [fd00::1] is not encrypted"},
		{"prometheus: {url: 'http://[fd00::1]:9090'}\n"
		 "allow_plaintext_peers: ['[fd00::1]', '*.svc.cluster.local']\n",
		 NULL},
		{"prometheus: {url: 'http://a.metrics.example'}\n"
		 "allow_plaintext_peers: ['*.metrics.example', '*.svc.cluster.local']\n",
		 NULL},
		{"prometheus: {url: 'http://prometheus.evil.example'}\n", "is not encrypted"},
		{"alertmanager: {url: 'http://alerts.example'}\n", "alertmanager.url: http:// to"},
		{"linear: {url: 'http://tickets.example'}\n", "linear.url: http:// to"},
		{"loki: {url: 'http://logs.example'}\n", "loki.url: http:// to"},
		{"tempo: {url: 'http://traces.example'}\n", "tempo.url: http:// to"},
		{"loki: {url: 'http://loki:3100'}\nallow_plaintext_peers: ['*.svc.cluster.local', "
		 "prometheus]\n",
		 "loki.url: http:// to loki is not encrypted"},
		{"investigate: {source_timeout: 9s, timeout: 8s}\n",
		 "investigate.source_timeout must not be above"},
		{"functions: {domain: fn.example}\n", "functions.domain: http:// to"},
		{"functions: {domain: fn.example, scheme: https}\n", NULL},
		{"functions: {gateway: 'gw.example:80'}\n",
		 "functions.gateway: http:// to gw.example is not encrypted"},
		{"functions: {gateway: 'gw.example:443', scheme: https}\n", NULL},
		{"functions: {gateway: 'gw.mesh.svc.cluster.local:80'}\n", NULL},
		{"policy: {ask_confidence: 0.8}\n", "policy.ask_confidence must not be above"},
		{"verify: {first: 2m, budget: 1m}\n", "verify.first must not be above"},
		{"slo: {high_above: 0.001}\n", "must not fall"},
		{"slo: {medium_above: 0.0002}\n", "must not fall"},
		{"slo: {sources: [series, grafana]}\n", "'grafana' is not one of openslo"},
		{"slo: {sli_names: [availability]}\n", "\"availability\" is none; want SLO=SLI"},
		{"slo: {sli_names: ['availability=']}\n", "want SLO=SLI"},
		{"ticket: {schedule: 'ftp://rota'}\n", "ticket.schedule"},
		{"ticket: {schedule: 'http://rota.example.com/now'}\n", "ticket.schedule"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct settings *s = NULL;
		print_message("# case %zu\n", n);
		enum status got = load_yaml(mem, CASES[n].yaml, &s, NULL);
		assert_int_equal(got, CASES[n].message == NULL ? OK : E_INVALID);
		if (got != OK && strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("got: %s\nwant: %s", status_message(), CASES[n].message);
	}
}

static char *read_sample(void *mem, const char **path)
{
	char *text = NULL;
	size_t n = 0;

	*path = getenv("SAMPLE");
	if (*path == NULL)
		skip();
	assert_int_equal(file_read(mem, *path, 1 << 20, &text, &n), OK);
	return text;
}

/* Takes the # away from "#key: value" and "#- item", and leaves sentences out. */
static char *uncomment(void *mem, const char *text)
{
	char *out = str_dup(mem, "");

	while (*text != '\0') {
		size_t n = strcspn(text, "\n");
		size_t indent = strspn(text, " ");
		bool setting = text[indent] == '#' && text[indent + 1] != ' ' && indent + 1 < n;
		if (setting)
			str_add(&out, "%.*s%.*s\n", (int)indent, text, (int)(n - indent - 1),
				text + indent + 1);
		else if (text[indent] != '#')
			str_add(&out, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	return out;
}

static void the_sample_file_changes_nothing_as_it_is(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct setting_source *sources = NULL;
	const char *path = NULL;
	size_t count;

	(void)state;
	read_sample(mem, &path);
	assert_int_equal(settings_load(mem, path, NULL, 0, environ_of, false, &s, &sources), OK);
	settings_table(&count);
	for (size_t n = 0; n < count; n++)
		assert_string_equal(sources[n].from, "default");
}

static void the_sample_file_shows_every_key_with_its_default(void **state)
{
	SCOPE(mem);
	struct settings *s = NULL;
	struct settings *standard = NULL;
	struct setting_source *sources = NULL;
	struct setting_source *standards = NULL;
	const char *path = NULL;
	size_t count;

	(void)state;
	char *text = uncomment(mem, read_sample(mem, &path));
	assert_int_equal(load_yaml(mem, text, &s, &sources), OK);
	assert_int_equal(
		settings_load(mem, NULL, NULL, 0, environ_of, false, &standard, &standards), OK);
	const struct setting_info *table = settings_table(&count);
	for (size_t n = 0; n < count; n++) {
		print_message("# %s\n", table[n].key);
		assert_true(str_starts(sources[n].from, "agent-sre.yaml:"));
		if (strcmp(table[n].type, "FRACTION") != 0)
			assert_string_equal(sources[n].value, standards[n].value);
	}
	assert_true(s->act_confidence == standard->act_confidence);
	assert_true(s->ask_confidence == standard->ask_confidence);
	assert_true(s->trace_ratio == standard->trace_ratio);
}

static void the_table_has_no_key_or_variable_twice(void **state)
{
	size_t count;
	const struct setting_info *table = settings_table(&count);

	(void)state;
	for (size_t a = 0; a < count; a++) {
		assert_true(*table[a].meaning != '\0' && *table[a].allowed != '\0');
		assert_int_equal(table[a].secret, strcmp(table[a].type, "SECRET") == 0);
		for (size_t b = a + 1; b < count; b++) {
			assert_string_not_equal(table[a].key, table[b].key);
			if (*table[a].environment != '\0')
				assert_string_not_equal(table[a].environment, table[b].environment);
		}
	}
}

static int enter_directory(void **state)
{
	static char directory[] = "/tmp/test-settings-XXXXXX";

	*state = directory;
	return mkdtemp(directory) == NULL ? -1 : chdir(directory);
}

static int leave_directory(void **state)
{
	unlink(FILE_NAME);
	unlink("secret");
	return rmdir(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_any_source_the_defaults_hold, forget),
		cmocka_unit_test_setup(every_type_is_read_from_yaml, forget),
		cmocka_unit_test_setup(wrong_values_are_refused_with_their_line_and_what_is_allowed,
				       forget),
		cmocka_unit_test_setup(secrets_never_stand_in_messages, forget),
		cmocka_unit_test_setup(unknown_keys_name_the_nearest_known_one, forget),
		cmocka_unit_test_setup(broken_files_are_refused, forget),
		cmocka_unit_test_setup(an_empty_file_and_empty_sections_change_nothing, forget),
		cmocka_unit_test_setup(later_sources_win_and_are_named, forget),
		cmocka_unit_test_setup(wrong_variables_and_flags_are_named, forget),
		cmocka_unit_test_setup(durations_of_the_platform_are_plain_seconds, forget),
		cmocka_unit_test_setup(lists_of_the_environment_are_split_at_commas, forget),
		cmocka_unit_test_setup(a_default_that_is_not_allowed_is_not_used, forget),
		cmocka_unit_test_setup(port_listens_on_all_addresses_so_it_needs_a_token_and_tls,
				       forget),
		cmocka_unit_test_setup(secrets_of_the_environment_are_wiped_on_request, forget),
		cmocka_unit_test_setup(secrets_come_from_files, forget),
		cmocka_unit_test_setup(values_that_are_not_utf8_are_refused, forget),
		cmocka_unit_test_setup(unsafe_combinations_are_refused, forget),
		cmocka_unit_test_setup(the_sample_file_changes_nothing_as_it_is, forget),
		cmocka_unit_test_setup(the_sample_file_shows_every_key_with_its_default, forget),
		cmocka_unit_test_setup(the_table_has_no_key_or_variable_twice, forget),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
