/* What a ticket needs and only others know: the state of the alert's SLO, and who is on call. Each
 * is asked once, with little patience; no answer is an answer too. Then step_open goes on. */
#include "base/str.h"
#include "flow/flow.h"

bool run_recall_slo(struct run *run, struct slo_context **out)
{
	const struct flow *flow = run->flow;
	const char *slo = incident_slo(run->incident);
	int peer;

	*out = NULL;
	if (str_empty(slo))
		return true;
	if (flow->slm == NULL)
		*out = slm_unavailable(run->mem, NULL, slo, "SLM is switched off");
	else if (!slm_recall(run->mem, flow->slm, slo, out) &&
		 flow_is_away(flow, "prometheus", flow->prometheus.url, &peer))
		*out = slm_unavailable(run->mem, flow->slm, slo, "Prometheus is away");
	return *out != NULL;
}

enum status run_ask_slo(struct run *run, struct slo_context **out)
{
	if (run_recall_slo(run, out))
		return OK;
	return slm_ask(run->mem, run->flow->slm, incident_slo(run->incident), out);
}

enum status step_assess(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	if (i->slo == NULL)
		TRY(run_ask_slo(run, &i->slo));
	TRY(on_call_ask(run->mem, run->flow->on_call, &i->assignee));
	*out = (struct outcome){.kind = OUTCOME_NEXT, .next = STEP_open, .quick = true};
	if (i->slo != NULL)
		out->note = str_fmt(run->mem, "SLO %s: %s", i->slo->slo,
				    slo_is_known(i->slo) ? slo_violation_name(i->slo->violation)
							 : i->slo->trouble);
	return OK;
}
