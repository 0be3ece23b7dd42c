#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void *mem_check(void *p)
{
	if (p == NULL) {
		fputs("agent-sre: out of memory\n", stderr);
		abort();
	}
	return p;
}

void mem_scope_done(void **scope)
{
	talloc_free(*scope);
	*scope = NULL;
}

struct owned {
	json_t *value;
};

static int drop(struct owned *o)
{
	json_decref(o->value);
	return 0;
}

json_t *mem_own(void *mem, json_t *value)
{
	mem_check(value);
	struct owned *o = NEW(mem, struct owned);
	o->value = value;
	talloc_set_destructor(o, drop);
	return value;
}
