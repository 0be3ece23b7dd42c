"""Tickets at Linear: the real daemon against a double that knows Linear's schema and misbehaves."""
import time
import unittest

from world import ANNOTATIONS, World, eventually, request  # noqa: F401

from linear_double import KEY, LinearDouble


class KillingLinear(LinearDouble):
    """Kills the agent while it carries out the third comment; knows how often each creation was asked for."""

    def __init__(self):
        super().__init__()
        self.kill, self.asked = None, []

    def comment_create(self, info, input):
        self.asked.append(input["id"])
        reply = super().comment_create(info, input)
        if self.kill and len(self.comments) == 3:
            self.kill, kill = None, self.kill
            kill()
        return reply


class LinearTest(unittest.TestCase):
    def world(self, double=LinearDouble, **more):
        self.linear = double()
        self.addCleanup(self.linear.close)
        more.setdefault("ticket", {"on_call": "oncall@example.com"})
        w = World(linear={"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"}, **more)
        self.linear.now_ms = w.agent.clock.now_ms
        self.addCleanup(w.close)
        w.fault()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def finish(self, w):
        w.until_state("recovered")
        return self.end(w)

    def end(self, w):
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        self.assertEqual(len(self.linear.issues), 1)
        return next(iter(self.linear.issues.values()))

    def test_the_whole_life_of_a_ticket(self):
        w = self.world()
        w.fire()
        issue = self.finish(w)
        self.assertEqual(issue["title"], "[Alert] HighErrors - shop-0")
        self.assertEqual(issue["priority"], 2)
        self.assertEqual(issue["assigneeId"], "user-1")
        self.assertEqual(issue["stateId"], "state-completed-4")
        self.assertEqual(sorted(issue["labels"]), ["label-alert", "label-prometheus"])
        heads = [c["body"].split("\n")[0] for c in issue["comments"]]
        self.assertEqual(heads, ["**Remediation Selected**", "**Remediation Executed**", "**Remediation Verified**", "**Alert Resolved**"])
        incident = w.agent.incident()
        self.assertEqual(incident["ticket"], {"key": "OPS-1", "url": "https://linear.example/issue/OPS-1"})

    def test_trouble_of_every_kind_makes_no_second_ticket(self):
        for fault in ("lost", "cut", "reset", "malformed", ("status", 500), ("status", 503), ("status", 429, {"Retry-After": "3"}), "black hole"):
            with self.subTest(fault):
                w = self.world()
                # the look-ups come first: the fault hits each kind of request in turn
                self.linear.faults = [None, fault] * 12
                w.fire()
                self.finish(w)
                self.assertEqual(len(self.linear.creations), len(set(self.linear.creations)))
                self.assertEqual(len([c for c in self.linear.creations if c[0] == "comment"]), 4)

    def test_graphql_errors_are_told_apart(self):
        for error in (("RATELIMITED", 400), ("INTERNAL_SERVER_ERROR", 200)):
            with self.subTest(error):
                w = self.world()
                self.linear.errors = [error, error]
                w.fire()
                self.finish(w)

    def test_linear_down_never_delays_the_remedy(self):
        w = self.world()
        self.linear.fault_forever = ("status", 503)
        w.fire()
        w.until_state("recovered")
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(self.linear.issues, {})
        self.linear.fault_forever = None
        issue = self.finish(w)
        self.assertEqual(len(issue["comments"]), 4)

    def test_what_waited_is_delivered_in_one_go_and_a_kill_in_its_middle_makes_nothing_twice(self):
        w = self.world(KillingLinear)
        self.linear.fault_forever = ("status", 503)
        w.fire()
        w.until_state("recovered")
        self.linear.kill = w.agent.kill
        self.linear.fault_forever = None
        w.until(lambda: self.linear.kill is None, "killed, and started again")
        issue = self.end(w)
        self.assertEqual(w.agent.starts, 2)
        heads = [c["body"].split("\n")[0] for c in issue["comments"]]
        self.assertEqual(heads, ["**Remediation Selected**", "**Remediation Executed**", "**Remediation Verified**", "**Alert Resolved**"])
        self.assertGreater(len(self.linear.asked), len(self.linear.comments), "nothing was asked for again: nothing was cut")

    def test_slow_linear_never_delays_the_remedy(self):
        w = self.world()
        self.linear.fault_forever = ("before", 1.5)
        w.fire()
        began = time.monotonic()
        w.until(lambda: w.functions.calls(), "called", seconds=0)
        self.assertLess(time.monotonic() - began, 1.4)

    def test_an_unknown_assignee_does_not_stop_the_ticket(self):
        w = self.world(ticket={"on_call": "nobody@example.com"})
        self.linear.users = []
        w.fire()
        issue = self.finish(w)
        self.assertNotIn("assigneeId", issue)
        notes = [r.get("note", "") for r in w.agent.incident()["timeline"] if r["step"] == "ticket"]
        self.assertTrue(any("assignee left out" in n for n in notes), notes)

    def test_a_refused_key_keeps_everything_and_never_shows(self):
        w = self.world()
        w.agent.stop()
        with open(w.agent.config) as f:
            text = f.read()
        with open(w.agent.config, "w") as f:
            f.write(text.replace(KEY, "lin_api_wrong_key_planted_mark"))
        w.agent.start()
        w.fire()
        w.until_state("recovered")
        self.assertGreater(w.agent.metric("ticket_operations_waiting"), 0)
        seen = "".join(w.agent.lines) + w.agent.stderr() + str(w.agent.get("/metrics")) + str(w.agent.incident()) + str(w.agent.get("/dlq"))
        self.assertNotIn("planted_mark", seen)
        w.agent.stop()
        with open(w.agent.config, "w") as f:
            f.write(text)
        w.agent.start()
        self.finish(w)

    def test_a_kill_after_every_commit_makes_nothing_twice(self):
        self.linear = None
        for n in range(1, 26):
            with self.subTest(crash_after=n):
                linear = LinearDouble()
                w = World(linear={"api_key": KEY, "url": linear.url + "/graphql", "timeout": "2s"})
                try:
                    w.fault()
                    w.agent.start(crash_after=n)
                    w.fire()
                    w.until_state("recovered")
                    w.resolve()
                    w.until_state("closed")
                    w.until(lambda: w.revive() or w.agent.metric("ticket_operations_waiting") == 0, "delivered")
                    self.assertEqual(len(linear.issues), 1)
                    self.assertEqual(len(linear.comments), 4)
                    self.assertEqual(len(w.functions.effects), 1)
                finally:
                    w.close()
                    linear.close()


if __name__ == "__main__":
    unittest.main()
