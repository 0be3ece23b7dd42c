"""The parts of the demo as processes on loopback: Prometheus, Alertmanager, the shop with its function host, and
agent-sre. Used by demo.py and by the end-to-end test."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))

RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: ShopOrdersFailing
        expr: shop_error_ratio > 0.5
        for: 1s
        labels:
          severity: critical
          slo: orders
        annotations:
          summary: 'Orders of {{ $labels.pod }} fail'
          description: '{{ $value | humanizePercentage }} of the orders fail; the connection pool is stuck.'
          lambda_function: pod-restart
          lambda_parameters: '{"name": "{{ $labels.pod }}", "namespace": "{{ $labels.namespace }}", "type": "pod"}'
"""

CATALOGUE = {"functions": [{
    "name": "pod-restart", "description": "Restart a pod that is stuck, so that its containers start afresh.",
    "risk": "low", "effect": "reversible", "idempotent": True, "cooldown": "10s",
    "parameters": {"name": {"type": "string", "required": True, "from": ["pod", "name"], "format": "name"},
                   "namespace": {"type": "string", "required": True, "from": ["namespace"], "format": "name"},
                   "type": {"type": "string", "choice": ["pod", "deployment"], "default": "pod"}}}]}


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def get(url, timeout=2):
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        return reply.read().decode()


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
        except (OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"timed out waiting until {what}")
        time.sleep(0.05)


def prometheus_config(shop, alertmanager):
    return {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
            "scrape_configs": [{"job_name": "shop", "static_configs": [
                {"targets": [f"127.0.0.1:{shop}"], "labels": {"pod": "shop-0", "namespace": "store", "service": "shop"}}]}]}


def alertmanager_config(webhook, repeat):
    return {"route": {"receiver": "agent-sre", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s",
                      "repeat_interval": repeat},
            "receivers": [{"name": "agent-sre", "webhook_configs": [{"url": webhook, "send_resolved": True}]}]}


class Stack:
    def __init__(self, agent, rules=RULES, repeat="1m", settings=None, start_agent=True, ports=None, env=None):
        self.agent_path, self.env = agent, {**os.environ, **(env or {})}
        self.dir = tempfile.mkdtemp(prefix="agent-sre-demo-")
        self.ports = dict(zip(("shop", "functions", "prometheus", "alertmanager", "agent"), ports or free_ports(5)))
        self.processes = {}
        p = self.ports
        self.prometheus, self.alertmanager = f"http://127.0.0.1:{p['prometheus']}", f"http://127.0.0.1:{p['alertmanager']}"
        self.shop, self.agent = f"http://127.0.0.1:{p['shop']}", f"http://127.0.0.1:{p['agent']}"
        self.write("rules.yml", rules, raw=True)
        self.write("prometheus.yml", prometheus_config(p["shop"], p["alertmanager"]))
        self.write("alertmanager.yml", alertmanager_config(self.agent + "/webhook", repeat))
        self.write("catalogue.yaml", CATALOGUE)
        self.write("agent-sre.yaml", {
            "listen": f"127.0.0.1:{p['agent']}", "data": self.path("data"), "catalogue": self.path("catalogue.yaml"),
            "prometheus": {"url": self.prometheus}, "alertmanager": {"url": self.alertmanager},
            "loki": {"url": ""}, "tempo": {"url": ""},
            "functions": {"gateway": f"127.0.0.1:{p['functions']}"},
            "verify": {"first": "1s", "budget": "1m", "resolve_poll": "10s"}, **(settings or {})})
        self.start("functions", [sys.executable, os.path.join(HERE, "functions.py"), str(p["functions"]), str(p["shop"])])
        self.start("alertmanager", ["prometheus-alertmanager", "--config.file", self.path("alertmanager.yml"), "--storage.path",
                                    self.path("alertmanager"), "--web.listen-address", f"127.0.0.1:{p['alertmanager']}",
                                    "--cluster.listen-address="])
        self.start("prometheus", ["prometheus", "--config.file", self.path("prometheus.yml"), "--storage.tsdb.path",
                                  self.path("tsdb"), "--web.listen-address", f"127.0.0.1:{p['prometheus']}",
                                  "--rules.alert.resend-delay", "2s"])
        if start_agent:
            self.start_agent()
        wait_for(lambda: get(self.prometheus + "/-/ready"), "Prometheus is ready")
        wait_for(lambda: get(self.alertmanager + "/-/ready"), "Alertmanager is ready")
        wait_for(lambda: self.query("shop_error_ratio"), "the shop is scraped")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, content, raw=False):
        with open(self.path(name), "w") as f:
            f.write(content if raw else json.dumps(content))  # JSON is YAML

    def start(self, name, command):
        log = open(self.path(name + ".log"), "a")
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.env, cwd=self.dir)
        log.close()

    def start_agent(self):
        self.start("agent", [os.path.abspath(self.agent_path), "serve", "--config", self.path("agent-sre.yaml")])
        wait_for(lambda: get(self.agent + "/ready"), "agent-sre is ready")

    def kill_agent(self):
        self.processes["agent"].kill()
        self.processes["agent"].wait()

    def query(self, expr):
        text = get(self.prometheus + "/api/v1/query?query=" + urllib.request.quote(expr))
        result = json.loads(text)["data"]["result"]
        return [(r["metric"], float(r["value"][1])) for r in result]

    def break_shop(self):
        urllib.request.urlopen(urllib.request.Request(self.shop + "/break", method="POST"), timeout=2).read()

    def shop_is_well(self):
        try:
            return get(self.shop + "/order") == "ok\n"
        except OSError:
            return False

    def api(self, path):
        return json.loads(get(self.agent + path))

    def close(self):
        for name in ("agent", "prometheus", "alertmanager", "functions"):
            process = self.processes.get(name)
            if process and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
