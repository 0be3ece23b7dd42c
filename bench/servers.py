"""The programs that are measured, each started afresh in a directory of its own, and what the kernel says about them."""
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.request

PATIENCE_S = 120

# what stays the same in all runs: no peer is reachable unless a row says so, nothing happens by itself
BASE = {"data": "data", "prometheus": {"url": "http://127.0.0.1:1"}, "loki": {"url": ""}, "tempo": {"url": ""},
        "log": {"level": "warn"}, "investigate": {"enabled": False}, "verify": {"resolve_poll": "1h"}, "drain": "1s"}


def free_port():
    """Nobody else's server, nobody else's load."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, command, port, ready, where, name, files=None):
        self.directory = os.path.join(where, name)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        for file, text in (files or {}).items():
            with open(os.path.join(self.directory, file), "w") as f:
                f.write(text)
        self.command, self.port, self.ready = command, port, ready
        self.start()

    def start(self):
        """Seconds from exec to the first good answer."""
        with open(os.path.join(self.directory, "log"), "a") as log:
            began = time.perf_counter()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.directory)
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                self.process.kill()
                self.process.wait()
                with open(os.path.join(self.directory, "log")) as log:
                    raise RuntimeError(f"{self.command[0]} does not start: {log.read()[-2000:]}")
        return time.perf_counter() - began

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(f"GET {self.ready} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in s.recv(64)
        except OSError:
            time.sleep(0.001)
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def proc(self, file, key):
        """A number out of /proc/PID/FILE, as it stands there."""
        with open(f"/proc/{self.process.pid}/{file}") as f:
            return int(re.search(rf"^{key}:\s+(\d+)", f.read(), re.M).group(1))

    def memory_mb(self):
        return {"rss": self.proc("status", "VmRSS") / 1024, "pss": self.proc("smaps_rollup", "Pss") / 1024,
                "peak": self.proc("status", "VmHWM") / 1024}

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as reply:
            return reply.read().decode()

    def post(self, path, body):
        call = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(call, timeout=60) as reply:
            reply.read()


class Agent(Server):
    def __init__(self, path, where, catalogue=None, **settings):
        port, files = free_port(), {}
        merged = {**BASE, "listen": f"127.0.0.1:{port}", **settings}
        if catalogue:
            merged["catalogue"] = "catalogue.yaml"
            files["catalogue.yaml"] = json.dumps(catalogue)  # JSON is YAML
        files["agent-sre.yaml"] = json.dumps(merged)
        super().__init__([path, "serve", "--config", "agent-sre.yaml"], port, "/ready", where, "agent", files)
        self.database = os.path.join(self.directory, "data", "agent-sre.db")

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.get("/metrics").splitlines()
                   if re.match(rf"agent_sre_{re.escape(name)}[ {{]", line) or (name.endswith("}") and line.startswith("agent_sre_" + name)))

    def applied(self):
        """How many episodes of alerts are in the database: what was accepted, seen from outside."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30) as db:
            return db.execute("SELECT count(*) FROM episode").fetchone()[0]

    def drain(self, accepted):
        """Waits until all that was accepted is applied: (how much was not at first, seconds)."""
        began = time.perf_counter()
        waiting = left = max(0, accepted - self.applied())
        while left > 0:
            looked = time.perf_counter()
            if looked - began > PATIENCE_S:
                raise RuntimeError(f"{accepted} alerts were accepted, {left} of them are not in the database after {PATIENCE_S} s")
            left = max(0, accepted - self.applied())
            time.sleep(max(0.02, 5 * (time.perf_counter() - looked)))  # counting must not become the load
        return waiting, time.perf_counter() - began

    def until(self, condition, what, patience=PATIENCE_S):
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"never happened: {what}")
            time.sleep(0.1)


def alertmanager(where):
    port = free_port()
    config = "route: {receiver: none, group_wait: 1h, group_interval: 1h}\nreceivers: [{name: none}]\n"
    return Server(["prometheus-alertmanager", "--config.file=am.yml", "--storage.path=data",
                   f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"],
                  port, "/-/ready", where, "alertmanager", {"am.yml": config})


def ceiling(tools, where):
    port = free_port()
    return Server([os.path.join(tools, "ceiling"), str(port)], port, "/", where, "ceiling")


def version_of(command):
    out = subprocess.run([command, "--version"], capture_output=True, text=True)
    found = re.search(r"(?:version |wrk |agent-sre )(\S+)", out.stdout + out.stderr)
    return found.group(1) if found else "?"


def scratch(where):
    os.makedirs(where, exist_ok=True)
    return tempfile.mkdtemp(dir=where)
