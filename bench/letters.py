#!/usr/bin/env python3
"""Capture of dead letters (SRE-010.8): failures from many senders at the same moment; how long until each is durable.

Two numbers: what a sender sees (its request, until 400 came back, which is after the fsync), and the agent's own
histogram dlq_capture_seconds. Then all are counted. Ends with 1 when
one is missing or P95 is not below 100 ms.
"""
import argparse
import http.client
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BAR_MS = 100


def start(path, directory):
    config = os.path.join(directory, "agent.yaml")
    with open(config, "w") as f:
        json.dump({"listen": "127.0.0.1:18010", "data": os.path.join(directory, "data"), "log": {"level": "error"},
                   "prometheus": {"url": "http://127.0.0.1:1"}, "loki": {"url": ""}, "tempo": {"url": ""}}, f)
    with open(os.path.join(directory, "log"), "w") as log:
        process = subprocess.Popen([os.path.abspath(path), "serve", "--config", config], stdout=log, stderr=log)
    for _ in range(200):
        try:
            urllib.request.urlopen("http://127.0.0.1:18010/ready", timeout=1).read()
            return process
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the agent does not answer")


def bodies(n):
    """One that is an event with wrong data, one that is no JSON: the two ways into the dead letters."""
    event = {"specversion": "1.0", "id": f"bad-{n}", "source": "bench", "type": "io.homelab.prometheus.alert.fired",
             "data": {"alertname": "A", "status": "odd", "labels": {"alertname": "A", "filler": "x" * 500}}}
    return json.dumps(event) if n % 2 else '{"broken": ' + "y" * 500


def send(sender, each, gate, took, codes):
    connection = http.client.HTTPConnection("127.0.0.1", 18010, timeout=60)
    connection.connect()
    gate.wait()
    for n in range(each):
        body = bodies(sender * each + n)
        began = time.perf_counter()
        connection.request("POST", "/", body, {"Content-Type": "application/cloudevents+json"})
        reply = connection.getresponse()
        reply.read()
        took.append((time.perf_counter() - began) * 1000)
        codes.append(reply.status)
    connection.close()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def capture_p95():
    """The upper bound of the histogram's bucket, in ms."""
    text = urllib.request.urlopen("http://127.0.0.1:18010/metrics").read().decode()
    buckets = [(line.split('le="')[1].split('"')[0], float(line.rsplit(" ", 1)[1])) for line in text.splitlines()
               if line.startswith("agent_sre_dlq_capture_seconds_bucket")]
    bound = next(b for b, count in buckets if count >= 0.95 * buckets[-1][1])
    return float(bound) * 1000, int(buckets[-1][1])


def kept():
    return int(float(next(line.rsplit(" ", 1)[1] for line in urllib.request.urlopen("http://127.0.0.1:18010/metrics")
                          .read().decode().splitlines() if line.startswith("agent_sre_dlq_size "))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", default="build/agent-sre")
    parser.add_argument("--senders", type=int, default=50)
    parser.add_argument("--each", type=int, default=40)
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="bench-letters-")
    process = start(options.agent, directory)
    try:
        gate = threading.Barrier(options.senders)
        took, codes = [], []
        threads = [threading.Thread(target=send, args=(s, options.each, gate, took, codes)) for s in range(options.senders)]
        began = time.perf_counter()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seconds = time.perf_counter() - began
        count = options.senders * options.each
        inside, observed = capture_p95()
        found = kept()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(directory, ignore_errors=True)
    p95 = percentile(took, 0.95)
    print(f"{count} failures from {options.senders} senders in {seconds:.2f} s: {count / seconds:.0f} a second")
    print(f"sender: P50 {percentile(took, 0.5):.1f} ms, P95 {p95:.1f} ms, P99 {percentile(took, 0.99):.1f} ms")
    print(f"agent (dlq_capture_seconds, {observed} of them): P95 at most {inside:g} ms")
    print(f"kept: {found} of {count}; refused with 400: {codes.count(400)}")
    good = found == count and codes.count(400) == count and p95 < BAR_MS and inside <= BAR_MS
    print("all there, P95 below 100 ms" if good else "NOT GOOD")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
