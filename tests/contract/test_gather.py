"""Evidence is gathered from doubles that check every request, and stands when some of them misbehave."""
import json
import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "doubles"))
from loki_double import LokiDouble  # noqa: E402
from prometheus_double import PrometheusDouble, Rule  # noqa: E402
from tempo_double import Span, TempoDouble  # noqa: E402

PRINT_EVIDENCE = os.environ["PRINT_EVIDENCE"]
ALERT_MS = 1_768_474_000_000
POD = "cart-7d9f8b6c5d-x2x9z"
LABELS = {"alertname": "CartSlow", "namespace": "shop", "pod": POD}


class GatherTest(unittest.TestCase):
    def setUp(self):
        self.prometheus, self.loki, self.tempo = PrometheusDouble(), LokiDouble(tenant="team-a"), TempoDouble(tenant="team-a")
        for double in (self.prometheus, self.loki, self.tempo):
            self.addCleanup(double.close)
        p = self.prometheus
        p.rules.append(Rule("CartSlow", "cart_lag_seconds", 2, {"namespace": "shop", "pod": POD}))
        p.facts += [
            {"__name__": "kube_pod_info", "namespace": "shop", "pod": POD, "node": "w1", "created_by_kind": "ReplicaSet",
             "created_by_name": "cart-7d9f8b6c5d"},
            {"__name__": "kube_pod_owner", "namespace": "shop", "pod": POD, "owner_kind": "ReplicaSet", "owner_name": "cart-7d9f8b6c5d"},
            {"__name__": "kube_replicaset_owner", "namespace": "shop", "replicaset": "cart-7d9f8b6c5d", "owner_kind": "Deployment",
             "owner_name": "cart"},
            {"__name__": "kube_pod_spec_volumes_persistentvolumeclaims_info", "namespace": "shop", "pod": POD,
             "persistentvolumeclaim": "data"}]
        own = {"namespace": "shop", "pod": POD, "container": "cart"}
        alert_s = ALERT_MS / 1000
        p.series += [
            ({"__name__": "container_cpu_usage_seconds_total", **own}, lambda t: 0.2 if t < alert_s - 600 else 0.9),
            ({"__name__": "container_memory_usage_bytes", **own}, lambda t: None if t < alert_s - 1800 else 2.5e9),
            ({"__name__": "kube_pod_container_info", **own, "image": "registry/cart:2"}, lambda t: 1),
            ({"__name__": "kubelet_volume_stats_used_bytes", "namespace": "shop", "persistentvolumeclaim": "data"}, lambda t: 7),
            ({"__name__": "cart_lag_seconds", "namespace": "shop", "pod": POD}, lambda t: 3),
            ({"__name__": "cart_lag_seconds", "namespace": "shop", "pod": "cart-other"}, lambda t: 1)]
        stream = {"namespace": "shop", "pod": POD, "container": "cart"}
        for n in range(700):
            self.loki.log(ALERT_MS - 1_800_000 + n * 1000, f'{{"level":"info","msg":"request {n}"}}', stream)
        self.loki.log(ALERT_MS - 3_000_000, "OutOfMemoryError: heap, password=hunter2hunter2", stream, detected_level="error")
        self.loki.log(ALERT_MS - 1000, "not ours", {"namespace": "shop", "pod": "cart-other"})
        self.tempo.traces = {
            f"{n:032x}": [Span("cart", "GET /cart", ALERT_MS - n * 1000, 2500 if n < 5 else 80, f"{n:015x}1", failed=n == 7),
                          Span("db", "SELECT", ALERT_MS - n * 1000 + 1, 2400 if n < 5 else 10, f"{n:015x}2", parent=f"{n:015x}1")]
            for n in range(1, 41)}

    def gather(self, labels=None, timeout_ms=3000, **urls):
        where = [urls.get(n, getattr(self, n).url) for n in ("prometheus", "loki", "tempo")]
        began = time.monotonic()
        done = subprocess.run([PRINT_EVIDENCE, *where, json.dumps(labels or LABELS), str(ALERT_MS), str(ALERT_MS + 20_000),
                               str(timeout_ms), "team-a"], capture_output=True, text=True, timeout=60, check=False)
        self.took = time.monotonic() - began
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    @staticmethod
    def of_role(evidence, role):
        return [s for s in evidence["series"] if s["role"] == role]

    def test_all_three_sources_are_asked_about_the_same_window(self):
        e = self.gather()
        self.assertEqual(e["window"], {"start_ms": ALERT_MS - 3_600_000, "end_ms": ALERT_MS + 20_000, "alert_ms": ALERT_MS})
        for source in ("metrics", "logs", "traces"):
            self.assertEqual((source, e["asked"][source]["status"], e["asked"][source].get("why")), (source, "ok", None))
        self.assertEqual((e["object"], e["service"]), (f"pod shop/{POD}", "cart"))
        cpu = self.of_role(e, "cpu")[0]
        self.assertEqual((cpu["object"], cpu["step_ms"], cpu["values"][0], cpu["values"][-1]), (POD, 15000, 0.2, 0.9))
        self.assertIsNone(self.of_role(e, "memory")[0]["values"][0])
        self.assertEqual([s["object"] for s in self.of_role(e, "version")], ["registry/cart:2"])
        self.assertEqual([s["object"] for s in self.of_role(e, "disk")], ["data"])
        self.assertEqual([s["object"] for s in self.of_role(e, "rule")], [POD])
        for query in e["asked"]["metrics"]["queries"]:
            self.assertTrue('namespace="shop"' in query or 'node="w1"' in query or query == "cart_lag_seconds", query)

    def test_the_line_that_matters_is_there_beside_many_others_and_without_its_secret(self):
        e = self.gather()
        errors = [line["text"] for line in e["lines"] if line["level"] == "error"]
        self.assertEqual(len(errors), 1)
        self.assertIn("OutOfMemoryError", errors[0])
        self.assertNotIn("hunter2", json.dumps(e))
        self.assertNotIn("not ours", json.dumps(e))
        self.assertTrue(e["asked"]["logs"]["cut"])
        self.assertEqual([line["at_ms"] for line in e["lines"]], sorted(line["at_ms"] for line in e["lines"]))
        volume = {s["object"]: sum(s["values"]) for s in self.of_role(e, "log_volume")}
        self.assertEqual(volume, {"error": 1, "other": 700})

    def test_slow_and_failed_traces_are_among_those_taken(self):
        for otlp in (False, True):
            self.tempo.otlp = otlp
            e = self.gather()
            traces = {s["trace_id"] for s in e["spans"]}
            self.assertEqual(len(traces), 20)
            self.assertTrue({f"{n:032x}" for n in (1, 2, 3, 4, 7)} <= traces)
            db = next(s for s in e["spans"] if s["service"] == "db" and s["trace_id"] == f"{1:032x}")
            self.assertEqual((db["parent_id"], db["duration_us"]), (f"{1:015x}1", 2_400_000))
            self.assertEqual([s["trace_id"] for s in e["spans"] if s["failed"]], [f"{7:032x}"])

    def test_a_trace_that_is_gone_is_one_less(self):
        self.tempo.forgotten.add(f"{1:032x}")
        e = self.gather()
        self.assertEqual(len({s["trace_id"] for s in e["spans"]}), 19)
        self.assertEqual(e["asked"]["traces"]["status"], "ok")

    def test_each_source_may_fail_in_any_way_and_loses_nothing_else(self):
        ways = {"black hole": "timeout", "reset": "transient", ("status", 500): "transient", ("status", 429): "rate",
                ("status", 401): "denied", "malformed": "invalid", "cut": "transient"}
        for name, source in (("prometheus", "metrics"), ("loki", "logs"), ("tempo", "traces")):
            for way, status in ways.items():
                double = getattr(self, name)
                double.fault_forever = way
                labels = {**LABELS, "service": "cart"}
                e = self.gather(labels, timeout_ms=700)
                double.fault_forever = None
                self.assertEqual((name, way, e["asked"][source]["status"]), (name, way, status))
                self.assertTrue(e["asked"][source]["why"])
                for other in {"metrics", "logs", "traces"} - {source}:
                    self.assertEqual((name, way, other, e["asked"][other]["status"]), (name, way, other, "ok"))
                self.assertEqual((not e["series"], not e["lines"], not e["spans"]), (False, name == "loki", name == "tempo")
                                 if name != "prometheus" else (False, False, False))
                self.assertLess(self.took, 5)

    def test_one_bad_query_is_named_and_the_rest_stands(self):
        self.prometheus.refused["throttled"] = (422, "many-to-many matching not allowed")
        e = self.gather()
        self.assertEqual(e["asked"]["metrics"]["status"], "ok")
        self.assertIn("throttled: Prometheus: many-to-many", e["asked"]["metrics"]["why"])
        self.assertTrue(self.of_role(e, "cpu"))

    def test_hostile_labels_are_values_to_every_server(self):
        for evil in ('"} or vector(1) #', "a\\", 'x" && true } || { duration > 0s', "line\nbreak", "`'{}[]", ".*", "\ufeff"):
            e = self.gather({"alertname": evil, "namespace": evil, "pod": evil, "service": evil, "app": evil})
            for source in ("metrics", "logs", "traces"):
                if source == "traces" and evil in ("line\nbreak", "\ufeff"):  # no service can have that name
                    self.assertFalse(e["asked"][source]["wanted"])
                    continue
                self.assertEqual((evil, source, e["asked"][source]["status"], e["asked"][source].get("why")), (evil, source, "ok", None))
            self.assertEqual((e["lines"], e["spans"], e["series"]), ([], [], []))
        self.assertTrue(self.prometheus.ranges and self.loki.queries and self.tempo.queries)

    def test_an_alert_that_is_months_old_asks_no_more_than_the_servers_allow(self):
        done = subprocess.run([PRINT_EVIDENCE, self.prometheus.url, self.loki.url, self.tempo.url, json.dumps(LABELS),
                               str(ALERT_MS - 90 * 86_400_000), str(ALERT_MS + 20_000), "5000", "team-a"],
                              capture_output=True, text=True, timeout=60, check=True)
        e = json.loads(done.stdout)
        for source in ("metrics", "logs", "traces"):
            self.assertEqual((source, e["asked"][source]["status"], e["asked"][source].get("why")), (source, "ok", None))
        self.assertTrue(e["asked"]["logs"]["cut"] and e["asked"]["traces"]["cut"])
        self.assertTrue(e["lines"] and e["spans"] and self.of_role(e, "cpu"))

    def test_a_week_of_twenty_pods_is_gathered(self):
        week_ms = 7 * 86_400_000
        for n in range(20):
            self.prometheus.series.append(({"__name__": "container_cpu_usage_seconds_total", "namespace": "shop",
                                            "pod": f"web-7d9f8b6c5d-x2x{n:02}", "container": "web"}, lambda t, n=n: n))
        began = time.monotonic()
        done = subprocess.run([PRINT_EVIDENCE, self.prometheus.url, "-", "-",
                               json.dumps({"alertname": "A", "namespace": "shop", "deployment": "web"}), str(ALERT_MS - week_ms),
                               str(ALERT_MS), "8000", ""], capture_output=True, text=True, timeout=60, check=True)
        e = json.loads(done.stdout)
        self.assertEqual(len(self.of_role(e, "cpu")), 20)
        self.assertEqual({s["step_ms"] for s in e["series"]}, {3_600_000})
        self.assertLess(time.monotonic() - began, 30)
        self.assertFalse(e["asked"]["logs"]["wanted"])


if __name__ == "__main__":
    unittest.main()
