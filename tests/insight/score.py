"""How often the diagnosis is right: python3 score.py --diagnose BINARY --seed 1 --seed 2 [--per-class 8] [--wrong] [--fit]

Right is: the class, the object, and the time within three minutes. "Nothing wrong" is right when it says so and has notes only.
Of "unknown" only the class and the time count: there is nobody to name. What is scored is in generate.py."""
import argparse
import collections
import json
import math
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import generate  # noqa: E402

WITHIN_MS = 180_000


def judge(line):
    """(class right, object right, time right) of one answer."""
    truth, said = line["truth"], line["insight"]["diagnosis"]
    kind = said["cause"] == truth["class"]
    if truth["class"] == "nothing_wrong":
        quiet = all(f["kind"] == "note" for f in line["insight"]["findings"])
        return kind, quiet, True
    thing = truth["class"] == "unknown" or said["object"] in truth["objects"]
    return kind, thing, abs(said["at_ms"] - truth["at_ms"]) <= WITHIN_MS


def answers(binary, seeds, per_class, only=None):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for seed in seeds:
            for kind in only or generate.CLASSES:
                for number in range(per_class):
                    path = os.path.join(folder, f"{seed}-{kind}-{number:02d}.json")
                    with open(path, "w", encoding="utf-8") as out:
                        json.dump(generate.incident(seed, kind, number), out)
                    paths.append(path)
        out = subprocess.run([binary, *paths], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def tally(lines):
    """{class: [incidents, class right, object right too, time right too]}"""
    rows = collections.OrderedDict((k, [0, 0, 0, 0]) for k in generate.CLASSES)
    for line in lines:
        kind, thing, time = judge(line)
        row = rows[line["truth"]["class"]]
        for n, right in enumerate((True, kind, kind and thing, kind and thing and time)):
            row[n] += right
    return collections.OrderedDict((k, r) for k, r in rows.items() if r[0])


def calibration(lines):
    """Expected calibration error over five bands of confidence, and the bands."""
    bands = collections.defaultdict(list)
    for line in lines:
        p = line["insight"]["diagnosis"]["confidence"]
        bands[min(4, int(p * 5))].append((p, all(judge(line)[:2])))
    error, rows = 0.0, []
    for band in sorted(bands):
        said = sum(p for p, _ in bands[band]) / len(bands[band])
        true = sum(r for _, r in bands[band]) / len(bands[band])
        error += abs(said - true) * len(bands[band]) / len(lines)
        rows.append((len(bands[band]), said, true))
    return error, rows


def fit(lines):
    """The logistic curve of diagnosis.c: gradient ascent on weight and lead, a little regularised."""
    points = [(x["weight"], x["lead"], all(judge(x)[:2])) for x in lines if x["weight"] > 0]
    at, heavy, ahead = 0.0, 1.0, 1.0
    for _ in range(20000):
        g = [-0.01 * at, -0.01 * heavy, -0.01 * ahead]
        for w, lead, right in points:
            miss = right - 1 / (1 + math.exp(-(at + heavy * w + ahead * lead)))
            g[0] += miss
            g[1] += miss * w
            g[2] += miss * lead
        at, heavy, ahead = (v + 2.0 / len(points) * d for v, d in zip((at, heavy, ahead), g))
    for name in ("nothing_wrong", "unknown"):
        said = [all(judge(x)[:2]) for x in lines if x["insight"]["diagnosis"]["cause"] == name]
        print(f"# said {name}: {sum(said)} of {len(said)} right")
    print(f"# curve: at {at:.2f}, heavy {heavy:.2f}, ahead {ahead:.2f} from {len(points)} answers")


def show(lines):
    rows = tally(lines)
    print(f"# {'class':16} {'n':>3} {'cause':>6} {'+object':>8} {'+time':>6}")
    for kind, (n, a, b, c) in rows.items():
        print(f"# {kind:16} {n:3} {a:6} {b:8} {c:6}")
    all_of = [sum(r[k] for r in rows.values()) for k in range(4)]
    print(f"# {'all':16} {all_of[0]:3} {all_of[1]:6} {all_of[2]:8} {all_of[3]:6}  = {100 * all_of[3] / all_of[0]:.1f} %")
    error, bands = calibration(lines)
    print(f"# calibration error {error:.3f}; " + ", ".join(f"{n} said {said:.2f} true {true:.2f}" for n, said, true in bands))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--diagnose", required=True)
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--only", action="append")
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    lines = answers(options.diagnose, options.seed, options.per_class, options.only)
    show(lines)
    if options.wrong:
        for line in lines:
            if not all(judge(line)):
                said, truth = line["insight"]["diagnosis"], line["truth"]
                off = (said["at_ms"] - truth["at_ms"]) / 60000 if truth["at_ms"] else 0
                print(os.path.basename(line["file"]), truth["variant"], truth["rule"], "->", said["cause"], said["object"], f"{off:+.1f} min",
                      [(c["cause"], round(c["weight"], 2), round((c["at_ms"] - (truth["at_ms"] or 0)) / 60000, 1)) for c in line["candidates"]])
    if options.fit:
        fit(lines)


if __name__ == "__main__":
    main()
