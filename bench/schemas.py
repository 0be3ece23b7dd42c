#!/usr/bin/env python3
"""Events of mixed schema versions (SRE-013.9): how long each takes, and whether one is lost.

Posts --events events, one after the other over one connection, versions v1.0, v1.1, v2.0 (an adapter) and v3.0 (added at
run time: a JSON Schema and two adapters) in turn, and prints the latency of each version's requests; each is answered
after its fsync. Ends with 1 when one is lost or refused, or the P95 of any version is not below 50 ms.
"""
import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

AT = "https://schemas.homelab.com/alert/"
VERSIONS = ("v1.0", "v1.1", "v2.0", "v3.0")
V3 = {"type": "io.homelab.prometheus.alert.*", "version": "v3.0", "breaking_changes": ["alert_name is alert.name"],
      "schema": {"type": "object", "required": ["status", "alert", "labels"], "properties": {
          "status": {"enum": ["firing", "resolved"]},
          "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 4096},
                     "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
          "alert": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}}},
      "adapters": {"v3.0->v2.0": [{"move": {"from": "/alert/name", "to": "/alert_name"}}, {"drop": "/alert"}]}}
NAME_KEY = {"v1.0": "alertname", "v1.1": "alertname", "v2.0": "alert_name"}


def event(n):
    version = VERSIONS[n % len(VERSIONS)]
    data = {"status": "resolved", "startsAt": "2026-01-15T10:40:00Z", "endsAt": "2026-01-15T10:45:00Z",
            "labels": {**{f"label_{k}": f"value {k}" for k in range(20)}, "pod": f"p{n}"}, "annotations": {"summary": "x" * 200}}
    if version == "v3.0":
        data["alert"] = {"name": "PodCPUHigh"}
    else:
        data[NAME_KEY[version]] = "PodCPUHigh"
    if version != "v1.0":
        data["slo"] = "availability"
    return version, {"specversion": "1.0", "id": f"e{n}", "source": "bench", "type": "io.homelab.prometheus.alert.resolved",
                     "dataschema": AT + version, "data": data}


def start(path, directory):
    config = os.path.join(directory, "a.yaml")
    with open(config, "w") as f:
        json.dump({"listen": "127.0.0.1:0", "data": os.path.join(directory, "data"), "log": {"level": "info"}}, f)
    process = subprocess.Popen([path, "serve", "--config", config], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if '"event":"ready"' in line:
            return process, int(json.loads(line)["port"])
    raise RuntimeError("the agent did not start")


def call(connection, method, path, body=None, kind="application/json"):
    connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def run(connection, count):
    times = {v: [] for v in VERSIONS}
    bad = 0
    code, reply = call(connection, "POST", "/schemas", V3)
    if code != 200:
        raise RuntimeError(reply)
    for n in range(count):
        version, body = event(n)
        began = time.perf_counter()
        code, reply = call(connection, "POST", "/", body, "application/cloudevents+json")
        times[version].append((time.perf_counter() - began) * 1000)
        bad += code != 200 or reply["status"] != "processed"
    for n in range(count):
        bad += call(connection, "GET", f"/events/bench/e{n}")[0] != 200
    return times, bad


def validation(connection):
    """From the agent's own histogram: how many validations, and the share within 1 ms."""
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    value = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if "schema_validation_seconds" in line and line[0] != "#"}
    count = value["agent_sre_schema_validation_seconds_count"]
    return count, value['agent_sre_schema_validation_seconds_bucket{le="0.001"}'] / count


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--agent", required=True)
    args.add_argument("--events", type=int, default=1000)
    args = args.parse_args()
    directory = tempfile.mkdtemp(prefix="bench-schemas-")
    process, port = start(args.agent, directory)
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        times, bad = run(connection, args.events)
        validations, quick = validation(connection)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        drain.wait(60)
        shutil.rmtree(directory, ignore_errors=True)
    slow = False
    for version, values in times.items():
        p95 = statistics.quantiles(values, n=20)[18]
        slow = slow or p95 >= 50
        print(f"{version}: {len(values)} events, median {statistics.median(values):.2f} ms, P95 {p95:.2f} ms, max {max(values):.2f} ms")
    print(f"{validations:.0f} validations, {quick:.1%} of them within 1 ms")
    print(f"{bad} lost or refused of {args.events}")
    sys.exit(1 if bad or slow else 0)


if __name__ == "__main__":
    main()
