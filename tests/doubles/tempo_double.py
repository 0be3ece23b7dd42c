"""Tempo's HTTP API over a few traces, with ids in base64 and enums as names like the real one (or, with otlp=True, as OTLP
has them); errors in plain text."""
import base64
import re
import urllib.parse

from http_double import Double, Reply
from query_text import QueryError, Text


class Span:
    def __init__(self, service, name, start_ms, duration_ms, span_id, parent="", failed=False):
        self.service, self.name, self.failed = service, name, failed
        self.start_ms, self.duration_ms = start_ms, duration_ms
        self.span_id, self.parent = span_id, parent  # 16 hex digits


class TempoDouble(Double):
    def __init__(self, port=0, tenant=None, otlp=False):
        super().__init__(port)
        self.tenant, self.otlp = tenant, otlp
        self.traces = {}     # 32 hex digits → [Span]
        self.forgotten = set()  # found, but no longer there
        self.queries = []

    def _id(self, hex_digits):
        return hex_digits if self.otlp else base64.b64encode(bytes.fromhex(hex_digits)).decode()

    def _span(self, trace, s):
        kind, code = (2, 2 if s.failed else 0) if self.otlp else ("SPAN_KIND_SERVER", "STATUS_CODE_ERROR" if s.failed else "STATUS_CODE_UNSET")
        out = {"traceId": self._id(trace), "spanId": self._id(s.span_id), "name": s.name, "kind": kind, "status": {"code": code},
               "startTimeUnixNano": str(s.start_ms * 10**6), "endTimeUnixNano": str((s.start_ms + s.duration_ms) * 10**6)}
        if s.parent:
            out["parentSpanId"] = self._id(s.parent)
        return out

    def _trace(self, trace):
        services = {}
        for s in self.traces[trace]:
            services.setdefault(s.service, []).append(self._span(trace, s))
        return {"batches": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                             "scopeSpans": [{"scope": {}, "spans": spans}]} for service, spans in services.items()]}

    @staticmethod
    def _conditions(query):
        text, tests = Text(query), []
        text.word(r"\{", "{")
        while True:
            field = text.word(r"resource\.service\.name|duration|status", "a field")
            if field == "duration":
                text.word(">", ">")
                least = int(text.word(r"\d+s", "a duration")[:-1]) * 1000
                tests.append(lambda s, least=least: s.duration_ms > least)
            elif field == "status":
                text.word("=", "=")
                text.word("error", "error")
                tests.append(lambda s: s.failed)
            else:
                text.word("=", "=")
                name = text.string()
                tests.append(lambda s, name=name: s.service == name)
            if not text.maybe("&&"):
                break
        text.word(r"\}", "}")
        if text.rest():
            raise QueryError(f"unexpected {text.rest()!r}")
        return tests

    def _search(self, form):
        tests = self._conditions(form["q"])
        start, end = int(form["start"]), int(form["end"])
        if len(form["start"]) != 10 or start >= end:
            raise QueryError("invalid start: must be before end, in seconds")
        if end - start > 168 * 3600:
            raise QueryError("range specified by start and end exceeds 168h0m0s")
        found = []
        for trace, spans in self.traces.items():
            hits = [s for s in spans if all(t(s) for t in tests) and start * 1000 <= s.start_ms < end * 1000]
            if hits:
                found.append({"traceID": trace.lstrip("0"), "rootServiceName": spans[0].service, "rootTraceName": spans[0].name,
                              "startTimeUnixNano": str(spans[0].start_ms * 10**6), "durationMs": spans[0].duration_ms,
                              "spanSets": [{"spans": [], "matched": len(hits)}]})
        return {"traces": found[:int(form["limit"])], "metrics": {"inspectedBytes": "1"}}

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        form = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/ready":
            return Reply(200, b"ready\n", "text/plain")
        if self.tenant and request.headers.get("X-Scope-OrgID") != self.tenant:
            return Reply(401, b"no org id\n", "text/plain")
        if url.path == "/api/echo":
            return Reply(200, b"echo", "text/plain")
        if url.path == "/api/search/tags":
            return Reply(200, {"tagNames": ["service.name"]})
        if url.path == "/api/status/buildinfo":
            return Reply(200, {"version": "2.9.0"})
        if url.path == "/api/search":
            self.queries.append(form.get("q", ""))
            try:
                return Reply(200, self._search(form))
            except (QueryError, KeyError, ValueError) as e:
                return Reply(400, f"invalid TraceQL query: {e!r}".encode(), "text/plain")
        found = re.fullmatch(r"/api/traces/([0-9a-f]{32})", url.path)
        if found and found.group(1) in self.traces and found.group(1) not in self.forgotten:
            return Reply(200, self._trace(found.group(1)))
        return Reply(404, b"trace not found", "text/plain")
