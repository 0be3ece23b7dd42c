"""Every PromQL that is asked for evidence, on a real Prometheus over what Kubernetes' exporters would tell."""
import http.server
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

PRINT_EVIDENCE = os.environ["PRINT_EVIDENCE"]
POD, OLD, NEIGHBOUR = "cart-7d9f8b6c5d-x2x9z", "cart-6c9f8b6c5d-aaaaa", "batch-0"
SAMPLES_S = 8
BEGAN = time.time()

EXPOSITION = """\
kube_pod_info{{namespace="shop",pod="{pod}",node="w1",created_by_kind="ReplicaSet",created_by_name="cart-7d9f8b6c5d"}} 1
kube_pod_info{{namespace="jobs",pod="{neighbour}",node="w1",uid="1"}} 1
kube_pod_info{{namespace="jobs",pod="{neighbour}",node="w1",uid="2"}} 1
kube_pod_info{{namespace="jobs",pod="elsewhere-0",node="w2"}} 1
kube_pod_owner{{namespace="shop",pod="{pod}",owner_kind="ReplicaSet",owner_name="cart-7d9f8b6c5d"}} 1
kube_replicaset_owner{{namespace="shop",replicaset="cart-7d9f8b6c5d",owner_kind="Deployment",owner_name="cart"}} 1
kube_replicaset_owner{{namespace="shop",replicaset="other-7d9f8b6c5d",owner_kind="Deployment",owner_name="other"}} 1
kube_pod_spec_volumes_persistentvolumeclaims_info{{namespace="shop",pod="{pod}",persistentvolumeclaim="data"}} 1
kube_pod_container_info{{namespace="shop",pod="{pod}",container="cart",image="registry/cart:2"}} 1
kube_pod_container_info{{namespace="shop",pod="{old}",container="cart",image="registry/cart:1"}} 1
kube_pod_container_resource_limits{{namespace="shop",pod="{pod}",container="cart",resource="cpu"}} 1.5
kube_pod_container_resource_limits{{namespace="shop",pod="{pod}",container="cart",resource="memory"}} 4e9
kube_pod_container_status_restarts_total{{namespace="shop",pod="{pod}",container="cart"}} 3
container_cpu_usage_seconds_total{{namespace="shop",pod="{pod}",container="cart"}} {half}
container_cpu_usage_seconds_total{{namespace="shop",pod="{pod}",container=""}} {whole}
container_cpu_usage_seconds_total{{namespace="shop",pod="{pod}",container="POD"}} {whole}
container_cpu_usage_seconds_total{{namespace="jobs",pod="{neighbour}",container="batch"}} {twice}
container_cpu_usage_seconds_total{{namespace="jobs",pod="elsewhere-0",container="x"}} {twice}
container_cpu_cfs_throttled_periods_total{{namespace="shop",pod="{pod}",container="cart"}} {half}
container_cpu_cfs_periods_total{{namespace="shop",pod="{pod}",container="cart"}} {twice}
container_memory_usage_bytes{{namespace="shop",pod="{pod}",container="cart"}} 2.5e9
container_memory_usage_bytes{{namespace="shop",pod="{pod}",container=""}} 2.6e9
http_requests_total{{namespace="shop",pod="{pod}",service="cart",code="200"}} {twice}
http_requests_total{{namespace="shop",pod="{pod}",service="cart",code="503"}} {half}
http_request_duration_seconds_bucket{{namespace="shop",pod="{pod}",service="cart",le="0.1"}} 0
http_request_duration_seconds_bucket{{namespace="shop",pod="{pod}",service="cart",le="1"}} {whole}
http_request_duration_seconds_bucket{{namespace="shop",pod="{pod}",service="cart",le="+Inf"}} {whole}
kubelet_volume_stats_used_bytes{{namespace="shop",persistentvolumeclaim="data"}} 7
kubelet_volume_stats_capacity_bytes{{namespace="shop",persistentvolumeclaim="data"}} 10
node_uname_info{{nodename="w1",instance="10.0.0.7:9100"}} 1
node_uname_info{{nodename="w2",instance="10.0.0.8:9100"}} 1
node_cpu_seconds_total{{mode="idle",cpu="0",instance="10.0.0.7:9100"}} {half}
node_cpu_seconds_total{{mode="idle",cpu="0",instance="10.0.0.8:9100"}} {whole}
node_memory_MemTotal_bytes{{instance="10.0.0.7:9100"}} 100
node_memory_MemAvailable_bytes{{instance="10.0.0.7:9100"}} 40
node_filesystem_size_bytes{{instance="10.0.0.7:9100",mountpoint="/"}} 100
node_filesystem_avail_bytes{{instance="10.0.0.7:9100",mountpoint="/"}} 1
"""

RULES = {"groups": [{"name": "shop", "rules": [
    {"alert": "CartErrors", "expr": 'rate(http_requests_total{code=~"5.."}[1m]) > 0.1', "labels": {"severity": "page"}},
    {"alert": "CartErrors", "expr": "up == 0", "labels": {"severity": "ticket"}}]}]}


class Exporter(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        t = time.time() - BEGAN
        body = EXPOSITION.format(pod=POD, old=OLD, neighbour=NEIGHBOUR, half=t / 2, whole=t, twice=2 * t).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@unittest.skipUnless(shutil.which("prometheus"), "Prometheus is not installed")
class GatherPrometheusTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="agent-sre-test-")
        cls.exporter = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
        threading.Thread(target=cls.exporter.serve_forever, daemon=True).start()
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}"
        with open(os.path.join(cls.dir, "rules.yml"), "w") as f:
            json.dump(RULES, f)  # JSON is YAML
        with open(os.path.join(cls.dir, "prometheus.yml"), "w") as f:
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"],
                       "scrape_configs": [{"job_name": "all", "honor_labels": True,
                                           "static_configs": [{"targets": [f"127.0.0.1:{cls.exporter.server_port}"]}]}]}, f)
        cls.log = open(os.path.join(cls.dir, "log"), "w")
        cls.process = subprocess.Popen(["prometheus", "--config.file", os.path.join(cls.dir, "prometheus.yml"), "--storage.tsdb.path",
                                        os.path.join(cls.dir, "data"), "--web.listen-address", f"127.0.0.1:{port}"],
                                       stdout=cls.log, stderr=cls.log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(cls.url + "/api/v1/query?query=count_over_time(kube_replicaset_owner[5m])", timeout=2) as r:
                    found = json.load(r)["data"]["result"]
                    if found and int(found[0]["value"][1]) >= SAMPLES_S:
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError("Prometheus did not scrape")

    @classmethod
    def tearDownClass(cls):
        cls.process.terminate()
        cls.process.wait(30)
        cls.exporter.shutdown()
        cls.log.close()
        shutil.rmtree(cls.dir)

    def gather(self, labels):
        # the alert began a moment ago; the window's last step ends now
        now = int(time.time()) * 1000
        done = subprocess.run([PRINT_EVIDENCE, self.url, "-", "-", json.dumps(labels), str(now), str(now), "8000", ""],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        e = json.loads(done.stdout)
        asked = e["asked"]["metrics"]
        self.assertEqual((asked["status"], asked.get("why")), ("ok", None))
        return e, {(s["role"], s["object"]): s["values"][-1] for s in e["series"]}

    def test_a_pod_and_what_surrounds_it(self):
        e, last = self.gather({"alertname": "CartErrors", "severity": "page", "namespace": "shop", "pod": POD})
        self.assertEqual((e["object"], e["service"]), (f"pod shop/{POD}", "cart"))
        # a rate over five minutes of a few seconds' samples is that part of the real one
        part = last["requests", POD] / 2.5
        self.assertGreater(part, 0)
        for key, value in {("cpu", POD): 0.5 * part, ("cpu_limit", POD): 1.5, ("throttled", POD): 0.25, ("memory", POD): 2.5e9,
                           ("memory_limit", POD): 4e9, ("restarts", POD): 3, ("errors", POD): 0.5 * part, ("latency", POD): 0.955,
                           ("version", "registry/cart:2"): 1, ("version", "registry/cart:1"): 1, ("disk", "data"): 7,
                           ("disk_limit", "data"): 10, ("neighbour_cpu", NEIGHBOUR): 2 * part,
                           ("node_cpu", "10.0.0.7:9100"): 1 - 0.5 * part}.items():
            self.assertIn(key, last)
            self.assertAlmostEqual(last[key], value, delta=0.02 * value, msg=str(key))
        self.assertGreater(last["rule", POD], 0)
        self.assertEqual([o for r, o in last if r == "neighbour_cpu"], [NEIGHBOUR])
        self.assertEqual([o for r, o in last if r == "rule"], [POD])

    def test_workload_service_claim_and_node(self):
        _, last = self.gather({"alertname": "A", "namespace": "shop", "deployment": "cart"})
        self.assertAlmostEqual(last["cpu", POD], last["requests", POD] / 5)
        _, last = self.gather({"alertname": "A", "namespace": "shop", "service": "cart"})
        self.assertAlmostEqual(last["cpu", POD], last["requests", "service shop/cart"] / 5)
        self.assertAlmostEqual(last["cpu", POD], last["errors", "service shop/cart"])
        _, last = self.gather({"alertname": "A", "namespace": "shop", "persistentvolumeclaim": "data"})
        self.assertEqual((last["disk", "data"], last["restarts", POD]), (7, 3))
        e, last = self.gather({"alertname": "A", "job": "node-exporter", "instance": "10.0.0.7:9100", "mountpoint": "/"})
        self.assertEqual(e["object"], "node w1")
        self.assertEqual((last["memory", "node w1"], last["disk", "/"]), (60, 99))
        self.assertIn(("neighbour_cpu", POD), last)
        _, last = self.gather({"alertname": "A", "node": "w1"})
        self.assertTrue(0.5 < last["node_cpu", "node w1"] < 1)

    def test_a_pods_namespace_is_learned_when_only_one_has_it(self):
        e, last = self.gather({"alertname": "A", "pod": POD})
        self.assertEqual(e["object"], f"pod shop/{POD}")
        self.assertIn(("memory", POD), last)

    def test_hostile_labels_are_values(self):
        for evil in ('"} or vector(1) #', "a\\", "line\nbreak", "`'{}[]()", ".*|x", "\x01\x7f", "\ufeff", "é😀"):
            for names in (("namespace", "pod"), ("namespace", "deployment"), ("namespace", "app", "node"), ("job", "instance"),
                          ("namespace", "persistentvolumeclaim"), ("node",), ("namespace", "statefulset", "service")):
                _, last = self.gather({"alertname": evil, **{n: evil for n in names}})
                self.assertEqual((evil, names, last), (evil, names, {}))


if __name__ == "__main__":
    unittest.main()
