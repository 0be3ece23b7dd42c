/*
 * What is known after the first look is told at once, with a note on what is missing. Then the
 * sources that failed are asked again, three times in five minutes (WORKFLOW-003.8); when they
 * answer, one more comment completes the first. The comment and the end of the inquiry are one
 * transaction.
 */
#include "flow/inquire.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/investigate.h"

/* from one look to the next */
static const int64_t AGAIN_MS[] = {30000, 90000, 180000};

static const char COMPLETES[] =
	"*This completes an analysis above: every source has answered now.*\n\n";

enum { AGAIN_MAX = sizeof(AGAIN_MS) / sizeof(AGAIN_MS[0]) };

struct look {
	void *mem;
	const struct flow *flow;
	const struct incident *incident;
	struct inquiry inquiry;
};

static const char *place(void *mem, const char *name, void *arg)
{
	const struct look *l = arg;

	return tracker_picture_url(mem, l->flow->tracker, l->incident->id, l->inquiry.stage, name);
}

/* 0: this was the last look. */
static int64_t again(const struct look *l, const struct investigation *v, int64_t now_ms)
{
	if (v->complete || l->inquiry.attempt >= AGAIN_MAX)
		return 0;
	return now_ms + AGAIN_MS[l->inquiry.attempt];
}

/* The ticket shows PNGs; SVG and Vega-Lite are three times their size and made again by `agent-sre
 * investigate`. */
static size_t keep_pngs(struct investigation *v)
{
	size_t kept = 0;

	for (size_t n = 0; n < v->picture_count; n++)
		if (str_eq(v->pictures[n].media_type, "image/png"))
			v->pictures[kept++] = v->pictures[n];
	return kept;
}

static void add_comment(struct look *l, const struct investigation *v, struct run *run)
{
	const char *stage = inquiry_stage_name(l->inquiry.stage);
	bool first = !l->inquiry.told;

	if (!first && !v->complete)
		return; /* nothing that was not said */
	const char *body = first ? v->report : str_fmt(l->mem, "%s%s", COMPLETES, v->report);
	run_ticket(run, TICKET_ALERT, TICKET_COMMENT,
		   str_fmt(l->mem, "investigation-%s%s", stage, first ? "" : "-completed"),
		   json_pack("{s:s, s:{s:I, s:i}}", "body", body, "pictures", "incident",
			     (json_int_t)l->incident->id, "stage", (int)l->inquiry.stage));
}

static enum status settle(struct look *l, struct investigation *v, int64_t started_ms)
{
	struct run run = {
		.mem = l->mem, .flow = l->flow, .incident = (struct incident *)l->incident};
	int64_t now = clock_now();

	add_comment(l, v, &run);
	const struct inquiry_answer a = {
		.pictures = v->pictures,
		.picture_count = keep_pngs(v),
		.ops = run.ops,
		.op_count = run.op_count,
		.again_ms = again(l, v, now),
		.outcome = v->complete ? "done" : "partial",
		.note = v->summary,
		.started_ms = started_ms,
		.now_ms = now,
	};
	metric_add(M_INVESTIGATIONS, 1, inquiry_stage_name(l->inquiry.stage), a.outcome);
	metric_observe(M_INVESTIGATION_SECONDS, (double)(now - started_ms) / 1000.0,
		       inquiry_stage_name(l->inquiry.stage));
	enum status s;
	int held = 0;

	do {
		s = store_inquiry_settle(l->flow->store, l->incident->id, &l->inquiry, &a);
	} while (engine_hold(l->flow, s, &held));
	return s;
}

static enum status visit(const struct flow *flow, struct turn *turn, bool *more)
{
	SCOPE(mem);
	struct look l = {.mem = mem, .flow = flow};
	struct incident *i = NULL;
	struct investigation v = {0};

	*more = false;
	turn->due_ms = -1;
	enum status s = store_inquiry_next(flow->store, turn->incident, &l.inquiry);
	if (s == E_NOTFOUND)
		return OK;
	TRY(s);
	turn->due_ms = l.inquiry.due_ms;
	if (turn->due_ms > clock_now())
		return OK;
	TRY(store_incident(mem, flow->store, turn->incident, &i));
	l.incident = i;
	int64_t started = clock_now();
	TRY(investigate(mem, flow, i, l.inquiry.stage, place, &l, &v));
	TRY(settle(&l, &v, started));
	*more = true;
	return OK;
}

enum status inquire_advance(const struct flow *flow, struct turn *turn)
{
	bool more = true;

	turn->class = WORK_INQUIRY;
	while (more && !atomic_load(&flow->stopping))
		TRY(visit(flow, turn, &more));
	return OK;
}
