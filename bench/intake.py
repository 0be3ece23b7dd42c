#!/usr/bin/env python3
"""Intake beside Alertmanager: the same machine, the same load generator (wrk), one after the other in the same run.

Alertmanager takes alerts at /api/v2/alerts into memory; it writes nothing to disk before it answers. agent-sre answers
after its fsync. Two loads on our side:
  intake    resolved alerts that nobody knows: admission alone (durable, no incident)
  incidents firing alerts: admission, and beside it the whole workflow up to the hand-over to a person
Writes bench/results.md.
"""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = [(1, 1), (16, 1), (64, 1), (16, 10), (16, 100)]  # connections, alerts per request


def wait_for(url):
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


class Server:
    def __init__(self, command, ready, directory):
        self.directory = directory
        self.log = open(os.path.join(directory, "log"), "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, cwd=directory)
        wait_for(ready)

    def io(self):
        with open(f"/proc/{self.process.pid}/io") as f:
            return {k: int(v) for k, v in (line.split(": ") for line in f)}

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(rf"{key}:\s+(\d+)", f.read()).group(1))

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def alertmanager():
    directory = tempfile.mkdtemp(prefix="bench-am-")
    with open(os.path.join(directory, "am.yml"), "w") as f:
        f.write("route: {receiver: none, group_wait: 1h, group_interval: 1h}\nreceivers: [{name: none}]\n")
    return Server(["prometheus-alertmanager", "--config.file=am.yml", "--storage.path=data", "--web.listen-address=127.0.0.1:19093",
                   "--cluster.listen-address=", "--log.level=error"], "http://127.0.0.1:19093/-/ready", directory)


def agent(path):
    directory = tempfile.mkdtemp(prefix="bench-agent-")
    with open(os.path.join(directory, "a.yaml"), "w") as f:
        json.dump({"listen": "127.0.0.1:18000", "data": "data", "prometheus": {"url": "http://127.0.0.1:1"}, "log": {"level": "warn"},
                   "verify": {"resolve_poll": "1h"}, "drain": "1s",
                   "intake": {"rate": 10_000_000, "burst": 100_000_000}}, f)  # what it can, not what one caller may
    return Server([path, "serve", "--config", "a.yaml"], "http://127.0.0.1:18000/ready", directory)


def load(port, target, connections, batch, seconds, run):
    env = {**os.environ, "TARGET": target, "BATCH": str(batch), "RUN": run}
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", os.path.join(HERE, "alerts.lua"),
                          f"http://127.0.0.1:{port}"], env=env, capture_output=True, text=True, check=True).stdout
    requests, duration_us, p50, p99, refused, broken = map(int, re.search(r"RESULT (.*)", out).group(1).split())
    return {"rate": requests / (duration_us / 1e6), "alerts": batch * requests / (duration_us / 1e6), "requests": requests,
            "p50": p50 / 1000, "p99": p99 / 1000, "refused": refused, "broken": broken}


def metric(name):
    with urllib.request.urlopen("http://127.0.0.1:18000/metrics", timeout=30) as reply:
        text = reply.read().decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("agent_sre_" + name))


def budget(path, batch, seconds):
    """What one alert costs us: fsyncs, bytes written, CPU, and system calls (strace, on a run of its own)."""
    server = agent(path)
    try:
        before, cpu, commits = server.io(), server.cpu(), metric("store_commit_seconds_count")
        r = load(18000, "resolved", 16, batch, seconds, f"budget{batch}")
        after, alerts = server.io(), r["requests"] * batch
        result = {"fsyncs": (metric("store_commit_seconds_count") - commits) / alerts, "bytes": (after["write_bytes"] - before["write_bytes"]) / alerts,
                  "cpu_us": (server.cpu() - cpu) * 1e6 / alerts, "group": r["requests"] / max(1, metric("store_commit_seconds_count") - commits)}
        if shutil.which("strace"):
            trace = subprocess.Popen(["strace", "-f", "-c", "-o", os.path.join(server.directory, "trace"), "-p", str(server.process.pid)],
                                     stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            r = load(18000, "resolved", 16, batch, 2, f"trace{batch}")
            trace.send_signal(signal.SIGINT)
            trace.wait()
            with open(os.path.join(server.directory, "trace")) as f:
                total = re.search(r"^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+)", f.read(), re.M)
            result["syscalls"] = int(total.group(1)) / (r["requests"] * batch) if total else None
        return result
    finally:
        server.close()


def fsync_ms(directory):
    """One small append and fdatasync on this disk, median of 200."""
    path, times = os.path.join(directory, "probe"), []
    with open(path, "wb") as f:
        for _ in range(200):
            f.write(b"x" * 4096)
            f.flush()
            began = time.perf_counter()
            os.fdatasync(f.fileno())
            times.append(time.perf_counter() - began)
    os.unlink(path)
    return sorted(times)[100] * 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", required=True)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--out", default=os.path.join(HERE, "results.md"))
    o = parser.parse_args()
    path = os.path.abspath(o.agent)
    lines = []

    def say(text):
        print(text, flush=True)
        lines.append(text)
    version = subprocess.run(["prometheus-alertmanager", "--version"], capture_output=True, text=True)
    am_version = re.search(r"version (\S+)", version.stdout + version.stderr).group(1)
    cores = os.cpu_count()
    with tempfile.TemporaryDirectory() as d:
        disk = fsync_ms(d)
    say("# Intake beside Alertmanager\n")
    say(f"`make bench`: wrk (1 thread) on the same {cores} cores, release build, {o.seconds} s each, servers one after the other. Alertmanager {am_version} keeps alerts in")
    say(f"memory; agent-sre answers after fsync (one fdatasync of 4 KiB here: median {disk:.2f} ms). {platform.machine()}, Linux {platform.release().split('-')[0]}.\n")
    say("| load | connections | alerts per request | Alertmanager req/s | p50 / p99 ms | agent-sre req/s | p50 / p99 ms | ratio |")
    say("|---|---|---|---|---|---|---|---|")
    for target in ("resolved", "firing"):
        for connections, batch in SHAPES:
            pair = {}
            for name, make, port, kind in (("am", alertmanager, 19093, "alertmanager"), ("us", lambda: agent(path), 18000, target)):
                server = make()
                try:
                    pair[name] = load(port, kind, connections, batch, o.seconds, f"{target}{connections}x{batch}")
                finally:
                    server.close()
            am, us = pair["am"], pair["us"]
            name = "intake" if target == "resolved" else "incidents"
            note = f" ({us['refused']} × 503)" if us["refused"] else ""
            say(f"| {name} | {connections} | {batch} | {am['rate']:,.0f} | {am['p50']:.2f} / {am['p99']:.2f} | {us['rate']:,.0f}{note} | "
                f"{us['p50']:.2f} / {us['p99']:.2f} | {us['rate'] / am['rate']:.2f} × |")
    say("\nWhat one alert costs agent-sre (load: intake, 16 connections):\n")
    say("| alerts per request | requests per fsync | fsyncs per alert | bytes written per alert | CPU µs per alert | system calls per alert |")
    say("|---|---|---|---|---|---|")
    for batch in (1, 10, 100):
        b = budget(path, batch, o.seconds)
        calls = f"{b['syscalls']:.1f}" if b.get("syscalls") is not None else "not measured (no strace)"
        say(f"| {batch} | {b['group']:.1f} | {b['fsyncs']:.4f} | {b['bytes']:,.0f} | {b['cpu_us']:.0f} | {calls} |")
    with open(o.out, "w") as f:
        f.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
