"""The whole loop with real Prometheus and Alertmanager (Debian packages): nothing here is a double but the shop."""
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../demo"))
from stack import RULES, Stack, wait_for  # noqa: E402

AGENT = os.environ["AGENT_SRE"]

TWO_PODS = """
groups:
  - name: pair
    interval: 1s
    rules:
      - alert: PairFailing
        expr: label_replace(shop_error_ratio, "pod", "shop-0", "", "") > 0.5 or label_replace(vector(1) and on() (vector(time()) < %d), "pod", "ghost-1", "", "") > 0.5
        labels: {severity: warning}
        annotations: {summary: 'Orders of {{ $labels.pod }} fail'}
"""


class LoopTest(unittest.TestCase):
    def stack(self, **kwargs):
        stack = Stack(AGENT, **kwargs)
        self.addCleanup(stack.close)
        return stack

    def closed(self, stack, which="latest"):
        return wait_for(lambda: (i := stack.api(f"/incidents/{which}"))["state"] == "closed" and i, f"{which} is closed", 90)

    def steps(self, incident):
        return [(r["step"], r["outcome"]) for r in incident["timeline"]]

    def test_firing_to_closed(self):
        stack = self.stack()
        stack.break_shop()
        wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
        incident = self.closed(stack)
        self.assertTrue(stack.shop_is_well())
        self.assertEqual(incident["verification"]["verdict"], "recovered")
        self.assertEqual(incident["resolved_by"], "event")
        self.assertIn(("remediate", "success"), self.steps(incident))
        ticket = wait_for(lambda: (t := stack.api("/tickets/SRE-1"))["state"] == "completed" and t, "the ticket is closed")
        self.assertEqual(ticket["title"], "[Alert] ShopOrdersFailing - shop-0")
        check = incident["verification"]["checks"][0]
        self.assertEqual((check["passed"], check["observed"], check["limit"]), (True, "0", "> 0.5"))
        self.assertEqual(incident["fingerprint"], self.alertmanager_fingerprint(stack, incident))

    def alertmanager_fingerprint(self, stack, incident):
        """Alertmanager's own, from its API; the alert is gone by now, so it is posted there once more."""
        import urllib.request
        body = json.dumps([{"labels": incident["labels"]}]).encode()
        call = urllib.request.Request(stack.alertmanager + "/api/v2/alerts", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(call, timeout=5).read()
        from stack import get
        return wait_for(lambda: next((a["fingerprint"] for a in json.loads(get(stack.alertmanager + "/api/v2/alerts"))
                                      if a["labels"] == incident["labels"]), None), "the alert is listed")

    def test_repeats_do_not_make_a_second_incident(self):
        stack = self.stack(repeat="1s", settings={"policy": {"mode": "supervised"}})
        stack.break_shop()
        wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
        time.sleep(5)
        incidents = stack.api("/incidents")["incidents"]
        self.assertEqual((len(incidents), incidents[0]["state"]), (1, "approval"))
        result = subprocess.run([AGENT, "approve", "INC-1", "--server", stack.agent], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.closed(stack)
        self.assertTrue(stack.shop_is_well())
        self.assertEqual(len(stack.api("/incidents")["incidents"]), 1)

    def test_the_agent_may_die_in_the_middle(self):
        stack = self.stack()
        stack.break_shop()
        wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
        stack.kill_agent()
        stack.start_agent()
        incident = self.closed(stack)
        self.assertTrue(stack.shop_is_well())
        self.assertEqual(incident["verification"]["verdict"], "recovered")
        self.assertEqual(len(stack.api("/incidents")["incidents"]), 1)

    def test_alertmanager_delivers_again_what_a_dead_agent_missed(self):
        stack = self.stack(start_agent=False)
        stack.break_shop()
        wait_for(lambda: stack.query('ALERTS{alertstate="firing"}'), "Prometheus fires")
        time.sleep(2)
        stack.start_agent()
        self.closed(stack)
        self.assertTrue(stack.shop_is_well())

    def test_a_group_of_two_stays_two_incidents_and_each_closes(self):
        stack = self.stack(rules=TWO_PODS % (time.time() + 12))
        stack.break_shop()
        wait_for(lambda: len(stack.api("/incidents")["incidents"]) == 2, "both alerts arrive", 30)
        resources = sorted(i["resource"] for i in stack.api("/incidents")["incidents"])
        self.assertEqual(resources, ["ghost-1", "shop-0"])
        ghost = next(i["id"] for i in stack.api("/incidents")["incidents"] if i["resource"] == "ghost-1")
        other = next(i["id"] for i in stack.api("/incidents")["incidents"] if i["resource"] == "shop-0")
        self.closed(stack, ghost)  # resolves by time, while the other one goes on firing: a mixed group
        self.assertEqual(stack.api(f"/incidents/{other}")["state"], "escalated")

    def test_without_resolved_events_polling_closes(self):
        stack = self.stack(settings={"verify": {"first": "1s", "budget": "1m", "resolve_poll": "2s"}})
        config = json.load(open(stack.path("alertmanager.yml")))
        config["receivers"][0]["webhook_configs"][0]["send_resolved"] = False
        stack.write("alertmanager.yml", config)
        stack.processes["alertmanager"].send_signal(1)
        time.sleep(0.5)
        stack.break_shop()
        wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
        self.assertIn(self.closed(stack)["resolved_by"], ("prometheus", "alertmanager"))

    def test_doctor_finds_everything_well(self):
        stack = self.stack()
        result = subprocess.run([AGENT, "doctor", "--config", stack.path("agent-sre.yaml"), "--json"], capture_output=True, text=True)
        findings = {f["check"]: f for f in json.loads(result.stdout)}
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for check in ("configuration", "store", "prometheus", "alertmanager", "tracker", "function pod-restart"):
            self.assertEqual(findings[check]["result"], "ok", findings[check])
        self.assertIn("2.", findings["prometheus"]["detail"])

    def test_our_metrics_are_valid_and_scrapable(self):
        stack = self.stack()
        stack.break_shop()
        wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
        self.closed(stack)
        from stack import get
        text = get(stack.agent + "/metrics")
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertNotIn("error", check.stderr.lower())
        for name in ("agent_sre_cloudevents_received_total", "agent_sre_remediation_attempts_total", "agent_sre_remediation_duration_seconds_bucket",
                     "agent_sre_active_remediations", "agent_sre_workflow_duration_seconds_bucket", "agent_sre_workflow_success_total 1",
                     "agent_sre_workflow_failure_total", "agent_sre_alert_to_issue_seconds_count 1", "agent_sre_remediation_success_rate 1",
                     "agent_sre_alert_to_execution_seconds_count 1", "agent_sre_alert_to_close_seconds_count 1", "agent_sre_step_duration_seconds_bucket"):
            self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
