"""Every peer, cut off in every way: nothing is lost, nothing happens twice, nothing needs a hand (SRE-012, V7.02-V7.05,
V7.08). The agent and its clock are the testing build's; the faults are real ones, on real sockets."""
import json
import os
import random
import tempfile
import threading
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
        return all(p["state"] == "ok" for p in self.health()[1]["peers"].values())

    def pass_time(self, seconds):
        """As fast as it really passes: the faults are real, and so are the looks at the peers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick(0.1)
            time.sleep(0.1)

    def until_away(self, peer, patience=10):
        eventually(lambda: self.is_away(peer), f"{peer} is away", patience=patience, pause=0.1, each=lambda: self.tick(0.1))

    def check_nothing_lost_or_doubled(self, test, alerts=1):
        test.assertEqual(len(self.functions.effects), alerts)
        test.assertEqual([k for k, _ in self.linear.creations].count("issue"), alerts)
        for issue in self.linear.issues.values():
            test.assertEqual([c["body"].split("\n")[0] for c in issue["comments"]], HEADS)
        test.assertEqual(sorted(self.linear.changes), sorted((i, "state-completed-4") for i in self.linear.issues))
        test.assertEqual(self.agent.get("/dlq")[1]["dead_letters"], [])
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

if __name__ == "__main__":
    unittest.main()
