"""Runs the real agent against doubles: process, fake clock, HTTP, waiting."""
import http.client
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "doubles"))

AGENT = os.environ.get("AGENT_SRE", os.path.join(HERE, "..", "build", "agent-sre"))
PATIENCE_S = float(os.environ.get("TEST_PATIENCE", "60"))


class Clock:
    """The agent's wall clock: 8 bytes in a file that the testing build maps."""

    def __init__(self, directory, start_ms):
        self.path = os.path.join(directory, "clock")
        with open(self.path, "wb") as f:
            f.write(struct.pack("q", start_ms))
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 8)

    def now_ms(self):
        return struct.unpack("q", self.map[:8])[0]

    def advance(self, seconds):
        self.map[:8] = struct.pack("q", self.now_ms() + int(seconds * 1000))

    def close(self):
        self.map.close()
        self.file.close()


def request(url, method="GET", body=None, headers=None, timeout=10):
    """(code, parsed or raw body); raises OSError when nobody answers, or not to the end."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    call = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(call, timeout=timeout) as reply:
            code, text = reply.status, reply.read()
    except urllib.error.HTTPError as e:
        code, text = e.code, e.read()
    except http.client.HTTPException as e:
        raise OSError(repr(e)) from e
    try:
        return code, json.loads(text)
    except ValueError:
        return code, text.decode(errors="replace")


class Agent:
    """One data directory and, at any time, at most one process."""

    def __init__(self, settings, env=None, clock_ms=None):
        self.dir = tempfile.mkdtemp(prefix="agent-sre-test-")
        self.clock = Clock(self.dir, clock_ms) if clock_ms is not None else None
        self.config = os.path.join(self.dir, "agent-sre.yaml")
        for source in ("loki", "tempo"):  # their defaults are names that nobody has here
            settings.setdefault(source, {"url": ""})
        with open(self.config, "w") as f:
            json.dump(settings, f)  # JSON is YAML
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                                                 "TSAN_OPTIONS", "LSAN_OPTIONS")}
        if self.clock:
            self.env["AGENT_SRE_TEST_CLOCK"] = self.clock.path
        self.env.update(env or {})
        self.process = None
        self.lines = []
        self.url = None
        self.starts = 0
        self.prefix = []  # of the command: another network, other limits

    def start(self, crash_after=None, crash_log=None, listen="127.0.0.1:0"):
        env = dict(self.env)
        if crash_after is not None:
            env["AGENT_SRE_CRASH_AFTER"] = str(crash_after)
        if crash_log is not None:
            env["AGENT_SRE_CRASH_LOG"] = crash_log
        self.errors = open(os.path.join(self.dir, f"stderr-{self.starts}"), "w+")
        self.starts += 1
        self.process = subprocess.Popen(
            [*self.prefix, AGENT, "serve", "--config", self.config, "--data", os.path.join(self.dir, "data"), "--listen", listen],
            env=env, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        ready = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self.reader.start()
        deadline = time.monotonic() + PATIENCE_S
        while not ready.wait(0.01):
            if self.process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                raise AssertionError("the agent did not become ready: " + self.stderr())
        return True

    def _read(self, process, ready):
        for line in process.stdout:
            self.lines.append(line)
            if '"event":"ready"' in line:
                self.url = f"http://127.0.0.1:{json.loads(line)['port']}"
                ready.set()
        process.stdout.close()

    def stderr(self):
        self.errors.flush()
        with open(self.errors.name) as f:
            return f.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the agent must end cleanly (sanitizers included)."""
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self.reader.join(5)
        text = self.stderr()
        if code not in (0, 137, -9) or "Sanitizer" in text:
            raise AssertionError(f"the agent ended with {code}: {text[-3000:]}")

    def close(self):
        try:
            self.stop()
        finally:
            if self.alive():
                self.kill()
            self.errors.close()
            if self.clock:
                self.clock.close()
            shutil.rmtree(self.dir, ignore_errors=True)

    def get(self, path):
        return request(self.url + path)

    def incident(self, which="latest"):
        code, body = self.get(f"/incidents/{which}")
        return body if code == 200 else None

    def incidents(self):
        return self.get("/incidents")[1]["incidents"]

    def ticket(self, key):
        return self.get(f"/tickets/{key}")[1]

    def metric(self, name):
        """The sum of all series whose line starts with that text."""
        text = self.get("/metrics")[1]
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("agent_sre_" + name))


def eventually(condition, what, patience=PATIENCE_S, pause=0.02, each=None):
    """Waits until condition() is true and returns its value; `each` runs between looks."""
    deadline = time.monotonic() + patience
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        if each:
            each()
        time.sleep(pause)


def event(alertname="HighErrors", status="firing", labels=None, annotations=None, starts="2026-01-15T10:40:00Z",
          ends=None, event_id=None, source="prometheus-events", **data):
    """A structured CloudEvent."""
    kind = "fired" if status == "firing" else "resolved"
    return {"specversion": "1.0", "type": f"io.homelab.prometheus.alert.{kind}", "source": source,
            "id": event_id or f"{alertname}-{status}-{starts}", "time": "2026-01-15T10:45:00Z", "subject": alertname,
            "datacontenttype": "application/json",
            "data": {"alertname": alertname, "status": status,
                     "labels": {"alertname": alertname, "severity": "warning", **(labels or {})},
                     "annotations": annotations or {}, "startsAt": starts, "endsAt": ends, **data}}


def post_event(url, body, headers=None):
    return request(url + "/", "POST", body, {"Content-Type": "application/cloudevents+json", **(headers or {})})
