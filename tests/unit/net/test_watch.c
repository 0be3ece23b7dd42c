#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/watch.h"
#include "raw.h"

enum { PATIENCE_MS = 20000, TOLD_MAX = 16 };

/* One peer, which can be there or not, and what was told about it. */
struct scene {
	void *mem;
	struct http_client *client;
	struct http_server *server;
	atomic_int code, asked;
	struct watch *watch;
	pthread_mutex_t lock;
	struct {
		bool away;
		char kind[16];
		int64_t lasted_ms;
	} told[TOLD_MAX];
	int told_count;
};

static void answer(struct http_exchange *x, void *arg)
{
	struct scene *s = arg;

	atomic_fetch_add(&s->asked, 1);
	http_answer(x, atomic_load(&s->code), "text/plain", "", 0, NULL);
}

static void refuse(struct http_exchange *x, int code, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	http_answer(x, code, "text/plain", "", 0, NULL);
}

static unsigned short serve_on(struct scene *s, unsigned short port)
{
	const struct http_server_options o = {.host = "127.0.0.1",
					      .port = port,
					      .body_limit_bytes = 1000,
					      .request_timeout_ms = 10000,
					      .connection_limit = 50,
					      .connection_limit_per_address = 50};

	assert_int_equal(http_server_start(s->mem, &o, answer, refuse, s, &s->server), OK);
	return http_server_port(s->server);
}

static void told(const struct watch_change *c, void *arg)
{
	struct scene *s = arg;

	pthread_mutex_lock(&s->lock);
	s->told[s->told_count].away = c->away;
	s->told[s->told_count].lasted_ms = c->lasted_ms;
	str_print(s->told[s->told_count].kind, 16, "%s", c->kind);
	s->told_count++;
	pthread_mutex_unlock(&s->lock);
}

static int told_count(struct scene *s)
{
	pthread_mutex_lock(&s->lock);
	int n = s->told_count;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void wait_told(struct scene *s, int count)
{
	int64_t until = clock_monotonic() + PATIENCE_MS;

	while (told_count(s) < count) {
		assert_true(clock_monotonic() < until);
		usleep(5000);
	}
}

static struct scene *scene_new(void)
{
	struct scene *s = NEW(NULL, struct scene);

	s->mem = talloc_new(NULL);
	atomic_store(&s->code, 200);
	pthread_mutex_init(&s->lock, NULL);
	assert_int_equal(http_client_new(s->mem, "test", &s->client), OK);
	s->watch = watch_new(s->mem, s->client);
	return s;
}

static void scene_watch(struct scene *s, const char *component, const char *url)
{
	const struct watch_peer p = {.component = component,
				     .look = {.method = "HEAD", .url = url}};

	watch_add(s->watch, &p);
}

static void scene_end(struct scene *s)
{
	http_client_stop(s->client);
	watch_stop(s->watch);
	if (s->server != NULL)
		http_server_stop(s->server);
	talloc_free(s->mem);
	pthread_mutex_destroy(&s->lock);
	talloc_free(s);
}

static char *url_of(struct scene *s, unsigned short port)
{
	return str_fmt(s->mem, "http://127.0.0.1:%u/", port);
}

static void test_a_peer_that_goes_is_away_and_back_again(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1); /* it is there */
	assert_false(s->told[0].away);
	int peer = watch_find(s->watch, "thing", "http://whatever/");
	assert_int_equal(peer, 0);

	http_server_stop(s->server);
	int64_t began = clock_monotonic();
	wait_told(s, 2);
	assert_true(s->told[1].away);
	assert_string_equal(s->told[1].kind, "refused");
	assert_false(watch_is_here(s->watch, peer));
	assert_true(clock_monotonic() - began < 10000);
	assert_true(s->told[1].lasted_ms >= 400 && s->told[1].lasted_ms < 3000);

	serve_on(s, port);
	began = clock_monotonic();
	wait_told(s, 3);
	assert_false(s->told[2].away);
	assert_true(watch_is_here(s->watch, peer));
	assert_true(clock_monotonic() - began < 10000);
	assert_true(s->told[2].lasted_ms > 0);
	scene_end(s);
}

static void test_silence_is_seen_though_connections_succeed(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = 0;
	int fd = raw_listen(&port); /* nobody accepts, nobody answers */

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	int64_t began = clock_monotonic();
	wait_told(s, 1);
	assert_true(s->told[0].away);
	assert_string_equal(s->told[0].kind, "silent");
	assert_true(clock_monotonic() - began < 10000);
	close(fd);
	scene_end(s);
}

static void test_a_name_that_is_not_known_is_dns_trouble(void **state)
{
	struct scene *s = scene_new();
	struct watch_view v;

	(void)state;
	scene_watch(s, "thing", "http://nobody.invalid/");
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1);
	assert_true(s->told[0].away);
	assert_string_equal(s->told[0].kind, "dns");
	assert_true(watch_view(s->watch, 0, &v));
	assert_true(v.away);
	assert_string_equal(v.name, "thing");
	assert_false(watch_view(s->watch, 1, &v));
	scene_end(s);
}

static void test_a_server_in_trouble_is_away_and_one_that_refuses_is_not(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	atomic_store(&s->code, 404);
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1);
	assert_false(s->told[0].away);
	atomic_store(&s->code, 503);
	wait_told(s, 2);
	assert_true(s->told[1].away);
	assert_string_equal(s->told[1].kind, "status");
	atomic_store(&s->code, 401);
	wait_told(s, 3);
	assert_false(s->told[2].away);
	scene_end(s);
}

static void test_a_peer_that_only_starts_anew_is_not_away(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1);
	for (int n = 0; n < 3; n++) {
		http_server_stop(s->server);
		watch_report(s->watch, 0, false, "refused", NULL); /* looked at now, and refused */
		usleep(100000);
		serve_on(s, port);
		usleep(1000000);
	}
	assert_int_equal(told_count(s), 1);
	assert_true(watch_is_here(s->watch, 0));
	scene_end(s);
}

static void test_one_bad_call_is_looked_into_and_no_partition(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1);
	usleep(100000); /* the next look on schedule is two seconds away */
	int asked = atomic_load(&s->asked);
	watch_report(s->watch, 0, false, "reset", NULL);
	int64_t until = clock_monotonic() + 1500;
	while (atomic_load(&s->asked) < asked + 2 && clock_monotonic() < until)
		usleep(5000);
	assert_true(atomic_load(&s->asked) >= asked + 2);
	assert_true(watch_is_here(s->watch, 0));
	assert_int_equal(told_count(s), 1);
	scene_end(s);
}

static void test_five_bad_calls_are_enough_without_any_look(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	watch_report(s->watch, 0, true, NULL, NULL);
	for (int n = 0; n < 4; n++)
		watch_report(s->watch, 0, false, "reset", "cut");
	assert_true(watch_is_here(s->watch, 0));
	watch_report(s->watch, 0, false, "reset", "cut");
	assert_false(watch_is_here(s->watch, 0));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 2); /* told, and soon found to be back */
	assert_true(s->told[0].away);
	assert_false(s->told[1].away);
	scene_end(s);
}

static void test_real_calls_are_observed(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);
	struct http_reply *r = NULL;
	const struct http_request q = {
		.method = "GET", .url = url_of(s, port), .timeout_ms = 5000, .peer = "thing"};

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_int_equal(http_fetch(s->mem, s->client, &q, &r), OK);
	http_server_stop(s->server);
	s->server = NULL;
	for (int n = 0; n < 5; n++) {
		assert_true(watch_is_here(s->watch, 0));
		assert_int_equal(http_fetch(s->mem, s->client, &q, &r), E_TRANSIENT);
		assert_non_null(r->trouble);
	}
	assert_false(watch_is_here(s->watch, 0));
	scene_end(s);
}

static void test_nothing_is_tried_on_one_that_was_never_seen_and_gives_trouble(void **state)
{
	struct scene *s = scene_new();
	unsigned short port = serve_on(s, 0);

	(void)state;
	scene_watch(s, "thing", url_of(s, port));
	assert_true(watch_is_here(s->watch, 0));
	watch_report(s->watch, 0, false, "refused", NULL);
	assert_false(watch_is_here(s->watch, 0));
	assert_int_equal(watch_start(s->watch, told, s), OK);
	wait_told(s, 1); /* whoever waited is woken by the first good word */
	assert_false(s->told[0].away);
	assert_true(watch_is_here(s->watch, 0));
	scene_end(s);
}

static void test_each_host_of_many_is_a_peer_of_its_own(void **state)
{
	struct scene *s = scene_new();
	struct watch_view v;

	(void)state;
	watch_add_hosts(s->watch, "function", NULL);
	int a = watch_find(s->watch, "function", "http://a.ns.example:81/");
	int b = watch_find(s->watch, "function", "http://b.ns.example:81/");
	assert_int_not_equal(a, b);
	assert_int_equal(watch_find(s->watch, "function", "http://a.ns.example:81/x?y"), a);
	assert_true(watch_view(s->watch, a, &v));
	assert_string_equal(v.name, "function:a.ns.example:81");
	assert_string_equal(v.component, "function");
	for (int n = 0; n < 5; n++)
		watch_report(s->watch, a, false, "refused", NULL);
	assert_false(watch_is_here(s->watch, a));
	assert_true(watch_is_here(s->watch, b));
	for (int n = 0; n < 200; n++) {
		char *url = str_fmt(s->mem, "http://h%d.ns.example/", n);
		int peer = watch_find(s->watch, "function", url);
		assert_true(watch_is_here(s->watch, peer)); /* too many: not watched */
	}
	assert_false(watch_view(s->watch, WATCH_PEERS_MAX, &v));
	scene_end(s);
}

static void test_a_peer_that_nobody_calls_is_not_looked_at_until_somebody_does(void **state)
{
	struct scene *s = scene_new();
	const struct watch_peer p = {.component = "thing",
				     .look = {.method = "HEAD", .url = "http://nobody.invalid/"},
				     .while_used = true};
	struct watch_view v;

	(void)state;
	watch_add(s->watch, &p);
	assert_int_equal(watch_start(s->watch, told, s), OK);
	usleep(700000); /* others are looked at at once */
	assert_true(watch_view(s->watch, 0, &v));
	assert_true(v.looks == 0 && !v.known && !v.away);
	assert_true(
		watch_is_here(s->watch, watch_find(s->watch, "thing", "http://nobody.invalid/")));
	wait_told(s, 1);
	assert_true(s->told[0].away);
	scene_end(s);
}

static void test_what_is_not_watched_is_always_there(void **state)
{
	struct watch_view v;
	struct scene *s = scene_new();

	(void)state;
	assert_int_equal(watch_find(NULL, "thing", "http://x/"), WATCH_NOBODY);
	assert_true(watch_is_here(NULL, 3));
	assert_false(watch_view(NULL, 0, &v));
	watch_report(NULL, 0, false, "refused", NULL);
	watch_stop(NULL);
	assert_int_equal(watch_find(s->watch, "stranger", "http://x/"), WATCH_NOBODY);
	assert_true(watch_is_here(s->watch, WATCH_NOBODY));
	scene_end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_peer_that_goes_is_away_and_back_again),
		cmocka_unit_test(test_silence_is_seen_though_connections_succeed),
		cmocka_unit_test(test_a_name_that_is_not_known_is_dns_trouble),
		cmocka_unit_test(test_a_server_in_trouble_is_away_and_one_that_refuses_is_not),
		cmocka_unit_test(test_a_peer_that_only_starts_anew_is_not_away),
		cmocka_unit_test(test_one_bad_call_is_looked_into_and_no_partition),
		cmocka_unit_test(test_five_bad_calls_are_enough_without_any_look),
		cmocka_unit_test(test_real_calls_are_observed),
		cmocka_unit_test(
			test_nothing_is_tried_on_one_that_was_never_seen_and_gives_trouble),
		cmocka_unit_test(test_each_host_of_many_is_a_peer_of_its_own),
		cmocka_unit_test(
			test_a_peer_that_nobody_calls_is_not_looked_at_until_somebody_does),
		cmocka_unit_test(test_what_is_not_watched_is_always_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
