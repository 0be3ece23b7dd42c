"""Prometheus' HTTP API over a small world of rules and values (for scripted trouble; the end-to-end test
uses the real server)."""
import re
import time
import urllib.parse

from http_double import Double, Reply
from query_text import QueryError, Text, fits


class Rule:
    def __init__(self, name, metric, limit, labels, rule_labels=None):
        self.name, self.metric, self.limit = name, metric, limit
        self.labels = labels          # of the series
        self.rule_labels = rule_labels or {}
        self.expr = f"{metric} > {limit}"
        self.value = 0.0              # None = the series is gone
        self.up = 1.0                 # of its source; None = gone

    def firing(self):
        return self.value is not None and self.value > self.limit


class PrometheusDouble(Double):
    def __init__(self, port=0):
        super().__init__(port)
        self.rules = []
        self.facts = []    # labels of series of value 1, __name__ among them
        self.series = []   # (labels with __name__, function of the time in seconds → value or None)
        self.ranges = []   # the expressions of range queries, as they came
        self.refused = {}  # part of an expression → (code, error)
        self.answers = {}              # further answers, by expression: [(labels, value), …]
        self.answers_fault = None      # of what is in no rule: ("status", code), "black hole"

    def _vector(self, samples):
        now = time.time()
        return {"resultType": "vector",
                "result": [{"metric": labels, "value": [now, repr(float(value))]} for labels, value in samples]}

    def evaluate(self, expr):
        samples = list(self.answers.get(expr, []))
        for rule in self.rules:
            series = {"__name__": rule.metric, **rule.labels}
            if expr == rule.expr and rule.firing():
                samples.append((series, rule.value))
            elif expr == rule.metric and rule.value is not None:
                samples.append((series, rule.value))
            elif re.match(r"up\{", expr) and rule.up is not None and f'instance="{rule.labels.get("instance")}"' in expr:
                samples.append(({"__name__": "up", "job": rule.labels.get("job"),
                                 "instance": rule.labels.get("instance")}, rule.up))
        return samples or [(labels, 1.0) for labels in self.facts if self._first_selector_fits(expr, labels)]

    @staticmethod
    def _selectors(expr):
        """name{…} wherever one stands; text between them is not understood."""
        found, at = [], 0
        while (hit := re.compile(r"([a-z_:][a-zA-Z0-9_:]*)\{").search(expr, at)) is not None:
            text = Text(expr)
            text.at = hit.end() - 1
            found.append((hit.group(1), text.matchers()))
            at = text.at
        return found

    def _first_selector_fits(self, expr, labels):
        selectors = self._selectors(expr)
        return bool(selectors) and selectors[0][0] == labels["__name__"] and fits(labels, selectors[0][1])

    def _matrix(self, form):
        """The raw series of the first selector that finds any, on the grid: aggregation is not this double's business."""
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        if step <= 0 or end < start:
            raise QueryError("zero or negative query resolution step widths are not accepted")
        if (end - start) / step > 11000:
            raise QueryError("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
        expr = form["query"]
        self.ranges.append(expr)
        selectors = self._selectors(expr) or [(expr, [])]
        result = []
        for name, matchers in selectors:
            for labels, value_at in self.series:
                if labels["__name__"] != name or not fits(labels, matchers):
                    continue
                points = [(start + n * step) for n in range(int((end - start) / step) + 1)]
                values = [[round(t, 3), repr(float(value_at(t)))] for t in points if value_at(t) is not None]
                result.append({"metric": {k: v for k, v in labels.items() if k != "__name__"}, "values": values})
            if result:
                break
        return {"resultType": "matrix", "result": result}

    def _range(self, form):
        for part, (code, error) in self.refused.items():
            if part in form["query"]:
                return Reply(code, {"status": "error", "errorType": "execution", "error": error})
        try:
            return Reply(200, {"status": "success", "data": self._matrix(form)})
        except (QueryError, KeyError, ValueError) as e:
            return Reply(400, {"status": "error", "errorType": "bad_data", "error": str(e)})

    def _rules(self):
        return {"groups": [{"name": "double", "file": "double.yml", "interval": 1, "rules": [
            {"name": r.name, "query": r.expr, "duration": 0, "labels": r.rule_labels, "annotations": {},
             "alerts": [], "health": "ok", "type": "alerting", "state": "inactive"} for r in self.rules]}]}

    def _alerts(self):
        return {"alerts": [{"labels": {"alertname": r.name, **r.labels, **r.rule_labels}, "annotations": {},
                            "state": "firing", "activeAt": "2026-01-15T10:40:00Z", "value": "1e+00"}
                           for r in self.rules if r.firing()]}

    def queries(self, *words):
        """The expressions that were asked for, of those that hold one of these words."""
        found = []
        for r in list(self.requests):
            form = urllib.parse.parse_qs(urllib.parse.urlsplit(r.path).query + "&" + r.body.decode())
            found += [q for q in form.get("query", []) if any(w in q for w in words)]
        return found

    def _is_of_a_rule(self, expr):
        return expr == "1" or expr.startswith("up{") or any(expr in (r.expr, r.metric) for r in self.rules)

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        form = dict(urllib.parse.parse_qsl(url.query) + urllib.parse.parse_qsl(request.body.decode()))
        if url.path == "/api/v1/query" and self.answers_fault and not self._is_of_a_rule(form.get("query", "")):
            if self.answers_fault == "black hole":
                self.released.wait(20)
                return Reply(503, b"", "text/plain")
            return Reply(self.answers_fault[1], b"scripted trouble", "text/plain")
        if url.path == "/api/v1/query":
            data = self._vector(self.evaluate(form.get("query", "")))
        elif url.path == "/api/v1/query_range":
            return self._range(form)
        elif url.path == "/api/v1/rules":
            data = self._rules()
        elif url.path == "/api/v1/alerts":
            data = self._alerts()
        elif url.path == "/-/ready":
            return Reply(200, b"Prometheus Server is Ready.\n", "text/plain")
        elif url.path == "/api/v1/status/buildinfo":
            data = {"version": "2.42.0"}
        else:
            return Reply(404, b"not found", "text/plain")
        return Reply(200, {"status": "success", "data": data})
