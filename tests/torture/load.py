"""Open-loop load: alerts with fresh marks arrive at planned times in every transport, with repeats, and every request
without a 2xx is sent again, as a broker does."""
import heapq
import http.client
import itertools
import json
import random
import threading
import time

from peers import RULE

BASE = {"severity": "warning", "service": "shop", "namespace": "store", "job": "shop", "instance": "10.0.0.7:8080"}
TYPES = {"fired": "io.homelab.prometheus.alert.fired", "resolved": "io.homelab.prometheus.alert.resolved"}
MOST_WAITING = 3000  # requests that are not acknowledged
SOURCE, RECEIVER = "prometheus-events", "torture"


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Episode:
    """One alert from firing to resolved; `mark` is random and stands in its labels."""

    def __init__(self, mark, starts, ends_by_remedy):
        self.mark, self.starts, self.ends = mark, utc(starts), utc(starts + 5)
        self.ends_by_remedy = ends_by_remedy  # it resolves only once the function has had its effect
        self.acknowledged = {"fired": set(), "resolved": set()}  # of (source, id)

    def labels(self):
        return {"alertname": RULE, "pod": self.mark, **BASE}

    def data(self, status, extra):
        parameters = {"name": self.mark, "namespace": "store", "type": "pod"}
        return {"alertname": RULE, "status": "firing" if status == "fired" else "resolved",
                "labels": {**self.labels(), **extra},
                "annotations": {"summary": "too many errors", "lambda_function": "restart",
                                "lambda_parameters": json.dumps(parameters)},
                "startsAt": self.starts, "endsAt": self.ends if status == "resolved" else "0001-01-01T00:00:00Z"}


class Shot:
    """One request: what it carries and how. It is rendered for each attempt."""

    def __init__(self, transport, members, empty=False):
        self.transport, self.members, self.empty = transport, members, empty  # members: (episode, status, id)
        self.planned, self.attempts = 0.0, 0

    def render(self, distinct):
        """(path, headers, body, ids). `distinct`: no two attempts look alike (a control that defeats de-duplication)."""
        suffix = f"-{random.getrandbits(40):x}" if distinct else ""
        extra = {"attempt": suffix} if distinct else {}
        events = [{"specversion": "1.0", "type": TYPES[status], "source": SOURCE, "id": one + suffix,
                   "time": utc(time.time()), "subject": RULE, "datacontenttype": "application/json",
                   "data": episode.data(status, extra)} for episode, status, one in self.members]
        headers = {"Prefer": "reply"} if self.empty else {}
        ids = [(SOURCE, e["id"]) for e in events]
        if self.transport == "webhook":
            body = {"version": "4", "groupKey": "{}", "status": events[0]["data"]["status"], "receiver": RECEIVER,
                    "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am.example",
                    "truncatedAlerts": 0,
                    "alerts": [{"generatorURL": "http://prom.example/graph", **e["data"]} for e in events]}
            return "/webhook", {"Content-Type": "application/json"}, json.dumps(body), None
        if self.transport == "binary":
            e = events[0]
            headers |= {f"ce-{k}": e[k] for k in ("specversion", "type", "source", "id", "time", "subject")}
            return "/", {"Content-Type": "application/json", **headers}, json.dumps(e["data"]), ids
        kind = "cloudevents-batch" if self.transport == "batch" else "cloudevents"
        headers["Content-Type"] = f"application/{kind}+json"
        return "/", headers, json.dumps(events if self.transport == "batch" else events[0]), ids


class Load:
    def __init__(self, port, seed, rate, senders, prometheus, broken):
        self.port, self.rate, self.prometheus, self.broken = port, rate, prometheus, broken
        self.seed, self.random = seed, random.Random(seed)
        self.by_mark, self.episodes = {}, []
        self.queue, self.order, self.wake = [], itertools.count(), threading.Condition()
        self.waiting = 0              # shots that are not acknowledged yet
        self.attempts = self.acknowledged = self.requests = 0
        self.refused = []             # answers that a broker would not retry: the agent must not give them
        self.ended = threading.Event()
        self.base = time.time() - 600
        self.threads = [threading.Thread(target=self.send_all, args=(n,), daemon=True) for n in range(senders)]
        self.threads.append(threading.Thread(target=self.plan, daemon=True))

    def start(self):
        for t in self.threads:
            t.start()

    def put(self, at, shot):
        with self.wake:
            if shot.attempts == 0:
                shot.planned = at
                self.waiting += 1
                self.requests += 1
            heapq.heappush(self.queue, (at, next(self.order), shot))
            self.wake.notify()

    def plan(self):
        """Arrivals do not wait for the agent, unless far too much waits for it already."""
        at = time.monotonic()
        while not self.ended.is_set():
            at += self.random.expovariate(self.rate)
            self.ended.wait(max(0.0, at - time.monotonic()))
            if self.waiting > MOST_WAITING:
                continue
            if self.random.random() < 0.2:
                self.group(at)
            else:
                self.single(at)

    def episode(self, mark, starts=0, ends_by_remedy=True):
        e = Episode(mark, self.base + starts, ends_by_remedy)
        self.by_mark.setdefault(mark, []).append(e)
        self.episodes.append(e)
        self.prometheus.firing.add(mark)
        return e

    def mark(self):
        return f"shop-{self.random.getrandbits(48):012x}"

    def repeated(self, at, e, status):
        """The event, exact repeats of it, and repeats under new ids, each in a transport of its own. All of it follows
        from the seed, whenever it is planned."""
        r = random.Random(f"{self.seed} {e.mark} {e.starts} {status}")
        one = f"{e.mark}-{e.starts}-{status}"
        for n in range(1 + r.choice((0, 0, 1, 2))):
            transport = r.choice(("structured", "structured", "binary", "batch", "webhook"))
            self.put(at + n * r.uniform(0, 0.4), Shot(transport, [(e, status, one)], r.random() < 0.2))
        for n in range(r.choice((0, 0, 1, 2))):
            self.put(at + r.uniform(0, 0.6), Shot(r.choice(("structured", "binary")), [(e, status, f"{one}-again-{n}")]))

    def single(self, at):
        r = self.random
        kind = r.random()
        e = self.episode(self.mark(), ends_by_remedy=kind < 0.7)
        self.repeated(at, e, "fired")
        if kind < 0.7:
            return
        self.put_resolved(at + r.uniform(-0.1, 1.5), [e])  # perhaps before the remedy, perhaps before the firing
        if kind < 0.85:
            return
        again = self.episode(e.mark, starts=60, ends_by_remedy=False)
        self.repeated(at + r.uniform(0.5, 2), again, "fired")
        self.put_resolved(at + r.uniform(1, 4), [again])

    def group(self, at):
        members = [self.episode(self.mark()) for _ in range(self.random.randint(2, 4))]
        transport = self.random.choice(("batch", "webhook"))
        for n in range(self.random.choice((1, 2))):
            self.put(at + n * 0.3, Shot(transport, [(e, "fired", f"{e.mark}-group") for e in members]))

    def put_resolved(self, at, episodes):
        for e in episodes:
            self.repeated(at, e, "resolved")

    def remedied(self, function, mark):
        """The effect: the condition is gone, and soon the alert is over."""
        self.prometheus.firing.discard(mark)
        over = [e for e in self.by_mark[mark] if e.ends_by_remedy]
        with self.wake:
            self.put_resolved(time.monotonic() + random.Random(mark).uniform(0.05, 0.6), over)

    def take(self):
        with self.wake:
            while not self.queue or self.queue[0][0] > time.monotonic():
                self.wake.wait(self.queue[0][0] - time.monotonic() if self.queue else 0.1)
            return heapq.heappop(self.queue)[2]

    def send_all(self, number):
        pause = random.Random(number)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while True:
            shot = self.take()
            shot.attempts += 1
            if not self.send(connection, shot):
                self.put(time.monotonic() + pause.uniform(0.02, 0.2), shot)

    def send(self, connection, shot):
        """True when the request is settled."""
        path, headers, body, ids = shot.render(self.broken == "dedupe")
        code = 0
        with self.wake:
            self.attempts += 1
        try:
            if self.broken == "ack-early" and ids:
                code, reply = 202, b""  # a go-between that says yes before it passes on, and passes on once
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if not code:
                code, reply = answer.status, text
        except (OSError, http.client.HTTPException):
            connection.close()
        if not 200 <= code < 300 and code not in (0, 429, 503):
            self.refused.append((code, reply[:200]))
        elif not 200 <= code < 300:
            return False
        elif ids is None:
            ids = [(f"prometheus/alertmanager/{RECEIVER}", m["event_id"]) for m in json.loads(reply)["events"]]
        with self.wake:
            self.waiting -= 1
            self.acknowledged += 200 <= code < 300
            if 200 <= code < 300:
                for (episode, status, _), identity in zip(shot.members, ids):
                    episode.acknowledged[status].add(identity)
                    if status == "resolved":
                        self.prometheus.firing.discard(episode.mark)
        return True
