"""Writes the example evidence beside it, from a fixed seed: python3 tests/data/evidence/generate.py

surge.json   more requests arrive; CPU follows, memory grows to its limit, errors and slow requests; remedied at 10:57
quiet.json   a pod to which nothing happens: no requests measured, few log lines, no traces asked for
hostile.json texts that want to break a drawing: markup, control characters, right to left, very long, secrets
"""
import json
import math
import os
import random

START = 1768470300000  # 2026-01-15T09:45:00Z
ALERT = START + 60 * 60000
END = START + 90 * 60000
REMEDY = START + 72 * 60000
STEP = 30000
GIB = 1024 ** 3
PODS = ("cart-7d9f8b6c5d-x2x4z", "cart-7d9f8b6c5d-k8m2q")


def minutes(ms):
    return (ms - START) / 60000


def rise(at, begin, length):
    """0 before, 1 after, smooth in between"""
    t = min(1, max(0, (at - begin) / length))
    return t * t * (3 - 2 * t)


def series(role, thing, value, start=START, end=END, step=STEP, gaps=()):
    values = []
    for at in range(start, end + 1, step):
        minute = minutes(at)
        missing = any(a <= minute < b for a, b in gaps)
        values.append(None if missing else float(f"{value(minute):.5g}"))
    return {"role": role, "object": thing, "query": role, "start_ms": start, "step_ms": step, "values": values}


def asked(wanted=True, status="ok", why=None, cut=False):
    out = {"wanted": wanted, "status": status, "queries": ["example"] if wanted else [], "took_ms": 120, "cut": cut}
    return out | ({"why": why} if why else {})


def evidence(thing, service, **rest):
    return {"window": {"start_ms": START, "end_ms": END, "alert_ms": ALERT}, "object": thing, "service": service,
            "asked": {"metrics": asked(), "logs": asked(), "traces": asked()}, "series": [], "lines": [], "spans": [], **rest}


def surge_series(r):
    load = lambda m: rise(m, 50, 3) * (1 - 0.1 * rise(m, 72, 4))  # noqa: E731
    noise = lambda size: r.gauss(0, size)  # noqa: E731
    out = []
    for n, pod in enumerate(PODS):
        lost = ((61 + n, 63.5 + n),)  # restarted by the kernel: no samples
        calm = lambda m: rise(m, 72, 3)  # noqa: E731
        out.append(series("cpu", pod, lambda m: max(0.02, 0.42 + n * 0.05 + 1.4 * load(m - 1) * (1 - 0.62 * calm(m)) + noise(0.04)), gaps=lost))
        out.append(series("cpu_limit", pod, lambda m: 2))
        out.append(series("memory", pod, lambda m: GIB * min(0.995, 0.36 + n * 0.03 + 0.6 * rise(m, 50 + n, 11) * (1 - 0.75 * calm(m)) + abs(noise(0.006))), gaps=lost))
        out.append(series("memory_limit", pod, lambda m: GIB))
        out.append(series("requests", pod, lambda m: max(0, 21 + 85 * load(m) + noise(2.2))))
    out.append(series("errors", "cart", lambda m: max(0, 0.1 + 14 * rise(m, 57, 5) * (1 - rise(m, 73, 3)) + noise(0.1))))
    out.append(series("latency", "cart", lambda m: 0.12 + 1.9 * rise(m, 54, 8) * (1 - rise(m, 73, 4)) + abs(noise(0.01))))
    return out


def surge_lines(r):
    errors = (("java.lang.OutOfMemoryError: Java heap space", 12), ("upstream connect error: timeout after 5000 ms", 4),
              ("com.zaxxer.hikari.pool.PoolTimeoutException: no connection in 30000 ms", 3), ("could not read cart 48213 from cache", 1))
    lines = []
    for second in range(0, 90 * 60, 5):
        minute = second / 60
        bad = rise(minute, 57, 4) * (1 - rise(minute, 72.5, 2))
        at = START + second * 1000 + r.randrange(5000)
        pick = r.random()
        if pick < 0.45 * bad:
            text = r.choices([e[0] for e in errors], [e[1] for e in errors])[0]
            lines.append({"at_ms": at, "level": "error", "text": text})
        elif pick < 0.45 * bad + 0.06 + 0.1 * rise(minute, 52, 3) * (1 - rise(minute, 73, 2)):
            lines.append({"at_ms": at, "level": "warn", "text": f"slow answer: {r.randrange(800, 4000)} ms"})
        elif r.random() < 0.22:
            lines.append({"at_ms": at, "level": "info", "text": f"served {r.randrange(100, 900)} requests"})
    return sorted(lines, key=lambda line: line["at_ms"])


def surge_spans(r):
    spans = []
    for n in range(120):
        minute = 30 + n / 2
        slow = rise(minute, 54, 6) * (1 - rise(minute, 73, 3))
        trace = f"{r.getrandbits(64):016x}"
        count = 0

        def span(parent, service, name, start, length, failed=False):
            nonlocal count
            count += 1
            me = f"{n:04x}{count:04x}"
            spans.append({"trace_id": trace, "span_id": me, "parent_id": parent, "service": service, "name": name,
                          "start_us": int(start), "duration_us": int(length), "failed": failed})
            return me

        begin = (START + minute * 60000 + r.randrange(20000)) * 1000
        query = 1000 * r.lognormvariate(math.log(25 + 700 * slow), 0.5)
        stock = 1000 * r.lognormvariate(math.log(8), 0.3)
        auth = 1000 * r.lognormvariate(math.log(4), 0.3)
        own = 1000 * r.lognormvariate(math.log(14 + 40 * slow), 0.3)
        total = own + query + stock + auth
        front = span("", "frontend", "GET /cart", begin, total + 6000, slow > 0.8 and r.random() < 0.3)
        cart = span(front, "cart", "GET /cart", begin + 2000, total, slow > 0.8 and r.random() < 0.3)
        span(cart, "auth", "check", begin + 3000, auth)
        stocks = span(cart, "stock", "list", begin + 3000 + auth, stock + query * 0.3)
        span(stocks, "database-service", "SELECT", begin + 3500 + auth, query * 0.3)
        span(cart, "database-service", "SELECT", begin + 3000 + auth + stock + query * 0.3, query * 0.7)
    return spans


def surge():
    r = random.Random(1)
    return evidence("pod shop/cart-7d9f8b6c5d-x2x4z", "cart", series=surge_series(r), lines=surge_lines(r), spans=surge_spans(r))


def quiet():
    r = random.Random(2)
    lines = [{"at_ms": START + n * 540000 + 1000, "level": "info", "text": "health check passed"} for n in range(10)]
    return evidence("pod shop/mail-0", None, series=[
        series("cpu", "mail-0", lambda m: 0.031 + r.gauss(0, 0.001), step=60000),
        series("memory", "mail-0", lambda m: 212 * 1024 ** 2 + r.gauss(0, 2e5), step=60000),
        series("memory_limit", "mail-0", lambda m: GIB, step=60000)], lines=lines,
        asked={"metrics": asked(), "logs": asked(), "traces": asked(False, why="the alert names no service")})


def hostile():
    r = random.Random(3)
    names = ("</text><script>alert(1)</script>", "\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627", "x" * 3000,
             "tab\there\nand\u0001control\u007f", "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309" * 8,
             "password=hunter2 Bearer abcdefghijklmnop", "&amp; %n%s \"quoted\" 'single' \U0001f4a5 \u4e2d\u6587")
    return evidence("pod <b>" + "y" * 500, names[0],
                    series=[series("cpu", name, lambda m: r.random(), step=120000) for name in names] +
                           [series("memory", name, lambda m: r.random() * 1e9, step=120000) for name in names],
                    lines=[{"at_ms": START + n * 1000, "level": "error", "text": name} for n, name in enumerate(names)],
                    spans=[{"trace_id": "t", "span_id": f"s{n}", "parent_id": f"s{(n + 1) % len(names)}", "service": name, "name": name,
                            "start_us": START * 1000 + n, "duration_us": 1000 * (n + 1), "failed": True} for n, name in enumerate(names)])


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    for make in (surge, quiet, hostile):
        with open(os.path.join(folder, make.__name__ + ".json"), "w", encoding="utf-8") as out:
            json.dump(make(), out, separators=(",", ":"), ensure_ascii=True)
            out.write("\n")


if __name__ == "__main__":
    main()
