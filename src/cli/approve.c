#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"digest", "DIGEST", "only if the plan still has this digest ('agent-sre show' prints it)"},
	{"by", "NAME", "who decides (default: your login name)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static int decide(const struct invocation *i, const char *decision)
{
	const char *const path[] = {"approvals", i->operands[0], NULL};
	const char *by = option_value(i, "by") != NULL ? option_value(i, "by") : api_user(i->mem);
	const char *digest = option_value(i, "digest");
	json_t *body = mem_own(i->mem, json_pack("{s:s, s:s}", "decision", decision, "by", by));
	json_t *reply = NULL;

	if (digest != NULL)
		json_object_set_new(body, "digest", json_string(digest));
	const struct api_call call = {.method = "POST",
				      .path = path,
				      .content_type = "application/json",
				      .body = json_text(i->mem, body)};
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	if (option_value(i, "json") != NULL)
		printf("%s\n", json_text(i->mem, reply));
	else
		printf("%s is %s\n", show_word(reply, "incident"),
		       show_word(reply, "approval_status"));
	return EXIT_DONE;
}

static int approve(const struct invocation *i)
{
	return decide(i, "approve");
}

static int reject(const struct invocation *i)
{
	return decide(i, "reject");
}

const struct command command_approve = {
	.name = "approve",
	.operands = "ID",
	.least = 1,
	.most = 1,
	.summary = "approve the action that an incident waits for",
	.description = "Approves exactly the function and parameters that 'agent-sre show ID' "
		       "prints. A decision is final.",
	.options = OPTIONS,
	.run = approve,
};

const struct command command_reject = {
	.name = "reject",
	.operands = "ID",
	.least = 1,
	.most = 1,
	.summary = "reject the action that an incident waits for",
	.description = "Rejects the action; the incident goes to a person. A decision is final.",
	.options = OPTIONS,
	.run = reject,
};
