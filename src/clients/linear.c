/*
 * Every creation names its object by a client-generated id. When the answer to a creation is an
 * error or is lost, the object is looked up by that id before anything is reported: it may be
 * there.
 */
#include "clients/linear.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

/* D(name, document) */
#define DOCUMENTS(D) \
	D(VIEWER, "query Viewer { viewer { id name } }") \
	D(TEAM, "query Team($key: String!) { teams(filter: {key: {eq: $key}}, first: 1) { nodes " \
		"{ id name key } } }") \
	D(STATES, "query States($team: ID!) { workflowStates(filter: {team: {id: {eq: $team}}}, " \
		  "first: 100)" \
		  " { nodes { id type position } } }") \
	D(LABELS, \
	  "query Labels($name: String!) { issueLabels(filter: {name: {eq: $name}}, first: 20)" \
	  " { nodes { id name team { id } } } }") \
	D(LABEL_CREATE, \
	  "mutation LabelCreate($input: IssueLabelCreateInput!) { issueLabelCreate(input: $input)" \
	  " { success issueLabel { id } } }") \
	D(USERS, "query Users($email: String!) { users(filter: {email: {eq: $email}}, first: 1) " \
		 "{ nodes { id } } }") \
	D(ISSUE, "query Issue($id: String!) { issue(id: $id) { id identifier url } }") \
	D(ISSUE_CREATE, \
	  "mutation IssueCreate($input: IssueCreateInput!) { issueCreate(input: $input)" \
	  " { success issue { id identifier url } } }") \
	D(ISSUE_UPDATE, "mutation IssueUpdate($id: String!, $input: IssueUpdateInput!) { " \
			"issueUpdate(id: $id, input: $input)" \
			" { success issue { id } } }") \
	D(COMMENT, "query Comment($id: String!) { comment(id: $id) { id } }") \
	D(COMMENT_CREATE, \
	  "mutation CommentCreate($input: CommentCreateInput!) { commentCreate(input: $input)" \
	  " { success comment { id } } }") \
	D(ATTACHMENT_CREATE, "mutation AttachmentCreate($input: AttachmentCreateInput!) { " \
			     "attachmentCreate(input: $input)" \
			     " { success attachment { id } } }") \
	D(FILE_UPLOAD, \
	  "mutation FileUpload($contentType: String!, $filename: String!, $size: Int!) { " \
	  "fileUpload(contentType: $contentType, filename: $filename, size: $size)" \
	  " { success uploadFile { uploadUrl assetUrl headers { key value } } } }")

enum document {
#define DOCUMENT_ENUM(name, text) name,
	DOCUMENTS(DOCUMENT_ENUM)
#undef DOCUMENT_ENUM
};

const char *const linear_documents[] = {
#define DOCUMENT_TEXT(name, text) text,
	DOCUMENTS(DOCUMENT_TEXT)
#undef DOCUMENT_TEXT
		NULL,
};

enum { CACHE_MAX = 256, URL_MAX = 4096 };

/* What names stand for at Linear: "team", "state/completed", "label/alert", "user/…" → id. */
struct entry {
	const char *key, *id;
};

struct linear {
	struct linear_options o;
	pthread_mutex_t lock;
	struct entry cache[CACHE_MAX];
	int cached;
};

static int drop(struct linear *l)
{
	pthread_mutex_destroy(&l->lock);
	return 0;
}

struct linear *linear_new(void *mem, const struct linear_options *o)
{
	struct linear *l = NEW(mem, struct linear);

	l->o = *o;
	l->o.url = str_dup(l, o->url);
	l->o.api_key = str_dup(l, o->api_key);
	l->o.team_key = str_dup(l, o->team_key);
	l->o.ca_file = str_dup(l, o->ca_file);
	pthread_mutex_init(&l->lock, NULL);
	talloc_set_destructor(l, drop);
	return l;
}

static int64_t pause_of(const struct http_reply *r, int64_t now_ms)
{
	static const char *const RESETS[] = {"x-ratelimit-requests-reset",
					     "x-ratelimit-complexity-reset",
					     "x-ratelimit-endpoint-requests-reset"};
	static const char *const REMAINING[] = {"x-ratelimit-requests-remaining",
						"x-ratelimit-complexity-remaining",
						"x-ratelimit-endpoint-requests-remaining"};
	int64_t pause = http_retry_after_ms(r, now_ms);

	for (int n = 0; n < 3; n++) {
		const char *reset = http_reply_header(r, RESETS[n]);
		const char *left = http_reply_header(r, REMAINING[n]);
		long long at;
		if (reset == NULL || (left != NULL && !str_eq(left, "0")) ||
		    str_to_int(reset, 0, INT64_MAX, &at) != OK)
			continue;
		if (at - now_ms > pause)
			pause = at - now_ms;
	}
	if (pause > LIMIT_PAUSE_MS)
		return LIMIT_PAUSE_MS;
	return pause > 0 ? pause : 60000;
}

/* Codes are compared without case, '_', '-' and spaces: the API and its SDK write them differently.
 */
static bool code_is(const char *code, const char *want)
{
	if (code == NULL)
		return false;
	for (; *code != '\0'; code++) {
		if (strchr("_- ", *code) != NULL)
			continue;
		char c = *code >= 'A' && *code <= 'Z' ? (char)(*code - 'A' + 'a') : *code;
		if (c != *want)
			return false;
		want++;
	}
	return *want == '\0';
}

static bool any_code(const char *code, const char *const *wanted)
{
	for (int n = 0; wanted[n] != NULL; n++)
		if (code_is(code, wanted[n]))
			return true;
	return false;
}

static enum status judge_code(const struct http_reply *r, int64_t now_ms)
{
	if (r->code == 401 || r->code == 403)
		return failure(E_DENIED, "Linear answered %ld: check linear.api_key", r->code);
	if (r->code == 429)
		return failure_after(pause_of(r, now_ms), E_RATE,
				     "Linear: the rate limit is reached");
	if (r->code >= 500)
		return failure(E_TRANSIENT, "Linear answered %ld", r->code);
	if (r->code == 408)
		return failure(E_TIMEOUT, "Linear answered 408");
	return failure(E_INVALID, "Linear answered %ld", r->code);
}

static enum status judge_error(const struct http_reply *r, const json_t *error, int64_t now_ms)
{
	static const char *const RATE[] = {"ratelimited", NULL};
	static const char *const DENIED[] = {"authenticationerror", "forbidden",
					     "featurenotaccessible", NULL};
	static const char *const LATER[] = {"internalerror", "internalservererror", "networkerror",
					    "locktimeout",   "bootstraperror",	    NULL};
	const json_t *extensions = json_object_get(error, "extensions");
	const char *codes[] = {json_str(extensions, "code"), json_str(extensions, "type")};
	const char *said = json_str(extensions, "userPresentableMessage");

	said = said != NULL ? said : json_str(error, "message");
	said = said != NULL ? said : "no reason given";
	for (int n = 0; n < 2; n++) {
		if (any_code(codes[n], RATE))
			return failure_after(pause_of(r, now_ms), E_RATE,
					     "Linear: the rate limit is reached");
		if (any_code(codes[n], DENIED))
			return failure(E_DENIED, "Linear: %.200s; check linear.api_key", said);
		if (any_code(codes[n], LATER))
			return failure(E_TRANSIENT, "Linear: %.200s", said);
	}
	if (r->code != 200 && r->code != 400 && r->code != 422)
		return judge_code(r, now_ms);
	return failure(E_INVALID, "Linear: %.300s", said);
}

enum status linear_decode(void *mem, const struct http_reply *r, int64_t now_ms, json_t **data)
{
	json_t *doc = NULL;

	bool readable = json_parse(mem, r->body, r->body_bytes, &doc) == OK && json_is_object(doc);
	const json_t *errors = json_object_get(doc, "errors");
	if (json_array_size(errors) > 0 && r->code < 500)
		return judge_error(r, json_array_get(errors, 0), now_ms);
	if (r->code != 200)
		return judge_code(r, now_ms);
	if (!readable)
		return failure(E_TRANSIENT, "Linear's answer is not JSON");
	json_t *found = json_object_get(doc, "data");
	bool clean = errors == NULL || json_is_null(errors) || json_is_array(errors);
	if (!json_is_object(found) || !clean)
		return failure(E_TRANSIENT, "Linear's answer has no data");
	*data = found;
	return OK;
}

/* Steals `variables`. */
static enum status ask(void *mem, struct linear *l, enum document d, json_t *variables,
		       json_t **data)
{
	json_t *body = mem_own(
		mem, json_pack("{s:s, s:o}", "query", linear_documents[d], "variables", variables));
	const struct http_header headers[] = {{"Content-Type", "application/json"},
					      {"Authorization", l->o.api_key}};
	char *text = json_text(mem, body);
	const struct http_request q = {.method = "POST",
				       .url = l->o.url,
				       .headers = headers,
				       .header_count = 2,
				       .body = text,
				       .body_bytes = strlen(text),
				       .timeout_ms = l->o.timeout_ms,
				       .ca_file = l->o.ca_file,
				       .peer = "linear"};
	struct http_reply *r = NULL;

	enum status s = http_fetch(mem, l->o.http, &q, &r);
	if (s != OK)
		return failure_in(s == E_INVALID ? E_TRANSIENT : s, "Linear");
	s = linear_decode(mem, r, clock_now(), data);
	if (s != OK && strstr(status_message(), l->o.api_key) != NULL)
		return failure_after(status_retry_after_ms(), s, "Linear refuses the request");
	return s;
}

static enum status mutate(void *mem, struct linear *l, enum document d, json_t *variables,
			  const char *field, json_t **payload)
{
	json_t *data = NULL;

	TRY(ask(mem, l, d, variables, &data));
	*payload = json_object_get(data, field);
	if (!json_is_true(json_object_get(*payload, "success")))
		return failure(E_INVALID, "Linear: %s did not succeed", field);
	return OK;
}

static const char *remembered(void *mem, struct linear *l, const char *key)
{
	const char *id = NULL;

	pthread_mutex_lock(&l->lock);
	for (int n = 0; n < l->cached && id == NULL; n++)
		if (str_eq(l->cache[n].key, key))
			id = str_dup(mem, l->cache[n].id);
	pthread_mutex_unlock(&l->lock);
	return id;
}

static void remember(struct linear *l, const char *key, const char *id)
{
	pthread_mutex_lock(&l->lock);
	if (l->cached < CACHE_MAX)
		l->cache[l->cached++] = (struct entry){str_dup(l, key), str_dup(l, id)};
	pthread_mutex_unlock(&l->lock);
}

/* An id may be that of an object that is gone by now. */
static void forget(struct linear *l)
{
	pthread_mutex_lock(&l->lock);
	for (; l->cached > 0; l->cached--) {
		talloc_free((void *)l->cache[l->cached - 1].key);
		talloc_free((void *)l->cache[l->cached - 1].id);
	}
	pthread_mutex_unlock(&l->lock);
}

static const json_t *first_node(const json_t *data, const char *field)
{
	return json_array_get(json_object_get(json_object_get(data, field), "nodes"), 0);
}

static enum status team_id(void *mem, struct linear *l, const char **out)
{
	json_t *data = NULL;

	*out = remembered(mem, l, "team");
	if (*out != NULL)
		return OK;
	TRY(ask(mem, l, TEAM, json_pack("{s:s}", "key", l->o.team_key), &data));
	*out = json_str(first_node(data, "teams"), "id");
	if (*out == NULL)
		return failure(E_DENIED, "Linear has no team with the key %.40s; check linear.team",
			       l->o.team_key);
	remember(l, "team", *out);
	return OK;
}

/* The first state of that type in the team's order. */
static enum status state_id(void *mem, struct linear *l, const char *type, const char **out)
{
	char *key = str_fmt(mem, "state/%s", type);
	const char *team = NULL;
	json_t *data = NULL;
	json_t *node;
	size_t n;
	double lowest = 0;

	*out = remembered(mem, l, key);
	if (*out != NULL)
		return OK;
	TRY(team_id(mem, l, &team));
	TRY(ask(mem, l, STATES, json_pack("{s:s}", "team", team), &data));
	json_array_foreach (json_object_get(json_object_get(data, "workflowStates"), "nodes"), n,
			    node) {
		double position = json_number_value(json_object_get(node, "position"));
		if (!str_eq(json_str(node, "type"), type) || (*out != NULL && position >= lowest))
			continue;
		lowest = position;
		*out = json_str(node, "id");
	}
	if (*out == NULL)
		return failure(E_NOTFOUND, "Linear: the team has no state of type %s", type);
	remember(l, key, *out);
	return OK;
}

/* A label of the team, or of the whole workspace. */
static const char *fitting_label(const json_t *data, const char *team)
{
	json_t *node;
	size_t n;

	json_array_foreach (json_object_get(json_object_get(data, "issueLabels"), "nodes"), n,
			    node) {
		const json_t *owner = json_object_get(node, "team");
		if (json_is_null(owner) || owner == NULL || str_eq(json_str(owner, "id"), team))
			return json_str(node, "id");
	}
	return NULL;
}

static enum status find_label(void *mem, struct linear *l, const char *name, const char *team,
			      const char **out)
{
	json_t *data = NULL;

	TRY(ask(mem, l, LABELS, json_pack("{s:s}", "name", name), &data));
	*out = fitting_label(data, team);
	return OK;
}

static enum status keep_failure(enum status s, const char *why, int64_t pause_ms)
{
	return failure_after(pause_ms, s, "%s", why);
}

static enum status make_label(void *mem, struct linear *l, const char *name, const char *team,
			      const char **out)
{
	json_t *payload = NULL;
	json_t *input = json_pack("{s:{s:s, s:s}}", "input", "name", name, "teamId", team);

	enum status s = mutate(mem, l, LABEL_CREATE, input, "issueLabelCreate", &payload);
	*out = json_str(json_object_get(payload, "issueLabel"), "id");
	if (s != E_INVALID)
		return s;
	/* somebody else may have made it meanwhile */
	char *why = str_dup(mem, status_message());
	TRY(find_label(mem, l, name, team, out));
	return *out == NULL ? keep_failure(s, why, 0) : OK;
}

static enum status label_id(void *mem, struct linear *l, const char *name, const char **out)
{
	char *key = str_fmt(mem, "label/%s", name);
	const char *team = NULL;

	*out = remembered(mem, l, key);
	if (*out != NULL)
		return OK;
	TRY(team_id(mem, l, &team));
	TRY(find_label(mem, l, name, team, out));
	if (*out == NULL)
		TRY(make_label(mem, l, name, team, out));
	if (*out == NULL)
		return failure(E_INVALID, "Linear gave no label id");
	remember(l, key, *out);
	return OK;
}

static enum status user_id(void *mem, struct linear *l, const char *email, const char **out)
{
	char *key = str_fmt(mem, "user/%s", email);
	json_t *data = NULL;

	*out = remembered(mem, l, key);
	if (*out != NULL)
		return OK;
	TRY(ask(mem, l, USERS, json_pack("{s:s}", "email", email), &data));
	*out = json_str(first_node(data, "users"), "id");
	if (*out == NULL)
		return failure(E_NOTFOUND, "nobody at Linear has the on-call address");
	remember(l, key, *out);
	return OK;
}

/* What is only an ornament must not stop the ticket: it is left out and said. */
static enum status optional(void *mem, enum status s, const char *what, const char **note)
{
	if (s == E_INVALID || s == E_NOTFOUND || s == E_DENIED) {
		*note = str_fmt(mem, "%s%s%s left out: %s", *note == NULL ? "" : *note,
				*note == NULL ? "" : "; ", what, status_message());
		return OK;
	}
	return s;
}

static enum status add_labels(void *mem, struct linear *l, const json_t *names, json_t *input,
			      const char *key, const char **note)
{
	json_t *ids = json_array();
	json_t *name;
	size_t n;

	json_object_set_new(input, key, ids);
	json_array_foreach (names, n, name) {
		const char *id = NULL;
		if (!json_is_string(name))
			continue;
		enum status s = label_id(mem, l, json_string_value(name), &id);
		if (s == OK)
			json_array_append_new(ids, json_string(id));
		else
			TRY(optional(mem, s, str_fmt(mem, "label %s", json_string_value(name)),
				     note));
	}
	return OK;
}

static enum status add_fields(void *mem, struct linear *l, const struct ticket_op *op,
			      json_t *input, const char **note)
{
	const char *assignee = json_str(op->payload, "assignee");
	const char *id = NULL;
	enum status s;

	TRY(add_labels(mem, l, json_object_get(op->payload, "labels"), input, "labelIds", note));
	s = state_id(mem, l, "unstarted", &id);
	if (s == OK)
		json_object_set_new(input, "stateId", json_string(id));
	else
		TRY(optional(mem, s, "state", note));
	if (str_empty(assignee))
		return OK;
	s = user_id(mem, l, assignee, &id);
	if (s == OK)
		json_object_set_new(input, "assigneeId", json_string(id));
	else
		TRY(optional(mem, s, "assignee", note));
	return OK;
}

static enum status read_issue(void *mem, const json_t *issue, struct ticket_ref *out)
{
	const char *id = json_str(issue, "id");
	const char *key = json_str(issue, "identifier");
	const char *url = json_str(issue, "url");

	if (id == NULL || key == NULL || url == NULL)
		return failure(E_TRANSIENT, "Linear's answer lacks the issue");
	*out = (struct ticket_ref){str_dup(mem, id), str_dup(mem, key), str_dup(mem, url)};
	return OK;
}

static enum status find_issue(void *mem, struct linear *l, const char *id, struct ticket_ref *out)
{
	json_t *data = NULL;

	TRY(ask(mem, l, ISSUE, json_pack("{s:s}", "id", id), &data));
	if (!json_is_object(json_object_get(data, "issue")))
		return failure(E_NOTFOUND, "Linear has no such issue");
	return read_issue(mem, json_object_get(data, "issue"), out);
}

static bool may_have_happened(enum status s)
{
	return s == E_TRANSIENT || s == E_TIMEOUT || s == E_INVALID || s == E_CONFLICT;
}

static enum status send_creation(void *mem, struct linear *l, json_t *input, struct ticket_ref *out)
{
	json_t *payload = NULL;

	TRY(mutate(mem, l, ISSUE_CREATE, json_pack("{s:O}", "input", input), "issueCreate",
		   &payload));
	return read_issue(mem, json_object_get(payload, "issue"), out);
}

/* The object was looked up because its creation failed. The first failure is what is reported, but
 * for a refusal that may only mean "exists already" while the look-up could not tell. */
static enum status settle(enum status creation, const char *why, int64_t pause_ms,
			  enum status look_up)
{
	if (look_up == OK)
		return OK;
	if (!status_is_retryable(creation) && look_up != E_INVALID && look_up != E_NOTFOUND)
		return look_up;
	return keep_failure(creation, why, pause_ms);
}

static enum status create_once(void *mem, struct linear *l, json_t *input, struct ticket_ref *out)
{
	enum status s = send_creation(mem, l, input, out);

	if (!may_have_happened(s))
		return s;
	char *why = str_dup(mem, status_message());
	int64_t pause = status_retry_after_ms();
	const char *id = json_str(input, "id");
	return settle(s, why, pause, find_issue(mem, l, id, out));
}

/* Removes what a ticket can do without; false when there was nothing of it. */
static bool strip(json_t *input)
{
	bool labels = json_array_size(json_object_get(input, "labelIds")) > 0;
	bool state = json_object_del(input, "stateId") == 0;
	bool assignee = json_object_del(input, "assigneeId") == 0;

	json_object_del(input, "labelIds");
	return labels || state || assignee;
}

static enum status create(void *mem, struct linear *l, const struct ticket_op *op,
			  struct ticket_ref *out, const char **note)
{
	const char *team = NULL;

	TRY(team_id(mem, l, &team));
	json_t *input = mem_own(
		mem, json_pack("{s:s, s:s, s:s, s:s, s:I}", "id", op->uuid, "teamId", team, "title",
			       str_cut(mem, json_str(op->payload, "title"), LIMIT_TITLE_POINTS),
			       "description", json_str(op->payload, "body"), "priority",
			       (json_int_t)json_int(op->payload, "priority", 0)));
	TRY(add_fields(mem, l, op, input, note));
	enum status s = create_once(mem, l, input, out);
	if (s != E_INVALID)
		return s;
	forget(l);
	if (!strip(input))
		return s;
	TRY(optional(mem, s, "labels, state and assignee", note));
	return create_once(mem, l, input, out);
}

static enum status comment(void *mem, struct linear *l, const struct ticket_op *op,
			   const struct ticket_ref *ref)
{
	json_t *payload = NULL;
	json_t *data = NULL;
	json_t *input = json_pack("{s:{s:s, s:s, s:s}}", "input", "id", op->uuid, "issueId",
				  ref->id, "body", json_str(op->payload, "body"));

	enum status s = mutate(mem, l, COMMENT_CREATE, input, "commentCreate", &payload);
	if (!may_have_happened(s))
		return s;
	char *why = str_dup(mem, status_message());
	int64_t pause = status_retry_after_ms();
	enum status found = ask(mem, l, COMMENT, json_pack("{s:s}", "id", op->uuid), &data);
	if (found == OK && json_str(json_object_get(data, "comment"), "id") == NULL)
		found = failure(E_NOTFOUND, "Linear has no such comment");
	return settle(s, why, pause, found);
}

static enum status update(void *mem, struct linear *l, const struct ticket_ref *ref, json_t *input)
{
	json_t *payload = NULL;

	enum status s =
		mutate(mem, l, ISSUE_UPDATE, json_pack("{s:s, s:O}", "id", ref->id, "input", input),
		       "issueUpdate", &payload);
	if (s == E_INVALID)
		forget(l);
	return s;
}

static enum status label(void *mem, struct linear *l, const struct ticket_op *op,
			 const struct ticket_ref *ref, const char **note)
{
	json_t *input = mem_own(mem, json_object());

	TRY(add_labels(mem, l, json_object_get(op->payload, "names"), input, "addedLabelIds",
		       note));
	if (json_array_size(json_object_get(input, "addedLabelIds")) == 0)
		return OK;
	return update(mem, l, ref, input);
}

static enum status assign(void *mem, struct linear *l, const struct ticket_op *op,
			  const struct ticket_ref *ref, const char **note)
{
	const char *id = NULL;
	enum status s = user_id(mem, l, json_str(op->payload, "email"), &id);

	if (s != OK)
		return optional(mem, s, "assignee", note);
	return update(mem, l, ref, mem_own(mem, json_pack("{s:s}", "assigneeId", id)));
}

static enum status set_state(void *mem, struct linear *l, const struct ticket_op *op,
			     const struct ticket_ref *ref)
{
	const char *id = NULL;

	TRY(state_id(mem, l, json_str(op->payload, "type"), &id));
	return update(mem, l, ref, mem_own(mem, json_pack("{s:s}", "stateId", id)));
}

/* The same URL on the same issue updates the attachment: a repeat is harmless. */
static enum status link_url(void *mem, struct linear *l, const struct ticket_op *op,
			    const struct ticket_ref *ref)
{
	json_t *payload = NULL;
	json_t *input =
		json_pack("{s:{s:s, s:s, s:s}}", "input", "issueId", ref->id, "url",
			  json_str(op->payload, "url"), "title", json_str(op->payload, "title"));

	return mutate(mem, l, ATTACHMENT_CREATE, input, "attachmentCreate", &payload);
}

/* They are put into requests and Markdown: nothing that could end either early. */
static bool is_plain_url(const struct linear *l, const char *url)
{
	bool spoken =
		url != NULL && (str_starts(url, "https://") ||
				(str_starts(l->o.url, "http://") && str_starts(url, "http://")));

	return spoken && strlen(url) < URL_MAX && strpbrk(url, " \t\r\n()<>\"\\^`{|}") == NULL;
}

static bool is_plain_header(const char *name, const char *value)
{
	return !str_empty(name) && value != NULL && strpbrk(name, " \t\r\n:") == NULL &&
	       strpbrk(value, "\r\n") == NULL && strcasecmp(name, "authorization") != 0;
}

/* The place does not belong to Linear's API: our key does not go there. */
static enum status put_file(void *mem, struct linear *l, const json_t *place,
			    const struct linear_file *f)
{
	const json_t *more = json_object_get(place, "headers");
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, json_array_size(more) + 2);
	struct http_reply *r = NULL;
	size_t count = 2;

	headers[0] = (struct http_header){"Content-Type", f->media_type};
	headers[1] = (struct http_header){"Cache-Control", "public, max-age=31536000"};
	for (size_t n = 0; n < json_array_size(more); n++) {
		const json_t *one = json_array_get(more, n);
		const char *name = json_str(one, "key");
		const char *value = json_str(one, "value");
		if (is_plain_header(name, value))
			headers[count++] = (struct http_header){name, value};
	}
	const struct http_request q = {.method = "PUT",
				       .url = json_str(place, "uploadUrl"),
				       .headers = headers,
				       .header_count = count,
				       .body = f->bytes,
				       .body_bytes = f->size,
				       .timeout_ms = l->o.timeout_ms,
				       .ca_file = l->o.ca_file,
				       .peer = "linear"};
	enum status s = http_fetch(mem, l->o.http, &q, &r);
	if (s != OK)
		return failure_in(s == E_INVALID ? E_TRANSIENT : s, "Linear's file store");
	if (r->code / 100 == 2)
		return OK;
	return failure(r->code >= 500 || r->code == 429 || r->code == 408 ? E_TRANSIENT : E_INVALID,
		       "Linear's file store answered %ld", r->code);
}

enum status linear_upload(void *mem, struct linear *l, const struct linear_file *f,
			  const char **asset_url)
{
	json_t *payload = NULL;

	TRY(mutate(mem, l, FILE_UPLOAD,
		   json_pack("{s:s, s:s, s:I}", "contentType", f->media_type, "filename", f->name,
			     "size", (json_int_t)f->size),
		   "fileUpload", &payload));
	const json_t *place = json_object_get(payload, "uploadFile");
	const char *asset = json_str(place, "assetUrl");
	if (!is_plain_url(l, asset) || !is_plain_url(l, json_str(place, "uploadUrl")))
		return failure(E_INVALID, "Linear gave no usable place for the file");
	TRY(put_file(mem, l, place, f));
	*asset_url = asset;
	return OK;
}

/* A member that is missing would make no request at all. */
static enum status check_payload(const struct ticket_op *op)
{
	static const char *const NEEDED[][3] = {
		[TICKET_CREATE] = {"title", "body"}, [TICKET_COMMENT] = {"body"},
		[TICKET_LINK] = {"url", "title"},    [TICKET_LABEL] = {NULL},
		[TICKET_ASSIGN] = {"email"},	     [TICKET_STATE] = {"type"},
	};

	for (const char *const *key = NEEDED[op->kind]; *key != NULL; key++)
		if (json_str(op->payload, *key) == NULL)
			return failure(E_INVALID, "the ticket operation has no %s", *key);
	return OK;
}

enum status linear_apply(void *mem, struct linear *l, const struct ticket_op *op,
			 const struct ticket_ref *ref, struct ticket_ref *out, const char **note)
{
	*note = NULL;
	TRY(check_payload(op));
	if (op->kind == TICKET_CREATE)
		return create(mem, l, op, out, note);
	if (ref->id == NULL)
		return failure(E_INVALID, "the ticket does not exist");
	switch (op->kind) {
	case TICKET_COMMENT: return comment(mem, l, op, ref);
	case TICKET_LINK: return link_url(mem, l, op, ref);
	case TICKET_LABEL: return label(mem, l, op, ref, note);
	case TICKET_ASSIGN: return assign(mem, l, op, ref, note);
	case TICKET_STATE: return set_state(mem, l, op, ref);
	case TICKET_CREATE: break;
	}
	return failure(E_INTERNAL, "unknown ticket operation");
}

void linear_proof(void *mem, const char *url, const char *api_key, struct http_request *out)
{
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, 2);
	json_t *body = mem_own(mem, json_pack("{s:s}", "query", linear_documents[VIEWER]));

	headers[0] = (struct http_header){"Content-Type", "application/json"};
	headers[1] = (struct http_header){"Authorization", str_dup(mem, api_key)};
	*out = (struct http_request){.method = "POST",
				     .url = str_dup(mem, url),
				     .headers = headers,
				     .header_count = 2,
				     .body = json_text(mem, body)};
	out->body_bytes = strlen(out->body);
}

enum status linear_check(void *mem, struct linear *l, const char **viewer, const char **team)
{
	json_t *data = NULL;

	TRY(ask(mem, l, VIEWER, json_object(), &data));
	*viewer = json_str(json_object_get(data, "viewer"), "name");
	TRY(ask(mem, l, TEAM, json_pack("{s:s}", "key", l->o.team_key), &data));
	*team = json_str(first_node(data, "teams"), "name");
	if (*team == NULL)
		return failure(E_NOTFOUND, "Linear has no team with the key %.40s", l->o.team_key);
	return OK;
}
