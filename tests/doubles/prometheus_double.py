"""Prometheus' HTTP API over a small world of rules and values (for scripted trouble; the end-to-end test
uses the real server)."""
import re
import time
import urllib.parse

from http_double import Double, Reply


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
        self.series = {}              # further answers, by expression: [(labels, value), …]
        self.series_fault = None      # of what is in no rule: ("status", code), "black hole"

    def _vector(self, samples):
        now = time.time()
        return {"resultType": "vector",
                "result": [{"metric": labels, "value": [now, repr(float(value))]} for labels, value in samples]}

    def evaluate(self, expr):
        samples = list(self.series.get(expr, []))
        for rule in self.rules:
            series = {"__name__": rule.metric, **rule.labels}
            if expr == rule.expr and rule.firing():
                samples.append((series, rule.value))
            elif expr == rule.metric and rule.value is not None:
                samples.append((series, rule.value))
            elif re.match(r"up\{", expr) and rule.up is not None and f'instance="{rule.labels.get("instance")}"' in expr:
                samples.append(({"__name__": "up", "job": rule.labels.get("job"),
                                 "instance": rule.labels.get("instance")}, rule.up))
        return samples

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
        if url.path == "/api/v1/query" and self.series_fault and not self._is_of_a_rule(form.get("query", "")):
            if self.series_fault == "black hole":
                self.released.wait(20)
                return Reply(503, b"", "text/plain")
            return Reply(self.series_fault[1], b"scripted trouble", "text/plain")
        if url.path == "/api/v1/query":
            data = self._vector(self.evaluate(form.get("query", "")))
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
