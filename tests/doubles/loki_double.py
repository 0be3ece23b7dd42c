"""Loki's HTTP API over a few lines: checks our requests as the real server does, with its errors in plain text."""
import re
import urllib.parse

from http_double import Double, Reply
from query_text import QueryError, Text, fits

STEP = re.compile(r"(\d+)([smh])")


class LokiDouble(Double):
    def __init__(self, port=0, tenant=None):
        super().__init__(port)
        self.tenant = tenant
        self.entries = []  # (ns, labels of the stream, line, structured metadata)
        self.queries = []  # as they came
        self.max_limit = 5000

    def log(self, at_ms, line, labels, **metadata):
        self.entries.append((at_ms * 1_000_000, labels, line, metadata))

    def _select(self, text, start, end):
        """[selector, line filters, | json] → the entries"""
        matchers = text.matchers()
        if not any(sign == "=" or (sign == "=~" and not re.fullmatch(value, "")) for _, sign, value in matchers):
            raise QueryError("queries require at least one regexp or equality matcher that does not have an empty-compatible value")
        found = [e for e in self.entries if start <= e[0] < end and fits(e[1], matchers)]
        while sign := text.maybe(r"\|~|\|=|\|"):
            if sign == "|":
                text.word("json", "json")
                continue
            value = text.string()
            found = [e for e in found if (re.search(value, e[2]) if sign == "|~" else value in e[2])]
        return found

    def _lines(self, text, form, start, end):
        found = sorted(self._select(text, start, end), key=lambda e: e[0], reverse=form["direction"] == "backward")
        if text.rest():
            raise QueryError(f"parse error: unexpected {text.rest()!r}")
        limit = int(form["limit"])
        if limit > self.max_limit:
            raise QueryError(f"max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {self.max_limit})")
        streams = {}
        for ns, labels, line, metadata in found[:limit]:
            entry = [str(ns), line] + ([{"structuredMetadata": metadata}] if metadata else [])
            streams.setdefault(tuple(sorted(labels.items())), []).append(entry)
        return {"resultType": "streams", "result": [{"stream": dict(k), "values": v} for k, v in streams.items()], "stats": {}}

    def _counts(self, text, form, start, end):
        text.word("sum", "sum")
        text.word("by", "by")
        text.word(r"\(", "(")
        by = [text.word(r"[a-z_]+", "a label")]
        while text.maybe(","):
            by.append(text.word(r"[a-z_]+", "a label"))
        text.word(r"\)", ")")
        text.word(r"\(", "(")
        text.word("count_over_time", "count_over_time")
        text.word(r"\(", "(")
        found = self._select(text, start - 10**12, end)
        amount, unit = STEP.fullmatch(text.word(r"\[(\d+[smh])\]", "a range")[1:-1]).groups()
        span = int(amount) * {"s": 1, "m": 60, "h": 3600}[unit] * 10**9
        text.word(r"\)", ")")
        text.word(r"\)", ")")
        step = int(STEP.fullmatch(form["step"]).group(1)) * 10**9
        if (end - start) // step > 11000:
            raise QueryError("exceeded maximum resolution of 11,000 points per time series")
        series = {}
        for at in range(start, end + 1, step):
            for ns, labels, _, metadata in found:
                if at - span < ns <= at:
                    told = {**labels, **metadata}
                    key = tuple((b, told[b]) for b in by if b in told)
                    points = series.setdefault(key, {})
                    points[at] = points.get(at, 0) + 1
        return {"resultType": "matrix", "result": [
            {"metric": dict(k), "values": [[at / 1e9, str(n)] for at, n in sorted(v.items())]} for k, v in series.items()], "stats": {}}

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        form = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/ready":
            return Reply(200, b"ready\n", "text/plain")
        if self.tenant and request.headers.get("X-Scope-OrgID") != self.tenant:
            return Reply(401, b"no org id\n", "text/plain")
        if url.path == "/loki/api/v1/labels":
            return Reply(200, {"status": "success", "data": ["namespace", "pod"]})
        if url.path == "/loki/api/v1/status/buildinfo":
            return Reply(200, {"version": "3.4.0"})
        if url.path != "/loki/api/v1/query_range":
            return Reply(404, b"404 page not found\n", "text/plain")
        self.queries.append(form.get("query", ""))
        try:
            text = Text(form["query"])
            metric = not text.rest().startswith("{")
            start, end = int(form["start"]), int(form["end"])
            if len(form["start"]) != 19 or end <= start:
                raise QueryError("end timestamp must not be before or equal to start time")
            if end - start > 721 * 3600 * 10**9:
                raise QueryError("the query time range exceeds the limit (query length: ..., limit: 30d1h)")
            data = self._counts(text, form, start, end) if metric else self._lines(text, form, start, end)
        except (QueryError, KeyError, ValueError) as e:
            return Reply(400, f"parse error: {e!r}\n".encode(), "text/plain")
        return Reply(200, {"status": "success", "data": data})
