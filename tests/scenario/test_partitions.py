"""Every peer, cut off in every way: nothing is lost, nothing happens twice, nothing needs a hand (SRE-012, V7.02-V7.05,
V7.08). The agent and its clock are the testing build's; the faults are real ones, on real sockets."""
import json
import os
import random
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from world import LABELS, World, catalogue, eventually, event

from alertmanager_double import AlertmanagerDouble
from faults import AWAY, FAULTS, Certificates, Faults
from linear_double import KEY, LinearDouble
from prometheus_double import Rule

PEERS = ("prometheus", "alertmanager", "linear", "function")
HEADS = ["**Remediation Selected**", "**Remediation Executed**", "**Remediation Verified**", "**Alert Resolved**"]
UNKNOWN = "**Remediation Result Unknown**"
SIDE_BY_SIDE = int(os.environ.get("TEST_SIDE_BY_SIDE", "6"))


class CountingLinear(LinearDouble):
    """Knows how often a state really changed: setting what is set is no effect."""

    def __init__(self):
        super().__init__()
        self.changes = []

    def issue_update(self, info, id, input):
        before = self.issues[id].get("stateId")
        reply = super().issue_update(info, id, input)
        if self.issues[id].get("stateId") != before:
            self.changes.append((id, self.issues[id]["stateId"]))
        return reply


class Town(World):
    """A world in which every peer stands behind a go-between that can fail."""

    def __init__(self, certificates=None, timeout="2s", **settings):
        self.linear, self.alertmanager = CountingLinear(), AlertmanagerDouble()
        functions = catalogue()
        functions["functions"][0] |= {"timeout": timeout, "cooldown": "1ms", "per_hour": 100000}
        super().__init__(functions=functions, **settings)
        behind = {"prometheus": self.prometheus, "alertmanager": self.alertmanager, "linear": self.linear,
                  "function": self.functions}
        self.faults = {name: Faults(double.port, certificates) for name, double in behind.items()}
        s, scheme = self.settings, "https" if certificates else "http"
        if certificates:
            s["ca_file"] = certificates.trusted + ".pem"
            s["functions"]["scheme"] = "https"
        url = {name: f"{scheme}://127.0.0.1:{f.port}" for name, f in self.faults.items()}
        s["prometheus"] = {"url": url["prometheus"], "timeout": timeout}
        s["alertmanager"] = {"url": url["alertmanager"]}
        s["linear"] = {"api_key": KEY, "url": url["linear"] + "/graphql", "timeout": timeout}
        s["functions"]["gateway"] = f"127.0.0.1:{self.faults['function'].port}"
        with open(self.agent.config, "w") as f:
            json.dump(s, f)

    def close(self):
        try:
            super().close()
        finally:
            for one in (*self.faults.values(), self.linear, self.alertmanager):
                one.close()

    def health(self):
        return self.agent.get("/health")

    def is_away(self, peer):
        return self.health()[1]["peers"].get(peer, {}).get("state") == "away"

    def all_known(self):
        return all(p["state"] != "unknown" for p in self.health()[1]["peers"].values())

    def pass_time(self, seconds):
        """As fast as it really passes: the faults are real, and so are the looks at the peers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick(0.1)
            time.sleep(0.1)

    def until_away(self, peer, patience=15):
        eventually(lambda: self.is_away(peer), f"{peer} is away", patience=patience, pause=0.1, each=lambda: self.tick(0.1))

    def check_nothing_lost_or_doubled(self, test, alerts=1):
        test.assertEqual(len(self.functions.effects), alerts)
        test.assertEqual([k for k, _ in self.linear.creations].count("issue"), alerts, [i["title"] for i in self.linear.issues.values()])
        for issue in self.linear.issues.values():
            heads = [c["body"].split("\n")[0] for c in issue["comments"]]
            test.assertIn(heads[1:2], (HEADS[1:2], [UNKNOWN]))  # a call whose every answer was lost is measured instead
            test.assertEqual(heads[:1] + heads[2:], HEADS[:1] + HEADS[2:])
        test.assertEqual(sorted(self.linear.changes), sorted((i, "state-completed-4") for i in self.linear.issues))
        # those of a full outbox are resolved a moment after the last lane went on
        eventually(lambda: self.agent.get("/dlq")[1]["dead_letters"] == [], "no dead letter is left", patience=10)
        test.assertEqual({i["state"] for i in self.agent.get("/incidents?limit=1000")[1]["incidents"]}, {"closed"})


def one_case(test, peer, fault, certificates):
    w = Town(certificates)
    try:
        w.fault()
        test.assertTrue(w.agent.start(), w.agent.stderr())
        eventually(w.all_known, "all peers were seen")
        w.faults[peer].set(fault)
        code, _ = w.fire()
        test.assertEqual(code, 200, "intake goes on")
        if fault in AWAY:
            w.until_away(peer)
            test.assertEqual((w.health()[0], w.health()[1]["status"]), (200, "degraded"))
            test.assertEqual(w.agent.get("/ready")[0], 200, "an agent whose peers are away is not to be restarted")
            active = [p for p in w.agent.get("/partitions")[1]["partitions"] if p["state"] == "active"]
            test.assertEqual([p["component"] for p in active] or [peer], [peer])
        w.pass_time(2.5)
        if fault not in AWAY:
            test.assertEqual(w.health()[1]["status"], "ok", "a peer that answers is there")
        w.faults[peer].set("pass")
        eventually(lambda: w.health()[1]["status"] == "ok", f"{peer} is back", patience=10)
        w.until_state("recovered")
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        w.check_nothing_lost_or_doubled(test)
        rows = eventually(lambda: [r for r in [w.agent.get("/partitions")[1]["partitions"]]
                                   if all(p["state"] == "healed" for p in r)], "all partitions are healed", patience=10)[0]
        test.assertEqual({p["component"] for p in rows}, {peer} if fault in AWAY else set())
    finally:
        w.close()


class MatrixTest(unittest.TestCase):
    """One test for each peer; its faults run side by side."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="agent-sre-test-")
        cls.certificates = Certificates(cls.directory.name)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def check(self, peer):
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            cases = {fault: pool.submit(one_case, self, peer, fault, self.certificates if fault == "tls" else None)
                     for fault in FAULTS}
        wrong = {fault: case.exception() for fault, case in cases.items() if case.exception()}
        for fault, error in wrong.items():
            with self.subTest(peer=peer, fault=fault):
                raise error


def matrix(peer):
    def test(self):
        self.check(peer)
    return test


for _peer in PEERS:
    setattr(MatrixTest, f"test_{_peer}_cut_off_in_every_way_loses_and_doubles_nothing", matrix(_peer))


class OutageTest(unittest.TestCase):
    def town(self, alerts=0, **settings):
        """With a rule and a broken thing for each of `alerts`."""
        w = Town(**settings)
        self.addCleanup(w.close)
        w.rules = {}
        for n in range(alerts):
            labels = {**LABELS, "pod": f"shop-{n}", "instance": f"10.0.1.{n}:8080"}
            rule = Rule(f"Alert{n}", f"errors_{n}", 5, labels, {"severity": "warning"})
            rule.value = 9.0
            w.rules[f"shop-{n}"] = rule
            w.prometheus.rules.append(rule)
        if alerts:
            w.functions.on_effect = lambda f, parameters: setattr(w.rules[parameters["name"]], "value", 0.0)
        else:
            w.fault()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        eventually(w.all_known, "all peers were seen")
        return w

    @staticmethod
    def alert(n, **kwargs):
        parameters = {"name": f"shop-{n}", "namespace": "store", "type": "pod"}
        annotations = {"summary": "errors", "lambda_function": "pod-restart", "lambda_parameters": json.dumps(parameters)}
        labels = {**LABELS, "pod": f"shop-{n}", "instance": f"10.0.1.{n}:8080"}
        return event(alertname=f"Alert{n}", labels=labels, annotations=annotations, **kwargs)

    def resolved(self, n):
        return self.alert(n, status="resolved", ends="2026-01-15T10:47:00Z")

    def until_all(self, w, states, count, **kwargs):
        w.until(lambda: [i["state"] in states for i in w.agent.get("/incidents?limit=1000")[1]["incidents"]] == [True] * count,
                f"{count} incidents are {states}", **kwargs)

    def finish(self, w, alerts):
        self.until_all(w, ("recovered", "closed"), alerts)  # Prometheus and Alertmanager may close them first
        for n in range(alerts):
            w.send(self.resolved(n))
        self.until_all(w, ("closed",), alerts)
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        w.check_nothing_lost_or_doubled(self, alerts)

    def test_an_outage_of_days_is_no_dead_letter_and_the_ticket_says_once_that_the_call_waits(self):
        w = self.town()
        w.faults["function"].set("refuse")
        w.until_away("function")
        w.fire()
        w.until(lambda: w.agent.metric("outbox_buffered") == 1, "the call waits", seconds=0.1)
        for _ in range(40):
            w.tick(7200)
            time.sleep(0.02)
        w.until(lambda: "**Remediation Waits**" in self.heads(w), "the ticket says so")
        self.assertEqual(w.agent.get("/dlq")[1]["dead_letters"], [])
        self.assertEqual(w.functions.calls(), [])
        w.faults["function"].set("pass")
        w.until_state("recovered")
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(self.heads(w), HEADS[:1] + ["**Remediation Waits**"] + HEADS[1:])

    @staticmethod
    def heads(w):
        return [c["body"].split("\n")[0] for i in w.linear.issues.values() for c in i["comments"]]

    def test_waiting_holds_no_worker_and_writes_nothing_and_heals_in_order(self):
        """Four workers, one of them for tickets: 60 lanes wait, other alerts go on, and the oldest comes first."""
        w = self.town(alerts=60, workers=4)
        w.faults["linear"].set("silent")
        w.until_away("linear")
        for n in range(60):
            w.send(self.alert(n))
        self.until_all(w, ("closed",), 60)  # no ticket needed for that
        self.assertEqual(w.agent.metric("outbox_buffered"), 60)
        self.assertEqual(w.health()[1]["outbox"]["waiting"]["linear"], 60)
        time.sleep(1.5)  # when the clock has just passed a minute, the refresh of every minute follows within a second
        before = w.agent.metric("store_commit_seconds_count")
        time.sleep(3)
        self.assertEqual(w.agent.metric("store_commit_seconds_count"), before)
        w.faults["linear"].set("pass")
        w.until(lambda: w.agent.metric("outbox_replayed_total") == 60, "all of it goes on")
        titles = [w.linear.issues[i]["title"] for k, i in w.linear.creations if k == "issue"]
        self.assertEqual(titles, [f"[Alert] Alert{n} - shop-{n}" for n in range(60)])
        self.finish(w, 60)
        row = w.agent.get("/partitions")[1]["partitions"][0]
        self.assertEqual((row["component"], row["state"], row["kind"], row["buffered"], row["replayed"]),
                         ("linear", "healed", "silent", 60, 60))
        lines = [json.loads(line) for line in w.agent.lines]
        self.assertEqual([(e["event"], e["component"]) for e in lines if e["event"].startswith("partition_")],
                         [("partition_detected", "linear"), ("partition_healed", "linear")])

    def test_what_the_outbox_cannot_hold_is_a_dead_letter_until_the_peer_is_back(self):
        w = self.town(alerts=20, outbox={"limit": 5})
        w.faults["linear"].set("refuse")
        w.until_away("linear")
        for n in range(20):
            w.send(self.alert(n))
        letters = eventually(lambda: (d := w.agent.get("/dlq?limit=100")[1]["dead_letters"]) and len(d) == 15 and d, "15 letters",
                             each=lambda: w.tick(0.1))
        self.assertEqual({(d["stage"], d["permanence"], d["failure_category"]) for d in letters},
                         {("ticket", "transient", "dependency_failure")})
        self.assertEqual(len({d["incident"] for d in letters}), 15)
        self.assertIn("by itself", letters[0]["failure_reason"])
        w.agent.kill()  # and it is not said twice by the next process
        w.agent.start()
        w.until_away("linear")
        w.until(lambda: w.agent.metric("outbox_buffered") == 20, "all of it waits again", seconds=0.1)
        again = [(d["incident"], d["stage"]) for d in w.agent.get("/dlq?limit=100")[1]["dead_letters"]]
        self.assertEqual(len(set(again)), len(again))
        self.assertTrue(15 <= len(again) <= 20, again)  # who comes first after a start is not told
        w.faults["linear"].set("pass")
        self.finish(w, 20)
        w.until(lambda: not w.agent.get("/dlq")[1]["dead_letters"], "the letters are resolved")
        resolved = w.agent.get("/dlq?state=resolved&limit=100")[1]["dead_letters"]
        self.assertEqual(len(resolved), len(again))
        history = w.agent.get(f"/dlq/{resolved[0]['dlq_id']}")[1]["replay_history"]
        self.assertEqual([(h["by"], h["success"]) for h in history], [("agent", True)])

    def test_when_outbox_and_dead_letters_are_full_the_sender_keeps_the_event(self):
        w = self.town(alerts=30, outbox={"limit": 3}, dlq={"limit": 4})
        w.faults["linear"].set("refuse")
        w.until_away("linear")
        refused = []
        for n in range(30):
            code, _ = self.post(w, self.alert(n))
            if code == 503:
                refused.append(n)
            w.pass_time(0.1)
        self.assertTrue(refused and refused == list(range(refused[0], 30)), refused)
        self.assertGreaterEqual(refused[0], 7)
        self.assertEqual(len(w.agent.incidents()), refused[0])
        self.assertGreaterEqual(len(w.agent.get("/dlq?limit=100")[1]["dead_letters"]), 4)
        self.assertTrue(w.health()[1]["outbox"]["refusing"])
        w.faults["linear"].set("pass")
        for n in refused:
            w.until(lambda n=n: self.post(w, self.alert(n))[0] == 200, "the sender's next try is taken", seconds=0.1)
        self.finish(w, 30)

    @staticmethod
    def post(w, body):
        from harness import post_event
        return post_event(w.agent.url, body)

    def test_a_partition_outlives_the_process_and_is_one_row(self):
        w = self.town()
        w.faults["function"].set("drop")
        w.until_away("function")
        w.fire()
        began = eventually(lambda: w.agent.get("/partitions")[1]["partitions"], "the row")[0]
        for _ in range(2):
            w.agent.kill()
            w.agent.start()
            w.until_away("function")
        w.faults["function"].set("pass")
        w.until_state("recovered")
        rows = eventually(lambda: (r := w.agent.get("/partitions")[1]["partitions"])[0]["state"] == "healed" and r, "healed")
        self.assertEqual([(r["id"], r["detected_at"]) for r in rows], [(began["id"], began["detected_at"])])
        # healed while nobody looked: the next process finds out
        w.faults["linear"].set("refuse")
        w.until_away("linear")
        eventually(lambda: len(w.agent.get("/partitions")[1]["partitions"]) == 2, "the second row")
        w.agent.kill()
        w.faults["linear"].set("pass")
        w.agent.start()
        eventually(lambda: all(r["state"] == "healed" for r in w.agent.get("/partitions")[1]["partitions"]), "healed too")

    def test_trouble_never_shows_a_secret_and_health_no_host(self):
        w = self.town(prometheus={"token": "prom-secret-0123456789"})
        for peer, fault in (("linear", "503"), ("prometheus", "refuse"), ("function", "silent")):
            w.faults[peer].set(fault)
        w.fire()
        for peer in ("linear", "prometheus", "function"):
            w.until_away(peer)
        health = json.dumps(w.health()[1])
        self.assertNotIn("127.0.0.1", health)
        seen = health + json.dumps(w.agent.get("/partitions")[1]) + w.agent.get("/metrics")[1] + "".join(w.agent.lines)
        self.assertNotIn(KEY, seen)
        self.assertNotIn("prom-secret", seen)
        for peer in PEERS:
            w.faults[peer].set("pass")

    def test_the_agent_tells_alertmanager_itself_and_takes_it_back(self):
        """Within seconds, not after a scrape; when Alertmanager is away too, as soon as that is back."""
        w = self.town()
        firing = lambda: {a["labels"]["component"]: a["endsAt"] > a["startsAt"] for a in w.alertmanager.posted}  # noqa: E731
        began = time.monotonic()
        w.faults["linear"].set("refuse")
        eventually(lambda: "linear" in firing(), "the alert is posted", patience=10)
        self.assertLess(time.monotonic() - began, 10)
        alert = w.alertmanager.posted[0]
        self.assertEqual((alert["labels"]["alertname"], alert["labels"]["severity"]), ("NetworkPartitionDetected", "critical"))
        w.faults["linear"].set("pass")
        began = len(w.alertmanager.posted)
        eventually(lambda: len(w.alertmanager.posted) > began, "it is taken back", patience=45)  # what flaps is not taken back at once
        self.assertEqual(w.alertmanager.posted[-1]["labels"], alert["labels"])
        self.assertEqual(w.alertmanager.posted[-1]["startsAt"], alert["startsAt"])
        w.faults["alertmanager"].set("refuse")
        w.faults["function"].set("refuse")
        for peer in ("alertmanager", "function"):
            w.until_away(peer)
        self.assertNotIn("function", firing())
        w.faults["alertmanager"].set("pass")
        eventually(lambda: "function" in firing(), "the alert is posted late", patience=10)
        w.faults["function"].set("pass")

    def test_an_away_peer_is_tried_rarely_with_a_growing_pause(self):
        """V7.02: the back-off shows in the timestamps of the peer."""
        w = self.town()
        w.linear.fault_forever = ("status", 503)
        w.fire()
        w.until_away("linear")
        seen = len(w.linear.requests)
        time.sleep(8)
        tries = [r.at for r in w.linear.requests[seen:]]
        gaps = [b - a for a, b in zip(tries, tries[1:])]
        self.assertTrue(3 <= len(tries) <= 9, gaps)
        self.assertTrue(all(0.4 < gap < 5 for gap in gaps), gaps)
        self.assertGreater(max(gaps[-2:]), 1.8, gaps)
        w.linear.fault_forever = None
        w.until_state("recovered")
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        w.check_nothing_lost_or_doubled(self)

    def test_slow_answers_and_single_losses_are_no_partition(self):
        w = self.town()
        for peer in PEERS:
            w.faults[peer].delay_s, w.faults[peer].lose_every = 0.5, 5
        time.sleep(20)
        lost = sum(f.lost for f in w.faults.values())
        self.assertGreater(lost, 0, "some requests must really have been lost")
        self.assertEqual(w.agent.metric("partition_detection_seconds_count"), 0)
        self.assertEqual(w.agent.get("/partitions")[1]["partitions"], [])

    def test_without_prometheus_a_person_hears_what_is_missing(self):
        """V7.04: the remedy is called all the same; success is never claimed."""
        w = self.town()
        w.faults["prometheus"].set("refuse")
        w.until_away("prometheus")
        w.fire()
        w.until(lambda: w.functions.effects, "the remedy is called")
        incident = w.until_state("escalated", seconds=5)
        self.assertEqual(incident["verification"]["verdict"], "inconclusive")
        w.until(lambda: any("Prometheus is away" in c["body"] for c in w.linear.comments.values()), "the ticket says what is missing")
        self.assertEqual(w.agent.get("/dlq")[1]["dead_letters"], [])
        w.faults["prometheus"].set("pass")
        w.resolve()
        w.until_state("closed")

    def chaos(self, seed, alerts=24):
        """Several peers at once, in random ways, healed in random order, while alerts come in and the agent dies."""
        dice = random.Random(seed)
        w = self.town(alerts=alerts)
        ways = [f for f in FAULTS if f != "tls"]
        waiting = list(range(alerts))
        for _ in range(3):
            chosen = dice.sample(PEERS, dice.randint(2, len(PEERS)))
            for peer in chosen:
                w.faults[peer].set(dice.choice(ways))
            for _ in range(alerts // 3):
                w.send(self.alert(waiting.pop(0)))
            w.pass_time(dice.uniform(0.5, 4))
            if dice.random() < 0.5:
                w.agent.kill()
                w.agent.start()
                w.pass_time(dice.uniform(0.5, 2))
            for peer in dice.sample(chosen, len(chosen)):
                w.faults[peer].set("pass")
                w.pass_time(dice.uniform(0, 1))
        eventually(lambda: w.health()[1]["status"] == "ok", "all peers are back", patience=15)
        self.finish(w, alerts)

    def test_many_faults_at_once_healed_in_any_order_lose_and_double_nothing(self):
        seeds = [int(x) for x in os.environ.get("PARTITION_SEEDS", "1 2 3 4").split()]
        with ThreadPoolExecutor(4) as pool:
            cases = {seed: pool.submit(self.chaos, seed) for seed in seeds}
        for seed, case in cases.items():
            with self.subTest(seed=seed):
                case.result()

    def test_five_faults_at_once_do_not_slow_down_other_alerts(self):
        """Linear, Alertmanager and the trace collector are away in different ways, and one function hangs: an alert for
        another thing is remedied within seconds."""
        w = self.town(alerts=6, tracing={"endpoint": "http://127.0.0.1:9"})
        w.faults["linear"].set("silent")
        w.faults["alertmanager"].set("drop")
        w.faults["prometheus"].set("drip")
        for n in range(5):
            w.send(self.alert(n))
        for peer in ("linear", "alertmanager", "prometheus", "otlp"):
            w.until_away(peer)
        began = time.monotonic()
        w.send(self.alert(5))
        w.until(lambda: any(p["name"] == "shop-5" for _, p in w.functions.effects), "the sixth is called", seconds=0.05)
        self.assertLess(time.monotonic() - began, 5)
        for peer in PEERS:
            w.faults[peer].set("pass")
        eventually(lambda: all(not w.is_away(p) for p in PEERS), "all are back", patience=15)
        self.finish(w, 6)


if __name__ == "__main__":
    unittest.main()
