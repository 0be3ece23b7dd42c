#!/usr/bin/env python3
"""The main job on real parts, in front of your eyes. Exit code 0 only if the shop is well again, the ticket is
closed, and every step was seen."""
import argparse
import datetime
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import Stack, wait_for  # noqa: E402

# step of the timeline → (what it is called here, limit in seconds from the alert's receipt, where the limit comes from)
LIMITS = [
    ("ticket", "create", "alert → ticket", 5, "target 5 s, limit 10 s"),
    ("plan", "auto", "alert → remedy chosen", 1, "static annotation < 1 s"),
    ("remediate", "success", "alert → function done", 30, "< 30 s"),
    ("verify", "recovered", "alert → recovery proven", 300, "< 5 min"),
    ("close", "closed", "alert → ticket closed", 300, "< 5 min"),
]


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def parse(time_text):
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def report(incident):
    """The timeline beside its limits; True when every step was seen in time."""
    received = parse(incident["received_at"])
    good = True
    for step, outcome, name, limit, source in LIMITS:
        rows = [r for r in incident["timeline"] if r["step"] == step and r["outcome"] == outcome]
        if not rows:
            say(f"  ✘ {name:26} never happened")
            good = False
            continue
        seconds = parse(rows[0]["at"]) + rows[0]["duration_ms"] / 1000 - received
        in_time = seconds <= limit
        good = good and in_time
        say(f"  {'✔' if in_time else '✘'} {name:26} {seconds:8.3f} s   limit {limit:4} s   ({source})")
    return good


def run(stack, agent):
    server = ["--server", stack.agent]
    title("Everything runs: " + ", ".join(f"{n} :{p}" for n, p in stack.ports.items()))
    subprocess.run([agent, "doctor", "--config", stack.path("agent-sre.yaml")], check=False)
    title("The shop breaks: orders fail from now on")
    stack.break_shop()
    began = time.monotonic()
    wait_for(lambda: stack.api("/incidents")["incidents"], "the alert arrives")
    say(f"Prometheus fired and Alertmanager delivered after {time.monotonic() - began:.1f} s")
    title("agent-sre works on it")
    follow = subprocess.run([agent, "show", "latest", "--follow", *server], timeout=120, check=False)
    incident = wait_for(lambda: (i := stack.api("/incidents/latest")) and i["state"] == "closed" and i, "the incident is closed")
    key = incident["ticket"]["key"]
    ticket = wait_for(lambda: (t := stack.api(f"/tickets/{key}"))["state"] == "completed" and t, "the ticket is closed")
    title("The ticket")
    subprocess.run([agent, "show", "latest", "--ticket", *server], check=False)
    title("Durations beside their limits")
    in_time = report(incident)
    well = stack.shop_is_well()
    verdict = incident.get("verification", {}).get("verdict")
    title("The end")
    say(f"  {'✔' if well else '✘'} the shop takes orders again")
    say(f"  {'✔' if ticket['state'] == 'completed' else '✘'} ticket {key} is closed")
    say(f"  {'✔' if verdict == 'recovered' else '✘'} recovery is proven by Prometheus")
    return in_time and well and verdict == "recovered" and follow.returncode == 0


def stay(stack, agent):
    title("It stays up. Try:")
    for command in (f"curl -X POST {stack.shop}/break", f"{agent} incidents --server {stack.agent}",
                    f"{agent} show latest --follow --server {stack.agent}", f"{agent} show latest --ticket --server {stack.agent}"):
        say("  " + command)
    say(f"  Prometheus {stack.prometheus}   Alertmanager {stack.alertmanager}   logs {stack.dir}\nCtrl-C ends it.")
    try:
        while stack.processes["agent"].poll() is None:
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--agent", required=True)
    parser.add_argument("--stay", action="store_true", help="leave everything running")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is ended
    title("Starting Prometheus, Alertmanager, a shop, its function host and agent-sre on loopback")
    stack = Stack(options.agent)
    try:
        good = stay(stack, options.agent) if options.stay else run(stack, options.agent)
    except Exception as e:
        say(f"\nthe demo broke: {e}")
        for name in stack.processes:
            say(f"--- {name}")
            subprocess.run(["tail", "-n", "15", stack.path(name + ".log")], check=False)
        good = False
    finally:
        stack.close()
    say("\nDEMO " + ("PASSED" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
