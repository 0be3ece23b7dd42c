/* Gathers evidence from the sources on the command line and prints it as JSON: for tests against
 * doubles and real servers. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "clients/tempo.h"
#include "flow/gather.h"

static const char *or_null(const char *url)
{
	return str_eq(url, "-") ? NULL : url;
}

static enum status run(void *mem, char **argument)
{
	struct http_client *http = NULL;
	struct evidence *e = NULL;
	json_t *labels = NULL;
	long long starts_ms, now_ms, timeout_ms;

	TRY(http_client_new(mem, "agent-sre-test", &http));
	TRY(json_parse(mem, argument[3], strlen(argument[3]), &labels));
	TRY(str_to_int(argument[4], 0, INT64_MAX, &starts_ms));
	TRY(str_to_int(argument[5], 0, INT64_MAX, &now_ms));
	TRY(str_to_int(argument[6], 1, 600000, &timeout_ms));
	const struct sources s = {
		.prometheus = {.http = http, .url = or_null(argument[0])},
		.loki = loki_backend(http, or_null(argument[1]), "", argument[7], NULL, timeout_ms),
		.tempo = tempo_backend(http, or_null(argument[2]), "", argument[7], NULL,
				       timeout_ms),
		.source_timeout_ms = timeout_ms,
		.timeout_ms = timeout_ms + 2000,
	};
	const struct window w = gather_window(starts_ms, now_ms);
	TRY(gather(mem, &s, labels, &w, &e));
	printf("%s\n", json_text(mem, evidence_encode(mem, e)));
	return OK;
}

int main(int argc, char **argv)
{
	SCOPE(mem);

	if (argc != 9) {
		fprintf(stderr, "usage: print_evidence PROMETHEUS|- LOKI|- TEMPO|- LABELS "
				"STARTS-MS NOW-MS TIMEOUT-MS TENANT\n");
		return 2;
	}
	if (run(mem, argv + 1) == OK)
		return 0;
	fprintf(stderr, "%s\n", status_message());
	return 1;
}
