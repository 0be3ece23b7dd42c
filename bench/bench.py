#!/usr/bin/env python3
"""Measures every number that agent-sre promises, each beside its peer, and writes bench/results.md.

Alertmanager takes alerts at /api/v2/alerts into memory; it writes nothing to disk before it answers. agent-sre answers
after its fsync. The same generator, the same machine, one server after the other, the sides alternating.
"""
import argparse
import os
import platform
import shutil
import subprocess
import sys
import time

import rows
from servers import scratch, version_of

HERE = os.path.dirname(os.path.abspath(__file__))


def table(header, lines):
    return ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines)]


def processor():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return names[0] if names else platform.machine()


def about(b, command):
    disk = subprocess.run(["df", "--output=fstype", b.where], capture_output=True, text=True).stdout.split()[-1]
    load = os.getloadavg()[0]
    quiet = "" if load < 0.5 else " **The machine was not quiet: take no number from here.**"
    return [f"`{command}`: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({processor()}) for servers, generator and peers together, "
            f"Linux {platform.release().split('-')[0]}, data on {disk}; load average {load:.1f} before the first run.{quiet}",
            f"agent-sre {version_of(b.agent)} (release build), Alertmanager {version_of('prometheus-alertmanager')}, wrk {version_of('wrk')} (1 thread). "
            f"{b.rounds} round(s) of {b.seconds} s with the sides alternating; median (lowest…highest). A ratio is the median of the rounds' ratios."]


NOTES = """
How to read it. *firing*: each alert is new and opens an incident, whose ticket and hand-over to a person are worked on
while the load goes on. *resolved, unknown*: the end of an episode that nobody knows; it is taken in and remembered, nothing
follows. A POST counts when it was answered with 2xx; each run ends only when everything that was accepted is in the database
(counted there, from outside), and fails when something is missing. Alertmanager writes nothing to disk before it answers.
Between an alert and the call of its function two fsyncs are needed: the event must be durable, and the intent to call.
The rate of accepting is not the rate of working: in a storm the intake log fills faster than the database applies it, until
256 MiB wait and senders get 503; the tables below say how much waited and how long it took to work it off: the rate with
the draining is the one that can be kept up. What one fsync takes is measured anew before each row that needs it.

Measured by programs of their own: kills and power cuts ([docs/results/torture.md](../docs/results/torture.md), `make torture`),
partitions ([partition.md](partition.md), `bench/partition.py`), capture of dead letters (`bench/letters.py`), schema versions
(`bench/schemas.py`).
"""


def write(b, path, intro):
    lines = ["# Measured\n", *intro, ""]
    lines += table(["what", "peer", "ours", "ratio", "at least", "aim", "met"], b.rows) if b.rows else []
    lines += [NOTES]
    for title, header, found in b.details:
        lines += [f"## {title}\n", *table(header, found), ""]
    with open(path, "w") as f:
        f.write("\n".join(lines).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", required=True, help="the program; ceiling, offer and loops lie in bench/ beside it")
    parser.add_argument("--quick", action="store_true", help="one short round of everything, below 90 s; writes no results.md")
    parser.add_argument("--only", choices=list(rows.ALL), action="append", help="only this row (again for more); writes no results.md")
    parser.add_argument("--seconds", type=int, help="of one load")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--out", help="where to write the report; default: bench/results.md after a full run")
    o = parser.parse_args()
    if not shutil.which("wrk") or not shutil.which("prometheus-alertmanager"):
        parser.error("wrk and prometheus-alertmanager are needed: 'make setup' installs them")
    agent = os.path.abspath(o.agent)
    home = os.path.dirname(agent)
    for tool in ("ceiling", "offer", "loops"):
        if not os.access(os.path.join(home, "bench", tool), os.X_OK):
            parser.error(f"{home}/bench/{tool} is not built: 'ninja -C {home} bench/ceiling bench/offer bench/loops', or 'make bench'")
    where = scratch(os.path.join(home, "bench-data"))
    b = rows.Bench(agent, os.path.join(home, "bench"), where, o.seconds or (1 if o.quick else 4), o.rounds or (1 if o.quick else 3), o.quick)
    intro = about(b, " ".join(["make bench", *(["QUICK=1"] if o.quick else []), *([f"ONLY='{' '.join(o.only)}'"] if o.only else [])]))
    began, failed = time.monotonic(), []
    try:
        rows.machine(b)
        for name, measure in rows.ALL.items():
            if not o.only or name in o.only:
                print(f"== {name}", flush=True)
                try:
                    measure(b)
                except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                    failed.append(name)
                    print(f"{name} FAILED: {e}", flush=True)
                    b.rows.append((name, "", "not measured", "", "", "", f"no: {e}".replace("\n", " ")[:300]))
    finally:
        shutil.rmtree(where, ignore_errors=True)
    out = o.out or (None if o.quick or o.only else os.path.join(HERE, "results.md"))
    if out:
        write(b, out, intro)
    print(f"{time.monotonic() - began:.0f} s" + (f", written to {out}" if out else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
