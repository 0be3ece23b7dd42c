#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/linear.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KEY "lin_api_unit_key"
#define UUID "5f0c1c1e-8f6e-4d0a-9c55-0d6c36f6a001"
#define ERRORS(extensions) \
	"{\"errors\":[{\"message\":\"said\",\"extensions\":" extensions "}],\"data\":null}"
#define CODE(code) ERRORS("{\"code\":\"" code "\"}")
#define GONE \
	ERRORS("{\"code\":\"INPUT_ERROR\",\"type\":\"invalid " \
	       "input\",\"userPresentableMessage\":\"not found\"}")
#define ISSUE_BODY \
	"{\"id\":\"" UUID "\",\"identifier\":\"SHOP-7\",\"url\":\"https://tracker.test/SHOP-7\"}"

enum { NOW = 1000000 };

static void replies_are_judged(void **state)
{
	static const struct {
		long code;
		const char *body;
		enum status status;
		const char *message;
	} CASES[] = {
		{200, "{\"data\":{}}", OK, NULL},
		{200, "{\"data\":{\"viewer\":{\"id\":\"u\"}},\"errors\":[]}", OK, NULL},
		{200, "{\"data\":{},\"errors\":null}", OK, NULL},
		{400, CODE("RATELIMITED"), E_RATE, "rate limit"},
		{200, CODE("RATELIMITED"), E_RATE, "rate limit"},
		{400, ERRORS("{\"code\":\"X\",\"type\":\"ratelimited\"}"), E_RATE, "rate limit"},
		{429, "", E_RATE, "rate limit"},
		{429, "<html>slow down</html>", E_RATE, "rate limit"},
		{429, CODE("SOMETHING"), E_RATE, "rate limit"},
		{401, "", E_DENIED, "linear.api_key"},
		{403, "<html>", E_DENIED, "linear.api_key"},
		{401, CODE("SOMETHING"), E_DENIED, "linear.api_key"},
		{400, CODE("AUTHENTICATION_ERROR"), E_DENIED, "said; check linear.api_key"},
		{200, ERRORS("{\"type\":\"authentication error\"}"), E_DENIED, "linear.api_key"},
		{200, CODE("FORBIDDEN"), E_DENIED, "linear.api_key"},
		{200, ERRORS("{\"type\":\"feature not accessible\"}"), E_DENIED, "said"},
		{500, "", E_TRANSIENT, "500"},
		{500, CODE("INTERNAL_SERVER_ERROR"), E_TRANSIENT, "500"},
		{502, "<html>Bad Gateway</html>", E_TRANSIENT, "502"},
		{503, CODE("INPUT_ERROR"), E_TRANSIENT, "503"},
		{200, CODE("INTERNAL_SERVER_ERROR"), E_TRANSIENT, "said"},
		{200, ERRORS("{\"type\":\"lock timeout\"}"), E_TRANSIENT, "said"},
		{200, ERRORS("{\"type\":\"network error\"}"), E_TRANSIENT, "said"},
		{408, "", E_TIMEOUT, "408"},
		{400, CODE("GRAPHQL_VALIDATION_FAILED"), E_INVALID, "said"},
		{200, GONE, E_INVALID, "Linear: not found"},
		{200, "{\"errors\":[{\"message\":\"half\"}],\"data\":{\"issue\":{\"id\":\"i\"}}}",
		 E_INVALID, "half"},
		{200, "{\"errors\":[{}]}", E_INVALID, "no reason given"},
		{200, "{\"errors\":[7]}", E_INVALID, "no reason given"},
		{200, ERRORS("{\"type\":\"rate\"}"), E_INVALID, "said"},
		{200, ERRORS("{\"type\":\"ratelimited too\"}"), E_INVALID, "said"},
		{404, "", E_INVALID, "404"},
		{302, "", E_INVALID, "302"},
		{200, "<html>welcome</html>", E_TRANSIENT, "not JSON"},
		{200, "", E_TRANSIENT, "not JSON"},
		{200, "{\"data\":{\"issueCreate\":{\"succ", E_TRANSIENT, "not JSON"},
		{200, "[]", E_TRANSIENT, "not JSON"},
		{200, "{}", E_TRANSIENT, "no data"},
		{200, "{\"data\":null}", E_TRANSIENT, "no data"},
		{200, "{\"data\":[]}", E_TRANSIENT, "no data"},
		{200, "{\"data\":{},\"errors\":{\"message\":\"odd\"}}", E_TRANSIENT, "no data"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		json_t *data = NULL;
		enum status got = linear_decode(
			mem, scripted_reply(mem, CASES[n].code, NULL, CASES[n].body), NOW, &data);
		if (got != CASES[n].status)
			fail_msg("%ld %s: %s: %s", CASES[n].code, CASES[n].body, status_name(got),
				 status_message());
		if (got != OK && strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("%ld %s: %s", CASES[n].code, CASES[n].body, status_message());
		assert_true((data != NULL) == (got == OK));
	}
}

static void the_pause_is_what_the_headers_ask_for(void **state)
{
	static const struct {
		const char *headers[9];
		int64_t pause_ms;
	} CASES[] = {
		{{NULL}, 60000},
		{{"retry-after", "5"}, 5000},
		{{"x-ratelimit-requests-remaining", "0", "x-ratelimit-requests-reset", "1007000"},
		 7000},
		{{"x-ratelimit-complexity-remaining", "0", "x-ratelimit-complexity-reset",
		  "1009000"},
		 9000},
		{{"x-ratelimit-endpoint-requests-remaining", "0",
		  "x-ratelimit-endpoint-requests-reset", "1003000"},
		 3000},
		{{"x-ratelimit-requests-reset", "1007000"}, 7000},
		{{"x-ratelimit-requests-remaining", "12", "x-ratelimit-requests-reset", "1007000"},
		 60000},
		{{"x-ratelimit-requests-reset", "1007000", "x-ratelimit-complexity-reset",
		  "1009000"},
		 9000},
		{{"retry-after", "20", "x-ratelimit-requests-reset", "1007000"}, 20000},
		{{"x-ratelimit-requests-reset", "999000"}, 60000},
		{{"x-ratelimit-requests-reset", "soon"}, 60000},
		{{"x-ratelimit-requests-reset", "9223372036854775807"}, LIMIT_PAUSE_MS},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		json_t *data = NULL;
		struct http_reply *r =
			scripted_reply(mem, 400, CASES[n].headers, CODE("RATELIMITED"));
		assert_int_equal(linear_decode(mem, r, NOW, &data), E_RATE);
		assert_int_equal(status_retry_after_ms(), CASES[n].pause_ms);
	}
}

#define DATA(d) "{\"data\":{" d "}}"
#define ANSWERS(what, d) \
	{ \
		.match = "query " what "(", .code = 200, .body = DATA(d), .always = true \
	}
#define DOES(what, d) \
	{ \
		.match = "mutation " what "(", .code = 200, .body = DATA(d) \
	}
#define TEAM \
	ANSWERS("Team", \
		"\"teams\":{\"nodes\":[{\"id\":\"team-1\",\"name\":\"Shop\",\"key\":\"SHOP\"}]}")
#define STATES \
	ANSWERS("States", "\"workflowStates\":{\"nodes\":[{\"id\":\"s-b\",\"type\":\"backlog\"," \
			  "\"position\":0}," \
			  "{\"id\":\"s-u2\",\"type\":\"unstarted\",\"position\":2.5}," \
			  "{\"id\":\"s-u1\",\"type\":\"unstarted\",\"position\":1.5}," \
			  "{\"id\":\"s-c\",\"type\":\"completed\",\"position\":-4}]}")
#define LABELS \
	ANSWERS("Labels", \
		"\"issueLabels\":{\"nodes\":[{\"id\":\"l-other\",\"team\":{\"id\":\"team-2\"}}," \
		"{\"id\":\"l-1\",\"team\":{\"id\":\"team-1\"}}]}")
#define NO_LABELS ANSWERS("Labels", "\"issueLabels\":{\"nodes\":[]}")
#define USER ANSWERS("Users", "\"users\":{\"nodes\":[{\"id\":\"u-1\"}]}")
#define NO_USER ANSWERS("Users", "\"users\":{\"nodes\":[]}")
#define CREATED DOES("IssueCreate", "\"issueCreate\":{\"success\":true,\"issue\":" ISSUE_BODY "}")
#define FOUND ANSWERS("Issue", "\"issue\":" ISSUE_BODY)
#define NOT_FOUND \
	{ \
		.match = "query Issue(", .code = 200, .body = GONE, .always = true \
	}
#define REFUSED(what) \
	{ \
		.match = "mutation " what "(", .code = 200, .body = GONE \
	}

struct world {
	void *mem;
	struct scripted *server;
	struct linear *linear;
	struct ticket_ref out;
	const char *note;
};

static struct world begin(void *mem, const struct turn *turns, size_t n)
{
	struct world w = {.mem = mem, .server = scripted_start(mem, turns, n)};
	struct linear_options o = {
		.http = scripted_client(mem),
		.url = str_fmt(mem, "%s/graphql", scripted_url(w.server)),
		.api_key = KEY,
		.team_key = "SHOP",
		.timeout_ms = 10000,
	};

	for (size_t i = 0; i < n; i++)
		if (turns[i].act == ACT_SILENT)
			o.timeout_ms = 500;
	w.linear = linear_new(mem, &o);
	return w;
}

static enum status apply(struct world *w, enum ticket_kind kind, json_t *payload)
{
	const struct ticket_op op = {
		.kind = kind, .uuid = UUID, .payload = mem_own(w->mem, payload)};
	const struct ticket_ref ref = {
		.id = "issue-id", .key = "SHOP-7", .url = "https://tracker.test/SHOP-7"};

	w->note = "stale";
	return linear_apply(w->mem, w->linear, &op, kind == TICKET_CREATE ? NULL : &ref, &w->out,
			    &w->note);
}

static json_t *ticket(void)
{
	return json_pack("{s:s, s:s, s:i, s:[s], s:s}", "title", "[Alert] CartSlow", "body",
			 "words", "priority", 2, "labels", "alert", "assignee", "oncall@shop.test");
}

/* The variable input of the n-th request that holds `match`. */
static const json_t *input_of(struct world *w, const char *match, size_t n)
{
	json_t *body = NULL;

	for (size_t i = 0;; i++) {
		const char *request = scripted_request(w->server, i);
		if (strstr(request, match) == NULL || n-- > 0)
			continue;
		const char *text = scripted_body(w->server, i);
		assert_int_equal(json_parse(w->mem, text, strlen(text), &body), OK);
		return json_object_get(json_object_get(body, "variables"), "input");
	}
}

static void assert_created(const struct world *w)
{
	assert_string_equal(w->out.id, UUID);
	assert_string_equal(w->out.key, "SHOP-7");
	assert_string_equal(w->out.url, "https://tracker.test/SHOP-7");
}

static void a_ticket_is_created_with_all_its_fields(void **state)
{
	static const struct turn TURNS[] = {TEAM, STATES, LABELS, USER, CREATED};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_created(&w);
	assert_null(w.note);
	const json_t *input = input_of(&w, "mutation IssueCreate", 0);
	assert_string_equal(json_text(mem, input),
			    "{\"assigneeId\":\"u-1\",\"description\":\"words\",\"id\":\"" UUID
			    "\",\"labelIds\":[\"l-1\"],"
			    "\"priority\":2,\"stateId\":\"s-u1\",\"teamId\":\"team-1\",\"title\":"
			    "\"[Alert] CartSlow\"}");
	for (size_t n = 0; n < 5; n++) {
		assert_true(
			str_starts(scripted_request(w.server, n), "POST /graphql HTTP/1.1\r\n"));
		assert_true(scripted_has_line(w.server, n, "Authorization: " KEY));
		assert_true(scripted_has_line(w.server, n, "Content-Type: application/json"));
	}
	assert_int_equal(scripted_unexpected(w.server), 0);
}

static void names_are_looked_up_once(void **state)
{
	static const struct turn TURNS[] = {TEAM, STATES, LABELS, USER, CREATED, CREATED};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_int_equal(scripted_count(w.server, "\"query\":"), 6);
}

static void text_goes_into_variables_only(void **state)
{
	static const struct turn TURNS[] = {TEAM, STATES, CREATED};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));
	char *title = str_fmt(mem, "x\") { evil }%0*d", 400, 1);

	(void)state;
	assert_int_equal(
		apply(&w, TICKET_CREATE, json_pack("{s:s, s:s}", "title", title, "body", "\"}\n")),
		OK);
	assert_int_equal(
		scripted_count(w.server,
			       "\"query\":\"mutation IssueCreate($input: IssueCreateInput!) { "
			       "issueCreate(input: $input)"),
		1);
	const char *sent = json_str(input_of(&w, "mutation IssueCreate", 0), "title");
	assert_true(str_starts(sent, "x\") { evil }0"));
	assert_true(str_ends(sent, "\xe2\x80\xa6"));
	assert_in_range(strlen(sent), 190, LIMIT_TITLE_POINTS + 3);
}

static void a_lost_answer_creates_once(void **state)
{
	static const struct turn LOST[] = {
		{.match = "mutation IssueCreate", .act = ACT_SILENT},
		{.match = "mutation IssueCreate", .act = ACT_RESET},
		{.match = "mutation IssueCreate",
		 .act = ACT_CUT,
		 .code = 200,
		 .body = DATA("\"issueCreate\":{}")},
		{.match = "mutation IssueCreate", .code = 502, .body = "<html>"},
		{.match = "mutation IssueCreate", .code = 200, .body = "{\"data\":{\"issueCr"},
		{.match = "mutation IssueCreate",
		 .code = 200,
		 .body = CODE("INTERNAL_SERVER_ERROR")},
		{.match = "mutation IssueCreate", .code = 200, .body = GONE}, /* "exists already" */
		DOES("IssueCreate", "\"issueCreate\":{\"success\":false}"),
		DOES("IssueCreate", "\"issueCreate\":{\"success\":true,\"issue\":{\"id\":\"x\"}}"),
	};

	(void)state;
	for (size_t n = 0; n < COUNT(LOST); n++) {
		SCOPE(mem);
		const struct turn turns[] = {TEAM, STATES, LABELS, USER, LOST[n], FOUND};
		struct world w = begin(mem, turns, COUNT(turns));
		assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
		assert_created(&w);
		assert_null(w.note);
		assert_int_equal(scripted_count(w.server, "mutation IssueCreate"), 1);
		assert_int_equal(scripted_count(w.server, "\"variables\":{\"id\":\"" UUID "\"}"),
				 1);
	}
}

static void a_creation_that_did_not_happen_is_reported_as_it_failed(void **state)
{
	static const struct {
		struct turn turn;
		enum status status;
	} CASES[] = {
		{{.match = "mutation IssueCreate", .act = ACT_SILENT}, E_TIMEOUT},
		{{.match = "mutation IssueCreate", .act = ACT_RESET}, E_TRANSIENT},
		{{.match = "mutation IssueCreate", .code = 500}, E_TRANSIENT},
		{{.match = "mutation IssueCreate", .code = 400, .body = CODE("RATELIMITED")},
		 E_RATE},
		{{.match = "mutation IssueCreate", .code = 401}, E_DENIED},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const struct turn turns[] = {TEAM, STATES, LABELS, USER, CASES[n].turn, NOT_FOUND};
		struct world w = begin(mem, turns, COUNT(turns));
		assert_int_equal(apply(&w, TICKET_CREATE, ticket()), CASES[n].status);
		assert_null(w.out.id);
		assert_null(strstr(status_message(), KEY));
	}
}

/* "refused" may mean "exists already"; given up for good, the ticket would be lost */
static void a_refusal_is_final_only_when_the_look_up_says_so(void **state)
{
	static const struct turn TURNS[] = {
		TEAM, STATES, REFUSED("IssueCreate"), {.match = "query Issue(", .code = 503}};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(
		apply(&w, TICKET_CREATE, json_pack("{s:s, s:s}", "title", "t", "body", "b")),
		E_TRANSIENT);
	assert_int_equal(scripted_unexpected(w.server), 0);
}

static void ornaments_that_are_missing_are_left_out_and_said(void **state)
{
	static const struct turn TURNS[] = {TEAM,    STATES, NO_LABELS, REFUSED("LabelCreate"),
					    NO_USER, CREATED};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_created(&w);
	assert_non_null(strstr(w.note, "label alert left out: Linear: not found"));
	assert_non_null(strstr(w.note, "; assignee left out: nobody at Linear"));
	const json_t *input = input_of(&w, "mutation IssueCreate", 0);
	assert_null(json_object_get(input, "assigneeId"));
	assert_int_equal(json_array_size(json_object_get(input, "labelIds")), 0);
}

static void ornaments_that_are_refused_do_not_stop_the_ticket(void **state)
{
	static const struct turn TURNS[] = {
		TEAM, STATES, LABELS, USER, REFUSED("IssueCreate"), NOT_FOUND, CREATED, CREATED};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_created(&w);
	assert_non_null(strstr(w.note, "labels, state and assignee left out: Linear: not found"));
	const json_t *input = input_of(&w, "mutation IssueCreate", 1);
	assert_string_equal(json_str(input, "id"), UUID);
	assert_null(json_object_get(input, "assigneeId"));
	assert_null(json_object_get(input, "stateId"));
	assert_null(json_object_get(input, "labelIds"));
	/* the ids may have been stale: they are looked up anew */
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), OK);
	assert_int_equal(scripted_count(w.server, "query Users("), 2);
	assert_null(w.note);
}

static void trouble_with_an_ornament_is_tried_again(void **state)
{
	static const struct turn TURNS[] = {
		TEAM, STATES, LABELS, {.match = "query Users(", .code = 503}};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), E_TRANSIENT);
	assert_int_equal(scripted_count(w.server, "mutation"), 0);
}

static void a_missing_label_is_made_in_the_team(void **state)
{
	static const struct turn TURNS[] = {
		TEAM,
		NO_LABELS,
		DOES("LabelCreate",
		     "\"issueLabelCreate\":{\"success\":true,\"issueLabel\":{\"id\":\"l-new\"}}"),
		DOES("IssueUpdate", "\"issueUpdate\":{\"success\":true,\"issue\":{\"id\":\"i\"}}"),
	};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_LABEL, json_pack("{s:[s]}", "names", "slo-violation")),
			 OK);
	assert_string_equal(json_text(mem, input_of(&w, "mutation LabelCreate", 0)),
			    "{\"name\":\"slo-violation\",\"teamId\":\"team-1\"}");
	assert_string_equal(json_text(mem, input_of(&w, "mutation IssueUpdate", 0)),
			    "{\"addedLabelIds\":[\"l-new\"]}");
	assert_int_equal(scripted_count(w.server, "\"id\":\"issue-id\""), 1);
}

static void a_label_made_by_somebody_else_meanwhile_is_taken(void **state)
{
	static const struct turn TURNS[] = {
		TEAM,
		{.match = "query Labels(",
		 .code = 200,
		 .body = DATA("\"issueLabels\":{\"nodes\":[]}")},
		REFUSED("LabelCreate"),
		LABELS,
		DOES("IssueUpdate", "\"issueUpdate\":{\"success\":true}"),
	};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_LABEL, json_pack("{s:[s]}", "names", "alert")), OK);
	assert_null(w.note);
	assert_string_equal(json_text(mem, input_of(&w, "mutation IssueUpdate", 0)),
			    "{\"addedLabelIds\":[\"l-1\"]}");
}

static void a_comment_is_made_once(void **state)
{
	static const struct {
		struct turn create, find;
		enum status status;
	} CASES[] = {
		{DOES("CommentCreate",
		      "\"commentCreate\":{\"success\":true,\"comment\":{\"id\":\"c\"}}"),
		 {0},
		 OK},
		{{.match = "mutation CommentCreate", .act = ACT_SILENT},
		 ANSWERS("Comment", "\"comment\":{\"id\":\"" UUID "\"}"),
		 OK},
		{REFUSED("CommentCreate"), ANSWERS("Comment", "\"comment\":{\"id\":\"" UUID "\"}"),
		 OK},
		{REFUSED("CommentCreate"),
		 {.match = "query Comment(", .code = 200, .body = GONE},
		 E_INVALID},
		{REFUSED("CommentCreate"), {.match = "query Comment(", .code = 429}, E_RATE},
		{{.match = "mutation CommentCreate", .act = ACT_RESET},
		 {.match = "query Comment(", .code = 200, .body = GONE},
		 E_TRANSIENT},
		{{.match = "mutation CommentCreate", .code = 500},
		 ANSWERS("Comment", "\"comment\":null"),
		 E_TRANSIENT},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const struct turn turns[] = {CASES[n].create, CASES[n].find};
		struct world w = begin(mem, turns, COUNT(turns));
		enum status got =
			apply(&w, TICKET_COMMENT, json_pack("{s:s}", "body", "looked at"));
		if (got != CASES[n].status)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_int_equal(scripted_count(w.server, "mutation CommentCreate"), 1);
		assert_string_equal(json_text(mem, input_of(&w, "mutation CommentCreate", 0)),
				    "{\"body\":\"looked at\",\"id\":\"" UUID
				    "\",\"issueId\":\"issue-id\"}");
	}
}

static void links_assignees_and_states_are_set(void **state)
{
	static const struct turn TURNS[] = {
		TEAM,
		STATES,
		USER,
		DOES("AttachmentCreate",
		     "\"attachmentCreate\":{\"success\":true,\"attachment\":{\"id\":\"a\"}}"),
		DOES("IssueUpdate", "\"issueUpdate\":{\"success\":true}"),
		DOES("IssueUpdate", "\"issueUpdate\":{\"success\":true}"),
	};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_LINK,
			       json_pack("{s:s, s:s}", "url", "https://g.test/d", "title", "SLO")),
			 OK);
	assert_string_equal(
		json_text(mem, input_of(&w, "mutation AttachmentCreate", 0)),
		"{\"issueId\":\"issue-id\",\"title\":\"SLO\",\"url\":\"https://g.test/d\"}");
	assert_int_equal(apply(&w, TICKET_ASSIGN, json_pack("{s:s}", "email", "oncall@shop.test")),
			 OK);
	assert_string_equal(json_text(mem, input_of(&w, "mutation IssueUpdate", 0)),
			    "{\"assigneeId\":\"u-1\"}");
	assert_int_equal(apply(&w, TICKET_STATE, json_pack("{s:s}", "type", "completed")), OK);
	assert_string_equal(json_text(mem, input_of(&w, "mutation IssueUpdate", 1)),
			    "{\"stateId\":\"s-c\"}");
	assert_int_equal(scripted_unexpected(w.server), 0);
}

static void what_cannot_be_resolved_is_said(void **state)
{
	static const struct turn TURNS[] = {TEAM, STATES, NO_USER};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_ASSIGN, json_pack("{s:s}", "email", "gone@shop.test")),
			 OK);
	assert_non_null(strstr(w.note, "assignee left out"));
	assert_int_equal(apply(&w, TICKET_STATE, json_pack("{s:s}", "type", "started")),
			 E_NOTFOUND);
	assert_int_equal(scripted_count(w.server, "mutation"), 0);
}

static void an_unknown_team_is_denied(void **state)
{
	static const struct turn TURNS[] = {ANSWERS("Team", "\"teams\":{\"nodes\":[]}")};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), E_DENIED);
	assert_non_null(strstr(status_message(), "SHOP"));
}

static void incomplete_operations_send_nothing(void **state)
{
	static const enum ticket_kind KINDS[] = {TICKET_CREATE, TICKET_COMMENT, TICKET_LINK,
						 TICKET_ASSIGN, TICKET_STATE};
	SCOPE(mem);
	struct world w = begin(mem, NULL, 0);

	(void)state;
	for (size_t n = 0; n < COUNT(KINDS); n++) {
		assert_int_equal(apply(&w, KINDS[n], json_pack("{s:s}", "title", "alone")),
				 E_INVALID);
		assert_int_equal(apply(&w, KINDS[n], json_pack("{s:i, s:i}", "body", 1, "url", 2)),
				 E_INVALID);
	}
	const struct ticket_op op = {.kind = TICKET_COMMENT,
				     .uuid = UUID,
				     .payload = mem_own(mem, json_pack("{s:s}", "body", "b"))};
	const struct ticket_ref nowhere = {0};
	assert_int_equal(linear_apply(mem, w.linear, &op, &nowhere, &w.out, &w.note), E_INVALID);
	assert_int_equal(scripted_connections(w.server), 0);
}

static void the_key_never_appears_in_a_message(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 400,
		 .body = "{\"errors\":[{\"message\":\"bad key " KEY "\"}]}",
		 .always = true}};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));

	(void)state;
	assert_int_equal(apply(&w, TICKET_CREATE, ticket()), E_INVALID);
	assert_null(strstr(status_message(), KEY));
}

static void the_check_names_the_viewer_and_the_team(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "query Viewer ",
		 .code = 200,
		 .body = DATA("\"viewer\":{\"id\":\"v\",\"name\":\"robot\"}")},
		TEAM};
	SCOPE(mem);
	struct world w = begin(mem, TURNS, COUNT(TURNS));
	const char *viewer = NULL;
	const char *team = NULL;

	(void)state;
	assert_int_equal(linear_check(mem, w.linear, &viewer, &team), OK);
	assert_string_equal(viewer, "robot");
	assert_string_equal(team, "Shop");
}

static void *comment_often(void *arg)
{
	struct linear *l = arg;

	for (int n = 0; n < 4; n++) {
		SCOPE(mem);
		struct ticket_ref out = {0};
		const char *note = NULL;
		const struct ticket_op op = {
			.kind = TICKET_CREATE, .uuid = UUID, .payload = mem_own(mem, ticket())};
		if (linear_apply(mem, l, &op, NULL, &out, &note) != OK || out.id == NULL)
			return arg;
	}
	return NULL;
}

static void several_threads_share_one_client(void **state)
{
	static const struct turn TURNS[] = {
		TEAM,
		STATES,
		LABELS,
		USER,
		{.match = "mutation IssueCreate",
		 .code = 200,
		 .body = DATA("\"issueCreate\":{\"success\":true,\"issue\":" ISSUE_BODY "}"),
		 .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	const struct linear_options o = {.http = scripted_client(mem),
					 .url = scripted_url(s),
					 .api_key = KEY,
					 .team_key = "SHOP",
					 .timeout_ms = 20000};
	struct linear *l = linear_new(mem, &o);
	pthread_t threads[4];

	(void)state;
	for (size_t n = 0; n < COUNT(threads); n++)
		assert_int_equal(pthread_create(&threads[n], NULL, comment_often, l), 0);
	for (size_t n = 0; n < COUNT(threads); n++) {
		void *failed = NULL;
		pthread_join(threads[n], &failed);
		assert_null(failed);
	}
	assert_int_equal(scripted_count(s, "mutation IssueCreate"), 16);
	assert_int_equal(scripted_unexpected(s), 0);
}

#define PLACE_FOR(upload, asset) \
	"{\"data\":{\"fileUpload\":{\"success\":true,\"uploadFile\":{\"uploadUrl\":\"" upload \
	"\",\"assetUrl\":\"" asset "\",\"headers\":[{\"key\":\"x-goog-a\",\"value\":\"b c\"}," \
	"{\"key\":\"Authorization\",\"value\":\"theirs\"},{\"key\":\"x-b\",\"value\":\"1\\r\\nx-" \
	"evil: " \
	"2\"}]}}}}"

static const struct linear_file PICTURE = {"cpu.png", "image/png", "\x89PNG\0\1", 6};

static void a_file_is_stored_where_linear_says_and_without_our_key(void **state)
{
	SCOPE(mem);
	struct turn turns[] = {{.match = "mutation FileUpload", .code = 200},
			       {.match = "PUT /place?a=b ", .code = 200, .body = ""}};
	struct world w = begin(mem, turns, COUNT(turns));
	const char *url = NULL;

	(void)state;
	turns[0].body = str_fmt(mem, PLACE_FOR("%s/place?a=b", "https://files.test/cpu"),
				scripted_url(w.server));
	assert_int_equal(linear_upload(mem, w.linear, &PICTURE, &url), OK);
	assert_string_equal(url, "https://files.test/cpu");
	assert_non_null(strstr(scripted_body(w.server, 0), "\"size\":6"));
	assert_true(scripted_has_line(w.server, 1, "Content-Type: image/png"));
	assert_true(scripted_has_line(w.server, 1, "Content-Length: 6"));
	assert_true(scripted_has_line(w.server, 1, "Cache-Control: public, max-age=31536000"));
	assert_true(scripted_has_line(w.server, 1, "x-goog-a: b c"));
	assert_null(strcasestr(scripted_request(w.server, 1), "authorization"));
	assert_null(strcasestr(scripted_request(w.server, 1), "x-evil"));
}

static void a_place_that_would_break_the_text_is_refused(void **state)
{
	static const char *const BODIES[] = {
		PLACE_FOR("ftp://files.test/a", "https://files.test/a"),
		PLACE_FOR("https://files.test/a", "https://files.test/a) ![x](http://evil.test/"),
		PLACE_FOR("https://files.test/a", "javascript:alert(1)"),
		PLACE_FOR("https://files.test/a\\u0020b", "https://files.test/a"),
		"{\"data\":{\"fileUpload\":{\"success\":true,\"uploadFile\":null}}}",
		"{\"data\":{\"fileUpload\":{\"success\":false}}}",
	};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct turn turns[] = {
			{.match = "mutation FileUpload", .code = 200, .body = BODIES[n]}};
		struct world w = begin(mem, turns, COUNT(turns));
		const char *url = NULL;
		assert_int_equal(linear_upload(mem, w.linear, &PICTURE, &url), E_INVALID);
		assert_null(url);
		assert_int_equal(scripted_unexpected(w.server), 0);
	}
}

static void a_file_store_in_trouble_is_told_from_one_that_refuses(void **state)
{
	static const struct {
		int code;
		enum status status;
	} CASES[] = {{503, E_TRANSIENT}, {429, E_TRANSIENT}, {403, E_INVALID}, {302, E_INVALID}};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct turn turns[] = {{.match = "mutation FileUpload", .code = 200},
				       {.match = "PUT /place ", .code = CASES[n].code, .body = ""}};
		struct world w = begin(mem, turns, COUNT(turns));
		const char *url = NULL;
		turns[0].body = str_fmt(mem, PLACE_FOR("%s/place", "https://files.test/cpu"),
					scripted_url(w.server));
		assert_int_equal(linear_upload(mem, w.linear, &PICTURE, &url), CASES[n].status);
		assert_null(url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_judged),
		cmocka_unit_test(the_pause_is_what_the_headers_ask_for),
		cmocka_unit_test(a_ticket_is_created_with_all_its_fields),
		cmocka_unit_test(names_are_looked_up_once),
		cmocka_unit_test(text_goes_into_variables_only),
		cmocka_unit_test(a_lost_answer_creates_once),
		cmocka_unit_test(a_creation_that_did_not_happen_is_reported_as_it_failed),
		cmocka_unit_test(a_refusal_is_final_only_when_the_look_up_says_so),
		cmocka_unit_test(ornaments_that_are_missing_are_left_out_and_said),
		cmocka_unit_test(ornaments_that_are_refused_do_not_stop_the_ticket),
		cmocka_unit_test(trouble_with_an_ornament_is_tried_again),
		cmocka_unit_test(a_missing_label_is_made_in_the_team),
		cmocka_unit_test(a_label_made_by_somebody_else_meanwhile_is_taken),
		cmocka_unit_test(a_comment_is_made_once),
		cmocka_unit_test(links_assignees_and_states_are_set),
		cmocka_unit_test(what_cannot_be_resolved_is_said),
		cmocka_unit_test(an_unknown_team_is_denied),
		cmocka_unit_test(incomplete_operations_send_nothing),
		cmocka_unit_test(the_key_never_appears_in_a_message),
		cmocka_unit_test(the_check_names_the_viewer_and_the_team),
		cmocka_unit_test(several_threads_share_one_client),
		cmocka_unit_test(a_file_is_stored_where_linear_says_and_without_our_key),
		cmocka_unit_test(a_place_that_would_break_the_text_is_refused),
		cmocka_unit_test(a_file_store_in_trouble_is_told_from_one_that_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
