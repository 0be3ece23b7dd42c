"""The agent's alerts about itself, with a real Alertmanager that sends them back to the agent's webhook; and the same
rules for Prometheus."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
sys.path.insert(0, os.path.join(HERE, ".."))
from harness import Agent, event, eventually, post_event, request  # noqa: E402

sys.path.insert(0, os.path.join(ROOT, "demo"))
from stack import alertmanager_config, free_ports, get  # noqa: E402


class Alertmanager:
    def __init__(self, port, webhook):
        self.dir = tempfile.mkdtemp(prefix="agent-sre-alertmanager-")
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(os.path.join(self.dir, "log"), "w")
        with open(os.path.join(self.dir, "config.yml"), "w") as f:
            json.dump(alertmanager_config(webhook, "1s"), f)
        self.command = ["prometheus-alertmanager", "--config.file", f.name, "--storage.path", os.path.join(self.dir, "data"),
                        "--web.listen-address", f"127.0.0.1:{port}", "--cluster.listen-address="]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        eventually(lambda: get(self.url + "/-/ready"), "Alertmanager is ready")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def alerts(self, name=None):
        found = json.loads(get(self.url + "/api/v2/alerts"))
        return [a for a in found if name is None or a["labels"]["alertname"] == name]


class SelfAlerts(unittest.TestCase):
    def setUp(self):
        port, agent_port = free_ports(2)
        # what answers as Prometheus knows nothing; but it is there
        self.agent = Agent({"prometheus": {"url": f"http://127.0.0.1:{port}"}, "policy": {"mode": "shadow"},
                            "alertmanager": {"url": f"http://127.0.0.1:{port}"}})
        self.addCleanup(self.agent.close)
        self.alertmanager = Alertmanager(port, f"http://127.0.0.1:{agent_port}/webhook")
        self.addCleanup(self.alertmanager.close)
        self.listen = f"127.0.0.1:{agent_port}"

    def begin(self, alertmanager=True):
        if alertmanager:
            self.alertmanager.start()
        self.agent.start(listen=self.listen)

    def bury(self, count, start=0):
        """Dead letters, 1000 with one request."""
        for begin in range(start, start + count, 1000):
            bad = [event(event_id=f"bad-{n}", status="odd") for n in range(begin, min(begin + 1000, start + count))]
            code, _ = request(self.agent.url + "/", "POST", bad, {"Content-Type": "application/cloudevents-batch+json"})
            self.assertEqual(code, 400)

    def raised(self, name, severity):
        return eventually(lambda: [a for a in self.alertmanager.alerts(name) if a["labels"]["severity"] == severity],
                          f"{name} ({severity}) is raised", pause=0.1)[0]

    def test_each_arrives_within_ten_seconds(self):
        self.begin()
        time.sleep(2)  # a quiet agent raises nothing
        self.assertEqual(self.alertmanager.alerts(), [])
        began = time.monotonic()
        self.bury(1001)
        for name in ("PoisonMessageDetected", "DLQGrowingRapidly", "DLQAboveThreshold", "HighEventFailureRate"):
            self.raised(name, "warning")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(len(self.alertmanager.alerts("DLQAboveThreshold")), 1, "not critical yet")
        began = time.monotonic()
        self.bury(9000, 1001)
        critical = self.raised("DLQAboveThreshold", "critical")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(critical["labels"]["service"], "agent-sre")
        self.assertEqual(critical["annotations"]["description"], "10001, and the limit is 10000")

    def test_what_comes_back_is_one_incident_and_no_loop(self):
        self.begin()
        self.bury(1)
        self.raised("PoisonMessageDetected", "warning")
        self.raised("SchemaCompatibilityFailure", "critical")
        eventually(lambda: len(self.agent.incidents()) == 2, "both came back by the webhook")
        time.sleep(10)  # Alertmanager repeats them every second
        both = ["PoisonMessageDetected", "SchemaCompatibilityFailure"]
        self.assertEqual(sorted(i["alertname"] for i in self.agent.incidents()), both)
        self.assertEqual(sorted(a["labels"]["alertname"] for a in self.alertmanager.alerts()), both)
        self.assertEqual(len(self.agent.get("/dlq")[1]["dead_letters"]), 1)

    def test_it_ends_when_the_reason_is_gone(self):
        self.begin()
        self.bury(1001)
        raised = self.raised("DLQAboveThreshold", "warning")
        self.assertGreater(raised["endsAt"], raised["startsAt"], "should the agent die, Alertmanager ends it")
        code, reply = request(self.agent.url + "/dlq/archive", "POST", {"filter": {"category": "validation_failure"}},
                              {"Content-Type": "application/json"}, 60)
        self.assertEqual((code, reply["archived"]), (200, 1000))
        eventually(lambda: not self.alertmanager.alerts("DLQAboveThreshold"), "the alert is over", pause=0.5)
        incident = next(i["id"] for i in self.agent.incidents() if i["alertname"] == "DLQAboveThreshold")
        eventually(lambda: self.agent.incident(incident)["state"] == "closed", "its incident is closed")

    def test_an_alertmanager_that_is_away_gets_it_later(self):
        self.begin(alertmanager=False)
        self.bury(11)
        eventually(lambda: any('"self_alert_not_sent"' in line for line in self.agent.lines), "the agent tries")
        time.sleep(5)
        self.assertEqual(self.agent.metric('self_alert_firing{alertname="DLQGrowingRapidly"'), 1)
        self.assertEqual(sum('"self_alert_not_sent"' in line for line in self.agent.lines), 1, "said once")
        self.alertmanager.start()
        began = time.monotonic()
        self.raised("DLQGrowingRapidly", "warning")
        self.assertLess(time.monotonic() - began, 10)

    def test_duplicates_order_keys_and_partitions_raise_theirs(self):
        self.begin()
        for n in range(30):
            post_event(self.agent.url, event(alertname=f"A{n % 15}", event_id=f"e{n % 15}"))
        for sequence in ("7", "3"):
            body = {**event(alertname="S", event_id=f"s{sequence}"), "partitionkey": "k", "sequence": sequence}
            self.assertEqual(post_event(self.agent.url, body)[0], 200)
        self.assertEqual(post_event(self.agent.url, event(event_id="1; drop table event"))[0], 400)
        for name in ("DuplicateEventProcessing", "EventOrderViolation", "IdempotencyKeyRejected"):
            self.raised(name, "warning")
        self.agent.stop()
        with open(self.agent.config) as f:
            settings = json.load(f)
        settings["prometheus"]["url"] = "http://127.0.0.1:9"
        with open(self.agent.config, "w") as f:
            json.dump(settings, f)
        self.agent.start(listen=self.listen)
        self.raised("NetworkPartitionDetected", "critical")

    def test_good_events_raise_nothing(self):
        self.begin()
        for n in range(50):
            self.assertEqual(post_event(self.agent.url, event(alertname=f"A{n}"))[0], 200)
        time.sleep(3)
        self.assertEqual(self.alertmanager.alerts(), [])


class Rules(unittest.TestCase):
    def test_promtool_accepts_the_rules_and_they_fire_at_their_limits(self):
        for words in (["check", "rules", os.path.join(ROOT, "deploy/alerts.yaml")],
                      ["test", "rules", os.path.join(HERE, "alerts_test.yaml")]):
            result = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_what_the_agent_raises_stands_in_the_rules_too(self):
        with open(os.path.join(ROOT, "src/daemon/alarm.h")) as f:
            mine = set(re.findall(r'A\((\w+), "(\w+)"', f.read()))
        with open(os.path.join(ROOT, "deploy/alerts.yaml")) as f:
            theirs = set(re.findall(r"- alert: (\w+)\n(?:(?!- alert).)*?severity: (\w+)", f.read(), re.S))
        self.assertGreaterEqual(len(mine), 5)
        self.assertLessEqual(mine, theirs)

    def test_rules_and_dashboards_ask_for_metrics_that_there_are(self):
        with open(os.path.join(ROOT, "src/base/metrics.h")) as f:
            there = set(re.findall(r'M\(\w+, \w+, "(\w+)"', f.read()))
        paths = ["deploy/alerts.yaml"] + sorted(glob.glob("deploy/dashboards/*.json", root_dir=ROOT))
        self.assertGreaterEqual(len(paths), 2)
        for path in paths:
            with open(os.path.join(ROOT, path)) as f:
                asked = set(re.findall(r"agent_sre_(\w+?)(?:_bucket|_sum|_count)?\b", f.read()))
            self.assertLessEqual(asked, there, path)
            self.assertGreater(len(asked), 3, path)


if __name__ == "__main__":
    unittest.main()
