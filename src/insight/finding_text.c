/* An insight as JSON and as the bodies of two sections of a comment. */
#include "insight/finding.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/text.h"

enum { SENTENCE_POINTS = 600, QUERY_POINTS = 400, OBJECT_POINTS = 200 };

/* A log line may claim any time; years with more than five digits are none. */
static char *moment(void *mem, int64_t ms)
{
	static const int64_t LAST_MS = (int64_t)1 << 50;

	return clock_format(mem, ms < -LAST_MS ? -LAST_MS : ms > LAST_MS ? LAST_MS : ms);
}

static json_t *number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static json_t *encode_citation(const struct citation *c)
{
	return json_pack("{s:s, s:s*, s:s*, s:s*, s:s*, s:o, s:o, s:I}", "source",
			 source_name(c->source), "query", c->query, "series", c->series, "object",
			 c->object, "unit", c->unit, "before", number(c->before), "after",
			 number(c->after), "at_ms", (json_int_t)c->at_ms);
}

static json_t *encode_finding(const struct finding *f)
{
	json_t *citations = json_array();

	for (size_t n = 0; n < f->citation_count; n++)
		json_array_append_new(citations, encode_citation(&f->citations[n]));
	return json_pack("{s:s, s:f, s:s, s:I, s:o}", "kind", finding_kind_name(f->kind), "weight",
			 f->weight, "sentence", f->sentence, "at_ms", (json_int_t)f->at_ms,
			 "citations", citations);
}

static json_t *encode_diagnosis(void *mem, const struct diagnosis *d)
{
	json_t *actions = json_array();

	for (size_t n = 0; n < d->action_count; n++)
		json_array_append_new(
			actions, json_pack("{s:s, s:s}", "text", d->actions[n].text, "when",
					   d->actions[n].immediate ? "immediate" : "follow-up"));
	return json_pack("{s:s, s:s, s:s, s:I, s:f, s:o}", "cause", cause_name(d->cause), "object",
			 d->object, "at", moment(mem, d->at_ms), "at_ms", (json_int_t)d->at_ms,
			 "confidence", d->confidence, "actions", actions);
}

json_t *insight_encode(void *mem, const struct insight *i)
{
	json_t *findings = json_array();

	for (size_t n = 0; n < i->finding_count; n++)
		json_array_append_new(findings, encode_finding(&i->findings[n]));
	return mem_own(mem, json_pack("{s:o, s:o}", "diagnosis",
				      encode_diagnosis(mem, &i->diagnosis), "findings", findings));
}

static void add_cause(char **out, const struct diagnosis *d)
{
	SCOPE(mem);

	if (d->cause == CAUSE_NOTHING_WRONG)
		str_add(out,
			"**Root cause:** none found; nothing is wrong that lasts. Confidence %.0f "
			"%%.\n",
			d->confidence * 100);
	else if (d->blind)
		str_add(out,
			"**Root cause:** unknown: too little was measured around %s to say more.\n",
			text_code(mem, d->object, OBJECT_POINTS));
	else if (d->cause == CAUSE_UNKNOWN)
		str_add(out,
			"**Root cause:** unknown; %s shows the symptom since %s. Confidence that "
			"it is none of the known causes: %.0f %%.\n",
			text_code(mem, d->object, OBJECT_POINTS), moment(mem, d->at_ms),
			d->confidence * 100);
	else
		str_add(out, "**Root cause:** %s, %s, since %s. Confidence %.0f %%.\n",
			cause_text(d->cause), text_code(mem, d->object, OBJECT_POINTS),
			moment(mem, d->at_ms), d->confidence * 100);
}

static void add_finding(char **out, size_t number_of, const struct finding *f)
{
	SCOPE(mem);

	str_add(out, "%zu. %s", number_of, text_markdown(mem, f->sentence, SENTENCE_POINTS));
	if (f->kind != FINDING_NOTE)
		str_add(out, " at %s", moment(mem, f->at_ms));
	for (size_t n = 0; n < f->citation_count; n++)
		if (!str_empty(f->citations[n].query))
			str_add(out, "\n   - %s: %s", source_name(f->citations[n].source),
				text_code(mem, f->citations[n].query, QUERY_POINTS));
	str_add(out, "\n");
}

char *insight_markdown(void *mem, const struct insight *i)
{
	char *out = str_dup(mem, "");

	add_cause(&out, &i->diagnosis);
	for (size_t n = 0; n < i->finding_count; n++) {
		str_add(&out, "%s", n == 0 ? "\n" : "");
		add_finding(&out, n + 1, &i->findings[n]);
	}
	return out;
}

char *remediation_markdown(void *mem, const struct insight *i)
{
	const struct diagnosis *d = &i->diagnosis;
	char *out = str_dup(mem, "");

	if (d->action_count == 0)
		return str_dup(mem, "Nothing to do. If this alert comes again without a cause, its "
				    "threshold is too near to what is usual.\n");
	for (size_t n = 0; n < d->action_count; n++)
		str_add(&out, "%zu. **%s** - %s.\n", n + 1,
			d->actions[n].immediate ? "Immediate" : "Follow-up", d->actions[n].text);
	return out;
}
