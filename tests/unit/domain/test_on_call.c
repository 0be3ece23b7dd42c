#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/on_call.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct on_call_schedule *schedule(void *mem, const char *text)
{
	struct on_call_schedule *s = NULL;

	enum status status = on_call_parse(mem, "rota.yaml", text, strlen(text), &s);
	if (status != OK)
		print_message("# %s\n", status_message());
	assert_int_equal(status, OK);
	return s;
}

static const char *at(const struct on_call_schedule *s, const char *time)
{
	int64_t ms = 0;

	assert_int_equal(clock_parse(time, &ms), OK);
	return on_call_at(s, ms);
}

static const char ROTA[] =
	"time_zone: \"+02:00\"\n"
	"rotations:\n"
	"  - name: primary\n"
	"    people: [ana@example.com, ben@example.com, cleo@example.com]\n"
	"    start: 2026-01-05T09:00\n"
	"    end: 2026-03-01T00:00:00Z\n"
	"    shift: 7d\n"
	"  - name: rest\n"
	"    people: [dan@example.com]\n"
	"    start: 2026-01-01T00:00:00Z\n"
	"    shift: 1d\n"
	"overrides:\n"
	"  - {person: eve@example.com, from: 2026-01-06T12:00, to: 2026-01-06T18:00}\n"
	"  - {person: fay@example.com, from: 2026-01-06T13:00, to: 2026-01-06T14:00}\n";

static void a_shift_begins_at_its_minute(void **state)
{
	static const struct {
		const char *time, *who;
	} CASES[] = {
		/* 09:00 at +02:00 is 07:00 UTC */
		{"2026-01-05T06:59:59.999Z", "dan@example.com"},
		{"2026-01-05T07:00:00Z", "ana@example.com"},
		{"2026-01-12T06:59:59.999Z", "ana@example.com"},
		{"2026-01-12T07:00:00Z", "ben@example.com"},
		{"2026-01-19T06:59:00Z", "ben@example.com"},
		{"2026-01-19T07:00:00Z", "cleo@example.com"},
		{"2026-01-26T07:00:00Z", "ana@example.com"},
		/* overrides: 12:00 at +02:00 is 10:00 UTC; of two that fit the last one counts */
		{"2026-01-06T09:59:59.999Z", "ana@example.com"},
		{"2026-01-06T10:00:00Z", "eve@example.com"},
		{"2026-01-06T10:59:59.999Z", "eve@example.com"},
		{"2026-01-06T11:00:00Z", "fay@example.com"},
		{"2026-01-06T12:00:00Z", "eve@example.com"},
		{"2026-01-06T15:59:59.999Z", "eve@example.com"},
		{"2026-01-06T16:00:00Z", "ana@example.com"},
		/* after the end of the first rotation the second one counts */
		{"2026-02-28T23:59:59.999Z", "ben@example.com"},
		{"2026-03-01T00:00:00Z", "dan@example.com"},
		{"2025-12-31T23:59:59.999Z", NULL},
	};
	SCOPE(mem);
	const struct on_call_schedule *s = schedule(mem, ROTA);

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		const char *who = at(s, CASES[n].time);
		print_message("# %s\n", CASES[n].time);
		if (CASES[n].who == NULL)
			assert_null(who);
		else
			assert_string_equal(who, CASES[n].who);
	}
}

static void nobody_is_on_call_in_an_empty_schedule(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_null(at(schedule(mem, ""), "2026-01-06T10:00:00Z"));
	assert_null(at(schedule(mem, "rotations: []\n"), "2026-01-06T10:00:00Z"));
	assert_null(at(
		schedule(mem, "rotations:\n  - {people: [], start: 2026-01-01T00:00, shift: 1h}\n"),
		"2026-01-06T10:00:00Z"));
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
	static const struct {
		const char *text, *said;
	} CASES[] = {
		{"rotation: []\n", "rota.yaml:1: rotation: unknown key"},
		{"rotations: x\n", "rota.yaml:1: rotations: must be a list"},
		{"rotations:\n  - 1\n", "rota.yaml:2: rotations[0]: must be a mapping"},
		{"rotations:\n  - people: [ana]\n    start: 2026-01-01T00:00\n    shift: 1d\n",
		 "rota.yaml:2: rotations[0].people: must be an e-mail address"},
		{"rotations:\n  - people: []\n    start: yesterday\n    shift: 1d\n",
		 "rota.yaml:3: rotations[0].start: must be a time"},
		{"rotations:\n  - people: []\n    start: 2026-01-01T00:00\n    shift: 0s\n",
		 "rota.yaml:4: rotations[0].shift: must be a duration of a minute"},
		{"time_zone: Europe/Berlin\n", "rota.yaml:1: time_zone: must be an offset"},
		{"overrides:\n  - person: a@b\n    from: 2026-01-02T00:00\n    to: "
		 "2026-01-01T00:00\n",
		 "rota.yaml:4: overrides[0].to: must be after from"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct on_call_schedule *s = NULL;
		assert_int_equal(
			on_call_parse(mem, "rota.yaml", CASES[n].text, strlen(CASES[n].text), &s),
			E_INVALID);
		print_message("# %s\n", status_message());
		assert_true(str_starts(status_message(), CASES[n].said));
	}
}

static void an_endpoint_names_one_person_or_nobody(void **state)
{
	static const struct {
		const char *body, *email;
		enum status status;
	} CASES[] = {
		{"{\"email\": \"ana@example.com\", \"name\": \"Ana\"}", "ana@example.com", OK},
		{"{\"email\": null}", NULL, OK},
		{"{\"email\": \"\"}", NULL, OK},
		{"{}", NULL, E_INVALID},
		{"[]", NULL, E_INVALID},
		{"{\"email\": 7}", NULL, E_INVALID},
		{"{\"email\": \"ana\"}", NULL, E_INVALID},
		{"{\"email\": \"a b@example.com\"}", NULL, E_INVALID},
		{"{\"email\": \"a@b@c\"}", NULL, E_INVALID},
		{"<html>", NULL, E_INVALID},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const char *email = NULL;
		assert_int_equal(on_call_decode(mem, CASES[n].body, strlen(CASES[n].body), &email),
				 CASES[n].status);
		if (CASES[n].email != NULL)
			assert_string_equal(email, CASES[n].email);
		else
			assert_null(email);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shift_begins_at_its_minute),
		cmocka_unit_test(nobody_is_on_call_in_an_empty_schedule),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(an_endpoint_names_one_person_or_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
