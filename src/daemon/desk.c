#include "daemon/desk.h"

#include <pthread.h>

#include "base/mem.h"
#include "daemon/reply.h"

struct desk {
	http_handler_fn *handler;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct http_exchange **waiting; /* ring */
	int limit, first, count;
	pthread_t *threads;
	int thread_count;
	bool closing;
};

static struct http_exchange *take(struct desk *d)
{
	pthread_mutex_lock(&d->lock);
	while (d->count == 0 && !d->closing)
		pthread_cond_wait(&d->more, &d->lock);
	struct http_exchange *x = NULL;
	if (d->count > 0) {
		x = d->waiting[d->first];
		d->first = (d->first + 1) % d->limit;
		d->count--;
	}
	pthread_mutex_unlock(&d->lock);
	return x;
}

static void *serve(void *arg)
{
	struct desk *d = arg;

	for (struct http_exchange *x; (x = take(d)) != NULL;)
		d->handler(x, d->arg);
	return NULL;
}

enum status desk_open(void *mem, int threads, int waiting_limit, http_handler_fn *handler,
		      void *arg, struct desk **out)
{
	struct desk *d = NEW(mem, struct desk);

	d->handler = handler;
	d->arg = arg;
	d->limit = waiting_limit;
	d->waiting = NEW_ARRAY(d, struct http_exchange *, (size_t)waiting_limit);
	d->threads = NEW_ARRAY(d, pthread_t, (size_t)threads);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->more, NULL);
	for (; d->thread_count < threads; d->thread_count++)
		if (pthread_create(&d->threads[d->thread_count], NULL, serve, d) != 0)
			return failure(E_INTERNAL, "cannot start a thread");
	*out = d;
	return OK;
}

void desk_submit(struct desk *d, struct http_exchange *x)
{
	pthread_mutex_lock(&d->lock);
	bool full = d->count == d->limit || d->closing;
	if (!full) {
		d->waiting[(d->first + d->count++) % d->limit] = x;
		pthread_cond_signal(&d->more);
	}
	pthread_mutex_unlock(&d->lock);
	if (full)
		reply_busy(x, "too many requests are waiting");
}

void desk_close(struct desk *d)
{
	pthread_mutex_lock(&d->lock);
	d->closing = true;
	pthread_cond_broadcast(&d->more);
	pthread_mutex_unlock(&d->lock);
	for (int t = 0; t < d->thread_count; t++)
		pthread_join(d->threads[t], NULL);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->more);
}
