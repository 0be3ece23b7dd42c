"""The converter: Alertmanager's webhook in, structured CloudEvents out, success only when the sink has them."""
import json
import os
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import AGENT, request  # noqa: E402

from http_double import Double, Reply  # noqa: E402

KEYS = ["alertname", "status", "severity", "labels", "annotations", "commonLabels", "commonAnnotations", "startsAt", "endsAt",
        "generatorURL", "receiver", "version"]


class Sink(Double):
    def answer(self, request):
        return Reply(202, b"")


def alert(pod, status="firing", **labels):
    return {"status": status, "labels": {"alertname": "HighErrors", "pod": pod, **labels}, "annotations": {"summary": pod},
            "startsAt": "2026-01-15T10:40:00.123Z", "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-15T10:45:00Z",
            "generatorURL": "http://prometheus/graph?x", "fingerprint": "0000000000000000"}


def webhook(*alerts, status="firing"):
    return {"version": "4", "status": status, "receiver": "team", "groupKey": "{}:{}", "groupLabels": {"a": "b"}, "commonLabels": {"c": "d"},
            "commonAnnotations": {"e": "f"}, "externalURL": "http://alertmanager", "truncatedAlerts": 3, "alerts": list(alerts)}


class ForwardTest(unittest.TestCase):
    def setUp(self):
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        self.process = subprocess.Popen([AGENT, "forward", "--sink", self.sink.url + "/broker", "--listen", "127.0.0.1:0"],
                                        stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def end(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(40), 0)

    def send(self, body):
        return request(self.url + "/webhook", "POST", body, {"Content-Type": "application/json"}, timeout=40)

    def test_each_alert_becomes_one_event_with_its_own_status(self):
        code, reply = self.send(webhook(alert("a"), alert("b", "resolved", severity="critical", prometheus_rule="r")))
        self.assertEqual((code, reply["status"], reply["events_published"], len(reply["events"])), (200, "success", 2, 2))
        events = {e["data"]["labels"]["pod"]: e for e in (r.json() for r in self.sink.requests)}
        self.assertEqual(events["a"]["type"], "io.homelab.prometheus.alert.fired")
        self.assertEqual(events["b"]["type"], "io.homelab.prometheus.alert.resolved")
        for name in "ab":
            e = events[name]
            self.assertEqual((e["specversion"], e["source"], e["subject"]), ("1.0", "prometheus/alertmanager/team", "HighErrors"))
            for key in KEYS + ["fingerprint", "groupKey", "groupLabels", "externalURL", "truncatedAlerts"]:
                self.assertIn(key, e["data"])
        self.assertEqual((events["a"]["data"]["severity"], events["b"]["data"]["severity"]), ("warning", "critical"))
        self.assertEqual((events["a"]["data"]["endsAt"], events["b"]["data"]["endsAt"]), (None, "2026-01-15T10:45:00Z"))
        self.assertEqual((events["b"]["data"]["prometheusRule"], "prometheusRule" in events["a"]["data"]), ("r", False))
        self.assertEqual(events["a"]["data"]["startsAt"], "2026-01-15T10:40:00.123Z")
        for r in self.sink.requests:
            self.assertIn("application/cloudevents+json", r.headers["Content-Type"])
            self.assertEqual(r.headers["X-Correlation-ID"], r.json()["id"])

    def test_a_repeat_has_the_same_ids(self):
        ids = [self.send(webhook(alert("a"), alert("b")))[1]["events"] for _ in range(2)]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(len({e["id"] for e in ids[0]}), 2)

    def test_a_sink_that_does_not_take_everything_is_a_5xx(self):
        for fault in (("status", 500), ("status", 429), ("status", 400), "reset", "lost"):
            with self.subTest(fault):
                self.sink.fault_forever = fault
                self.assertGreaterEqual(self.send(webhook(alert("a"), alert("b")))[0], 500)
        self.sink.fault_forever = None
        self.assertEqual(self.send(webhook(alert("a")))[0], 200)

    def test_a_thousand_alerts_go_over_few_connections(self):
        peers = set()
        inner = self.sink.answer
        self.sink.answer = lambda r: (peers.add(threading.get_ident()), inner(r))[1]
        code, reply = self.send(webhook(*[alert(f"p{n}") for n in range(1000)]))
        self.assertEqual((code, reply["events_published"]), (200, 1000))
        self.assertEqual(len({r.json()["id"] for r in self.sink.requests}), 1000)
        self.assertLess(len(peers), 200)

    def test_bad_payloads_are_400(self):
        for body in (b"{", b"[]", {"alerts": 5}, {"version": "3", "alerts": []}):
            code, reply = self.send(body)
            self.assertEqual((code, reply["detail"]), (400, "Invalid JSON payload"))

    def test_health_says_nothing_about_the_sink(self):
        self.assertEqual(request(self.url + "/health"), (200, {"status": "healthy"}))
        code, body = request(self.url + "/")
        self.assertEqual((code, body["service"], body["endpoints"]["webhook"]), (200, "prometheus-events", "/webhook"))
        self.assertEqual(request(self.url + "/metrics")[0], 200)


if __name__ == "__main__":
    unittest.main()
