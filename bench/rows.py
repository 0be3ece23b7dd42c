"""The rows of the table: one function for each measurement. Each takes the Bench and adds what it found."""
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

import history
import loads
from loads import Loops, offer, wrk
from servers import Agent, alertmanager, ceiling

median = statistics.median
NEEDED_FSYNCS = 2  # between an alert and its call: the event's, and that of the intent to call
SETTLE_S = 0.05    # the rest between two alerts of bench/loops latency: a machine that sleeps is slower to sync than one that is at it


@dataclass
class Bench:
    agent: str           # the program
    tools: str           # the directory of ceiling, offer and loops
    where: str           # scratch, on the disk that is measured
    seconds: int         # of one load
    rounds: int
    quick: bool
    fsync_ms: float = 0
    rows: list = field(default_factory=list)
    details: list = field(default_factory=list)   # (title, header, lines)

    def row(self, what, ours, floor, goal, value, peer="", ratio="", floor_value=None, goal_value=None, more_is_better=True, spoiled=""):
        """`value` is what floor and goal are about; `spoiled`: why the row does not count, whatever the value is."""
        def reached(limit):
            return limit is not None and (value >= limit if more_is_better else value <= limit)
        met = f"no: {spoiled}" if spoiled else "aim" if reached(goal_value) else "at least" if reached(floor_value) else "no"
        self.rows.append((what, peer, ours, ratio, floor, goal, met))
        print(f"{what}: {ours}   peer: {peer or '-'}   {ratio}   → {met}", flush=True)

    def detail(self, title, header, lines):
        self.details.append((title, header, lines))
        for line in lines:
            print("   " + " | ".join(line), flush=True)


def spread(values, form="{:,.0f}"):
    text = form.format(median(values))
    return text if len(values) == 1 else f"{text} ({form.format(min(values))}…{form.format(max(values))})"


def us(b, kind, connections, batch):
    """One load on a fresh agent, until everything that was accepted is applied."""
    with Agent(b.agent, b.where) as server:
        cpu = server.cpu_s()
        r = wrk(server, kind, connections, batch, b.seconds)
        r["cpu"] = (server.cpu_s() - cpu) / b.seconds
        r["waiting"], r["drain_s"] = server.drain(r["accepted"])
        r["sustained"] = r["accepted"] / (r["took_s"] + r["drain_s"])
        return r


def them(b, connections, batch):
    with alertmanager(b.where) as server:
        cpu = server.cpu_s()
        r = wrk(server, "alertmanager", connections, batch, b.seconds)
        r["cpu"] = (server.cpu_s() - cpu) / b.seconds
        return r


def beside_alertmanager(b, connections, batch, kinds):
    """Alternating sides; each of our loads is compared with Alertmanager in the same round."""
    found = {k: [] for k in ("alertmanager", *kinds)}
    for n in range(b.rounds):
        order = ["alertmanager", *kinds]
        for side in (order if n % 2 == 0 else reversed(order)):
            found[side].append(them(b, connections, batch) if side == "alertmanager" else us(b, side, connections, batch))
    return found


def load_detail(b, title, found):
    names = {"alertmanager": "Alertmanager", "firing": "agent-sre, firing alerts", "resolved": "agent-sre, resolved, unknown"}
    lines = []
    for side, runs in found.items():
        applied = [r for r in runs if "waiting" in r]
        lines.append([names[side], spread([r["rate"] for r in runs]), spread([r["p50_ms"] for r in runs], "{:.2f}"),
                      spread([r["p99_ms"] for r in runs], "{:.2f}"), str(sum(r["refused"] for r in runs)), str(sum(r["broken"] for r in runs)),
                      spread([r["waiting"] for r in applied]) if applied else "-", drained(applied),
                      spread([r["sustained"] for r in applied]) if applied else "-",
                      spread([r["cpu"] for r in runs], "{:.2f}"), spread([r["generator"] for r in runs], "{:.2f}")])
    b.detail(title, ["server", "accepted alerts/s", "p50 ms", "p99 ms", "refused", "broken", "not yet applied at the end", "drained",
                     "alerts/s with the drain", "server's cores", "wrk's cores"], lines)


def drained(runs):
    """Seconds until nothing waited any more, and how fast that went."""
    if not runs:
        return "-"
    waiting, seconds = sum(r["waiting"] for r in runs), sum(r["drain_s"] for r in runs)
    return spread([r["drain_s"] for r in runs], "{:.2f}") + " s" + (f", {waiting / seconds:,.0f}/s" if waiting else "")


def rates(runs):
    """What was accepted a second; refusals are said."""
    refused = sum(r["refused"] for r in runs)
    return spread([r["rate"] for r in runs]) + (f" and {refused:,} requests refused" if refused else "")


def spoiled_by(runs, refusals_count=False):
    if any(r["broken"] for r in runs):
        return "connections broke"
    return "requests were refused" if refusals_count and any(r["refused"] for r in runs) else ""


def single(b):
    found = beside_alertmanager(b, 64, 1, ("firing", "resolved"))
    load_detail(b, "Single-alert POSTs, 64 connections (closed loop)", found)
    for kind, words in (("firing", "firing"), ("resolved", "resolved, unknown")):
        ratios = [u["rate"] / a["rate"] for u, a in zip(found[kind], found["alertmanager"])]
        b.row(f"durable single-alert POSTs/s, 64 connections ({words})", rates(found[kind]), "1.0 ×", "1.5 ×", median(ratios),
              spread([r["rate"] for r in found["alertmanager"]]), spread(ratios, "{:.2f}") + " ×", 1.0, 1.5, spoiled=spoiled_by(found[kind]))


def batch(b):
    found = beside_alertmanager(b, 16, 100, ("firing", "resolved"))
    load_detail(b, "Batches of 100 alerts, 16 connections (closed loop)", found)
    for kind, words in (("firing", "firing"), ("resolved", "resolved, unknown")):
        ours, peer = [r["rate"] for r in found[kind]], [r["rate"] for r in found["alertmanager"]]
        ratios = [u / a for u, a in zip(ours, peer)]
        b.row(f"durable alerts/s in batches of 100 ({words})", rates(found[kind]), "1.5 ×", "100,000/s", median(ours), spread(peer),
              spread(ratios, "{:.2f}") + " ×", 1.5 * median(ours) / median(ratios), 100000, spoiled=spoiled_by(found[kind]))


def steady(b):
    """Open loop: 1,000 requests a second, whatever the server does."""
    found = {"alertmanager": [], "firing": [], "resolved": []}
    b.fsync_ms = median(probe_fsync(b.where))
    seconds = max(b.seconds, 2)
    for _ in range(b.rounds):
        for side, runs in found.items():
            with (alertmanager(b.where) if side == "alertmanager" else Agent(b.agent, b.where)) as server:
                offer(b.tools, server, side, 1000, 1, 64)  # connections, caches
                runs.append(offer(b.tools, server, side, 1000, seconds, 64, 1000))
                if side != "alertmanager":
                    server.drain(1000 * seconds)
    b.detail("1,000 single POSTs/s offered, 64 connections (open loop, latency from the intended moment of sending)",
             ["server", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "refused", "broken", "waited for a connection"],
             [[side, *(spread([r[k] / 1000 for r in runs], "{:.2f}") for k in ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")),
               *(str(sum(r[k] for r in runs)) for k in ("refused", "broken", "waited"))] for side, runs in found.items()])
    for side, words in (("firing", "firing"), ("resolved", "resolved, unknown")):
        p99 = [r["p99_us"] / 1000 for r in found[side]]
        b.row(f"p99 of a durable single POST at 1,000/s ({words})", spread(p99, "{:.2f}") + " ms", "10 ms", f"3 fsyncs = {3 * b.fsync_ms:.2f} ms",
              median(p99), spread([r["p99_us"] / 1000 for r in found["alertmanager"]], "{:.2f}") + " ms", "", 10, 3 * b.fsync_ms, False,
              spoiled_by(found[side], True))


def call_samples(b, samples, trace=False):
    """Alerts that name their remedy, one after the other. Nothing else happens: the first look at the effect is far away."""
    d = tempfile.mkdtemp(dir=b.where)
    loops = Loops(b.tools, d, "latency", samples)
    try:
        with Agent(b.agent, b.where, loads.catalogue(), **loops.settings(first="5m", budget="10m")) as server:
            log = os.path.join(d, "trace")
            tracer = strace(server, ["-ttt", "-e", "trace=fsync,fdatasync,msync,sync_file_range"], log) if trace else None
            found = loops.run(server.port)["samples"]
            if tracer:
                stop_strace(tracer)
                with open(log) as f:
                    moments = [1e6 * float(m) for m in re.findall(r"^\d+\s+([\d.]+) (?:fsync|fdatasync|msync|sync_file_range)\(", f.read(), re.M)]
                for s in found:
                    s["fsyncs"] = sum(s["at_us"] <= m <= s["at_us"] + s["call_us"] for m in moments)
            return found
    finally:
        loops.close()
        shutil.rmtree(d, ignore_errors=True)


def strace(server, options, log):
    """None where there is no strace, or it may not attach."""
    if not shutil.which("strace"):
        return None
    tracer = subprocess.Popen(["strace", "-f", "-o", log, *options, "-p", str(server.process.pid)], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    return tracer if tracer.poll() is None else None


def stop_strace(tracer):
    tracer.send_signal(signal.SIGINT)
    tracer.wait()


def call(b):
    before = median(probe_fsync(b.where, 40, SETTLE_S))
    found = call_samples(b, 50 if b.quick else 200)
    fsync_ms = min(before, median(probe_fsync(b.where, 40, SETTLE_S)))  # the smaller one takes less off
    busy_ms = median(probe_fsync(b.where))
    traced = call_samples(b, 20, trace=True)
    calls, acks = sorted(s["call_us"] / 1000 for s in found), sorted(s["ack_us"] / 1000 for s in found)
    fsyncs = median(s["fsyncs"] for s in traced) if "fsyncs" in traced[0] else None
    needed = NEEDED_FSYNCS * fsync_ms
    beyond = median(calls) - needed
    happen = f"; {fsyncs:.0f} fsyncs happen" if fsyncs is not None else ""
    b.detail("One alert on an idle agent, one connection",
             ["", "p50 ms", "p90 ms", "p99 ms", "fsyncs between"],
             [["sent → acknowledged", *(f"{acks[int(p * (len(acks) - 1))]:.2f}" for p in (0.5, 0.9, 0.99)), "1 or more"],
              ["sent → call at the function", *(f"{calls[int(p * (len(calls) - 1))]:.2f}" for p in (0.5, 0.9, 0.99)),
               "?" if fsyncs is None else f"{fsyncs:.0f}"]])
    b.detail("The fsync of that row: one after the same rest, as there; one right after another for comparison",
             ["", "p50 ms", "p50 of the call beyond two of them, ms"],
             [[f"after {SETTLE_S * 1000:.0f} ms of rest", f"{fsync_ms:.2f}", f"{beyond:.2f}"],
              ["back to back", f"{busy_ms:.2f}", f"{median(calls) - NEEDED_FSYNCS * busy_ms:.2f}"]])
    b.row("alert sent → function called, p50, idle", f"{median(calls):.2f} ms{happen}", f"{needed:.2f} + 2 ms", f"{needed:.2f} + 1 ms", beyond,
          floor_value=2, goal_value=1, more_is_better=False, spoiled="the disk was not steady" if beyond < 0 else "")


def whole(b, linear, seconds, alerts):
    d = tempfile.mkdtemp(dir=b.where)
    loops = Loops(b.tools, d, "throughput", seconds, alerts)
    try:
        with Agent(b.agent, b.where, loads.catalogue(), **loops.settings(linear, first="10ms", resolve_poll="100ms")) as server:
            cpu = server.cpu_s()
            found = loops.run(server.port)
            found["cpu_s"] = server.cpu_s() - cpu
            found["steps"] = server.metric("step_duration_seconds_count")
            return found
    finally:
        loops.close()
        shutil.rmtree(d, ignore_errors=True)


def spoiled_loops(found, linear):
    if found["succeeded"] != found["sent"] or found["ticket_operations_left"]:
        return f"{found['succeeded']:.0f} of {found['sent']} loops ended well, {found['ticket_operations_left']:.0f} ticket operations left"
    if found["calls"] != found["sent"] or found["repeated_calls"]:
        return f"{found['calls']} calls for {found['sent']} alerts"
    if linear and not found["issues"] == found["closed"] == found["sent"]:
        return f"{found['issues']} issues, {found['closed']} closed, for {found['sent']} alerts"
    return ""


def whole_loops(b):
    for linear, words in ((False, "embedded tracker"), (True, "Linear double")):
        runs = [whole(b, linear, 3 if b.quick else 5, 20) for _ in range(b.rounds)]
        speeds = [r["sent"] / r["all_s"] for r in runs]
        b.detail(f"Whole loops, {words}; at most 512 under way, no resolved event comes: each end is asked from Prometheus",
                 ["loops", "s of sending", "s until all tickets are closed", "queries per loop", "steps per loop", "CPU ms per loop", "webhooks refused"],
                 [[f"{r['sent']:,}", f"{r['sending_s']:.1f}", f"{r['all_s']:.1f}", f"{r['queries'] / r['sent']:.1f}", f"{r['steps'] / r['sent']:.1f}",
                   f"{1000 * r['cpu_s'] / r['sent']:.2f}", str(r["refused"])] for r in runs])
        b.row(f"whole loops/s (alert → ticket → function → verified → closed; {words})", spread(speeds), "500/s", "2,000/s", median(speeds),
              floor_value=500, goal_value=2000, spoiled=next(filter(None, (spoiled_loops(r, linear) for r in runs)), ""))


def memory(b):
    count = 10000
    with Agent(b.agent, b.where) as server:
        time.sleep(5)
        idle = server.memory_mb()
        text = loads.body("firing", 100)
        for first in range(0, count, 100):
            server.post("/webhook", loads.render(text, first))
        server.until(lambda: server.metric('incidents_active{state="escalated"}') >= count and server.metric("ticket_operations_waiting") == 0,
                     f"{count} incidents wait for their end", 300)
        time.sleep(2)
        full = server.memory_mb()
    b.detail("Memory of the agent", ["", "resident MB", "proportional MB", "peak MB"],
             [[words, *(f"{m[k]:.1f}" for k in ("rss", "pss", "peak"))] for words, m in (("idle for 5 s", idle), (f"{count:,} incidents with a person", full))])
    b.row("resident memory, idle", f"{idle['rss']:.1f} MB", "20 MB", "12 MB", idle["rss"], floor_value=20, goal_value=12, more_is_better=False)
    b.row("resident memory, 10,000 active incidents", f"{full['rss']:.1f} MB", "80 MB", "60 MB", full["rss"], floor_value=80, goal_value=60,
          more_is_better=False)


def start(b):
    count = 100000
    for active in ((count,) if b.quick else (count // 100, count)):
        with Agent(b.agent, b.where) as server:
            history.make_two(server)
            server.stop()
            history.multiply(server.database, active - 1, count - active)
            size = os.path.getsize(server.database) / 1e6
            times = []
            for _ in range(3 if b.quick else 7):
                times.append(server.start() * 1000)
                known = server.metric("incidents_active")
                if known != active:
                    raise RuntimeError(f"after the start {known:.0f} incidents are active, not {active}")
                server.stop()
        b.row(f"ready after start, {count:,} incidents, {active:,} of them active ({size:,.0f} MB)", spread(times, "{:.0f}") + " ms", "200 ms", "50 ms",
              median(times), floor_value=200, goal_value=50, more_is_better=False)


def one_budget(b, batch_size):
    """What one alert costs us, from the kernel's counters; system calls on a run of its own, under strace."""
    with Agent(b.agent, b.where) as server:
        written, cpu, commits = server.proc("io", "write_bytes"), server.cpu_s(), server.metric("store_commit_seconds_count")
        r = wrk(server, "resolved", 16, batch_size, b.seconds)
        server.drain(r["accepted"])
        cost = {"commits": server.metric("store_commit_seconds_count") - commits, "bytes": server.proc("io", "write_bytes") - written,
                "cpu_us": 1e6 * (server.cpu_s() - cpu)}
        cost = {k: v / r["accepted"] for k, v in cost.items()}
        log = os.path.join(server.directory, "trace")
        tracer = strace(server, ["-c"], log)
        if tracer:
            r = wrk(server, "resolved", 16, batch_size, 2, 10**8)
            server.drain(r["accepted"])
            stop_strace(tracer)
            with open(log) as f:
                table = {name: int(n) for n, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", f.read(), re.M)}
            cost["syscalls"] = table.pop("total", sum(table.values())) / r["accepted"]
            cost["fsyncs"] = sum(table.get(n, 0) for n in ("fsync", "fdatasync", "msync", "sync_file_range")) / r["accepted"]
        cost["instructions"] = instructions(server, batch_size)
        return cost


def instructions(server, batch_size):
    """In user space, by the processor's own counter; None where there is none (most virtual machines)."""
    if not shutil.which("perf"):
        return None
    log = os.path.join(server.directory, "perf")
    perf = subprocess.Popen(["perf", "stat", "-x,", "-e", "instructions:u", "-o", log, "-p", str(server.process.pid)], stderr=subprocess.DEVNULL)
    r = wrk(server, "resolved", 16, batch_size, 2, 2 * 10**8)
    server.drain(r["accepted"])
    perf.send_signal(signal.SIGINT)
    perf.wait()
    with open(log) as f:
        found = re.search(r"^(\d+),.*instructions:u", f.read(), re.M)
    return int(found.group(1)) / r["accepted"] if found else None


def budget(b):
    lines = []
    for size in ((1, 100) if b.quick else (1, 10, 100)):
        c = one_budget(b, size)
        lines.append([str(size), *(form.format(c[k]) if c.get(k) is not None else "not measured" for k, form in (
            ("fsyncs", "{:.4f}"), ("commits", "{:.4f}"), ("bytes", "{:,.0f}"), ("cpu_us", "{:.1f}"), ("syscalls", "{:.2f}"), ("instructions", "{:,.0f}")))])
    b.detail("What one alert costs agent-sre, until it is applied (resolved, unknown; 16 connections)",
             ["alerts per request", "fsyncs (under strace)", "transactions", "bytes written", "CPU µs", "system calls (under strace)", "instructions in user space"], lines)


def probe_fsync(directory, appends=300, rest_s=0):
    """ms of one append of 4 KiB and its fdatasync on this disk, each after a rest: sorted."""
    path, times = os.path.join(directory, "probe"), []
    with open(path, "wb", buffering=0) as f:
        for _ in range(appends):
            time.sleep(rest_s)
            f.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - began) * 1000)
    os.unlink(path)
    return sorted(times)


def probe_copy():
    """GB/s of one core copying memory that no cache holds."""
    source, target = bytearray(64 << 20), bytearray(64 << 20)
    best = 0
    for _ in range(8):
        began = time.perf_counter()
        memoryview(target)[:] = source
        best = max(best, len(source) / (time.perf_counter() - began) / 1e9)
    return best


def probe_offer(b):
    """p99 in ms that `offer` reports of a server that answers at once but for one stall of 300 ms. A generator that waits
    for answers before it sends would hardly see it."""
    listener = socket.create_server(("127.0.0.1", 0))
    stalls = [time.monotonic() + 0.3]

    def serve():
        connection, _ = listener.accept()
        with connection:
            while text := connection.recv(65536):
                if stalls and time.monotonic() > stalls[0]:
                    stalls.clear()
                    time.sleep(0.3)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * text.count(b"POST "))
    threading.Thread(target=serve, daemon=True).start()
    with tempfile.TemporaryDirectory(dir=b.where) as d:
        there = type("There", (), {"port": listener.getsockname()[1], "directory": d})
        found = offer(b.tools, there, "firing", 200, 1, 1)
    listener.close()
    if found["p99_us"] < 200000 or found["ok"] != 200:
        raise RuntimeError(f"bench/offer does not see a stall, its numbers would mean nothing: {found}")
    return found["p99_us"] / 1000


def machine(b):
    times = probe_fsync(b.where)
    b.fsync_ms = median(times)
    trivial = []
    for connections, size in ((64, 1), (16, 100)):
        with ceiling(b.tools, b.where) as server:
            trivial.append(wrk(server, "firing", connections, size, b.seconds))
    b.detail("What this machine can do", ["", ""], [
        ["append of 4 KiB and fdatasync, ms: p50 / p90 / p99", f"{b.fsync_ms:.2f} / {times[int(0.9 * len(times))]:.2f} / {times[int(0.99 * len(times))]:.2f}"],
        ["memcpy, one core", f"{probe_copy():.1f} GB/s"],
        ["libmicrohttpd that only answers 200 (bench/ceiling.c), single alerts, 64 connections",
         f"{trivial[0]['rate']:,.0f} requests/s, p99 {trivial[0]['p99_ms']:.2f} ms, wrk takes {trivial[0]['generator']:.2f} cores"],
        ["the same, bodies of 100 alerts, 16 connections", f"{trivial[1]['rate']:,.0f} alerts/s, wrk takes {trivial[1]['generator']:.2f} cores"],
        ["bench/offer beside a server that stalls for 300 ms once in a second: p99 it reports", f"{probe_offer(b):.0f} ms"]])


# in this order; `machine` comes always, the others are compared with it
ALL = {"single": single, "batch": batch, "steady": steady, "call": call, "loops": whole_loops, "memory": memory, "start": start, "budget": budget}
