"""The workflow's edges: the real daemon against scripted doubles under a fake clock."""
import concurrent.futures
import json
import unittest

from world import ANNOTATIONS, LABELS, PARAMETERS, START_MS, World, catalogue, event, eventually, post_event, request  # noqa: F401

from http_double import Double, Reply


def outcomes(incident):
    return [(row["step"], row["outcome"]) for row in incident["timeline"]]


def comments(ticket):
    return [e["body"] for e in ticket["entries"] if e["kind"] == "comment"]


class Collector(Double):
    """Takes OTLP over HTTP in JSON."""

    def answer(self, request):
        return Reply(200, {})

    def spans(self):
        return [span for r in list(self.requests) for rs in r.json()["resourceSpans"] for ss in rs["scopeSpans"] for span in ss["spans"]]


class FlowTest(unittest.TestCase):
    def world(self, **kwargs):
        world = World(**kwargs)
        self.addCleanup(world.close)
        world.fault()
        self.assertTrue(world.agent.start(), world.agent.stderr())
        return world

    def closed(self, world, which="latest"):
        return world.until_state("closed", which)

    def test_an_annotated_alert_is_remedied_verified_and_closed(self):
        w = self.world()
        code, reply = w.fire(event_id="alert-1")
        self.assertEqual((code, reply["status"], reply["event_id"]), (200, "processed", "alert-1"))
        w.until_state("recovered")
        w.resolve()
        incident = self.closed(w)
        self.assertEqual(w.functions.effects, [("pod-restart", {"name": "shop-0", "namespace": "store", "type": "pod"})])
        self.assertEqual(incident["verification"]["verdict"], "recovered")
        self.assertEqual(incident["resolved_by"], "event")
        ticket = eventually(lambda: (t := w.agent.ticket(incident["ticket"]["key"]))["state"] == "completed" and t, "the ticket is closed")
        self.assertEqual(ticket["title"], "[Alert] HighErrors - shop-0")
        self.assertEqual(ticket["priority"], 2)
        text = "\n".join(comments(ticket))
        for wanted in ("**Remediation Selected**", "**Remediation Verified**", "**Alert Resolved**"):
            self.assertIn(wanted, text)
        for line in ("**Alert Details**", "**SLM Context**", "**Description**", "**Labels**", "**Remediation**", "**Correlation ID**"):
            self.assertIn(line, ticket["body"])
        self.assertEqual(w.agent.metric("workflow_success_total"), 1)

    def test_the_call_carries_identity_trace_and_idempotency(self):
        w = self.world()
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        body = event(labels=LABELS, annotations=ANNOTATIONS)
        post_event(w.agent.url, body, {"traceparent": parent, "X-Correlation-ID": "corr-77"})
        call = w.until(lambda: w.functions.calls(), "the function is called")[0]
        self.assertEqual(call.headers["Host"], "pod-restart.ai.svc.cluster.local")
        self.assertEqual(call.headers["ce-type"], "io.homelab.agent-sre.remediation.request")
        self.assertEqual(call.headers["ce-source"], "agent-sre")
        self.assertEqual(call.headers["ce-id"], "corr-77")
        self.assertEqual(call.headers["X-Correlation-ID"], "corr-77")
        self.assertIn("0af7651916cd43dd8448eb211c80319c", call.headers["traceparent"])
        self.assertNotEqual(call.headers["traceparent"], parent)
        self.assertTrue(call.headers["Idempotency-Key"])

    def test_success_without_recovery_is_not_success(self):
        w = self.world()
        w.repairs = False
        w.fire()
        incident = w.until_state("escalated", seconds=5)
        self.assertEqual(incident["verification"]["verdict"], "not_recovered")
        self.assertEqual(w.agent.metric("workflow_success_total"), 0)
        self.assertEqual(len(w.functions.effects), 1)
        w.rule.value = 0.0
        w.resolve()
        ticket = w.agent.ticket(self.closed(w)["ticket"]["key"])
        self.assertIn("needs-human-review", ticket["labels"])

    def test_vanished_data_never_looks_healthy(self):
        w = self.world()
        w.repairs = False
        w.functions.on_effect = lambda f, p: (setattr(w.rule, "value", None), setattr(w.rule, "up", None))
        w.fire()
        incident = w.until_state("escalated", seconds=5)
        self.assertEqual(incident["verification"]["verdict"], "inconclusive")

    def test_a_series_that_is_gone_while_its_source_is_up_has_recovered(self):
        w = self.world()
        w.functions.on_effect = lambda f, p: setattr(w.rule, "value", None)
        w.fire()
        self.assertEqual(w.until_state("recovered")["verification"]["verdict"], "recovered")

    def test_prometheus_down_is_inconclusive_and_escalates(self):
        w = self.world()
        w.prometheus.fault_forever = ("status", 503)
        w.fire()
        self.assertEqual(w.until_state("escalated", seconds=5)["verification"]["verdict"], "inconclusive")

    def test_without_a_resolved_event_polling_closes(self):
        w = self.world()
        w.fire()
        self.assertEqual(self.closed(w)["resolved_by"], "prometheus")

    def test_a_failing_function_gets_a_failure_ticket_and_a_person(self):
        w = self.world()
        w.functions.code, w.functions.body = 500, {"status": "error", "message": "no such pod"}
        w.fire()
        incident = w.until_state("escalated")
        self.assertIn("no such pod", incident["action"]["message"])
        titles = []
        for n in (1, 2):
            ticket = eventually(lambda n=n: (r := w.agent.get(f"/tickets/SRE-{n}"))[0] == 200 and r[1], f"ticket {n}")
            titles.append(ticket["title"])
        self.assertEqual(titles, ["[Alert] HighErrors - shop-0", "[Remediation Failed] HighErrors"])

    def test_busy_twice_then_well_is_three_calls_and_one_effect(self):
        w = self.world()
        w.functions.faults = [("status", 503), ("status", 503)]
        w.fire()
        w.until_state("recovered")
        self.assertEqual(len(w.functions.calls()), 3)
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(len({c.headers["Idempotency-Key"] for c in w.functions.calls()}), 1)

    def test_an_exhausted_call_is_a_dead_letter_and_the_ticket_says_so(self):
        w = self.world()
        w.functions.fault_forever = ("status", 503)
        w.fire()
        incident = w.until_state("escalated", seconds=5)
        self.assertEqual((len(w.functions.calls()), len(w.functions.effects)), (5, 0))
        letter = w.agent.get("/dlq")[1]["dead_letters"][0]
        self.assertEqual((letter["stage"], letter["attempts"], letter["permanence"]), ("remediate", 5, "transient"))
        self.assertEqual(letter["correlation_id"], incident["correlation_id"])
        ticket = w.until_delivered(incident["ticket"]["key"], 4)
        self.assertIn("**Step Failed**", "\n".join(comments(ticket)))

    def test_spans_form_one_trace_from_the_caller_to_the_function(self):
        collector = Collector()
        self.addCleanup(collector.close)
        w = self.world(tracing={"endpoint": collector.url})
        post_event(w.agent.url, event(labels=LABELS, annotations=ANNOTATIONS), {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
        w.until_state("recovered")
        names = {"cloudevent.handle", "alert.process", "remediation.execute", "lambda_function.call"}
        eventually(lambda: names <= {s["name"] for s in collector.spans()}, "every span is exported")
        spans = {s["spanId"]: s for s in collector.spans()}
        self.assertEqual({s["traceId"] for s in spans.values()}, {"0af7651916cd43dd8448eb211c80319c"})
        call = next(s for s in spans.values() if s["name"] == "lambda_function.call")
        chain = []
        while call:
            chain.append(call["name"])
            parent = call.get("parentSpanId")
            call = spans.get(parent)
        self.assertEqual((chain, parent), (["lambda_function.call", "remediation.execute", "alert.process", "cloudevent.handle"], "b7ad6b7169203331"))

    def test_without_a_collector_everything_works(self):
        w = self.world(tracing={"endpoint": "http://127.0.0.1:1"})
        w.fire()
        w.until_state("recovered")

    def test_a_lost_answer_of_a_careless_function_is_not_repeated(self):
        w = self.world(functions=catalogue(idempotent=False))
        w.functions.careless.add("pod-restart")
        w.functions.faults = ["lost"]
        w.fire()
        incident = w.until_state("recovered")
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(incident["action"]["result"], "unknown")

    def test_a_lost_answer_of_an_idempotent_function_is_asked_again(self):
        w = self.world()
        w.functions.faults = ["lost"]
        w.fire()
        incident = w.until_state("recovered")
        self.assertEqual((len(w.functions.calls()), len(w.functions.effects)), (2, 1))
        self.assertEqual(incident["action"]["result"], "success")

    def test_an_unknown_function_is_never_called(self):
        for name in ("scale-pod", "evil.example/x?", "a@b", "169.254.169.254", "x#", "Pod-Restart", ""):
            with self.subTest(name):
                w = self.world()
                w.fire(annotations={**ANNOTATIONS, "lambda_function": name})
                incident = w.until_state("escalated")
                self.assertEqual(w.functions.requests, [])
                self.assertTrue(incident["escalation"])

    def test_parameters_must_agree_with_the_labels(self):
        w = self.world()
        w.fire(annotations={**ANNOTATIONS, "lambda_parameters": '{"name": "other-pod", "namespace": "store"}'})
        incident = w.until_state("escalated")
        self.assertEqual(w.functions.requests, [])
        self.assertIn("name", incident["escalation"])

    def test_a_protected_namespace_is_never_touched(self):
        w = self.world()
        labels = {**LABELS, "namespace": "kube-system"}
        w.fire(labels=labels, annotations={**ANNOTATIONS, "lambda_parameters": '{"name": "shop-0", "namespace": "kube-system"}'})
        w.until_state("escalated")
        self.assertEqual(w.functions.requests, [])

    def test_an_alert_without_annotation_goes_to_a_person(self):
        w = self.world()
        w.fire(annotations={"summary": "x"})
        self.assertEqual(w.until_state("escalated")["escalation"], "the alert names no remediation function")

    def test_resolved_before_the_call_needs_no_action(self):
        w = self.world(policy={"mode": "supervised"})
        w.fire()
        w.until_state("approval")
        w.resolve()
        incident = self.closed(w)
        self.assertEqual(w.functions.requests, [])
        self.assertNotIn("action", incident)
        ticket = w.until_delivered(incident["ticket"]["key"], 2)
        self.assertIn("resolved without automated action", "\n".join(comments(ticket)))

    def test_resolved_while_the_function_runs_finishes_then_closes(self):
        w = self.world()
        w.functions.faults = [("before", 1.0)]
        w.fire()
        w.until(lambda: w.functions.requests, "the call is on its way", seconds=0)
        w.rule.value = 0.0
        w.resolve()
        incident = self.closed(w)
        self.assertEqual(incident["action"]["result"], "success")
        self.assertEqual(incident["verification"]["verdict"], "recovered")

    def test_resolved_before_firing_opens_a_ticket_that_is_already_over(self):
        w = self.world()
        w.rule.value = 0.0
        w.resolve()
        self.assertIsNone(w.agent.incident())
        w.fire()
        incident = self.closed(w)
        self.assertEqual(w.functions.requests, [])
        ticket = eventually(lambda: (t := w.agent.ticket(incident["ticket"]["key"]))["state"] == "completed" and t, "closed")
        self.assertTrue(ticket["title"].startswith("[Resolved] "), ticket["title"])

    def test_resolved_alone_is_counted_and_acknowledged(self):
        w = self.world()
        self.assertEqual(w.resolve()[0], 200)
        self.assertEqual(w.agent.metric("resolved_without_incident_total"), 1)
        self.assertEqual(w.agent.incidents(), [])

    def test_firing_again_after_closure_is_a_new_linked_incident(self):
        w = self.world(functions=catalogue())
        w.fire()
        w.until_state("recovered")
        w.resolve()
        self.closed(w)
        w.fault()
        w.tick(60)
        w.fire(starts="2026-01-15T10:55:00Z", event_id="again")
        incident = w.until_state("recovered", which="INC-2")
        self.assertEqual(incident["previous"], "INC-1")
        self.assertEqual(len(w.functions.effects), 2)

    def test_an_alert_that_flaps_is_given_to_a_person(self):
        w = self.world(policy={"flaps_per_hour": 2})
        for n in range(3):
            w.fault()
            w.fire(starts=f"2026-01-15T10:4{n}:00Z", event_id=f"flap-{n}")
            if n < 2:
                w.until_state("recovered", which=f"INC-{n + 1}")
                w.resolve(starts=f"2026-01-15T10:4{n}:00Z", event_id=f"over-{n}")
                self.closed(w, f"INC-{n + 1}")
        w.until_state("approval", which="INC-3")
        self.assertEqual(len(w.functions.effects), 2)

    def test_repeats_refresh_one_incident(self):
        w = self.world()
        w.repairs = False
        bodies = [event(labels=LABELS, annotations=ANNOTATIONS, event_id=f"repeat-{n}") for n in range(20)]
        bodies += [event(labels=LABELS, annotations=ANNOTATIONS, event_id="same")] * 20
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda b: post_event(w.agent.url, b), bodies))
        self.assertTrue(all(code == 200 for code, _ in replies))
        self.assertEqual(sum(1 for _, r in replies if r.get("duplicate")), 19)
        self.assertEqual(len(w.agent.incidents()), 1)
        self.assertEqual(w.agent.incident()["fired_count"], 21)
        w.until(lambda: w.functions.calls(), "called")
        self.assertEqual(len(w.functions.calls()), 1)

    def test_supervised_asks_and_the_decision_is_final(self):
        w = self.world(policy={"mode": "supervised"})
        w.fire()
        incident = w.until_state("approval")
        self.assertEqual(w.functions.requests, [])
        decide = lambda what, **more: request(w.agent.url + "/approvals/INC-1", "POST", {"decision": what, "by": "tester", **more})  # noqa: E731
        self.assertEqual(decide("maybe")[0], 400)
        self.assertEqual(decide("approve", digest="0" * 16)[0], 409)
        self.assertEqual(decide("approve", digest=incident["plan"]["digest"])[0], 200)
        self.assertEqual(decide("reject")[0], 409)
        w.until_state("recovered")
        self.assertEqual(len(w.functions.effects), 1)

    def test_a_rejected_action_is_escalated(self):
        w = self.world(policy={"mode": "supervised"})
        w.fire()
        w.until_state("approval")
        request(w.agent.url + "/approvals/INC-1", "POST", {"decision": "reject", "by": "tester"})
        self.assertIn("tester", w.until_state("escalated")["escalation"])
        self.assertEqual(w.functions.requests, [])

    def test_risk_above_the_limit_asks(self):
        w = self.world(functions=catalogue(risk="high"))
        w.fire()
        self.assertEqual(w.until_state("approval")["plan"]["decision"], "ask")
        self.assertEqual(w.functions.requests, [])

    def test_a_timeout_approves_only_what_can_be_undone(self):
        for effect, state, calls in (("reversible", "recovered", 1), ("irreversible", "escalated", 0)):
            with self.subTest(effect):
                w = self.world(functions=catalogue(effect=effect), policy={"mode": "supervised"},
                               approval={"timeout": "60s", "timeout_action": "approve"})
                w.fire()
                w.until_state("approval")
                w.until_state(state, seconds=10)
                self.assertEqual(len(w.functions.effects), calls)

    def test_shadow_reports_and_never_acts(self):
        w = self.world(policy={"mode": "shadow"})
        w.fire()
        incident = w.until_state("escalated")
        self.assertEqual(w.functions.requests, [])
        self.assertEqual(incident["plan"]["function"], "pod-restart")

    def test_a_slow_function_holds_up_nobody_else(self):
        w = self.world()
        w.functions.faults = ["black hole"]
        slow = {**ANNOTATIONS, "lambda_parameters": json.dumps({**PARAMETERS, "name": "slow-0"})}
        w.fire(alertname="Slow", labels={**LABELS, "pod": "slow-0"}, annotations=slow)
        w.until(lambda: w.functions.requests, "the slow call hangs", seconds=0)
        w.fire(alertname="HighErrors", event_id="quick")
        w.until_state("recovered", which="INC-2")
        self.assertEqual(w.agent.get("/health")[0], 200)

    def test_a_mixed_group_stays_apart(self):
        w = self.world()
        alert = lambda pod, status: {"status": status, "labels": {**LABELS, "alertname": "HighErrors", "severity": "warning", "pod": pod},  # noqa: E731
                                     "annotations": {"summary": pod}, "startsAt": "2026-01-15T10:40:00Z",
                                     "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-15T10:46:00Z",
                                     "generatorURL": "", "fingerprint": ""}
        payload = {"version": "4", "status": "firing", "receiver": "agent", "groupKey": "{}", "groupLabels": {},
                   "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0,
                   "alerts": [alert("shop-1", "firing"), alert("shop-2", "firing"), alert("shop-3", "resolved")]}
        code, reply = request(w.agent.url + "/webhook", "POST", payload, {"Content-Type": "application/json"})
        self.assertEqual((code, len(reply["events"])), (200, 3))
        self.assertEqual(sorted(i["resource"] for i in w.agent.incidents()), ["shop-1", "shop-2"])
        payload["alerts"][0] = alert("shop-1", "resolved")
        request(w.agent.url + "/webhook", "POST", payload, {"Content-Type": "application/json"})
        self.closed(w, "INC-1")
        w.until_state("escalated", "INC-2")

    def test_secrets_in_alerts_do_not_reach_the_ticket(self):
        w = self.world()
        w.fire(annotations={**ANNOTATIONS, "description": "login failed: password=hunter2-mark and Bearer abcdef.mark2 @channel [x](http://evil.example)"})
        incident = w.until_state("recovered")
        ticket = w.agent.ticket(incident["ticket"]["key"])
        self.assertNotIn("hunter2-mark", ticket["body"])
        self.assertNotIn("abcdef.mark2", ticket["body"])
        self.assertNotIn("@channel", ticket["body"])
        self.assertNotIn("](http", ticket["body"])


if __name__ == "__main__":
    unittest.main()
