"""How soon is it known that a peer is away, and that it is back? In real time, with the release build:

    build/venv/bin/python bench/partition.py [--rounds 5] [--healthy 60]

Each peer is cut off in each way a few times, at moments that do not depend on when the agent looks; the table shows the
median and the longest time until /health says "away", and until it says "ok" again after the fault was taken away. Then
nothing is wrong for a while: every partition that is reported then is a false one.
"""
import argparse
import os
import random
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../tests/scenario"), os.path.join(HERE, "../tests"), os.path.join(HERE, "../tests/doubles")]
from faults import AWAY  # noqa: E402
from test_partitions import PEERS, Town, eventually  # noqa: E402

NO_TLS = [fault for fault in AWAY if fault != "tls"]


def time_until(condition, what, patience=30):
    began = time.monotonic()
    eventually(condition, what, patience=patience, pause=0.02)
    return time.monotonic() - began


def cut_and_heal(w, peer, fault, held=1.0):
    """Seconds until the peer is known to be away, and to be back."""
    w.faults[peer].set(fault)
    away = time_until(lambda: w.is_away(peer), f"{peer} is away ({fault})")
    time.sleep(held)
    w.faults[peer].set("pass")
    back = time_until(lambda: not w.is_away(peer), f"{peer} is back ({fault})")
    return away, back


def row(name, samples):
    away, back = ([s[n] for s in samples] for n in (0, 1))
    print(f"| {name} | {statistics.median(away):.1f} | {max(away):.1f} | {statistics.median(back):.1f} | {max(back):.1f} |", flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--healthy", type=float, default=60)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    dice = random.Random(options.seed)
    w = Town()
    try:
        assert w.agent.start(), w.agent.stderr()
        eventually(w.all_known, "all peers were seen")
        print("| fault | away: median, s | longest | back: median, s | longest |\n|---|---|---|---|---|")
        everything = []
        for fault in NO_TLS:
            samples = []
            for _ in range(options.rounds):
                for peer in PEERS:
                    time.sleep(dice.uniform(0, 2.5))
                    samples.append(cut_and_heal(w, peer, fault, dice.uniform(0.5, 5)))
            everything += samples
            row(fault, samples)
        row("all", everything)
        before, events = w.agent.metric("partition_detection_seconds_count"), len(w.agent.lines)
        time.sleep(options.healthy)
        false = w.agent.metric("partition_detection_seconds_count") - before
        print(f"\n{options.healthy:.0f} s with nothing wrong, {len(PEERS)} peers: {false:.0f} partitions reported")
        for line in w.agent.lines[events:]:
            print(line, end="")
    finally:
        w.close()


if __name__ == "__main__":
    main()
