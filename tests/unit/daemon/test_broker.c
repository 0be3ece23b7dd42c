#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/broker.h"

static void plaintext_is_for_loopback_and_for_those_named(void **state)
{
	static const struct {
		const char *url;
		enum status want;
	} CASES[] = {
		{"amqp://u:p@127.0.0.1:5672/", OK},
		{"amqp://u:p@127.8.9.1/", OK},
		{"amqp://u:p@localhost/", OK},
		{"amqp://u:p@named.example.com/", OK},
		{"amqp://u:p@127.example.com/", E_INVALID},
		{"amqp://u:p@127.0.0.1.example.com/", E_INVALID},
		{"amqp://u:p@127.1/", E_INVALID},
		{"amqp://u:p@10.0.0.1/", E_INVALID},
		{"amqps://u:p@127.example.com/", OK},
	};
	static const char *const QUEUES[] = {"q", NULL};
	static const char *const PEERS[] = {"named.*", NULL};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct settings s = {.broker_url = (char *)(uintptr_t)CASES[n].url};
		s.broker_queues = (void *)(uintptr_t)QUEUES;
		s.allow_plaintext_peers = (void *)(uintptr_t)PEERS;
		if (broker_check(&s) != CASES[n].want)
			fail_msg("%s", CASES[n].url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plaintext_is_for_loopback_and_for_those_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
