"""The real CloudEvents SDK for Python sends to our intake in all three modes."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Agent, eventually, request  # noqa: E402

from cloudevents.http import CloudEvent, to_binary, to_json, to_structured  # noqa: E402


def alert(pod, status="firing"):
    attributes = {"type": "io.homelab.prometheus.alert." + ("fired" if status == "firing" else "resolved"), "source": "prometheus-events",
                  "id": f"sdk-{pod}-{status}", "subject": "Überlauf der Pufferdatei", "time": "2026-01-15T10:45:00Z"}
    return CloudEvent(attributes, {"alertname": "SdkTest", "status": status, "labels": {"alertname": "SdkTest", "pod": pod, "ort": "Köln € 😀"},
                                   "annotations": {}, "startsAt": "2026-01-15T10:40:00Z", "endsAt": None})


class SdkTest(unittest.TestCase):
    def setUp(self):
        self.agent = Agent({"prometheus": {"url": "http://127.0.0.1:1"}})
        self.addCleanup(self.agent.close)
        self.assertTrue(self.agent.start(), self.agent.stderr())

    def incident(self, pod):
        found = [i for i in self.agent.incidents() if i["resource"] == pod]
        self.assertEqual(len(found), 1)
        whole = self.agent.incident(found[0]["id"])
        self.assertEqual(whole["labels"]["ort"], "Köln € 😀")
        return whole

    def test_structured(self):
        headers, body = to_structured(alert("s"))
        self.assertEqual(request(self.agent.url, "POST", body, headers)[0], 200)
        self.assertEqual(self.incident("s")["event_id"], "sdk-s-firing")

    def test_binary(self):
        headers, body = to_binary(alert("b"))
        headers = {k: v.encode().decode("latin-1") if k == "ce-subject" else v for k, v in headers.items()}
        headers.setdefault("content-type", "application/json")
        self.assertEqual(request(self.agent.url, "POST", body, headers)[0], 200)
        self.assertEqual(self.incident("b")["event_id"], "sdk-b-firing")

    def test_batch(self):
        body = json.dumps([json.loads(to_json(alert(p))) for p in ("x", "y")]).encode()
        code, reply = request(self.agent.url, "POST", body, {"Content-Type": "application/cloudevents-batch+json"})
        self.assertEqual((code, [e["status"] for e in reply["events"]]), (200, ["processed"] * 2))
        self.incident("x")
        self.incident("y")

    def test_resolved(self):
        for status in ("firing", "resolved"):
            headers, body = to_structured(alert("r", status))
            self.assertEqual(request(self.agent.url, "POST", body, headers)[0], 200)
        eventually(lambda: self.incident("r")["state"] == "closed", "closed")


if __name__ == "__main__":
    unittest.main()
