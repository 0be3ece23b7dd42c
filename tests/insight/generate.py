"""Labelled incidents of our own making: python3 generate.py --seed 1 --per-class 8 --out FOLDER

Each file is {"truth": {class, objects[], at_ms, variant}, "evidence": …} (domain/evidence.h). Everything follows from the seed.

What is simulated. A service (the alert's pod is one of its replicas) behind a gateway calls three dependencies, one of
which calls a dependency of its own; beside the pod, others run on its node. Time goes in steps of 15 s for an hour before
the alert and some minutes after. In each step:

  arrivals    base x daily sinusoid x AR(1) noise, drawn with Poisson-like noise; a share of what failed comes back (retries)
  node        what all pods on it ask for; above its cores everybody gets a proportional part of what they ask (contention)
  processor   demand = (arrivals + backlog) x cost, above the pod's part or limit it is throttled; the rest waits (backlog)
  latency     work / speed x 1 / (1 - rho^2) (a queue's wait) + backlog / rate + the latencies of the dependencies (each
              with a queue's slow-down of its own under load), log-normal between requests
  failures    a basic share + requests beyond the timeout + what the fault itself breaks
  memory      resident base + what requests in flight hold + a collector's sawtooth + the leak; near the limit the collector
              costs processor time (1 / what is left); above it the pod is killed and begins anew
  disk        written by requests and by log lines (failures are long), rotated; when full, writes fail
  metrics     counters are seen as rate(...[1m..5m]), that is as a trailing mean: a step of the world is a ramp to
              Prometheus; latency is the p95 over the same window. Gauges are seen as they are, with noise
  logs        some lines for requests, failures with the words of their cause, and some that always come
  traces      one or two requests a step, as a tree of spans; for some incidents only the slow ones are kept (AI-001.7)

What goes wrong, at t0 (truth.at_ms), 3 to 45 minutes before the alert:

  traffic_surge    arrivals x 2-4.5, at once or over some minutes
  memory_leak      bytes kept per request or per second, so that the limit is near before the alert; may end in a kill
  bad_deploy       a new image that fails, costs more, waits on a lock, or leaks
  slow_dependency  one dependency, perhaps the one behind another, takes 4-20 times as long
  disk_fill        something writes: verbose logging, a dump, files that are not removed
  noisy_neighbour  one pod of the node takes (nearly) all cores that are left
  error_burst      a share of the requests fails fast, in the service itself or in one dependency; nothing gets slower
  nothing_wrong    the alert's threshold is too near to what is usual: a crest of the daily course or one outlier
  unknown          the pod burns processor, or waits on itself, with no new version, traffic, leak or neighbour

What misleads, in every class with some probability: a harmless new version at another time (at least 8 minutes from t0: nearer,
a person could not tell either), a neighbour whose load follows the traffic, a small step in another neighbour, a step in memory
(cache), error lines that always come, new harmless lines, single outliers, gaps of all or some samples, roles that are not
measured, logs or traces that could not be had, spans without their parents, clocks that differ, restarts for other reasons.
What is left always holds enough to tell: spans or per-destination latencies for a dependency, the disk for a full disk.

The alert is the first symptom that holds for some minutes (latency, failures, processor, memory, disk beyond a
threshold that is drawn per service); worlds in which none does within 45 minutes are drawn again.
"""
import argparse
import json
import math
import os
import random
import zlib

CLASSES = ("traffic_surge", "memory_leak", "bad_deploy", "slow_dependency", "disk_fill", "noisy_neighbour", "error_burst",
           "nothing_wrong", "unknown")
STEP = 15
WARM = 30 * 60  # simulated before the window begins
BEGIN_MS = 1_790_000_000_000
MIB = 1024.0 * 1024.0

NAMESPACES = ("orchard", "harbour", "atlas", "meadow", "lantern")
SERVICES = ("ledger", "basket", "parcel", "roster", "search", "quotes", "booking", "invoice", "catalog", "profile")
DEPENDENCIES = ("rates", "stock-db", "identity", "mail-gateway", "geo", "archive", "pricing", "sessions", "vault-proxy", "labels-db")
NEIGHBOURS = ("report-builder", "video-encode", "log-shipper", "index-merge", "thumbnailer", "batch-import", "cache-warmer")
LANGUAGES = {
    "java": {"oom": "java.lang.OutOfMemoryError: Java heap space",
             "refused": "java.net.ConnectException: Connection refused: {dep}:{port}",
             "timeout": "java.net.SocketTimeoutException: Read timed out after {ms} ms calling {dep}",
             "disk": "java.io.IOException: No space left on device",
             "faults": ("java.lang.NullPointerException: Cannot invoke \"String.length()\" because \"{word}\" is null",
                        "java.lang.IllegalStateException: schema version {n} is not supported",
                        "javax.net.ssl.SSLHandshakeException: PKIX path validation failed: certificate expired")},
    "python": {"oom": "MemoryError: unable to allocate {n} bytes",
               "refused": "ConnectionRefusedError: [Errno 111] Connection refused ({dep}:{port})",
               "timeout": "TimeoutError: no answer from {dep} within {ms} ms",
               "disk": "OSError: [Errno 28] No space left on device: '/var/data/{hex}.tmp'",
               "faults": ("KeyError: '{word}' while handling request {uuid}",
                          "ValueError: invalid literal for int() with base 10: '{word}'",
                          "jwt.exceptions.ExpiredSignatureError: Signature has expired")},
    "go": {"oom": "fatal error: runtime: out of memory: cannot allocate {n}-byte block",
           "refused": "dial tcp 10.{b}.{b}.{b}:{port}: connect: connection refused",
           "timeout": "Get \"http://{dep}:{port}/v1/{word}/{n}\": context deadline exceeded",
           "disk": "write /var/data/segment-{n}.log: no space left on device",
           "faults": ("panic: runtime error: index out of range [{n}] with length {n}",
                      "panic: runtime error: invalid memory address or nil pointer dereference",
                      "rpc error: code = Unauthenticated desc = token of {word} has expired")},
}
USUAL_LINES = (("info", "{word} request {uuid} done in {ms} ms"), ("info", "GET /v1/{word}/{n} 200 {ms}ms from 10.{b}.{b}.{b}"),
               ("debug", "cache hit for key {hex}"), ("info", "user {n} loaded {word}, {n} items"))
HARMLESS = (("error", "client 10.{b}.{b}.{b} closed the connection before the answer"), ("error", "metrics push took {ms} ms, skipped"),
            ("warn", "deprecated header X-{word} used by client {n}"), ("warning", "slow consumer {hex}, dropping {n} samples"))
NEW_HARMLESS = (("info", "feature flag {word} reloaded, revision {n}"), ("info", "cache warmed: {n} entries in {ms} ms"),
                ("warn", "configuration key {word} is unused"))
WORDS = ("orders", "items", "users", "stock", "prices", "routes", "labels", "coupons")


def fill(r, text, **known):
    out, at = "", 0
    while True:
        begin = text.find("{", at)
        if begin < 0:
            return out + text[at:]
        end = text.index("}", begin)
        key = text[begin + 1:end]
        value = known.get(key)
        if value is None:
            value = {"word": lambda: r.choice(WORDS), "n": lambda: r.randrange(1, 100000), "ms": lambda: r.randrange(1, 900),
                     "hex": lambda: f"{r.getrandbits(48):012x}", "b": lambda: r.randrange(1, 255), "port": lambda: 8080,
                     "uuid": lambda: f"{r.getrandbits(32):08x}-{r.getrandbits(16):04x}-4{r.getrandbits(12):03x}-a{r.getrandbits(12):03x}-{r.getrandbits(48):012x}",
                     }[key]()
        out += text[at:begin] + str(value)
        at = end + 1


class World:
    """The parameters of one incident, drawn once."""

    def __init__(self, r, kind):
        self.r, self.kind = r, kind
        self.namespace, self.service = r.choice(NAMESPACES), r.choice(SERVICES)
        names = r.sample(DEPENDENCIES, 4)
        self.dependencies, self.behind = names[:3], names[3]  # names[0] calls names[3]
        self.pod = f"{self.service}-{r.getrandbits(36):09x}-{r.getrandbits(20):05x}"
        self.node = f"node-{r.randrange(1, 40)}"
        self.claim = f"{self.service}-data-{r.randrange(3)}"
        self.words = LANGUAGES[r.choice(sorted(LANGUAGES))]
        self.fault_words = r.sample(self.words["faults"], 2)
        self.arrivals = math.exp(r.uniform(math.log(4), math.log(200)))
        self.daily, self.phase = r.uniform(0.03, 0.3), r.uniform(0, 2 * math.pi)
        self.limit = r.choice((0.5, 1.0, 2.0, 4.0))
        self.cost = r.uniform(0.3, 0.55) * self.limit / self.arrivals
        self.work = r.uniform(0.01, 0.08)
        self.timeout = r.choice((1.0, 2.0, 3.0, 5.0))
        self.retry = r.uniform(0.2, 0.9)
        self.base_failures = r.choice((0.0, 0.001, 0.004, 0.01))
        self.dependency_time = {n: r.uniform(0.004, 0.06) for n in names}
        self.memory_limit = r.choice((256, 512, 1024, 2048, 4096)) * MIB
        self.memory_base = self.memory_limit * r.uniform(0.35, 0.55)
        self.collector, self.collector_period = self.memory_limit * r.uniform(0.0, 0.06), r.uniform(120, 900)
        self.in_flight_bytes = self.memory_limit * 0.0015
        self.disk_limit = r.choice((5, 10, 20, 50)) * 1024 * MIB
        self.disk_base = self.disk_limit * r.uniform(0.35, 0.62)
        self.disk_rate = self.disk_limit * r.uniform(0.0, 0.01) / 3600
        self.rotation = r.choice((None, r.uniform(1200, 3000)))
        self.cores = r.choice((4.0, 8.0, 16.0))
        self.cores = max(self.cores, self.limit * 2)
        self.neighbours = [f"{n}-{r.getrandbits(20):05x}" for n in r.sample(NEIGHBOURS, 3)]
        self.neighbour_load = [self.cores * r.uniform(0.03, 0.12) for _ in range(3)]
        self.others = self.cores * r.uniform(0.1, 0.25)
        self.image = f"registry.local/{self.namespace}/{self.service}"
        major, minor = r.randrange(1, 6), r.randrange(0, 40)
        self.versions = [f"{self.image}:{major}.{minor}.0", f"{self.image}:{major}.{minor + 1}.0", f"{self.image}:{major}.{minor + 1}.1"]
        self.rate_window = r.choice((60, 120, 300, 300))
        self.noise = r.uniform(0.01, 0.05)
        self.thresholds = {"latency": r.uniform(2.0, 3.5), "failures": r.uniform(0.03, 0.08), "processor": r.uniform(0.85, 0.95),
                           "memory": r.uniform(0.85, 0.93), "disk": r.uniform(0.82, 0.9)}
        self.hold = r.choice((60, 120, 180, 300))
        self.t0 = WARM + 3600  # of the simulation, in s
        self.draw_fault()
        self.draw_decoys()

    def draw_fault(self):
        r = self.r
        self.ramp = r.choice((0, 0, 60, 180, 300)) if self.kind in ("traffic_surge", "slow_dependency") else 0
        self.factor = r.uniform(2.0, 4.5)
        self.variant = ""
        self.bad_dependency = None
        self.leak = 0.0
        if self.kind == "bad_deploy":
            self.variant = r.choice(("fails", "costs", "waits", "leaks"))
        elif self.kind == "error_burst":
            self.variant = r.choice(("itself", "itself", "dependency"))
        elif self.kind == "disk_fill":
            self.variant = r.choice(("verbose", "dump", "files"))
        elif self.kind == "unknown":
            self.variant = r.choice(("burns", "waits"))
        elif self.kind == "nothing_wrong":
            self.variant = r.choice(("crest", "outlier"))
        elif self.kind == "memory_leak":
            self.variant = r.choice(("per_request", "per_second"))
        if self.kind == "slow_dependency":
            self.bad_dependency = r.choice(self.dependencies + [self.behind])
            self.factor = max(r.uniform(4, 20), r.uniform(0.25, 1.2) / self.dependency_time[self.bad_dependency])
        if self.variant == "dependency":
            self.bad_dependency = r.choice(self.dependencies)
        if self.kind == "memory_leak" or self.variant == "leaks":
            self.leak = (self.memory_limit * 0.95 - self.memory_base) / r.uniform(15 * 60, 40 * 60)
        self.failing = r.uniform(0.1, 0.6)
        self.disk_fill = (self.disk_limit - self.disk_base) / r.uniform(12 * 60, 50 * 60)
        self.fills_until = r.choice((0.93, 1.1))
        self.neighbour = r.randrange(3)
        self.neighbour_factor = r.uniform(0.75, 1.1)  # of the node's cores

    def draw_decoys(self):
        r = self.r

        def apart(least, most):
            while True:
                at = self.t0 + r.uniform(-most, most / 3)
                if abs(at - self.t0) > least:
                    return at

        self.decoy_deploy = apart(480, 2700) if r.random() < 0.35 else None
        self.follows_traffic = r.randrange(3) if r.random() < 0.6 else None
        if self.kind == "noisy_neighbour" and self.follows_traffic == self.neighbour:
            self.follows_traffic = None
        others = [n for n in range(3) if n != self.follows_traffic and (self.kind != "noisy_neighbour" or n != self.neighbour)]
        self.small_step = (r.choice(others), apart(240, 2400), r.uniform(1.5, 2.5)) if r.random() < 0.5 else None
        self.cache_step = (apart(240, 2400), self.memory_limit * r.uniform(-0.08, 0.08)) if r.random() < 0.4 else None
        self.harmless = r.choice(HARMLESS) if r.random() < 0.8 else None
        self.new_harmless = (r.choice(NEW_HARMLESS), apart(0, 1500)) if r.random() < 0.5 else None
        self.stray_restart = apart(600, 2700) if r.random() < 0.15 else None

    def strength(self, t):
        """0 before t0, 1 after; a ramp between."""
        if t < self.t0 or self.kind == "nothing_wrong":
            return 0.0
        return min(1.0, (t - self.t0 + STEP) / self.ramp) if self.ramp else 1.0

    def objects(self):
        service = [self.pod, self.service, f"pod {self.namespace}/{self.pod}"]
        if self.kind == "bad_deploy":
            return [self.new_version()]
        if self.kind == "slow_dependency":
            return [self.bad_dependency]
        if self.kind == "disk_fill":
            return [self.claim]
        if self.kind == "noisy_neighbour":
            return [self.neighbours[self.neighbour]]
        if self.kind == "error_burst" and self.bad_dependency:
            return [self.bad_dependency]
        return service

    def new_version(self):
        decoy_first = self.decoy_deploy is not None and self.decoy_deploy < self.t0
        return self.versions[2 if decoy_first else 1]

    def version_at(self, t):
        changes = [c for c in (self.decoy_deploy, self.t0 if self.kind == "bad_deploy" else None) if c is not None]
        return self.versions[sum(1 for c in changes if t >= c)]


class State:
    def __init__(self):
        self.ar, self.backlog, self.leaked, self.down, self.restarts = 0.0, 0.0, 0.0, 0, 0
        self.failed_share, self.filled = 0.0, 0.0


def step(w, s, t):
    """One step of the world; returns what happened in it."""
    r, on = w.r, w.strength(t)
    o = {"t": t}
    s.ar = 0.9 * s.ar + r.gauss(0, 0.02)
    wanted = w.arrivals * (1 + w.daily * math.sin(2 * math.pi * t / 86400 + w.phase)) * math.exp(s.ar)
    if w.kind == "nothing_wrong" and w.variant == "crest":
        wanted *= 1 + 0.12 * math.sin(math.pi * max(0.0, min(1.0, (t - w.t0 + 2700) / 5400)))
    if w.kind == "traffic_surge":
        wanted *= 1 + on * (w.factor - 1)
    wanted += wanted * min(1.0, s.failed_share) * w.retry
    arrivals = max(0.0, r.gauss(wanted * STEP, math.sqrt(max(wanted, 0.01) * STEP))) / STEP
    bad = on if w.kind == "bad_deploy" else 0.0
    cost = w.cost * (1 + bad * (w.factor - 1 if w.variant == "costs" else 0))
    work = w.work * (1 + bad * (w.factor - 1 if w.variant == "costs" else 0))

    # what the neighbours ask of the node
    asked = []
    for n in range(3):
        load = w.neighbour_load[n] * math.exp(r.gauss(0, 0.06))
        if n == w.follows_traffic:
            load *= wanted / w.arrivals
        if w.small_step and w.small_step[0] == n and t >= w.small_step[1]:
            load *= w.small_step[2]
        if w.kind == "noisy_neighbour" and n == w.neighbour:
            load += on * w.cores * w.neighbour_factor * math.exp(r.gauss(0, 0.03))
        asked.append(load)
    others = w.others * math.exp(r.gauss(0, 0.04))

    # memory, and what collecting costs near the limit
    share = min(0.995, (w.memory_base + s.leaked) / w.memory_limit)
    collecting = 0.02 * w.limit * max(0.0, 1 / (1.005 - share) - 5) if share > 0.8 else 0.0
    burning = on * w.limit * 0.75 if w.variant == "burns" else 0.0
    demand = (arrivals + s.backlog / STEP) * cost + collecting + burning + 0.01 * w.limit
    total = sum(asked) + others + min(demand, w.limit)
    grant = min(1.0, w.cores * 0.98 / total)
    capacity = min(w.limit, max(0.05, min(demand, w.limit) * grant * (1.0 if grant < 1 else 1e9)))
    used = min(demand, capacity)
    own = max(0.02 * w.limit, capacity - collecting - burning)
    rate = own / cost
    served = min(arrivals + s.backlog / STEP, rate)
    s.backlog = min(max(0.0, s.backlog + (arrivals - served) * STEP), w.timeout * rate * 2)
    rho = min(0.97, demand / max(capacity if grant < 1 else w.limit, 1e-6))

    # latencies
    load = arrivals / w.arrivals
    times = {}
    for n in w.dependencies + [w.behind]:
        times[n] = w.dependency_time[n] * (1 + 0.15 * max(0.0, load - 1)) * math.exp(r.gauss(0, 0.08))
        if n == w.bad_dependency and w.kind == "slow_dependency":
            times[n] *= 1 + on * (w.factor - 1)
    waiting = 0.0
    if w.variant == "waits":
        waiting = on * (0.25 + 0.1 * w.factor)
    own_time = work / max(grant, 0.1) / (1 - rho * rho) + s.backlog / max(rate, 0.01) + waiting
    latency = own_time + sum(times.values())

    # failures
    spread = 0.45
    beyond = 0.5 * math.erfc(math.log(w.timeout / max(latency, 1e-3)) / spread / math.sqrt(2))
    causes = {"base": w.base_failures, "timeout": beyond}
    if w.kind == "bad_deploy" and w.variant == "fails":
        causes["fault"] = on * w.failing
    if w.kind == "error_burst":
        causes["refused" if w.bad_dependency else "fault"] = on * w.failing
    if w.kind == "disk_fill" and s.filled + w.disk_base >= w.disk_limit:
        causes["disk"] = 0.5
    if s.down > 0:
        s.down -= 1
        causes["refused_self"] = 1.0
    failed = 1.0
    for c in causes.values():
        failed *= 1 - min(c, 1.0)
    failed = 1 - failed
    s.failed_share = failed

    # memory and disk
    if w.leak and t >= w.t0:
        s.leaked += w.leak * STEP * (arrivals / w.arrivals if w.variant == "per_request" else 1.0)
    memory = w.memory_base + s.leaked + min(arrivals * latency, 400) * w.in_flight_bytes * 0.05
    memory += w.collector * ((t / w.collector_period) % 1.0) + r.gauss(0, 0.004) * w.memory_limit
    if w.cache_step and t >= w.cache_step[0]:
        memory += w.cache_step[1]
    o["killed"] = memory > w.memory_limit
    stray = w.stray_restart is not None and 0 <= t - w.stray_restart < STEP
    rolled = any(c is not None and 0 <= t - c < STEP for c in (w.decoy_deploy, w.t0 if w.kind == "bad_deploy" else None))
    if o["killed"] or stray:
        s.restarts += 1
    if o["killed"] or stray or rolled:
        s.leaked, s.backlog = 0.0, 0.0
        s.down = 0 if rolled else 2
        memory = w.memory_base * 0.8
    grown = w.disk_rate * STEP * (1 + 20 * failed)
    if w.kind == "disk_fill" and on and (s.filled + w.disk_base) / w.disk_limit < w.fills_until:
        grown += w.disk_fill * STEP * math.exp(r.gauss(0, 0.3))
    s.filled += grown
    disk = w.disk_base + s.filled
    if w.rotation:
        disk += w.disk_limit * 0.015 * ((t / w.rotation) % 1.0)
    o.update(arrivals=arrivals, used=used * math.exp(r.gauss(0, w.noise)), throttled=max(0.0, min(1.0, (demand - capacity) / demand)),
             latency=latency * math.exp(r.gauss(0, 0.05)), failed=failed, causes=causes, times=times, own_time=own_time,
             memory=min(memory, w.memory_limit), disk=min(disk, w.disk_limit), neighbours=[a * grant for a in asked],
             node=min(1.0, total / w.cores), restarts=s.restarts, down=s.down > 0)
    return o


def trailing(steps, key, t_index, seconds):
    n = max(1, seconds // STEP)
    part = steps[max(0, t_index - n + 1):t_index + 1]
    return sum(key(o) for o in part) / len(part)


def symptoms(w, steps, i):
    """Which of the service's alerts are true now."""
    usual = sum(o["latency"] for o in steps[20:120]) / 100
    latency = trailing(steps, lambda o: o["latency"], i, 60)
    failed = trailing(steps, lambda o: o["failed"], i, 60)
    return {"latency": latency > usual * w.thresholds["latency"] and latency > 0.05, "failures": failed > w.thresholds["failures"],
            "processor": trailing(steps, lambda o: o["used"], i, 60) > w.limit * w.thresholds["processor"],
            "memory": steps[i]["memory"] > w.memory_limit * w.thresholds["memory"],
            "disk": steps[i]["disk"] > w.disk_limit * w.thresholds["disk"]}


def simulate(r, kind):
    """(world, steps, index of the alert, its rule), or None when nothing fires in time, or too early."""
    w = World(r, kind)
    s, steps, since = State(), [], {}
    for i in range((WARM + 3600 + 2700) // STEP):
        steps.append(step(w, s, i * STEP))
        if i * STEP < WARM:
            continue
        for rule, true in symptoms(w, steps, i).items():
            since[rule] = since.get(rule, i) if true else i + 1
            if (i - since[rule]) * STEP >= w.hold:
                if i * STEP < w.t0 + 180 or kind == "nothing_wrong":
                    return None
                if kind == "disk_fill" and rule not in ("disk", "failures"):
                    return None
                more = r.randrange(120, 480) // STEP
                steps += [step(w, s, (i + n) * STEP) for n in range(1, more + 1)]
                return w, steps, i, rule
    if kind != "nothing_wrong":
        return None
    return w, steps, (w.t0 + r.randrange(0, 900)) // STEP + 1, r.choice(("latency", "processor"))


def at_ms(i):
    return BEGIN_MS + i * STEP * 1000


def make_series(w, steps, first, alert, rule):
    r = w.r
    every = r.choice((1, 1, 1, 2))
    index = list(range(first, len(steps), every))
    gap = None
    if r.random() < 0.4:
        begin = r.randrange(first, len(steps))
        gap = (begin, begin + r.randrange(8, 24))
        if abs(begin * STEP - w.t0) < 420:
            gap = None  # what happened must have been seen

    def one(role, thing, query, value, noise=0.0, lost=0.01):
        values = []
        for i in index:
            v = value(i)
            if (gap and gap[0] <= i < gap[1]) or r.random() < lost or v is None:
                values.append(None)
            else:
                v *= math.exp(r.gauss(0, noise))
                values.append(v * r.uniform(1.5, 2.5) if noise and r.random() < 0.002 else v)
        return {"role": role, "object": thing, "query": query, "start_ms": at_ms(first), "step_ms": every * STEP * 1000,
                "values": [None if v is None else float(f"{v:.6g}") for v in values]}

    at = f'pod="{w.pod}",namespace="{w.namespace}"'
    win = f"[{w.rate_window // 60}m]"

    def mean(key):
        return lambda i: trailing(steps, key, i, w.rate_window)

    spread = math.exp(0.45 * 1.645)
    series = [
        one("cpu", w.pod, f"rate(container_cpu_usage_seconds_total{{{at}}}{win})", mean(lambda o: o["used"]), w.noise),
        one("memory", w.pod, f"container_memory_usage_bytes{{{at}}}", lambda i: steps[i]["memory"]),
        one("requests", w.pod, f"rate(http_requests_total{{{at}}}{win})", mean(lambda o: o["arrivals"]), 0.01),
        one("errors", w.pod, f'rate(http_requests_total{{{at},code=~"5.."}}{win})', mean(lambda o: o["arrivals"] * o["failed"])),
        one("latency", w.pod, f"histogram_quantile(0.95, rate(http_request_duration_seconds_bucket{{{at}}}{win}))",
            mean(lambda o: min(o["latency"] * spread, 10.0)), 0.05),
        one("restarts", w.pod, f"kube_pod_container_status_restarts_total{{{at}}}", lambda i: steps[i]["restarts"]),
        one("disk", w.claim, f'kubelet_volume_stats_used_bytes{{persistentvolumeclaim="{w.claim}"}}', lambda i: steps[i]["disk"]),
    ]
    optional = [
        one("cpu_limit", w.pod, f'kube_pod_container_resource_limits{{{at},resource="cpu"}}', lambda i: w.limit),
        one("memory_limit", w.pod, f'kube_pod_container_resource_limits{{{at},resource="memory"}}', lambda i: w.memory_limit),
        one("disk_limit", w.claim, f'kubelet_volume_stats_capacity_bytes{{persistentvolumeclaim="{w.claim}"}}', lambda i: w.disk_limit),
        one("throttled", w.pod, f"rate(container_cpu_cfs_throttled_periods_total{{{at}}}{win})", mean(lambda o: o["throttled"]), 0.05),
        one("node_cpu", w.node, f'1 - avg(rate(node_cpu_seconds_total{{mode="idle",node="{w.node}"}}{win}))', mean(lambda o: o["node"]), 0.01),
    ]
    keep = [s for s in optional if r.random() > (0.1 if w.kind == "noisy_neighbour" else 0.2)]
    for n, name in enumerate(w.neighbours):
        keep.append(one("neighbour_cpu", name, f'rate(container_cpu_usage_seconds_total{{node="{w.node}",pod="{name}"}}{win})',
                        mean(lambda o, n=n: o["neighbours"][n]), w.noise))
    for image in w.versions:
        if any(w.version_at(i * STEP) == image for i in index):
            keep.append(one("version", image, f'count(kube_pod_container_info{{{at},image="{image}"}})',
                            lambda i, image=image: 1.0 if w.version_at(i * STEP) == image else None))
    w.mesh = r.random() < 0.4
    if w.mesh:
        for n in w.dependencies + [w.behind]:
            keep.append(one("latency", n, f'histogram_quantile(0.95, rate(mesh_request_duration_bucket{{destination="{n}"}}{win}))',
                            mean(lambda o, n=n: (o["times"][n] + (o["times"][w.behind] if n == w.dependencies[0] else 0)) * spread), 0.06))
    r.shuffle(keep)
    keep.append(one("rule", w.pod, f"slo:{rule}{{{at}}}", {
        "latency": mean(lambda o: o["latency"]), "failures": mean(lambda o: o["failed"]),
        "processor": mean(lambda o: o["used"] / w.limit), "memory": lambda i: steps[i]["memory"] / w.memory_limit,
        "disk": lambda i: steps[i]["disk"] / w.disk_limit}[rule]))
    return series + keep


def make_lines(w, steps, first):
    r, lines = w.r, []

    def say(i, level, text, **known):
        lines.append({"at_ms": at_ms(i) + r.randrange(STEP * 1000), "level": level, "text": fill(r, text, **known)})

    def some(mean):
        whole = int(mean)
        return min(whole + (r.random() < mean - whole), 4)

    lower = r.random() < 0.2  # a logger whose level nobody parses
    for i in range(first, len(steps)):
        o = steps[i]
        for _ in range(some(0.8 * min(3, o["arrivals"] / w.arrivals))):
            say(i, *r.choice(USUAL_LINES))
        if w.harmless and r.random() < 0.15:
            say(i, *w.harmless)
        if w.new_harmless and o["t"] >= w.new_harmless[1] and r.random() < 0.1:
            say(i, *w.new_harmless[0])
        for cause, share in o["causes"].items():
            for _ in range(some(min(o["arrivals"], 40) * share * STEP * 0.05)):
                slowest = max(o["times"], key=o["times"].get)
                words = {"base": "request {uuid} failed: status 500", "timeout": w.words["timeout"], "fault": r.choice(w.fault_words),
                         "refused": w.words["refused"], "disk": w.words["disk"], "refused_self": "readiness probe failed: connection refused"}[cause]
                own = cause == "timeout" and o["times"][slowest] < o["own_time"]
                say(i, "error", "request {uuid} aborted: deadline of the client exceeded after {ms} ms" if own else words,
                    dep=w.bad_dependency or slowest, ms=int(w.timeout * 1000) if cause == "timeout" else None)
        if o["killed"]:
            say(i, "error", w.words["oom"])
            say(i, "info", f"starting {w.service} {w.version_at(o['t']).split(':')[1]}")
        elif o["memory"] > 0.93 * w.memory_limit and r.random() < 0.2:
            say(i, "warn", "collector ran {n} times in the last minute, heap nearly full")
        if w.variant == "verbose" and o["t"] >= w.t0:
            for _ in range(2):
                say(i, "debug", "wrote entry {n} of {word}: {hex}")
        if w.variant == "files" and o["t"] >= w.t0 and r.random() < 0.05:
            say(i, "warn", "could not remove /var/data/{hex}.tmp: still in use")
    lines.sort(key=lambda one: one["at_ms"])
    return [{**one, "level": "", "text": f"[{one['level'].upper()}] {one['text']}"} for one in lines] if lower else lines


def make_spans(w, steps, first):
    r, spans = w.r, []
    only_slow = r.random() < 0.3
    skew = {n: r.choice((0, 0, r.uniform(-0.05, 0.05), r.uniform(-2, 2))) for n in w.dependencies + [w.behind, w.service, "gateway"]}
    usual = sum(o["latency"] for o in steps[20:120]) / 100

    def add(trace, parent, service, name, begin, seconds, failed):
        one = {"trace_id": trace, "span_id": f"{r.getrandbits(64):016x}", "parent_id": parent, "service": service, "name": name,
               "start_us": int((begin + skew[service]) * 1e6), "duration_us": max(1, int(seconds * 1e6)), "failed": failed}
        if r.random() > 0.03 or parent == "":
            spans.append(one)
        return one["span_id"]

    for i in range(first, len(steps)):
        o = steps[i]
        for _ in range(r.choice((1, 1, 2))):
            stretch = min(8.0, math.exp(r.gauss(0, 0.4)))
            own = o["own_time"] * stretch
            times = {n: v * math.exp(r.gauss(0, 0.4)) for n, v in o["times"].items()}
            total = min(w.timeout, own + sum(times.values()))
            if only_slow and total < usual * 2:
                continue
            begin = at_ms(i) / 1000 + r.uniform(0, STEP)
            trace = f"{r.getrandbits(128):032x}"
            # one that is drawn per request: does it fail, and where?
            failing = next((c for c, share in o["causes"].items() if r.random() < share and c != "timeout"), None)
            late = own + sum(times.values()) >= w.timeout
            bad = failing is not None or late
            root = add(trace, "", "gateway", "GET /", begin, total + 0.003, bad)
            mine = add(trace, root, w.service, f"GET /v1/{w.service}", begin + 0.001, total, bad)
            if failing in ("fault", "disk", "refused_self") and r.random() < 0.7:
                continue  # failed before it asked anybody
            at = begin + 0.001 + own / 2
            for n in w.dependencies:
                whole = times[n] + (times[w.behind] if n == w.dependencies[0] else 0)
                broken = failing == "refused" and n == w.bad_dependency
                child = add(trace, mine, n, f"call {n}", at, min(0.002 if broken else whole, w.timeout), broken)
                if n == w.dependencies[0] and not broken:
                    add(trace, child, w.behind, "query", at + times[n] / 2, min(times[w.behind], w.timeout), False)
                at += whole
    return spans[-4000:]


def asked(queries, rows, why=None):
    return {"wanted": True, "status": "timeout" if why else "ok", **({"why": why} if why else {}), "queries": queries,
            "took_ms": 8000 if why else 40 + rows % 500, "cut": False}


def incident(seed, kind, number):
    r = random.Random(zlib.crc32(f"{seed}/{kind}/{number}".encode()))
    made = None
    while made is None:
        made = simulate(r, kind)
    w, steps, alert, rule = made
    first = max(WARM // STEP // 2, alert - 3600 // STEP)
    if kind == "nothing_wrong" and w.variant == "outlier":
        steps[alert]["latency"] *= 4
    series, lines, spans = make_series(w, steps, first, alert, rule), make_lines(w, steps, first), make_spans(w, steps, first)
    no_traces = r.random() < 0.15 and (w.bad_dependency is None or (kind == "slow_dependency" and w.mesh))
    no_logs = not no_traces and r.random() < 0.15
    lost = "no answer in 8 s"
    evidence = {
        "window": {"start_ms": at_ms(first), "end_ms": at_ms(len(steps) - 1), "alert_ms": at_ms(alert)},
        "object": f"pod {w.namespace}/{w.pod}", "service": w.service,
        "asked": {"metrics": asked([s["query"] for s in series], len(series)),
                  "logs": asked([f'{{pod="{w.pod}",namespace="{w.namespace}"}} | json'], len(lines), lost if no_logs else None),
                  "traces": asked([f'{{ resource.service.name = "{w.service}" }}'], len(spans), lost if no_traces else None)},
        "series": series, "lines": [] if no_logs else lines, "spans": [] if no_traces else spans}
    truth = {"class": kind, "variant": w.variant, "objects": w.objects(), "rule": rule,
             "at_ms": None if kind == "nothing_wrong" else at_ms(w.t0 // STEP)}
    return {"truth": truth, "evidence": evidence}


def main():
    parser = argparse.ArgumentParser(description="labelled incidents")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", choices=CLASSES, action="append")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    for kind in options.only or CLASSES:
        for number in range(options.per_class):
            path = os.path.join(options.out, f"{kind}-{number:02d}.json")
            with open(path, "w", encoding="utf-8") as out:
                json.dump(incident(options.seed, kind, number), out, separators=(",", ":"))


if __name__ == "__main__":
    main()
