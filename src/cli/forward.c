#include "daemon/forward.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"

static const struct option_info OPTIONS[] = {
	{"sink", "URL", "where the events go (default: $K_SINK)"},
	{"listen", "ADDR:PORT",
	 "where to listen (default 127.0.0.1:8080; $PORT listens on all addresses)"},
	{NULL, NULL, NULL},
};

static const char *first_of(const char *a, const char *b, const char *c)
{
	return !str_empty(a) ? a : !str_empty(b) ? b : c;
}

static int run(const struct invocation *i)
{
	const char *token = NULL;

	if (api_token(i->mem, &token) != OK)
		return command_failed();
	const struct forward_options o = {
		.listen = first_of(option_value(i, "listen"), getenv("PORT"), "127.0.0.1:8080"),
		.sink = first_of(option_value(i, "sink"), getenv("K_SINK"), ""),
		.sink_token = str_empty(token) ? NULL : token,
		.ca_file = getenv("SSL_CERT_FILE"),
	};

	if (str_empty(o.sink))
		return command_misused(i, "where to? give --sink URL, or set K_SINK");
	return daemon_forward(&o);
}

const struct command command_forward = {
	.name = "forward",
	.operands = "",
	.summary = "run the converter: Alertmanager's webhook to CloudEvents (prometheus-events)",
	.description = "Takes Alertmanager's webhook (POST /webhook), sends one structured "
		       "CloudEvent per alert to the sink,\n"
		       "and answers 200 only when the sink has taken all of them; otherwise 502, "
		       "and Alertmanager sends again.\n"
		       "Each alert's own status decides between fired and resolved. A repeat has "
		       "the same event id.\n"
		       "AGENT_SRE_TOKEN (or the file AGENT_SRE_TOKEN_FILE), when set, is sent to "
		       "the sink as bearer token.",
	.options = OPTIONS,
	.run = run,
};
