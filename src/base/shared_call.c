#include "base/shared_call.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct result {
	void *value;
	int64_t number; /* of the call that made it */
	int users;	/* the shared call itself is one of them while this is its latest */
};

struct shared_call {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct result *latest;
	int64_t begun; /* calls so far */
	int asking;
	bool under_way;
};

/* Somebody's right to a result, freed with what he does with it. */
struct hold {
	struct shared_call *call;
	struct result *result;
};

static int drop(struct shared_call *c)
{
	talloc_free(c->latest);
	pthread_cond_destroy(&c->ended);
	pthread_mutex_destroy(&c->lock);
	return 0;
}

struct shared_call *shared_call_new(void *mem)
{
	struct shared_call *c = NEW(mem, struct shared_call);

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->ended, NULL);
	talloc_set_destructor(c, drop);
	return c;
}

/* The lock is held. */
static void let_go(struct result *r)
{
	if (r != NULL && --r->users == 0)
		talloc_free(r);
}

static void renew(struct shared_call *c, shared_call_fn *make, const void *arg)
{
	int64_t number = ++c->begun;

	c->under_way = true;
	pthread_mutex_unlock(&c->lock);
	void *value = make(arg);
	struct result *r = NEW(NULL, struct result);
	*r = (struct result){.value = MOVE(r, value), .number = number, .users = 1};
	pthread_mutex_lock(&c->lock);
	c->under_way = false;
	let_go(c->latest);
	c->latest = r;
	pthread_cond_broadcast(&c->ended);
}

/* What nobody looks at any more takes no memory. */
static int release(struct hold *h)
{
	struct shared_call *c = h->call;

	pthread_mutex_lock(&c->lock);
	let_go(h->result);
	if (c->asking == 0 && c->latest != NULL && c->latest->users == 1) {
		let_go(c->latest);
		c->latest = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	return 0;
}

const void *shared_call_get(void *mem, struct shared_call *c, shared_call_fn *make, const void *arg)
{
	struct hold *h = NEW(mem, struct hold);

	pthread_mutex_lock(&c->lock);
	int64_t wanted = c->begun + 1;
	c->asking++;
	while (c->latest == NULL || c->latest->number < wanted) {
		if (c->under_way)
			pthread_cond_wait(&c->ended, &c->lock);
		else
			renew(c, make, arg);
	}
	c->asking--;
	c->latest->users++;
	*h = (struct hold){c, c->latest};
	pthread_mutex_unlock(&c->lock);
	talloc_set_destructor(h, release);
	return h->result->value;
}
