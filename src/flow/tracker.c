#include "flow/tracker.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/incident.h"
#include "store/inquiries.h"

/* stands in a text for a picture until that has a place at the tracker */
#define PLACE "picture:"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_-"

struct tracker {
	const char *name;
	struct linear *linear;
	struct store *store;
	const char *team;
	const char *base_url;
};

struct tracker *tracker_linear(void *mem, struct linear *linear, struct store *store)
{
	struct tracker *t = NEW(mem, struct tracker);

	t->name = "linear";
	t->linear = linear;
	t->store = store;
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

char *tracker_picture_url(void *mem, const struct tracker *t, int64_t incident,
			  enum inquiry_stage stage, const char *name)
{
	if (t->linear != NULL)
		return str_fmt(mem, "%s%s", PLACE, name);
	return str_fmt(mem, "%s/pictures/%s/%s/%s.png", t->base_url, incident_name(mem, incident),
		       inquiry_stage_name(stage), name);
}

/* What Linear refuses for good is left out and said; the words stay. */
static enum status store_one(void *mem, struct tracker *t, const struct ticket_op *op,
			     const char *name, const char **url)
{
	const json_t *where = json_object_get(op->payload, "pictures");
	struct picture p = {0};

	*url = NULL;
	enum status s = store_picture(mem, t->store, json_int(where, "incident", 0),
				      (enum inquiry_stage)json_int(where, "stage", 0), name,
				      "image/png", &p);
	if (s == E_NOTFOUND)
		return OK; /* expired */
	TRY(s);
	const struct linear_file f = {.name = str_fmt(mem, "%s.png", name),
				      .media_type = "image/png",
				      .bytes = p.bytes,
				      .size = p.size};
	s = linear_upload(mem, t->linear, &f, url);
	return status_is_retryable(s) || s == E_CANCELED ? s : OK;
}

/* "![words](picture:cpu)" with the place where the picture is now, or the words alone. */
static enum status place_pictures(void *mem, struct tracker *t, const struct ticket_op *op,
				  char **body)
{
	const char *from = json_str(op->payload, "body");
	const char *at;
	int missing = 0;

	*body = str_dup(mem, "");
	/* text of strangers is escaped and holds no "](" */
	while ((at = strstr(from, "](" PLACE)) != NULL) {
		const char *name = at + strlen("](" PLACE);
		size_t length = strspn(name, NAME_CHARACTERS);
		const char *url = NULL;
		if (name[length] != ')') {
			str_add(body, "%.*s", (int)(name - from), from);
			from = name;
			continue;
		}
		TRY(store_one(mem, t, op, str_ndup(mem, name, length), &url));
		missing += url == NULL;
		str_add(body, "%.*s](%s)", (int)(at - from), from, url == NULL ? "#" : url);
		from = name + length + 1;
	}
	str_add(body, "%s", from);
	if (missing > 0)
		str_add(body, "\n\n*%d %s could not be stored at Linear.*", missing,
			missing == 1 ? "picture" : "pictures");
	return OK;
}

static enum status apply_at_linear(void *mem, struct tracker *t, const struct ticket_op *op,
				   const struct ticket_ref *ref, struct ticket_ref *out,
				   const char **note)
{
	struct ticket_op placed = *op;
	char *body = NULL;

	if (json_object_get(op->payload, "pictures") == NULL)
		return linear_apply(mem, t->linear, op, ref, out, note);
	*note = NULL;
	TRY(place_pictures(mem, t, op, &body));
	placed.payload = mem_own(mem, json_pack("{s:s}", "body", body));
	return linear_apply(mem, t->linear, &placed, ref, out, note);
}

enum status tracker_apply(void *mem, struct tracker *t, const struct ticket_op *op,
			  const struct ticket_ref *ref, struct ticket_ref *out, const char **note)
{
	if (t->linear != NULL)
		return apply_at_linear(mem, t, op, ref, out, note);
	return store_tracker_apply(mem, t->store, op, ref, t->team, t->base_url, clock_now(), out);
}
