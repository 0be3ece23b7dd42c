"""A breaking change of the events' schema as people see it: a real Prometheus with deploy/alerts.yaml says that events
do not fit; the adapter is deployed with the command line; what was refused is replayed (SRE-013.8)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "../..")
sys.path.insert(0, os.path.join(HERE, ".."))
from harness import AGENT, Agent, event, eventually, post_event  # noqa: E402

sys.path.insert(0, os.path.join(ROOT, "demo"))
from stack import free_ports, get  # noqa: E402

TYPES = "io.homelab.prometheus.alert.*"


class Prometheus:
    def __init__(self, target):
        self.dir = tempfile.mkdtemp(prefix="agent-sre-prometheus-")
        port, = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        config = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                  "rule_files": [os.path.realpath(os.path.join(ROOT, "deploy/alerts.yaml"))],
                  "scrape_configs": [{"job_name": "agent-sre", "static_configs": [{"targets": [target]}]}]}
        with open(os.path.join(self.dir, "prometheus.yml"), "w") as f:
            json.dump(config, f)
        self.log = open(os.path.join(self.dir, "log"), "w")
        self.process = subprocess.Popen(["prometheus", "--config.file", f.name, "--storage.tsdb.path", os.path.join(self.dir, "tsdb"),
                                         "--web.listen-address", f"127.0.0.1:{port}"], stdout=self.log, stderr=self.log)
        eventually(lambda: get(self.url + "/-/ready"), "Prometheus is ready")

    def value(self, query):
        found = json.loads(get(f"{self.url}/api/v1/query?query={query}"))["data"]["result"]
        return sum(float(r["value"][1]) for r in found) if found else None

    def firing(self, name):
        alerts = json.loads(get(self.url + "/api/v1/alerts"))["data"]["alerts"]
        return [a["labels"] for a in alerts if a["labels"]["alertname"] == name and a["state"] == "firing"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class SchemaAlerts(unittest.TestCase):
    def setUp(self):
        self.agent = Agent({"prometheus": {"url": "http://127.0.0.1:9"}, "policy": {"mode": "shadow"}})
        self.addCleanup(self.agent.close)
        self.assertTrue(self.agent.start(), self.agent.stderr())
        self.prometheus = Prometheus(self.agent.url.split("//")[1])
        self.addCleanup(self.prometheus.close)

    def write(self, name, document):
        path = os.path.join(self.agent.dir, name)
        with open(path, "w") as f:
            json.dump(document, f)
        return path

    def command(self, *arguments):
        return subprocess.run([AGENT, *arguments, "--server", self.agent.url], capture_output=True, text=True)

    def test_a_breaking_change_from_the_alert_to_the_replay(self):
        body = event(event_id="new-1")
        body["dataschema"] = "https://schemas.homelab.com/alert/v3.0"
        body["data"]["alert"] = {"name": body["data"].pop("alertname")}
        eventually(lambda: self.prometheus.value("agent_sre_schema_validation_errors_total") == 0, "the counters are scraped")
        self.assertEqual(self.prometheus.firing("SchemaCompatibilityFailure"), [])
        self.assertEqual(post_event(self.agent.url, body)[0], 400)
        eventually(lambda: self.prometheus.firing("SchemaCompatibilityFailure"), "SchemaCompatibilityFailure fires")
        self.assertIn("schema_evolution", self.command("dlq", "list").stdout)
        adapter = self.write("v3.json", {"type": TYPES, "version": "v3.0", "breaking_changes": ["alertname is alert.name"], "adapters": {
            "v3.0->v1.0": [{"move": {"from": "/alert/name", "to": "/alertname"}}]}})
        added = self.command("schemas", "add", adapter)
        self.assertEqual(added.returncode, 0, added.stderr)
        replayed = self.command("dlq", "replay", "--all", "--category", "schema_evolution")
        self.assertEqual(replayed.returncode, 0, replayed.stdout + replayed.stderr)
        self.assertEqual([i["alertname"] for i in self.agent.incidents()], ["HighErrors"])
        self.assertEqual(self.agent.get("/dlq")[1]["dead_letters"], [])

    def test_a_deprecated_version_that_still_comes_is_reported_by_name(self):
        old = self.write("old.json", {"type": TYPES, "version": "v1.0", "deprecated": True})
        self.assertEqual(self.command("schemas", "add", old).returncode, 0)
        eventually(lambda: self.prometheus.value("agent_sre_schema_deprecated") == 2, "the notice is scraped")
        self.assertEqual(self.prometheus.firing("DeprecatedSchemaVersionInUse"), [])
        self.assertEqual(post_event(self.agent.url, event())[0], 200)
        found = eventually(lambda: self.prometheus.firing("DeprecatedSchemaVersionInUse"), "DeprecatedSchemaVersionInUse fires")
        self.assertEqual([(a["version"], a["type"]) for a in found], [("v1.0", "io.homelab.prometheus.alert.fired")])


if __name__ == "__main__":
    unittest.main()
