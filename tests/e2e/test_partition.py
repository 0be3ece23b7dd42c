"""Partitions in real time. In a network namespace of its own the agent is cut off by the kernel: packets that are
dropped on their way there or back, refused, a cable that is pulled, names that are gone. And how soon it is known."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../bench"), os.path.join(HERE, "../scenario"), os.path.join(HERE, "..")]
from partition import cut_and_heal  # noqa: E402
from test_partitions import PEERS, Faults, Town, eventually  # noqa: E402

HOST = "pod-restart.ai.svc.cluster.local"
SEEN_WITHIN_S = 10  # SRE-012.1 and .4


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


class Island:
    """A network namespace with one cable to us. Raises OSError or CalledProcessError where that is not possible."""

    def __init__(self):
        self.name = f"agent-sre-{os.getpid()}"
        number = os.getpid() % 250
        self.ours, self.theirs = f"10.213.{number}.1", f"10.213.{number}.2"
        self.cable = f"asre{os.getpid() % 100000}"
        self.etc = os.path.join("/etc/netns", self.name)
        for tool in ("ip", "nft"):
            if shutil.which(tool) is None:
                raise OSError(f"{tool} is not installed")
        run("ip", "netns", "add", self.name)
        try:
            run("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "cable", "netns", self.name)
            run("ip", "addr", "add", self.ours + "/24", "dev", self.cable)
            run("ip", "link", "set", self.cable, "up")
            self.inside("ip", "addr", "add", self.theirs + "/24", "dev", "cable")
            self.inside("ip", "link", "set", "cable", "up")
            self.inside("ip", "link", "set", "lo", "up")
            self.inside("nft", "add table inet cut; add chain inet cut out { type filter hook output priority 0; };"
                        "add chain inet cut in { type filter hook input priority 0; }")
            os.makedirs(self.etc)
            self.write_hosts(True)
            with open(os.path.join(self.etc, "resolv.conf"), "w") as f:
                f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")  # nobody is there
        except BaseException:
            self.close()
            raise

    def write_hosts(self, with_peers):
        """In place: the namespace sees this very file."""
        with open(os.path.join(self.etc, "hosts"), "w") as f:
            f.write("127.0.0.1 localhost\n" + (f"{self.ours} peers.test {HOST}\n" if with_peers else ""))

    def inside(self, *command):
        run("ip", "netns", "exec", self.name, *command)

    def close(self):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        subprocess.run(["ip", "link", "del", self.cable], capture_output=True)
        shutil.rmtree(self.etc, ignore_errors=True)

    # ways to cut off a port of ours, or all of them

    def drop_out(self, port):
        self.inside("nft", f"add rule inet cut out tcp dport {port} drop")

    def drop_in(self, port):
        """Requests arrive, replies do not."""
        self.inside("nft", f"add rule inet cut in tcp sport {port} drop")

    def reject(self, port):
        self.inside("nft", f"add rule inet cut out tcp dport {port} reject with tcp reset")

    def unreachable(self, port):
        self.inside("nft", f"add rule inet cut out tcp dport {port} reject with icmpx type admin-prohibited")

    def heal(self):
        self.inside("nft", "flush chain inet cut out; flush chain inet cut in")


class IslandTown(Town):
    """The agent on the island, everybody else with us."""

    def __init__(self, island):
        self.island = island
        super().__init__(verify={"first": "200ms", "budget": "2m", "resolve_poll": "500ms"},
                         allow_plaintext_peers=["peers.test"], tls={"allow_plaintext": True}, auth={"allow_anonymous": True})
        self.agent.prefix = ["ip", "netns", "exec", island.name]
        for name, one in list(self.faults.items()):
            one.close()
            self.faults[name] = Faults(one.peer, host=island.ours)
        url = {name: f"http://peers.test:{f.port}" for name, f in self.faults.items()}
        s = self.settings
        s["prometheus"]["url"], s["alertmanager"]["url"] = url["prometheus"], url["alertmanager"]
        s["linear"]["url"] = url["linear"] + "/graphql"
        s["functions"]["gateway"] = url["function"][len("http://"):]
        with open(self.agent.config, "w") as f:
            json.dump(s, f)

    def start(self):
        self.agent.start(listen=f"{self.island.theirs}:0")
        self.agent.url = self.agent.url.replace("127.0.0.1", self.island.theirs)

    def revive(self):
        assert self.agent.alive(), self.agent.stderr()


class IslandTest(unittest.TestCase):
    def setUp(self):
        try:
            self.island = Island()
        except (OSError, subprocess.CalledProcessError) as e:
            said = getattr(e, "stderr", b"") or b""
            raise unittest.SkipTest(f"no network namespaces here: {e} {said.decode(errors='replace').strip()}") from None
        self.addCleanup(self.island.close)

    def cut_off(self, cut, heal, peers, reachable=True):
        """An alert while `peers` are away; returns how long each verdict took."""
        w = IslandTown(self.island)
        self.addCleanup(w.close)
        w.fault()
        w.start()
        eventually(w.all_known, "all peers were seen")
        ports = {peer: w.faults[peer].port for peer in peers}
        began = time.monotonic()
        cut(ports)
        if reachable:
            self.assertEqual(w.fire()[0], 200)
            eventually(lambda: all(w.is_away(p) for p in peers), f"{peers} are away", patience=SEEN_WITHIN_S)
        else:
            time.sleep(4)
        away = time.monotonic() - began
        time.sleep(1.5)
        began = time.monotonic()
        heal()
        eventually(lambda: w.health()[1]["status"] == "ok", "all are back", patience=SEEN_WITHIN_S)
        back = time.monotonic() - began
        if not reachable:
            self.assertEqual(w.fire()[0], 200)
        w.until(lambda: (w.agent.incident() or {}).get("state") in ("recovered", "closed"), "an end")  # peers may say so first
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        w.check_nothing_lost_or_doubled(self)
        if reachable:
            rows = w.agent.get("/partitions")[1]["partitions"]
            self.assertEqual({r["component"] for r in rows}, set(peers))
        print(f"# away after {away:.1f} s, back after {back:.1f} s", flush=True)

    def cut_each(self, way):
        return lambda ports: [way(port) for port in ports.values()]

    def test_packets_dropped_on_the_way_there(self):
        self.cut_off(self.cut_each(self.island.drop_out), self.island.heal, PEERS)

    def test_packets_dropped_on_the_way_back_only(self):
        self.cut_off(self.cut_each(self.island.drop_in), self.island.heal, PEERS)

    def test_connections_refused(self):
        self.cut_off(self.cut_each(self.island.reject), self.island.heal, PEERS)

    def test_a_router_that_says_unreachable(self):
        self.cut_off(self.cut_each(self.island.unreachable), self.island.heal, ("prometheus", "linear"))

    def test_one_peer_alone_is_cut_off(self):
        self.cut_off(self.cut_each(self.island.drop_out), self.island.heal, ("function",))

    def test_a_function_without_gateway_is_watched_by_its_own_host(self):
        w = IslandTown(self.island)
        self.addCleanup(w.close)
        host = Faults(w.functions.port, host=self.island.ours, at=80)
        self.addCleanup(host.close)
        del w.settings["functions"]["gateway"]
        w.settings["allow_plaintext_peers"].append("*.svc.cluster.local")
        with open(w.agent.config, "w") as f:
            json.dump(w.settings, f)
        w.fault()
        w.start()
        eventually(w.all_known, "all peers were seen")
        self.island.drop_out(80)
        w.fire()
        rows = eventually(lambda: w.agent.get("/partitions")[1]["partitions"], "the host is away", patience=20)
        self.assertEqual([(r["component"], r["peer"], r["kind"]) for r in rows], [("function", f"function:{HOST}", "unreachable")])
        self.assertNotIn(HOST, json.dumps(w.health()[1]), "who can be called is nobody's business")
        self.assertEqual(w.functions.calls(), [])
        self.island.heal()
        w.until(lambda: (w.agent.incident() or {}).get("state") in ("recovered", "closed"), "an end")
        w.resolve()
        w.until_state("closed")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        w.check_nothing_lost_or_doubled(self)
        heads = [r for r in w.functions.requests if r.method != "POST"]
        self.assertEqual(heads, [], "a function's host is only connected to")

    def test_names_that_are_gone(self):
        self.cut_off(lambda ports: self.island.write_hosts(False), lambda: self.island.write_hosts(True), PEERS)

    def test_a_cable_that_is_pulled_and_put_back(self):
        self.cut_off(lambda ports: run("ip", "link", "set", self.island.cable, "down"),
                     lambda: run("ip", "link", "set", self.island.cable, "up"), PEERS, reachable=False)


RULE_TESTS = """
rule_files: [%s]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - {series: 'agent_sre_partition_active{component="linear", instance="a"}', values: '0 0 1 1 0 0'}
      - {series: 'agent_sre_partition_active{component="prometheus", instance="a"}', values: '0 0 0 0 0 0'}
      - {series: 'agent_sre_leader{instance="a"}', values: '1 1 1 1 1 1 1 1 1 1'}
      - {series: 'agent_sre_leader{instance="b"}', values: '_ _ _ _ 1 1 1 1 1 1'}
    alert_rule_test:
      - {eval_time: 15s, alertname: NetworkPartitionDetected, exp_alerts: []}
      - eval_time: 30s
        alertname: NetworkPartitionDetected
        exp_alerts:
          - exp_labels: {component: linear, severity: critical}
            exp_annotations: {summary: "agent-sre cannot reach linear; what needs it waits, look at GET /partitions"}
      - {eval_time: 60s, alertname: NetworkPartitionDetected, exp_alerts: []}
      - {eval_time: 90s, alertname: SplitBrainDetected, exp_alerts: []}
      - eval_time: 135s
        alertname: SplitBrainDetected
        exp_alerts:
          - exp_labels: {severity: critical}
            exp_annotations:
              summary: More than one agent-sre holds a store; if they share one directory over a network file system, stop all but one
"""


class AlertTest(unittest.TestCase):
    def test_prometheus_raises_the_alerts_and_takes_them_back(self):
        rules = os.path.abspath(os.path.join(HERE, "../../deploy/alerts.yaml"))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(RULE_TESTS % rules)
            f.flush()
            for command in (["promtool", "check", "rules", rules], ["promtool", "test", "rules", f.name]):
                done = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class TimeTest(unittest.TestCase):
    def test_a_partition_is_known_within_ten_seconds_and_so_is_its_end(self):
        """The short version of bench/partition.py."""
        w = Town()
        self.addCleanup(w.close)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        eventually(w.all_known, "all peers were seen")
        for peer, fault in (("prometheus", "refuse"), ("linear", "silent"), ("function", "drop"), ("alertmanager", "one-way")):
            away, back = cut_and_heal(w, peer, fault)
            print(f"# {peer} {fault}: away after {away:.1f} s, back after {back:.1f} s", flush=True)
            self.assertLess(away, SEEN_WITHIN_S)
            self.assertLess(back, SEEN_WITHIN_S)


if __name__ == "__main__":
    unittest.main()
