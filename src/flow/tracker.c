#include "flow/tracker.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

struct tracker {
	const char *name;
	struct linear *linear;
	struct store *store;
	const char *team;
	const char *base_url;
};

struct tracker *tracker_linear(void *mem, struct linear *linear)
{
	struct tracker *t = NEW(mem, struct tracker);

	t->name = "linear";
	t->linear = linear;
	return t;
}

struct tracker *tracker_embedded(void *mem, struct store *store, const char *team,
				 const char *base_url)
{
	struct tracker *t = NEW(mem, struct tracker);

	t->name = "embedded";
	t->store = store;
	t->team = str_dup(t, team);
	t->base_url = str_dup(t, base_url);
	store_embed_tracker(store, t->team, t->base_url);
	return t;
}

const char *tracker_name(const struct tracker *t)
{
	return t->name;
}

enum status tracker_apply(void *mem, struct tracker *t, const struct ticket_op *op,
			  const struct ticket_ref *ref, struct ticket_ref *out, const char **note)
{
	if (t->linear != NULL)
		return linear_apply(mem, t->linear, op, ref, out, note);
	return store_tracker_apply(mem, t->store, op, ref, t->team, t->base_url, clock_now(), out);
}
