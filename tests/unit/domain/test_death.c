#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/death.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define X_DEATH(reason, count) \
	"{\"count\": " #count ", \"reason\": \"" reason \
	"\", \"queue\": \"orders\", \"exchange\": \"ex\"," \
	" \"routing-keys\": [\"order.eu\"], \"time\": {\"amqp:timestamp\": 1700000000}}"

static json_t *parsed(void *mem, const char *text)
{
	json_t *value = NULL;

	if (json_parse(mem, text, strlen(text), &value) != OK)
		fail_msg("%s: %s", text, status_message());
	return value;
}

static struct death *read_death(void *mem, const char *headers)
{
	struct death *d = NULL;

	death_read(mem, parsed(mem, headers), NULL, &d);
	return d;
}

static void each_way_of_dying_has_its_category(void **state)
{
	static const struct {
		const char *headers, *category;
		bool permanent;
		const char *reason;
	} CASES[] = {
		{"{}", "broker_failure", false, "dead-lettered without a reason"},
		{"{\"x-death\": [" X_DEATH("rejected", 1) "]}", "poison_message", false,
		 "rejected in queue orders"},
		{"{\"x-death\": [" X_DEATH("expired", 1) "]}", "timeout", false,
		 "expired in queue orders"},
		{"{\"x-death\": [" X_DEATH("maxlen", 1) "]}", "resource_exhaustion", false,
		 "maxlen in queue orders"},
		{"{\"x-death\": [" X_DEATH("delivery_limit", 1) "]}", "poison_message", true,
		 "delivery_limit in queue orders"},
		{"{\"x-first-death-reason\": \"expired\", \"x-death\": [" X_DEATH("rejected",
										  1) "]}",
		 "timeout", false, "expired in queue orders"},
		{"{\"x-death-reason\": \"broker_auth\"}", "broker_failure", true, "broker_auth"},
		{"{\"x-death-reason\": \"s3_access_denied\"}", "dependency_failure", true,
		 "s3_access_denied"},
		{"{\"x-death-reason\": \"service_misconfigured\"}", "dependency_failure", true,
		 "service_misconfigured"},
		{"{\"x-death-reason\": \"Subscriber_Down\"}", "dependency_failure", false,
		 "Subscriber_Down"},
		{"{\"x-death-reason\": \"build_timeout\"}", "timeout", false, "build_timeout"},
		{"{\"x-death-reason\": \"image_pull_error\"}", "dependency_failure", false,
		 "image_pull_error"},
		{"{\"x-death-reason\": \"queue_full\"}", "resource_exhaustion", false,
		 "queue_full"},
		{"{\"x-death-reason\": \"it was Tuesday\"}", "broker_failure", false,
		 "it was Tuesday"},
		{"{\"ce-knativeerrordest\": \"http://shop\", \"ce-knativeerrorcode\": \"504\"}",
		 "timeout", false, "http://shop answered 504"},
		{"{\"ce_knativeerrorcode\": 422}", "validation_failure", true,
		 "the subscriber answered 422"},
		{"{\"cloudEvents:knativeerrordest\": \"http://shop\", "
		 "\"cloudEvents:knativeerrorcode\": \"-1\"}",
		 "network_partition", false, "http://shop did not answer"},
		{"{\"ce-knativeerrorcode\": \"500\"}", "consumer_crash", false,
		 "the subscriber answered 500"},
		{"{\"ce-knativeerrorcode\": \"429\"}", "resource_exhaustion", false,
		 "the subscriber answered 429"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		print_message("# %s\n", CASES[n].headers);
		struct death *d = read_death(mem, CASES[n].headers);
		assert_string_equal(d->category, CASES[n].category);
		assert_int_equal(d->permanent, CASES[n].permanent);
		assert_string_equal(d->reason, CASES[n].reason);
	}
}

static void the_first_death_says_where_it_came_from(void **state)
{
	SCOPE(mem);

	(void)state;
	struct death *d = read_death(
		mem,
		"{\"x-death\": [{\"queue\": \"orders.dlq\", \"exchange\": \"dlx\", \"count\": 1,"
		" \"routing-keys\": [\"dead\"]}, " X_DEATH("rejected", 2) "]}");
	assert_string_equal(d->queue, "orders");
	assert_string_equal(d->exchange, "ex");
	assert_string_equal(d->routing_key, "order.eu");
	assert_int_equal(d->count, 3);
	assert_int_equal(d->first_ms, 1700000000000);
	d = read_death(mem,
		       "{\"x-death\": [" X_DEATH(
			       "rejected", 1) "], \"x-original-routing-key\": \"build.start\"}");
	assert_string_equal(d->routing_key, "build.start");
	d = read_death(mem, "{\"x-death\": [{\"exchange\": \"\", \"routing-keys\": [\"work\"]}]}");
	assert_true(d->has_exchange);
	assert_string_equal(d->exchange, "");
	assert_false(read_death(mem, "{}")->has_exchange);
}

static void identity_comes_from_any_binding_or_the_body(void **state)
{
	static const char *const BINDINGS[] = {"ce-", "ce_", "cloudEvents:", "cloudEvents_"};
	SCOPE(mem);
	struct death *d = NULL;

	(void)state;
	for (size_t n = 0; n < COUNT(BINDINGS); n++) {
		d = read_death(
			mem,
			str_fmt(mem, "{\"%sid\": \"7\", \"%ssource\": \"shop\", \"%stype\": \"t\"}",
				BINDINGS[n], BINDINGS[n], BINDINGS[n]));
		assert_string_equal(d->event_id, "7");
		assert_string_equal(d->event_source, "shop");
		assert_string_equal(d->event_type, "t");
		assert_string_equal(d->correlation_id, "7");
	}
	death_read(mem, parsed(mem, "{\"X-Correlation-ID\": \"c\"}"),
		   parsed(mem, "{\"specversion\": \"1.0\", \"id\": \"8\", \"source\": \"s\"}"), &d);
	assert_string_equal(d->event_id, "8");
	assert_string_equal(d->correlation_id, "c");
	death_read(mem, parsed(mem, "{}"), parsed(mem, "{\"id\": \"8\"}"), &d); /* no CloudEvent */
	assert_string_equal(d->event_id, "");
}

static void a_message_goes_back_without_its_death_and_with_its_count(void **state)
{
	SCOPE(mem);
	json_t *headers = parsed(
		mem,
		"{\"x-death\": [" X_DEATH(
			"rejected",
			2) "], \"x-first-death-queue\": \"orders\","
			   " \"x-last-death-reason\": \"rejected\", \"x-death-count\": 2,"
			   " \"x-original-routing-key\": \"k\", \"ce-knativeerrorcode\": \"500\","
			   " \"x-agent-sre-replay\": 1, \"x-agent-sre-deaths\": 4,"
			   " \"ce-id\": \"7\", \"tenant\": \"blue\", \"amqp:message-id\": \"m\"}");
	json_t *want =
		parsed(mem, "{\"ce-id\": \"7\", \"tenant\": \"blue\", \"amqp:message-id\": \"m\","
			    " \"x-agent-sre-replay\": 2, \"x-agent-sre-deaths\": 6}");

	(void)state;
	assert_string_equal(json_text(mem, death_strip(mem, headers)), json_text(mem, want));
}

static void hostile_counts_and_types_stay_in_bounds(void **state)
{
	static const char *const HEADERS[] = {
		"{\"x-death\": [{\"count\": 9223372036854775807}, {\"count\": -5}, 7, null]}",
		"{\"x-death\": {\"count\": 3}, \"x-death-count\": {\"a\": 1}}",
		"{\"x-death-count\": 2147483647, \"x-agent-sre-deaths\": 2147483647}",
		"{\"x-agent-sre-replay\": -1, \"x-agent-sre-deaths\": \"many\"}",
		("{\"x-death\": [{\"time\": {\"amqp:timestamp\": 9223372036854775807}, "
		 "\"routing-keys\": [[]]}]}"),
	};

	(void)state;
	for (size_t n = 0; n < COUNT(HEADERS); n++) {
		SCOPE(mem);
		struct death *d = read_death(mem, HEADERS[n]);
		assert_in_range(d->count, 1, INT32_MAX);
		assert_int_equal(d->replays, 0);
		assert_int_equal(d->first_ms, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_way_of_dying_has_its_category),
		cmocka_unit_test(the_first_death_says_where_it_came_from),
		cmocka_unit_test(identity_comes_from_any_binding_or_the_body),
		cmocka_unit_test(a_message_goes_back_without_its_death_and_with_its_count),
		cmocka_unit_test(hostile_counts_and_types_stay_in_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
