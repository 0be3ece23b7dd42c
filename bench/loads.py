"""What is sent, and the three generators: wrk (closed loop), offer (open loop), loops (whole loops)."""
import json
import os
import re
import resource
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
NOTES = {"summary": "errors of the bench are too high", "description": "more than five percent of the requests fail"}
GENERATOR = "http://prometheus/graph"
STARTS, ENDS, NEVER = "2026-11-24T10:40:00Z", "2026-11-24T10:45:00Z", "0001-01-01T00:00:00Z"
FUNCTIONS = 10  # as in alert.h


def labels(**more):
    return {"alertname": "BenchErrors", "instance": "10.0.0.1:9100", "job": "bench", "namespace": "shop", "pod": "pod-@N@",
            "severity": "warning", **more}


def webhook(alerts, state="firing"):
    return json.dumps({"version": "4", "status": state, "receiver": "bench", "groupKey": "{}", "groupLabels": {}, "commonLabels": {},
                       "commonAnnotations": {}, "externalURL": "", "truncatedAlerts": 0, "alerts": []})[:-2] + ",@+@".join(alerts) + "]}"


def agent_alert(state, its_labels, notes):
    return json.dumps({"status": state, "labels": its_labels, "annotations": notes, "startsAt": STARTS,
                       "endsAt": ENDS if state == "resolved" else NEVER, "generatorURL": GENERATOR, "fingerprint": ""})


def body(kind, batch):
    """The template (alert.h) of a request: kind alertmanager, firing, resolved (nobody knows these), or remedy."""
    if kind == "alertmanager":
        one = json.dumps({"labels": labels(), "annotations": NOTES, "generatorURL": GENERATOR})
        return "[" + ",@+@".join([one] * batch) + "]"
    if kind == "remedy":
        notes = {**NOTES, "lambda_function": "bench-@F@", "lambda_parameters": json.dumps({"name": "pod-@N@", "namespace": "shop"})}
        its = labels(alertname="BenchErrors@S@", shard="@S@", job="shop", instance="10.0.0.7:8080")
        return webhook([agent_alert("firing", its, notes)] * batch)
    return webhook([agent_alert(kind, labels(), NOTES)] * batch, kind)


def render(template, first):
    """alert_render for a few alerts of one request."""
    out = []
    for n, part in enumerate(template.split("@+@"), first):
        out.append(part.replace("@N@", str(n)))
    return "".join(out)


def catalogue():
    name = {"type": "string", "required": True, "from": ["pod"]}
    namespace = {"type": "string", "required": True, "from": ["namespace"]}
    return {"functions": [{"name": f"bench-{n}", "description": "Restart a pod.", "risk": "low", "effect": "reversible", "idempotent": True,
                           "cooldown": "1s", "per_hour": 100000, "parameters": {"name": name, "namespace": namespace}}
                          for n in range(FUNCTIONS)]}


def template(directory, kind, batch):
    path = os.path.join(directory, f"{kind}-{batch}.template")
    with open(path, "w") as f:
        f.write(body(kind, batch))
    return path


def wrk(server, kind, connections, batch, seconds, first=0):
    """Closed loop. `accepted`: alerts answered with 2xx."""
    path = "/api/v2/alerts" if kind == "alertmanager" else "/webhook"
    env = {**os.environ, "TEMPLATE": template(server.directory, kind, batch), "URL_PATH": path, "FIRST": str(first)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", os.path.join(HERE, "alerts.lua"),
                          f"http://127.0.0.1:{server.port}"], env=env, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    requests, duration_us, p50, p99, refused, broken = map(int, re.search(r"RESULT (.*)", out).group(1).split())
    took = duration_us / 1e6
    return {"requests": requests, "took_s": took, "accepted": (requests - refused) * batch, "rate": (requests - refused) * batch / took,
            "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "refused": refused, "broken": broken,
            "generator": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took}


def offer(tools, server, kind, rate, seconds, connections, first=0):
    """Open loop, single alerts."""
    path = "/api/v2/alerts" if kind == "alertmanager" else "/webhook"
    out = subprocess.run([os.path.join(tools, "offer"), str(server.port), path, template(server.directory, kind, 1), str(first),
                          str(rate), str(seconds), str(connections)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


class Loops:
    """The program `loops`: it is the outside world from the start, and sends when run() tells it where to."""

    def __init__(self, tools, directory, mode, number, batch=1, window=512):
        command = [os.path.join(tools, "loops"), mode, template(directory, "remedy", batch), str(number)]
        self.process = subprocess.Popen(command + ([str(batch), str(window)] if mode == "throughput" else []), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def settings(self, linear=False, **verify):
        found = {"prometheus": {"url": f"http://127.0.0.1:{self.port}"}, "functions": {"gateway": f"127.0.0.1:{self.port}"},
                 "verify": verify}
        if linear:
            found["linear"] = {"url": f"http://127.0.0.1:{self.port}/graphql", "api_key": "lin_api_bench_key_0123456789"}
        return found

    def run(self, agent_port):
        out, _ = self.process.communicate(f"{agent_port}\n", timeout=600)
        if self.process.returncode != 0:
            raise RuntimeError("loops failed")
        return json.loads(out)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
