"""Every kind of outside effect, its connection cut at every moment, alone and together with kill -9 at that very
moment: exactly one effect at the peer."""
import json
import unittest

from world import World, catalogue

from cutter import MOMENTS, Cutter
from linear_double import KEY, LinearDouble

HEADS = ["**Remediation Selected**", "**Remediation Executed**", "**Remediation Verified**", "**Alert Resolved**"]


class CountingLinear(LinearDouble):
    """Knows how often a state really changed: setting what is set is no effect."""

    def __init__(self):
        super().__init__()
        self.changes = []

    def issue_update(self, info, id, input):
        before = self.issues[id].get("stateId")
        reply = super().issue_update(info, id, input)
        if self.issues[id].get("stateId") != before:
            self.changes.append(self.issues[id]["stateId"])
        return reply


# what is cut: (peer, what stands in the request)
EFFECTS = {"the_function_call": ("function", b""), "the_creation": ("linear", b"issueCreate(")}
EFFECTS |= {f"comment_{n}": ("linear", head.encode()) for n, head in enumerate(HEADS, 1)}
EFFECTS |= {"the_update": ("linear", b"issueUpdate(")}

# one cut of each kind, and several in a row
CUTS = {moment: [moment] for moment in MOMENTS} | {"after, twice": ["after", "after"], "middle, then before": ["middle", "before"],
                                                   "late, then after": ["late", "after"]}


class EffectTest(unittest.TestCase):
    def world(self, target, cuts, kill, functions=None):
        self.linear = CountingLinear()
        w = World(functions=functions, linear={"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"})
        peer, mark = EFFECTS[target]
        cutter = Cutter(w.functions.port if peer == "function" else self.linear.port, lambda body: mark in body)
        cutter.cuts = list(cuts)
        if kill:
            cutter.on_cut = w.agent.kill
        if peer == "function":
            w.settings["functions"]["gateway"] = f"127.0.0.1:{cutter.port}"
        else:
            w.settings["linear"]["url"] = f"http://127.0.0.1:{cutter.port}/graphql"
        with open(w.agent.config, "w") as f:
            json.dump(w.settings, f)
        return w, cutter

    def close(self, w, cutter):
        for one in (w, cutter, self.linear):
            one.close()

    def check(self, target, cuts, kill):
        w, cutter = self.world(target, cuts, kill)
        try:
            w.fault()
            w.agent.start()
            w.fire()
            w.until_state("recovered")
            w.resolve()
            w.until_state("closed")
            w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
            if "late" in cuts:
                w.until(lambda: hasattr(cutter, "late"), "the late request has arrived")
            # an agent that lives on looks first whether a creation happened, and need not send it again
            self.assertEqual(cutter.happened, cuts if kill else cuts[:max(1, len(cutter.happened))], "the cuts must really have happened")
            self.assertEqual(w.agent.starts, 1 + len(cuts) * kill, "every kill must really have happened")
            self.assertEqual(len(w.functions.effects), 1)
            self.assertEqual(len({r.headers["Idempotency-Key"] for r in w.functions.calls()}), 1)
            self.assertEqual([k for k, _ in self.linear.creations].count("issue"), 1)
            issue = next(iter(self.linear.issues.values()))
            self.assertEqual([c["body"].split("\n")[0] for c in issue["comments"]], HEADS)
            self.assertEqual(self.linear.changes, ["state-completed-4"])
            self.assertEqual(w.agent.get("/dlq")[1]["dead_letters"], [])
        finally:
            self.close(w, cutter)

    def test_a_call_that_may_not_be_repeated_happens_at_most_once(self):
        """A function without idempotency keys: cut and killed, it is never called again after it may have run."""
        for name, cuts in CUTS.items():
            for kill in (False, True):
                with self.subTest(cut=name, kill=kill):
                    w, cutter = self.world("the_function_call", cuts, kill, catalogue(idempotent=False))
                    w.functions.careless.add("pod-restart")
                    try:
                        w.fault()
                        w.agent.start()
                        w.fire()
                        w.until(lambda w=w: (w.agent.incident() or {}).get("state") in ("recovered", "escalated"), "an end", seconds=5)
                        self.assertLessEqual(len(w.functions.effects), 1)
                    finally:
                        self.close(w, cutter)

    def test_a_peer_that_forgets_keys_is_seen(self):
        """The proof that the table can fail: the second call with the same key has a second effect."""
        w, cutter = self.world("the_function_call", ["after"], True)
        w.functions.careless.add("pod-restart")
        try:
            w.fault()
            w.agent.start()
            w.fire()
            w.until_state("recovered")
            self.assertEqual(len(w.functions.effects), 2)
        finally:
            self.close(w, cutter)


def check(target, kill):
    def test(self):
        for name, cuts in CUTS.items():
            with self.subTest(cut=name):
                self.check(target, cuts, kill)
    return test


for _target in EFFECTS:
    setattr(EffectTest, f"test_{_target}_happens_once_when_cut", check(_target, False))
    setattr(EffectTest, f"test_{_target}_happens_once_when_cut_and_killed", check(_target, True))

if __name__ == "__main__":
    unittest.main()
