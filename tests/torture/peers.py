"""The outside world of a torture run: a function, Prometheus and Linear that are slow and lose replies at random,
and that write down every effect."""
import collections
import random
import re
import time
import uuid

import graphql
from function_double import FunctionDouble
from http_double import Reply
from linear_double import LinearDouble
from prometheus_double import PrometheusDouble

SLOW_S = 0.02  # at most, before and after the effect: long enough for a kill to fall in between
RULE, METRIC, LIMIT = "Torture", "torture_errors", 5


class Unreliable:
    """Random faults: mostly none, sometimes the request or its reply is lost, or the peer is busy."""

    def make_unreliable(self, seed):
        self.chance = random.Random(seed)
        self.requests = collections.deque(maxlen=100)

    def _next_fault(self):
        with self.lock:
            at = self.chance.random()
        return "lost" if at < 0.03 else "reset" if at < 0.05 else ("status", 503) if at < 0.06 else None

    def pause(self):
        with self.lock:
            pause = self.chance.uniform(0, SLOW_S)
        time.sleep(pause)


class Function(Unreliable, FunctionDouble):
    def __init__(self, seed, forgets_keys):
        self.forgets_keys = forgets_keys
        self.tried = collections.Counter()    # key → requests
        self.done = collections.Counter()     # key → effects
        self.of_mark = collections.defaultdict(list)  # mark → key of each effect, in order
        super().__init__()
        self.make_unreliable(seed)

    def answer(self, request):
        key, mark = request.headers.get("Idempotency-Key"), request.json()["name"]
        self.pause()
        with self.lock:
            self.tried[key] += 1
            if self.forgets_keys or self.done[key] == 0:
                self.done[key] += 1
                self.of_mark[mark].append(key)
                self.on_effect("restart", mark)
        self.pause()
        result = {"statusCode": 200, "body": {"status": "success", "message": "restarted"}}
        return Reply(200, {"functionName": "restart", "namespace": "ai", "invocationId": request.headers.get("ce-id"),
                           "correlationId": request.headers.get("ce-correlationid"), "result": result,
                           "metrics": {"durationMs": 12, "coldStart": False, "memoryUsedMb": 40}})


class Prometheus(PrometheusDouble):
    """One rule over all marks; only series that are beyond the limit exist."""

    def __init__(self, label_of):
        self.firing = set()
        self.label_of = label_of
        super().__init__()
        self.requests = collections.deque(maxlen=100)

    def _rules(self):
        rule = {"name": RULE, "query": f"{METRIC} > {LIMIT}", "duration": 0, "labels": {}, "annotations": {},
                "alerts": [], "health": "ok", "type": "alerting", "state": "inactive"}
        return {"groups": [{"name": "torture", "file": "torture.yml", "interval": 1, "rules": [rule]}]}

    def _alerts(self):
        return {"alerts": []}

    def evaluate(self, expr):
        if re.match(r"up\{", expr):
            return [({"__name__": "up"}, 1.0)]
        return [({"__name__": METRIC, **self.label_of(mark)}, 9.0) for mark in list(self.firing)]


class Linear(Unreliable, LinearDouble):
    """Besides the issues, `story` has what happened to each issue, in order."""

    def __init__(self, seed, forgets_keys):
        self.forgets_keys = forgets_keys
        self.story = collections.defaultdict(list)  # issue → ("create",) ("comment", head) ("state", id)
        self.documents = {}
        self.tried = collections.Counter()
        super().__init__()
        self.make_unreliable(seed)

    def put(self, table, kind, entry):
        self.tried[kind] += 1
        if self.forgets_keys and entry["id"] in table:
            entry = {**entry, "id": str(uuid.uuid4())}
        return super().put(table, kind, entry)

    def issue_create(self, info, input):
        reply = super().issue_create(info, input)
        self.story[reply["issue"]["id"]].append(("create",))
        return reply

    def comment_create(self, info, input):
        reply = super().comment_create(info, input)
        self.story[input["issueId"]].append(("comment", input["body"].split("\n")[0].strip("*")))
        return reply

    def issue_update(self, info, id, input):
        before = self.issues.get(id, {}).get("stateId")
        reply = super().issue_update(info, id, input)
        if reply["issue"]["stateId"] != before:  # setting what is set is no effect
            self.story[id].append(("state", reply["issue"]["stateId"]))
        return reply

    def document(self, text):
        """Parsed and validated once: a run sends few different texts very often."""
        if text not in self.documents:
            parsed = graphql.parse(text)
            assert not graphql.validate(self.schema, parsed), text
            self.documents[text] = parsed
        return self.documents[text]

    def answer(self, request):
        self.pause()
        body = request.json()
        with self.lock:
            result = graphql.execute(self.schema, self.document(body["query"]), self.root(),
                                     variable_values=body.get("variables"))
        self.pause()
        reply = {"data": result.data}
        if result.errors:
            reply["errors"] = [{"message": e.message, "extensions": e.extensions} for e in result.errors]
        return Reply(200, reply)
