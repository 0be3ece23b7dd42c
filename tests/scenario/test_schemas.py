"""Schema evolution (SRE-013) in the running agent: what breaks first, what is deployed then, and that nothing is lost."""
import json
import os
import signal
import subprocess
import unittest

from world import LABELS, World, event, eventually, post_event, request

from harness import AGENT  # noqa: E402

FIRED = "io.homelab.prometheus.alert.fired"
TYPES = "io.homelab.prometheus.alert.*"
AT = "https://schemas.homelab.com/alert/"
BACK = [{"rename": {"path": "/alert_name", "to": "alertname"}}]
V3 = {"type": TYPES, "version": "v3.0", "breaking_changes": ["alert_name is alert.name"],
      "schema": {"type": "object", "required": ["status", "alert"],
                 "properties": {"alert": {"type": "object", "required": ["name"]}}}}
V3_ADAPTER = {"v3.0->v2.0": [{"move": {"from": "/alert/name", "to": "/alert_name"}}, {"drop": "/alert"}]}


def versioned(version, n, **data):
    """An alert of its own, as a producer of that version writes it."""
    body = event(labels={**LABELS, "pod": f"{version}-{n}"}, event_id=f"{version}-{n}", **data)
    del body["data"]["labels"]["alertname"]
    name = body["data"].pop("alertname")
    if version == "v3.0":
        body["data"]["alert"] = {"name": name}
    else:
        body["data"]["alert_name" if version == "v2.0" else "alertname"] = name
    body["dataschema"] = AT + version
    return body


class SchemasTest(unittest.TestCase):
    def world(self, **more):
        w = World(**more)
        self.addCleanup(w.close)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def letters(self, w, **query):
        path = "/dlq?" + "&".join(f"{k}={v}" for k, v in query.items())
        return w.agent.get(path)[1]["dead_letters"]

    def add(self, w, *documents):
        return request(w.agent.url + "/schemas?by=tester", "POST", list(documents))

    def version(self, w, version, kind=FIRED):
        found = [v for v in w.agent.get("/schemas")[1]["versions"] if (v["version"], v["type"]) == (version, kind)]
        return found[0] if found else None

    def errors(self, w, version):
        return w.agent.metric(f'schema_validation_errors_total{{type="{FIRED}",version="{version}"}}')

    def test_a_breaking_change_fails_first_then_its_adapter_is_deployed_and_the_refused_are_replayed(self):
        w = self.world()
        self.assertEqual(self.errors(w, "unknown"), 0)
        for n in range(3):
            code, reply = post_event(w.agent.url, versioned("v3.0", n))
            self.assertEqual(code, 400)
            self.assertIn("unknown schema version", reply["detail"])
        self.assertEqual(post_event(w.agent.url, versioned("v1.0", 0))[0], 200)
        # what SchemaCompatibilityFailure looks at
        self.assertEqual(self.errors(w, "unknown"), 3)
        self.assertEqual(w.agent.metric('dlq_events_total{reason="schema",category="schema_evolution"}'), 3)
        letters = self.letters(w, category="schema_evolution")
        self.assertEqual({(d["event_id"], d["attempts"], d["permanence"]) for d in letters},
                         {(f"v3.0-{n}", 1, "permanent") for n in range(3)})
        # a breaking version without adapter is not activated
        code, reply = self.add(w, V3)
        self.assertEqual(code, 400)
        self.assertIn("has no adapter", reply["error"])
        self.assertIsNone(self.version(w, "v3.0"))
        # with it the refused ones go through, and so do all versions from now on
        self.assertEqual(self.add(w, {**V3, "adapters": V3_ADAPTER})[0], 200)
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)  # its sender did not give up
        code, result = request(w.agent.url + "/dlq/replay", "POST", {"category": "schema_evolution"})
        self.assertEqual((code, result["succeeded"], result["failed"], result["done"]), (200, 3, 0, True))
        self.assertEqual([r["outcome"] for r in result["results"]], ["duplicate", "opened", "opened"])
        self.assertEqual(self.letters(w), [])
        for version in ("v1.0", "v1.1", "v2.0", "v3.0"):
            self.assertEqual(post_event(w.agent.url, versioned(version, 7))[0], 200)
        names = {i["alertname"] for i in w.agent.incidents()}
        self.assertEqual((names, len(w.agent.incidents())), ({"HighErrors"}, 8))
        self.assertEqual(w.agent.metric('schema_transforms_total{from="v3.0",to="v1.0",outcome="success"}'), 5)

    def test_a_version_activated_by_force_fails_until_its_adapter_comes(self):
        w = self.world()
        self.assertEqual(post_event(w.agent.url, versioned("v2.0", 0))[0], 200)
        gone = {"type": TYPES, "version": "v2.0", "adapters": {"v2.0->v1.0": None}}
        self.assertEqual(self.add(w, gone)[0], 400)
        self.assertEqual(post_event(w.agent.url, versioned("v2.0", 1))[0], 200)
        self.assertEqual(self.add(w, {**gone, "activate_without_adapter": True})[0], 200)
        code, reply = post_event(w.agent.url, versioned("v2.0", 2))
        self.assertEqual((code, reply["detail"]), (400, "No transformation defined for v2.0->v1.0"))
        self.assertEqual(w.agent.metric('schema_transforms_total{from="v2.0",to="v1.0",outcome="missing"}'), 1)
        self.assertEqual(post_event(w.agent.url, versioned("v1.0", 0))[0], 200)
        self.assertEqual(self.add(w, {"type": TYPES, "version": "v2.0", "adapters": {"v2.0->v1.0": BACK}})[0], 200)
        letter = self.letters(w)[0]["dlq_id"]
        code, result = request(f"{w.agent.url}/dlq/{letter}/replay", "POST", {})
        self.assertEqual((code, result["success"], result["outcome"]), (200, True, "opened"))

    def test_a_thousand_events_of_mixed_versions_are_all_taken_in(self):
        w = self.world()
        versions = ("v1.0", "v1.1", "v2.0")
        bodies = [versioned(versions[n % 3], n, **({"slo": "availability"} if n % 3 else {})) for n in range(1000)]
        for start in range(0, 1000, 100):
            batch = bodies[start:start + 100]
            code, reply = request(w.agent.url, "POST", batch, {"Content-Type": "application/cloudevents-batch+json"}, timeout=60)
            self.assertEqual((code, {e["status"] for e in reply["events"]}), (200, {"processed"}))
        self.assertEqual(w.agent.metric('cloudevents_received_total'), 1000)
        self.assertEqual(self.letters(w), [])
        self.assertEqual(sum(self.version(w, v)["usage"] for v in versions), 1000)
        self.assertEqual(w.agent.metric("schema_validation_errors_total"), 0)
        for n in (0, 1, 2, 999):
            code, found = w.agent.get(f"/events/prometheus-events/{versions[n % 3]}-{n}")
            self.assertEqual((code, found["outcome"]), (200, "opened"))

    def test_binary_mode_names_its_version_in_a_header(self):
        w = self.world()
        body = versioned("v2.0", 0, slo="availability")
        headers = {f"ce-{k}": body[k] for k in ("specversion", "id", "source", "type")}
        headers["Content-Type"] = "application/json"
        self.assertEqual(request(w.agent.url, "POST", body["data"], headers)[0], 400)  # v1.0 has no alert_name
        headers["ce-dataschema"] = AT + "v2.0"
        self.assertEqual(request(w.agent.url, "POST", body["data"], headers)[0], 200)
        self.assertEqual(w.agent.incident()["alertname"], "HighErrors")
        self.assertEqual(self.version(w, "v2.0")["usage"], 1)

    def test_what_was_added_and_counted_is_there_after_a_restart(self):
        w = self.world()
        self.assertEqual(self.add(w, {**V3, "adapters": V3_ADAPTER})[0], 200)
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)
        self.assertEqual(post_event(w.agent.url, versioned("v8.0", 0))[0], 400)
        w.agent.stop()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        found = self.version(w, "v3.0")
        self.assertEqual((found["origin"], found["usage"], found["path"]), ("run time", 1, ["v2.0", "v1.0"]))
        unknown = w.agent.get("/schemas")[1]["unknown"]
        self.assertEqual([(u["type"], u["validation_errors"]) for u in unknown], [(FIRED, 1)])
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 1))[0], 200)
        self.assertEqual(self.version(w, "v3.0")["usage"], 2)
        self.assertIn("last_seen", self.version(w, "v3.0"))

    def test_what_was_added_survives_a_kill(self):
        w = self.world()
        self.assertEqual(self.add(w, {**V3, "adapters": V3_ADAPTER})[0], 200)
        w.agent.kill()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)

    def test_the_slo_of_any_version_reaches_the_ticket(self):
        for n, version in enumerate(("v1.1", "v2.0")):
            w = self.world()
            self.assertEqual(post_event(w.agent.url, versioned(version, n, slo="availability"))[0], 200)
            ticket = w.until(lambda w=w: (r := w.agent.get("/tickets/SRE-1"))[0] == 200 and r[1], "ticket")
            self.assertIn("SLO: availability", ticket["body"])

    def test_a_refused_event_keeps_what_is_known_of_its_schema(self):
        w = self.world()
        cases = ((versioned("v9.0", 0), "v9.0", "version", "/dataschema"),
                 ({**versioned("v1.0", 1), "dataschema": AT + "v2.0"}, "v2.0", "required", "/data/alert_name"),
                 ({**versioned("v2.0", 2), "dataschema": AT + "v1.0"}, "v1.0", "anyOf", "/data"))
        for n, (body, version, rule, pointer) in enumerate(cases):
            self.assertEqual(post_event(w.agent.url, body)[0], 400)
            newest = self.letters(w)[0]["dlq_id"]
            schema = w.agent.get(f"/dlq/{newest}")[1]["schema"]
            self.assertEqual((schema["type"], schema["dataschema"], schema["detected_version"], schema["supported"]),
                             (FIRED, body["dataschema"], version, ["v1.0", "v1.1", "v2.0"]))
            self.assertEqual([(v["rule"], v["pointer"]) for v in schema["violations"]], [(rule, pointer)])
            self.assertEqual(len(self.letters(w)), n + 1)
        shown = subprocess.run([AGENT, "dlq", "show", str(newest - 1), "--server", w.agent.url], capture_output=True, text=True)
        self.assertIn(f"schema        v2.0 of {FIRED}, supported: v1.0 v1.1 v2.0", shown.stdout)
        self.assertIn("required at /data/alert_name: /alert_name is missing", shown.stdout)

    def test_metrics_and_log_name_the_version(self):
        w = self.world()
        for body in (versioned("v1.0", 0), versioned("v2.0", 0), versioned("v9.0", 0), {**versioned("v1.0", 1), "dataschema": AT + "v2.0"}):
            post_event(w.agent.url, body)
        text = w.agent.get("/metrics")[1]
        received = [line for line in text.splitlines() if line.startswith("agent_sre_cloudevents_received_total{")]
        for version, outcome in (("v1.0", "admitted"), ("v2.0", "admitted"), ("unknown", "rejected"), ("v2.0", "rejected")):
            self.assertEqual(sum(f'schema_version="{version}",outcome="{outcome}"}} 1' in line for line in received), 1, received)
        self.assertNotIn("v9.0", text)
        refused = [json.loads(line) for line in w.agent.lines if '"cloudevent_rejected"' in line]
        self.assertEqual([(r["event_id"], r["event_type"], r["schema_version"]) for r in refused],
                         [("v9.0-0", FIRED, "unknown"), ("v1.0-1", FIRED, "v2.0")])
        self.assertIn("alert_name is missing", refused[1]["error"])

    def test_an_addition_whose_answer_was_lost_is_there_and_can_be_sent_again(self):
        w = World()
        self.addCleanup(w.close)
        self.assertTrue(w.agent.start(crash_after=1), w.agent.stderr())  # the first commit is the addition's
        with self.assertRaises(OSError):
            self.add(w, {**V3, "adapters": V3_ADAPTER})
        w.agent.process.wait(10)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        self.assertEqual(self.version(w, "v3.0")["origin"], "run time")
        self.assertEqual(self.add(w, {**V3, "adapters": V3_ADAPTER})[0], 200)
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)

    def test_additions_are_audited_and_refusals_too(self):
        w = self.world()
        self.add(w, V3)
        self.add(w, {**V3, "adapters": V3_ADAPTER})
        lines = [json.loads(line) for line in w.agent.lines if '"audit"' in line]
        self.assertEqual([(a["who"], a["what"], a["target"]) for a in lines],
                         [("tester@127.0.0.1", "schemas.add", f"schemas/{TYPES}/v3.0")] * 2)
        self.assertIn("has no adapter", lines[0]["outcome"])
        self.assertEqual(lines[1]["outcome"], "success")

    def test_only_who_has_the_token_reads_and_adds(self):
        w = self.world(auth={"token": "0123456789abcdef"})
        for method in ("GET", "POST"):
            self.assertEqual(request(w.agent.url + "/schemas", method, V3 if method == "POST" else None)[0], 401)
        bearer = {"Authorization": "Bearer 0123456789abcdef"}
        self.assertEqual(len(request(w.agent.url + "/schemas", headers=bearer)[1]["versions"]), 6)

    def test_bad_requests_say_what_is_wrong_and_change_nothing(self):
        w = self.world()
        good = {**V3, "adapters": V3_ADAPTER}
        for body, says in ((b"{", "line 1"), (b"[]", "one schema document"), ([good, good], "twice"), ([5], "must be an object"),
                           ([good, {"type": TYPES, "version": "v9.0"}], "has no adapter"), ({**good, "version": "three"}, "v<major>.<minor>"),
                           ({**good, "adapters": {"v3.0->v7.0": []}}, "no such version"), ([good] * 65, "1 to 64"),
                           ({**good, "schema": {"type": "thing"}}, "unknown type")):
            with self.subTest(says):
                code, reply = request(w.agent.url + "/schemas", "POST", body)
                self.assertEqual(code, 400)
                self.assertIn(says, reply["error"])
        self.assertEqual(request(w.agent.url + "/schemas", "DELETE")[0], 405)
        self.assertIsNone(self.version(w, "v3.0"))
        self.assertEqual(post_event(w.agent.url, versioned("v1.0", 0))[0], 200)

    def test_a_deprecation_starts_ninety_days_and_the_version_goes_on_working(self):
        w = self.world()
        self.assertEqual(self.add(w, {"type": TYPES, "version": "v1.0", "deprecated": True})[0], 200)
        self.assertEqual(self.version(w, "v1.0")["days_left"], 90)
        self.assertEqual(w.agent.metric(f'schema_deprecated{{type="{FIRED}",schema_version="v1.0"}}'), 1)
        w.tick(80 * 24 * 3600)
        self.assertEqual(self.version(w, "v1.0")["days_left"], 10)
        self.assertEqual(post_event(w.agent.url, versioned("v1.0", 0))[0], 200)
        self.assertEqual(self.add(w, {"type": TYPES, "version": "v1.0", "deprecated": False})[0], 200)
        self.assertFalse(self.version(w, "v1.0")["deprecated"])

    def write(self, w, name, *documents):
        with open(os.path.join(w.folder, name), "w") as f:
            json.dump(list(documents), f)

    def filed(self):
        w = World()
        self.addCleanup(w.close)
        w.folder = os.path.join(w.agent.dir, "schemas")
        os.mkdir(w.folder)
        with open(w.agent.config, "w") as f:
            json.dump({**w.settings, "schemas": w.folder}, f)
        return w

    def test_files_are_loaded_at_start_and_again_on_sighup(self):
        w = self.filed()
        self.write(w, "v3.yaml", {**V3, "adapters": V3_ADAPTER})
        self.write(w, ".hidden.yaml", {"nonsense": 1})
        self.write(w, "notes.txt")
        self.assertTrue(w.agent.start(), w.agent.stderr())
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)
        self.assertTrue(self.version(w, "v3.0")["origin"].endswith("v3.yaml: 1"))
        self.write(w, "v1.2.json", {"type": TYPES, "version": "v1.2"})
        w.agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: self.version(w, "v1.2"), "v1.2 is loaded")
        os.unlink(os.path.join(w.folder, "v3.yaml"))
        w.agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: not self.version(w, "v3.0"), "v3.0 is gone")

    def test_wrong_files_refuse_a_start_and_change_nothing_later(self):
        w = self.filed()
        self.write(w, "v3.yaml", V3)
        self.assertFalse(w.agent.start())
        self.assertIn("v3.yaml: 1: v3.0 of", w.agent.stderr())
        self.write(w, "v3.yaml", {**V3, "adapters": V3_ADAPTER})
        self.assertTrue(w.agent.start(), w.agent.stderr())
        with open(os.path.join(w.folder, "broken.yaml"), "w") as f:
            f.write("type: [\n")
        w.agent.process.send_signal(signal.SIGHUP)
        trouble = eventually(lambda: w.agent.get("/schemas")[1].get("trouble"), "the trouble is shown")
        self.assertIn("broken.yaml:", trouble)
        self.assertEqual(post_event(w.agent.url, versioned("v3.0", 0))[0], 200)
        self.assertEqual(sum('"schemas_not_loaded"' in line for line in w.agent.lines), 1)
        os.unlink(os.path.join(w.folder, "broken.yaml"))
        w.agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "trouble" not in w.agent.get("/schemas")[1], "the trouble is over")

    def test_an_addition_that_lost_its_footing_is_left_out_and_the_agent_starts(self):
        w = self.filed()
        self.write(w, "v3.yaml", {**V3, "adapters": V3_ADAPTER})
        self.assertTrue(w.agent.start(), w.agent.stderr())
        v4 = {"type": TYPES, "version": "v4.0", "breaking_changes": ["x"], "adapters": {"v4.0->v3.0": []}}
        self.assertEqual(self.add(w, v4)[0], 200)
        w.agent.stop()
        os.unlink(os.path.join(w.folder, "v3.yaml"))
        self.assertTrue(w.agent.start(), w.agent.stderr())
        self.assertIn("no such version", w.agent.get("/schemas")[1]["trouble"])
        self.assertEqual(post_event(w.agent.url, versioned("v1.0", 0))[0], 200)
        self.assertEqual(post_event(w.agent.url, versioned("v4.0", 0))[0], 400)


if __name__ == "__main__":
    unittest.main()
