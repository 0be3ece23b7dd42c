"""Each scenario again with the process killed after every commit: the end must be the same, and every outside
effect must have happened once."""
import os
import unittest

from world import ANNOTATIONS, LABELS, World, catalogue, event, eventually, post_event, request


def happy(w):
    w.fire()
    w.until_state("recovered")
    w.resolve()
    return w.until_state("closed")


def unresolved(w):
    w.fire()
    return w.until_state("closed", seconds=5)


def failing(w):
    w.functions.code, w.functions.body = 500, {"status": "error", "message": "no such pod"}
    w.fire()
    w.until_state("escalated")
    w.rule.value = 0.0
    w.resolve()
    return w.until_state("closed")


def rejected(w):
    w.fire(annotations={**ANNOTATIONS, "lambda_function": "unknown-function"})
    w.until_state("escalated")
    w.rule.value = 0.0
    w.resolve()
    return w.until_state("closed")


def busy_function(w):
    w.functions.faults = [("status", 503)]
    return happy(w)


def decide(w, decision):
    def decided():
        w.revive()
        code, _ = request(w.agent.url + "/approvals/INC-1", "POST", {"decision": decision, "by": "tester"})
        return code in (200, 409)
    w.until(decided, "the decision is taken")


def end_it(w):
    w.rule.value = 0.0
    w.resolve()
    return w.until_state("closed")


def approved(w):
    w.fire()
    w.until_state("approval")
    decide(w, "approve")
    w.until_state("recovered")
    w.resolve()
    return w.until_state("closed")


def rejected_by_a_person(w):
    w.fire()
    w.until_state("approval")
    decide(w, "reject")
    w.until_state("escalated")
    return end_it(w)


def resolved_while_waiting(w):
    w.fire()
    w.until_state("approval")
    return end_it(w)


def nobody_decides(w):
    w.fire()
    w.until_state("approval")
    w.until_state("escalated", seconds=20)
    return end_it(w)


def no_recovery(w):
    w.repairs = False
    w.fire()
    w.until_state("escalated", seconds=10)
    return end_it(w)


def exhausted(w):
    w.functions.fault_forever = ("status", 503)
    w.fire()
    w.until_state("escalated", seconds=10)
    return end_it(w)


def no_remedy(w):
    w.fire(annotations={"summary": "x"})
    w.until_state("escalated")
    return end_it(w)


def shadow(w):
    w.fire()
    w.until_state("escalated")
    return end_it(w)


def resolved_first(w):
    w.rule.value = 0.0
    w.resolve()
    w.fire()
    return w.until_state("closed")


def replayed(w):
    """The alert comes back out of the dead letters, twice: what stood in the letter happens once."""
    body = event(labels=LABELS, annotations=ANNOTATIONS)
    w.bury(body)
    w.bury(body)
    w.replay_all()
    w.until_state("recovered")
    w.resolve()
    return w.until_state("closed")


def held_back(w):
    """An alert waits behind a dead letter of its key, until that one is archived."""
    bad = event(labels=LABELS, annotations=ANNOTATIONS, event_id="bad", starts="yesterday")
    w.send({**bad, "partitionkey": "lane"})
    w.send({**event(labels=LABELS, annotations=ANNOTATIONS), "partitionkey": "lane"})

    def archived():
        w.revive()
        letters = w.agent.get("/dlq")[1]["dead_letters"]
        bad = [x["dlq_id"] for x in letters if x["event_id"] == "bad"]
        if bad:
            request(w.agent.url + "/dlq/archive", "POST", {"ids": bad, "by": "tester"})
        return letters and not bad
    eventually(archived, "what blocked is archived")
    w.replay_all()
    w.until_state("recovered")
    w.resolve()
    return w.until_state("closed")


def resent(w):
    """Alertmanager sends the same alert again and again, and a converter gives it new ids."""
    for _ in range(2):
        w.fire()
        w.fire(event_id="new-id")
    w.until_state("recovered")
    w.fire()
    w.resolve()
    w.resolve(event_id="over-again")
    return w.until_state("closed")


def with_an_slo(w):
    """The state of the SLO is asked for before the ticket, and who is on call."""
    w.prometheus.answers = {f'{name}{{slo_name="availability"}}': [({}, value)] for name, value in
                           {"slo:target": 0.999, "sli:current": 0.9985, "slo:error_budget_burn_rate": 0.0005}.items()}
    labels = {**LABELS, "slo": "availability"}
    w.fire(labels=labels)
    w.until_state("recovered")
    w.resolve(labels=labels)
    return w.until_state("closed")


SCENARIOS = {"happy": (happy, {}), "with_an_slo": (with_an_slo, {"slo": {"link": "https://grafana.example.com"}}), "unresolved": (unresolved, {}), "failing": (failing, {}),
             "rejected": (rejected, {}), "approved": (approved, {"policy": {"mode": "supervised"}}),
             "busy_function": (busy_function, {}), "rejected_by_a_person": (rejected_by_a_person, {"policy": {"mode": "supervised"}}),
             "resolved_while_waiting": (resolved_while_waiting, {"policy": {"mode": "supervised"}}),
             "nobody_decides": (nobody_decides, {"policy": {"mode": "supervised"}, "approval": {"timeout": "60s", "timeout_action": "reject"}}),
             "no_recovery": (no_recovery, {"verify": {"budget": "40s"}}), "exhausted": (exhausted, {}), "no_remedy": (no_remedy, {}),
             "shadow": (shadow, {"policy": {"mode": "shadow"}}), "resolved_first": (resolved_first, {}),
             "replayed": (replayed, {}), "resent": (resent, {}),
             "held_back": (held_back, {"ordering": {"after_dead_letter": ["io.homelab.prometheus.alert.fired=block"]}})}


def summary(w, incident):
    """What must not depend on crashes: how it ended, and every effect outside. A group of dead letters has its ticket a
    while after it was seen, so that this one may come or not."""
    def tickets():
        found = []
        for n in range(1, 5):
            code, ticket = w.agent.get(f"/tickets/SRE-{n}")
            if code == 200 and not ticket["title"].startswith("[Dead Letters]"):
                found.append((ticket["title"], ticket["state"], sorted(ticket["labels"]),
                              [e["body"].split("\n")[0] for e in ticket["entries"] if e["kind"] == "comment"]))
        return found

    def settled():
        w.revive()
        return w.agent.metric("ticket_operations_waiting") == 0 and tickets()
    w.until(settled, "every ticket operation is delivered")
    return {"state": incident["state"], "verdict": incident.get("verification", {}).get("verdict"),
            "result": incident.get("action", {}).get("result"), "escalation": incident.get("escalation"),
            "incidents": len(w.agent.incidents()), "letters": w.agent.get("/dlq")[1]["dead_letters"] != [], "effects": w.functions.effects, "tickets": tickets()}


class CrashTest(unittest.TestCase):
    maxDiff = None

    def run_once(self, scenario, options, crash_after=None, crash_log=None, functions=None):
        w = World(functions=functions, **options)
        try:
            w.fault()
            w.agent.start(crash_after, crash_log)
            return summary(w, scenario(w)), w.agent.starts
        finally:
            w.close()

    def commits(self, scenario, options, functions=None):
        log = os.path.join("/tmp", f"agent-sre-commits-{os.getpid()}-{scenario.__name__}")
        expected, _ = self.run_once(scenario, options, None, log, functions)
        with open(log) as f:
            count = len(f.readlines())
        os.unlink(log)
        self.assertGreater(count, 3)
        return expected, count

    def check(self, name):
        scenario, options = SCENARIOS[name]
        expected, count = self.commits(scenario, options)
        crashes = 0
        for n in range(1, count + 1):
            with self.subTest(crash_after=n):
                got, starts = self.run_once(scenario, options, n)
                crashes += starts - 1
                self.assertEqual(got, expected)
        self.assertGreater(crashes, count // 2, "the kills must really have happened")

    def test_what_is_in_the_intake_log_takes_effect_although_the_agent_died_before_its_answer(self):
        """The first thing that becomes durable after the start is the event, in the log: there the agent dies."""
        w = World()
        self.addCleanup(w.close)
        log = os.path.join(w.agent.dir, "commits")
        w.fault()
        w.agent.start(crash_log=log)
        w.agent.stop()
        os.path.exists(log) and os.unlink(log)
        w.agent.start(crash_after=1, crash_log=log)
        with self.assertRaises(OSError):
            post_event(w.agent.url, event(labels=LABELS, annotations=ANNOTATIONS))
        self.assertEqual(w.agent.process.wait(10), 137)
        with open(log) as f:
            self.assertEqual(f.read(), "1\n")
        w.until_state("recovered")
        self.assertEqual((len(w.functions.effects), w.agent.starts), (1, 3))

    def test_a_careless_function_is_called_at_most_once(self):
        functions = catalogue(idempotent=False)

        def careless(w):
            w.functions.careless.add("pod-restart")
            w.fire()
            w.until(lambda: (w.agent.incident() or {}).get("state") in ("recovered", "escalated"), "an end", seconds=5)
            w.rule.value = 0.0
            w.resolve()
            return w.until_state("closed")
        _, count = self.commits(careless, {}, functions)
        for n in range(1, count + 1):
            with self.subTest(crash_after=n):
                got, _ = self.run_once(careless, {}, n, None, functions)
                self.assertLessEqual(len(got["effects"]), 1)
                self.assertEqual(got["state"], "closed")


for _name in SCENARIOS:
    setattr(CrashTest, f"test_{_name}_survives_a_kill_after_every_commit", lambda self, n=_name: self.check(n))

if __name__ == "__main__":
    unittest.main()
