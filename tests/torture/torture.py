"""Kills the agent with SIGKILL at random moments under load, and counts what was lost or done twice.

  tests/torture/torture.py --agent build/agent-sre --kills 1000 [--power] [--mode embedded|linear] [--minutes M] [--seed S]

With --power it is not only the process that dies: of everything that it had written, only what was synced is sure to be
there when it starts again (power.py).

Ctrl-C ends the kills; what was sent until then is still finished and judged.

The plan (load and kills) follows from the seed. Exit code 0 only when nothing was lost, nothing was doubled, all of it
came in order and every incident is closed. `--break` spoils the run on purpose: the judge must see it.
"""
import argparse
import collections
import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../doubles")]
import judge  # noqa: E402
from linear_double import KEY  # noqa: E402
from load import BASE, Load  # noqa: E402
from peers import RULE, Function, Linear, Prometheus  # noqa: E402
from power import Directory  # noqa: E402

CATALOGUE = {"functions": [{
    "name": "restart", "description": "Restart a pod.", "risk": "low", "effect": "reversible", "idempotent": True,
    "cooldown": "1ms", "per_hour": 100000,
    "parameters": {"name": {"type": "string", "required": True}, "namespace": {"type": "string", "required": True},
                   "type": {"type": "string", "required": False}}}]}


def free_port(chance):
    """Below the range that outgoing connections take, so that it stays free between two processes."""
    while True:
        with socket.socket() as s:
            port = chance.randint(20000, 32000)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Process:
    """One life of the agent."""

    def __init__(self, command, errors, env=None):
        self.ready = threading.Event()
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env and {**os.environ, **env})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if b'"event":"ready"' in line:
                self.took = time.monotonic() - self.began
                self.ready.set()
        self.process.stdout.close()

    def dead(self):
        return self.process.poll() is not None

    def kill(self):
        self.process.kill()
        return self.process.wait()


class Power:
    """Lives that end in a power cut: at a moment, or at any one of the agent's writes and syncs."""

    def __init__(self, options, data, verdict):
        self.library, self.data, self.verdict = options.unsynced, data, verdict
        self.lie = options.broken.removeprefix("lie:") if options.broken and options.broken.startswith("lie:") else None
        self.log = data + ".records"
        self.chance = random.Random(f"power {options.seed}")
        self.survived, self.records, self.lost, self.open_ended = collections.Counter(), 0, 0, 0
        os.mkdir(data, 0o700)
        self.on = None

    def env(self):
        """For the next life. Every third of them is short: the start and what it repairs."""
        if self.on:
            self.on.next_life()
        else:
            self.on = Directory(self.data)
        if os.path.exists(self.log):
            os.unlink(self.log)
        cut = self.chance.randint(1, 60) if self.chance.random() < 0.33 else int(60 * 50 ** self.chance.random())
        env = {"LD_PRELOAD": self.library, "UNSYNCED_DIR": self.data, "UNSYNCED_LOG": self.log, "UNSYNCED_SLOW_US": "4000",
               "UNSYNCED_CUT_AFTER": str(cut)}
        return env | ({"UNSYNCED_LIE": self.lie} if self.lie is not None else {})

    def cut(self, exact):
        """`exact`: the process ended with a record, so that no change can have been made and not been written down. Then the
        power may also hold out until a later life has read what this one did not sync."""
        if os.path.exists(self.log):
            self.on.replay(self.log)
        if exact:
            for difference in self.on.differences():
                self.verdict.find("changes unseen", difference)
        self.records += self.on.records - self.on.before
        unsynced = self.on.unsynced()
        if exact and self.chance.random() < 0.25:
            self.survived["killed only"] += 1
            return
        self.survived[self.on.cut(self.chance) if unsynced else "all was synced"] += 1
        self.lost += unsynced
        self.on = None


class Torture:
    def __init__(self, options):
        self.o = options
        self.chance = random.Random(f"kills {options.seed}")
        self.verdict = judge.Verdict()
        self.ready_s, self.killed_early = [], 0
        self.enough = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: self.enough.set())
        self.dir = tempfile.mkdtemp(prefix="agent-sre-torture-")
        self.data = os.path.join(self.dir, "data")
        forgets = options.broken == "no-key"
        self.function = Function(options.seed, forgets)
        self.prometheus = Prometheus(lambda mark: {"pod": mark, **BASE})
        self.linear = Linear(options.seed, forgets) if options.mode == "linear" else None
        self.port = free_port(random.Random())
        self.load = Load(self.port, options.seed, options.rate, options.senders, self.prometheus, options.broken)
        self.function.on_effect = self.load.remedied
        self.power = Power(options, self.data, self.verdict) if options.power else None
        self.configure()
        self.errors = open(os.path.join(self.dir, "stderr"), "w+")
        self.command = [options.agent, "serve", "--config", os.path.join(self.dir, "agent-sre.yaml"), "--data", self.data,
                        "--listen", f"127.0.0.1:{self.port}"]

    def configure(self):
        settings = {"prometheus": {"url": self.prometheus.url, "timeout": "2s"}, "log": {"level": "info"}, "workers": 32, "api": {"rate": 1000000},
                    "functions": {"gateway": f"127.0.0.1:{self.function.port}"}, "policy": {"flaps_per_hour": 1000},
                    "loki": {"url": ""}, "tempo": {"url": ""}, "verify": {"first": "100ms", "budget": "60s", "resolve_poll": "3s"},
                    "catalogue": os.path.join(self.dir, "catalogue.yaml")}
        if self.linear:
            settings["linear"] = {"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"}
        for name, content in (("agent-sre.yaml", settings), ("catalogue.yaml", CATALOGUE)):
            with open(os.path.join(self.dir, name), "w") as f:
                json.dump(content, f)

    def await_ready(self, process):
        while not process.ready.wait(0.05):
            if process.dead() or time.monotonic() > process.began + 60:
                raise SystemExit(f"the agent did not become ready ({process.process.poll()}): {self.last_words()}")
        self.ready_s.append(process.took)

    def one_cut(self):
        process = Process(self.command, self.errors, self.power.env())
        end = time.monotonic() + 2
        while not process.dead() and time.monotonic() < end:
            time.sleep(0.002)
        exact = process.dead()
        if exact and process.process.poll() != -signal.SIGKILL:
            self.verdict.find("crashes", f"ended by itself with {process.process.poll()}: {self.last_words()}")
        process.kill()
        if process.ready.is_set():
            self.ready_s.append(process.took)
        else:
            self.killed_early += 1
        self.power.cut(exact)

    def last_words(self):
        with open(self.errors.name) as f:
            return f.read()[-3000:]

    def one_kill(self):
        process = Process(self.command, self.errors)
        if self.chance.random() < 0.2:  # while it starts or recovers
            time.sleep(self.chance.uniform(0, 0.02))
            self.killed_early += not process.ready.is_set()
        else:
            pause = self.chance.uniform(0.005, 0.4)
            self.await_ready(process)
            time.sleep(pause)
        if process.dead():
            self.verdict.find("crashes", f"ended by itself with {process.process.poll()}")
        process.kill()

    def kill_all(self):
        end = time.monotonic() + self.o.minutes * 60 if self.o.minutes else None
        for n in range(self.o.kills):
            if self.enough.is_set() or (end and time.monotonic() > end):
                return n
            self.one_cut() if self.power else self.one_kill()
            if self.o.verbose and n % 50 == 49:
                print(f"{n + 1} kills, {self.load.acknowledged} of {self.load.requests} requests acknowledged", flush=True)
        return self.o.kills

    def drained(self, ask):
        if self.load.waiting > 0 or ask.get("/incidents?state=active&limit=1")["incidents"]:
            return False
        return self.operations_waiting() == 0

    def operations_waiting(self):
        import urllib.request
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(l.rsplit(" ", 1)[1]) for l in lines if l.startswith("agent_sre_ticket_operations_waiting"))

    def drain(self, ask):
        """Twice in a row: an effect may still be about to cause its resolved event."""
        end, calm = time.monotonic() + self.o.patience, 0
        while calm < 2:
            calm = calm + 1 if self.drained(ask) else 0
            if time.monotonic() > end:
                self.verdict.find("not finished", f"after {self.o.patience} s {self.load.waiting} requests wait")
                return
            time.sleep(0.7 if calm else 0.2)

    def judge(self, ask):
        v = self.verdict
        by_mark = judge.incidents_of(ask)
        self.incidents = sum(map(len, by_mark.values()))
        self.events = judge.judge_events(v, ask, self.load, by_mark)
        judge.judge_effects(v, self.function, self.load, by_mark)
        judge.judge_lives(v, by_mark)
        judge.judge_tickets(v, judge.linear_tickets(self.linear) if self.linear else judge.embedded_tickets(ask), by_mark)
        judge.judge_letters(v, ask)
        for refusal in self.load.refused:
            v.find("refused", str(refusal))

    def run(self):
        began = time.monotonic()
        self.load.start()
        self.kills = self.kill_all()
        self.load.ended.set()
        process = Process(self.command, self.errors)
        self.await_ready(process)
        ask = judge.Questions(self.port)
        self.drain(ask)
        self.judge(ask)
        process.process.terminate()
        if process.process.wait(60) != 0:
            self.verdict.find("crashes", f"SIGTERM ended with {process.process.poll()}")
        judge.judge_log(self.verdict, self.data)
        for path in glob.glob(os.path.join(self.data, "*.db")):
            judge.judge_database(self.verdict, path)
        self.seconds = time.monotonic() - began

    def report(self):
        v, load, f = self.verdict, self.load, self.function
        took = sorted(self.ready_s)
        at = lambda share: f"{took[min(len(took) - 1, int(share * len(took)))] * 1000:.0f} ms"  # noqa: E731
        rows = [("seed", self.o.seed), ("tickets at", self.o.mode), ("spoiled on purpose", self.o.broken or "no"),
                ("power cut" if self.power else "kill -9", f"{self.kills} ({self.killed_early} before the agent was ready)"), ("seconds", f"{self.seconds:.0f}"),
                ("requests acknowledged / sent / attempts", f"{load.acknowledged} / {load.requests} / {load.attempts}"),
                ("distinct events acknowledged", self.events), ("episodes / incidents", f"{len(load.episodes)} / {self.incidents}"),
                ("events lost", v.count("events lost")), ("incidents doubled", v.count("incidents doubled")),
                ("function effects / attempts", f"{sum(f.done.values())} / {sum(f.tried.values())}"),
                ("effects lost", v.count("effects lost")), ("effects doubled", v.count("effects doubled"))]
        if self.linear:
            rows.append(("tickets / attempts, comments / attempts", f"{len(self.linear.issues)} / {self.linear.tried['issue']}, "
                         f"{len(self.linear.comments)} / {self.linear.tried['comment']}"))
        rows += [(kind, v.count(kind)) for kind in ("tickets lost", "tickets doubled", "comments lost", "comments doubled", "out of order",
                                                    "not finished", "buried", "refused", "crashes", "log damaged",
                                                    "database damaged")]
        if self.power:
            rows += [("changes unseen", v.count("changes unseen")),
                     ("changes of files", self.power.records), ("changes not synced at a cut", self.power.lost),
                     ("of these survived, cuts", ", ".join(f"{how}: {n}" for how, n in sorted(self.power.survived.items())))]
        if took:
            rows.append(("restart to ready, p50 / p99", f"{at(0.5)} / {at(0.99)}"))
        for name, value in rows:
            print(f"{name:42}{value}")
        for kind, texts in v.findings.items():
            for text in texts[:self.o.show]:
                print(f"  {kind}: {text}")

    def close(self):
        self.errors.close()
        for double in (self.function, self.prometheus, self.linear):
            if double:
                double.close()
        if not self.o.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print(f"kept: {self.dir}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--agent", default=os.environ.get("AGENT_SRE", os.path.join(HERE, "../../build/agent-sre")))
    p.add_argument("--kills", type=int, default=1000)
    p.add_argument("--minutes", type=float, help="stop killing after this")
    p.add_argument("--mode", choices=("linear", "embedded"), default="linear")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    p.add_argument("--rate", type=float, default=6, help="new alerts per second; each makes several requests")
    p.add_argument("--senders", type=int, default=12)
    p.add_argument("--patience", type=float, default=120, help="seconds for the rest of the work after the last kill")
    p.add_argument("--power", action="store_true", help="what was not synced is lost too")
    p.add_argument("--unsynced", default=os.environ.get("UNSYNCED"), help="the library that watches the files, built by Meson")
    p.add_argument("--break", dest="broken", metavar="HOW",
                   help="dedupe, ack-early, no-key; with --power also lie:NAME: syncs of files with that in their name do nothing")
    p.add_argument("--show", type=int, default=5, help="findings to print of each kind")
    p.add_argument("--keep", action="store_true", help="keep the data directory")
    p.add_argument("--verbose", action="store_true")
    options = p.parse_args()
    if options.power and not options.unsynced:
        options.unsynced = os.path.join(os.path.dirname(os.path.abspath(options.agent)), "tests/torture/libunsynced.so")
    torture = Torture(options)
    try:
        torture.run()
        torture.report()
    finally:
        torture.close()
    sys.exit(1 if torture.verdict.total() else 0)


if __name__ == "__main__":
    main()
