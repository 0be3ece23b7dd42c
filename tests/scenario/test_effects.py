"""Every kind of outside effect, its connection cut at every moment, alone and together with kill -9 at that very
moment: the world outside ends as it does without a cut, with each effect once."""
import collections
import json
import subprocess
import threading
import unittest

from world import ANNOTATIONS, LABELS, World, catalogue, event, eventually, request

from cutter import MOMENTS, Cutter
from harness import AGENT
from linear_double import KEY, LinearDouble


class CountingLinear(LinearDouble):
    """Knows how often a state really changed: setting what is set is no effect."""

    def __init__(self):
        super().__init__()
        self.changes = []

    def issue_update(self, info, id, input):
        before = self.issues[id].get("stateId")
        reply = super().issue_update(info, id, input)
        if self.issues[id].get("stateId") != before:
            self.changes.append((self.issues[id]["title"], self.issues[id]["stateId"]))
        return reply


# The ways in: each sends until it is acknowledged.

def structured(w, cutter, body):
    deliver(w, cutter, "/", body, "application/cloudevents+json")


def batch(w, cutter, body):
    deliver(w, cutter, "/", [body], "application/cloudevents-batch+json")


def webhook_of(body):
    alert = {k: body["data"][k] for k in ("status", "labels", "annotations", "startsAt", "endsAt")}
    return {"version": "4", "groupKey": "{}", "status": alert["status"], "receiver": "team", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "http://am.example", "truncatedAlerts": 0,
            "alerts": [{**alert, "endsAt": alert["endsAt"] or "0001-01-01T00:00:00Z", "generatorURL": ""}]}


def webhook(w, cutter, body):
    deliver(w, cutter, "/webhook", webhook_of(body), "application/json")


def forwarded(w, cutter, body):
    """Through the converter, a process of its own."""
    command = [AGENT, "forward", "--sink", f"http://127.0.0.1:{cutter.port}/", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
            threading.Thread(target=process.stdout.read, daemon=True).start()
            deliver(w, cutter, "/webhook", webhook_of(body), "application/json", url)
        finally:
            process.terminate()


def replayed(w, cutter, body):
    """The alert comes out of the dead letters; what is cut is the call for the replay."""
    w.bury(body)
    w.follow(cutter)
    w.replay_all(f"http://127.0.0.1:{cutter.port}")


def deliver(w, cutter, path, body, kind, url=None):
    w.follow(cutter)

    def accepted():
        w.revive()
        code, _ = request((url or f"http://127.0.0.1:{cutter.port}") + path, "POST", body, {"Content-Type": kind}, timeout=40)
        return code == 200
    eventually(accepted, "the event is acknowledged")


# The lives: each is run once without a cut, to see how it has to end.

def happy(w, send):
    send(event(labels=LABELS, annotations=ANNOTATIONS))
    w.until_state("recovered")
    w.resolve()
    w.until_state("closed")


def ended_by(w, send):
    w.fire()
    w.until_state("recovered")
    send(event(labels=LABELS, annotations=ANNOTATIONS, status="resolved", ends="2026-01-15T10:47:00Z"))
    w.until_state("closed")


def failing(w, send):
    w.functions.code, w.functions.body = 500, {"status": "error", "message": "no such pod"}
    send(event(labels=LABELS, annotations=ANNOTATIONS))
    w.until_state("escalated")
    w.rule.value = 0.0
    w.resolve()
    w.until_state("closed")


def buried(w, send):
    """What cannot be read becomes a dead letter, and its group a ticket."""
    w.bury(event(labels=LABELS, annotations=ANNOTATIONS))
    w.until(lambda: w.tickets_of_groups() > 0, "the group has a ticket", seconds=5)


# `seen`: who asks again looks first whether it has happened, so that there may be no second request to cut
Effect = collections.namedtuple("Effect", "life peer chosen way seen", defaults=(None, False))


def has(*marks):
    return lambda body: all(m in body for m in marks)


GROUP = "[Dead Letters]"
HEADS = ("Remediation Selected", "Remediation Executed", "Remediation Verified", "Alert Resolved")
EFFECTS = {"the_function_call": Effect(happy, "function", has(b"")),
           "a_failing_function_call": Effect(failing, "function", has(b"")),
           "the_ticket": Effect(happy, "linear", has(b"issueCreate(")),
           "the_failure_ticket": Effect(failing, "linear", has(b"issueCreate(", b"[Remediation Failed]")),
           "the_ticket_of_a_group_of_dead_letters": Effect(buried, "linear", has(b"issueCreate(", b"[Dead Letters]")),
           "a_new_label": Effect(happy, "linear", has(b"issueLabelCreate("), seen=True),
           "labelling": Effect(failing, "linear", has(b"issueUpdate(", b"addedLabelIds")),
           "closing": Effect(happy, "linear", has(b"issueUpdate(")),
           "a_call_for_a_replay": Effect(happy, "agent", has(b"tester"), replayed, True),
           "a_batch": Effect(happy, "agent", has(b"HighErrors"), batch),
           "an_alert_from_Alertmanager": Effect(happy, "agent", has(b"HighErrors"), webhook),
           "an_alert_through_the_converter": Effect(happy, "agent", has(b"HighErrors"), forwarded),
           "the_end_of_an_alert": Effect(ended_by, "agent", has(b"HighErrors"), structured)}
EFFECTS |= {f"comment_{n}": Effect(happy, "linear", has(f"**{head}**".encode())) for n, head in enumerate(HEADS, 1)}

# one cut of each kind, and several in a row
CUTS = {moment: [moment] for moment in MOMENTS} | {"after, twice": ["after", "after"], "middle, then before": ["middle", "before"],
                                                   "late, then after": ["late", "after"]}


class EffectTest(unittest.TestCase):
    maxDiff = None

    def world(self, effect, cuts, kill, functions=None):
        self.linear = CountingLinear()
        w = World(functions=functions, linear={"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"})
        ports = {"function": w.functions.port, "linear": self.linear.port, "agent": 0}
        cutter = Cutter(ports[effect.peer], effect.chosen)
        cutter.cuts = list(cuts)
        w.tickets_of_groups = lambda: sum(i["title"].startswith(GROUP) for i in self.linear.issues.values())
        if kill:
            cutter.on_cut = w.agent.kill
        if effect.peer == "function":
            w.settings["functions"]["gateway"] = f"127.0.0.1:{cutter.port}"
        elif effect.peer == "linear":
            w.settings["linear"]["url"] = f"http://127.0.0.1:{cutter.port}/graphql"
        with open(w.agent.config, "w") as f:
            json.dump(w.settings, f)
        w.fault()
        w.agent.start()
        return w, cutter

    def close(self, w, cutter):
        for one in (w, cutter, self.linear):
            one.close()

    def outside(self, w):
        """All that the world outside has seen."""
        calls = w.functions.calls()
        tickets = [(i["title"], [c["body"].split("\n")[0] for c in i["comments"]], sorted(i["labels"])) for i in self.linear.issues.values()]
        groups = [t for t in tickets if t[0].startswith(GROUP)]  # they may come or not: the letters are gone soon
        self.assertEqual(len({t[0] for t in groups}), len(groups))
        self.assertEqual([t for t in groups if len(set(t[1])) < len(t[1])], [])
        changes = [c for c in self.linear.changes if not c[0].startswith(GROUP)]
        return {"effects": w.functions.effects, "intents": len({r.headers["Idempotency-Key"] for r in calls}), "changes": changes,
                "tickets": sorted(t for t in tickets if t not in groups),
                "names": sorted(l["name"] for l in self.linear.labels if l["name"] not in ("agent-sre", "dead-letter")),
                "incidents": [i["state"] for i in w.agent.incidents()],
                "letters": len(w.agent.get("/dlq")[1]["dead_letters"])}

    def run_life(self, effect, cuts, kill):
        w, cutter = self.world(effect, cuts, kill)
        try:
            effect.life(w, lambda body: effect.way(w, cutter, body) if effect.way else w.send(body))
            w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
            if "late" in cuts:
                w.until(lambda: hasattr(cutter, "late"), "the late request has arrived")
            return self.outside(w), cutter.happened, w.agent.starts
        finally:
            self.close(w, cutter)

    def check(self, effect, expected, cuts, kill):
        got, happened, starts = self.run_life(effect, cuts, kill)
        least = 1 if effect.seen or not kill else len(cuts)  # an agent that lives on looks first too
        self.assertEqual(happened, cuts[:max(least, len(happened))], "the cuts must really have happened")
        self.assertEqual(starts, 1 + len(happened) * kill, "every kill must really have happened")
        self.assertEqual(got, expected)

    def uncut(self, effect):
        """How it ends when nothing goes wrong, and that this is what it should be."""
        seen, _, _ = self.run_life(effect, [], False)
        if effect.life is buried:
            return seen
        bad = effect.life is failing
        self.assertEqual((len(seen["effects"]), seen["intents"]), (0 if bad else 1, 1))
        self.assertEqual((len(seen["tickets"]), seen["incidents"], seen["letters"]), (1 + bad, ["closed"], 0))
        for _, heads, _ in seen["tickets"]:
            self.assertEqual(len(set(heads)), len(heads))
        if not bad:
            self.assertEqual(seen["tickets"][0][1], [f"**{h}**" for h in HEADS])
        self.assertEqual([state for _, state in seen["changes"]], ["state-completed-4"])
        return seen

    def test_a_call_that_may_not_be_repeated_happens_at_most_once(self):
        """A function without idempotency keys: cut and killed, it is never called again after it may have run."""
        for name, cuts in CUTS.items():
            for kill in (False, True):
                with self.subTest(cut=name, kill=kill):
                    w, cutter = self.world(EFFECTS["the_function_call"], cuts, kill, catalogue(idempotent=False))
                    w.functions.careless.add("pod-restart")
                    try:
                        w.fire()
                        w.until(lambda w=w: (w.agent.incident() or {}).get("state") in ("recovered", "escalated"), "an end", seconds=5)
                        self.assertLessEqual(len(w.functions.effects), 1)
                    finally:
                        self.close(w, cutter)

    def test_a_peer_that_forgets_keys_is_seen(self):
        """The proof that the table can fail: the second call with the same key has a second effect."""
        w, cutter = self.world(EFFECTS["the_function_call"], ["after"], True)
        w.functions.careless.add("pod-restart")
        try:
            w.fire()
            w.until_state("recovered")
            self.assertEqual(len(w.functions.effects), 2)
        finally:
            self.close(w, cutter)


def check(effect, kill):
    def test(self):
        expected = self.uncut(effect)
        for name, cuts in CUTS.items():
            with self.subTest(cut=name):
                self.check(effect, expected, cuts, kill)
    return test


for _name, _effect in EFFECTS.items():
    setattr(EffectTest, f"test_{_name}_happens_once_when_cut", check(_effect, False))
    setattr(EffectTest, f"test_{_name}_happens_once_when_cut_and_killed", check(_effect, True))

if __name__ == "__main__":
    unittest.main()
