#include "daemon/investigate.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/peers.h"
#include "domain/alert.h"
#include "flow/investigate.h"

struct output {
	void *mem;
	const char *dir;
	size_t files;
};

static enum status trouble(const char *what, const char *path)
{
	char reason[128];

	return failure(E_INVALID, "%s %s: %s", what, path,
		       strerror_r(errno, reason, sizeof(reason)));
}

static enum status write_file(struct output *o, const char *name, const void *bytes, size_t n)
{
	char *path = str_fmt(o->mem, "%s/%s", o->dir, name);
	FILE *f = fopen(path, "we");

	if (f == NULL)
		return trouble("cannot write", path);
	bool whole = fwrite(bytes, 1, n, f) == n;
	whole = fclose(f) == 0 && whole;
	o->files++;
	return whole ? OK : trouble("cannot write", path);
}

static enum status write_text(struct output *o, const char *name, const char *text)
{
	return write_file(o, name, text, strlen(text));
}

static enum status write_json(struct output *o, const char *name, const json_t *value)
{
	return write_text(o, name, str_fmt(o->mem, "%s\n", json_text(o->mem, value)));
}

static const char *ending_of(const struct picture *p)
{
	if (str_eq(p->media_type, "image/png"))
		return "png";
	return str_eq(p->media_type, "image/svg+xml") ? "svg" : "vl.json";
}

static const char *place(void *mem, const char *name, void *arg)
{
	(void)arg;
	return str_fmt(mem, "%s.png", name);
}

static enum status write_all(struct output *o, const struct investigation *v)
{
	TRY(write_text(o, "report.md", str_fmt(o->mem, "%s\n", v->report)));
	TRY(write_json(o, "findings.json", v->findings));
	TRY(write_json(o, "evidence.json", v->evidence));
	for (size_t n = 0; n < v->picture_count; n++) {
		const struct picture *p = &v->pictures[n];
		TRY(write_file(o, str_fmt(o->mem, "%s.%s", p->name, ending_of(p)), p->bytes,
			       p->size));
	}
	return OK;
}

static enum status first_of_webhook(void *mem, const struct node *doc, struct alert **out)
{
	struct webhook *w = NULL;

	TRY(webhook_decode(mem, doc, clock_now(), &w));
	if (w->count == 0)
		return failure(E_INVALID, "there is no alert in it");
	if (w->alerts[0] == NULL)
		return failure(E_INVALID, "the first alert: %s", w->errors[0]);
	*out = w->alerts[0];
	return OK;
}

static enum status read_alert(void *mem, const char *text, size_t n, struct alert **out)
{
	const struct node *doc = NULL;

	TRY(node_parse(mem, text, n, &doc));
	if (node_get(doc, "alerts") != NULL)
		return first_of_webhook(mem, doc, out);
	const struct node *data = node_get(doc, "data");
	return alert_decode(mem, data == NULL ? doc : data, clock_now(), out);
}

static const char **unavailable(void *mem, const json_t *evidence)
{
	const json_t *asked = json_object_get(evidence, "asked");
	const char **list = NEW_ARRAY(mem, const char *, json_object_size(asked) + 1);
	const char *source;
	json_t *one;
	size_t count = 0;

	json_object_foreach ((json_t *)asked, source, one)
		if (json_str(one, "why") != NULL)
			list[count++] = str_fmt(mem, "%s: %s", source, json_str(one, "why"));
	list[count] = NULL;
	return list;
}

enum status daemon_investigate(void *mem, const struct settings *settings, const char *alert,
			       size_t bytes, const char *dir, struct investigate_result *out)
{
	struct flow *flow = NEW(mem, struct flow);
	struct incident *i = NEW(mem, struct incident);
	struct investigation v = {0};
	struct alert *a = NULL;
	struct output o = {.mem = mem, .dir = dir};

	TRY(read_alert(mem, alert, bytes, &a));
	assert(a != NULL); /* read_alert sets it */
	*i = (struct incident){.alertname = a->name,
			       .labels = labels_json(mem, &a->labels),
			       .annotations = labels_json(mem, &a->annotations),
			       .starts_ms = a->starts_ms};
	TRY(peers_connect(mem, settings, flow));
	if (mkdir(dir, 0777) != 0 && errno != EEXIST)
		return trouble("cannot make the directory", dir);
	TRY(investigate(mem, flow, i, INQUIRY_INITIAL, place, NULL, &v));
	TRY(write_all(&o, &v));
	*out = (struct investigate_result){.report = str_fmt(mem, "%s/report.md", dir),
					   .summary = v.summary,
					   .unavailable = unavailable(mem, v.evidence),
					   .files = o.files};
	return OK;
}
