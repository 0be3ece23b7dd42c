"""The agent's API with canned answers: python3 api_double.py DIRECTORY

Writes its URL to DIRECTORY/url and each request as one JSON line to DIRECTORY/requests. A file
DIRECTORY/answer, when it is there, replaces the next answer: first line the code, the rest the body.
"""
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "doubles"))
from http_double import Double, Reply  # noqa: E402

BRIEF = {"id": "INC-7", "state": "verifying", "alertname": "QueueStuck", "resource": "payments/ledger",
         "severity": "critical", "function": "restart-consumer", "ticket": "SRE-7", "fired_count": 2,
         "received_at": "2026-01-15T10:45:00Z", "updated_at": "2026-01-15T10:45:09Z"}
OTHER = {"id": "INC-6", "state": "closed", "alertname": "Größe\u001b[2JZuKlein", "fired_count": 1,
         "received_at": "2026-01-15T10:00:00Z", "closed_at": "2026-01-15T10:05:00Z"}
ROWS = [
    {"at": "2026-01-15T10:45:00.120Z", "step": "open", "attempt": 1, "outcome": "done", "duration_ms": 120,
     "note": "SRE-7"},
    {"at": "2026-01-15T10:45:01.500Z", "step": "remediate", "attempt": 1, "outcome": "success",
     "duration_ms": 1380, "note": "consumer restarted"},
    {"at": "2026-01-15T10:45:06Z", "step": "verify", "attempt": 1, "outcome": "recovered", "duration_ms": 40},
]
DETAILS = {
    "ticket": {"key": "SRE-7", "url": "https://tickets.example/SRE-7"}, "correlation_id": "corr-7",
    "plan": {"function": "restart-consumer", "parameters": {"queue": "ledger"}, "method": "annotation",
             "confidence": 0.95, "decision": "auto", "why": "low risk", "digest": "0123456789abcdef0123"},
    "action": {"result": "success", "message": "consumer restarted", "tries": 1},
    "verification": {"verdict": "recovered", "polls": 1, "reason": "", "checks": [
        {"name": "queue depth", "observed": "3", "limit": "<= 10", "passed": True},
        {"name": "alert is over", "observed": "firing", "passed": False}]},
}
TICKET = {"key": "SRE-7", "title": "QueueStuck in ledger", "state": "In Progress", "body": "The queue is stuck.",
          "entries": [{"at": "2026-01-15T10:45:01Z", "kind": "comment", "body": "Restarting the consumer."}]}

PARTITIONS = [
    {"id": 2, "component": "linear", "peer": "linear", "state": "active", "kind": "silent", "error": "Operation timed \u001b[2J",
     "detected_at": "2026-01-15T10:45:00Z", "seconds": 75.5, "buffered": 0, "replayed": 0},
    {"id": 1, "component": "function", "peer": "function:pod-restart.ai.svc.cluster.local", "state": "healed",
     "kind": "refused", "error": "Failed to connect", "detected_at": "2026-01-15T10:00:00Z",
     "healed_at": "2026-01-15T10:00:12Z", "seconds": 12.0, "buffered": 3, "replayed": 3}]


LETTER = {"dlq_id": 7, "state": "pending", "failure_category": "validation_failure", "failure_kind": "data",
          "event_id": "order-7", "event_type": "order.created", "event_source": "shop", "attempts": 2, "replays": 1,
          "failed_at": "2026-01-15T10:45:00Z", "failure_reason": "data.total\u001b[2J is missing", "permanence": "permanent",
          "stage": "intake", "group": "0123456789ab", "correlation_id": "corr-7", "drop_token": "c0ffee000000",
          "linear_issue_id": "SRE-4", "retention_until": "2026-02-14T10:45:00Z"}
LETTER_DETAILS = {"replay_history": [{"at": "2026-01-15T11:00:00Z", "success": False, "outcome": "still missing", "by": "kim"}],
                  "event": {"mode": "structured", "content_type": "application/cloudevents+json", "bytes": 120,
                            "truncated": False, "body": {"total": None}}}
GROUP = {"group": "0123456789ab", "stage": "intake", "failure_category": "validation_failure", "pattern": "data.<...> is missing",
         "count": 3, "share": 0.75, "first_seen": "2026-01-15T10:00:00Z", "last_seen": "2026-01-15T10:45:00Z", "example": LETTER}


class Api(Double):
    def __init__(self, directory):
        self.directory = directory
        self.looks = 0
        super().__init__()

    def answer(self, request):
        with open(os.path.join(self.directory, "requests"), "a") as f:
            f.write(json.dumps({"method": request.method, "path": request.path,
                                "type": request.headers.get("Content-Type"),
                                "authorization": request.headers.get("Authorization"),
                                "body": request.body.decode()}) + "\n")
        scripted = os.path.join(self.directory, "answer")
        if os.path.exists(scripted):
            with open(scripted) as f:
                code, body = f.read().split("\n", 1)
            os.unlink(scripted)
            return Reply(int(code), body.encode())
        return self.canned(request)

    @staticmethod
    def incident(name, count, state):
        return Reply(200, {**BRIEF, **DETAILS, "id": name, "state": state, "timeline": ROWS[:count]})

    def canned(self, request):
        path, _, query = request.path.partition("?")
        if path == "/incidents":
            rows = [] if "state=recovered" in query else [BRIEF, OTHER]
            return Reply(200, {"incidents": rows})
        if path in ("/incidents/INC-7", "/incidents/latest"):
            return self.incident("INC-7", 3, "verifying")
        if path == "/incidents/INC-8":  # goes on with each look
            self.looks += 1
            if self.looks == 2:
                return Reply(503, {"error": "the store is busy; try again"})
            return self.incident("INC-8", min(self.looks, 3), "closed" if self.looks > 2 else "verifying")
        if path == "/incidents/INC-9":
            return self.incident("INC-9", 1, "approval")
        if path == "/tickets/SRE-7":
            return Reply(200, TICKET)
        if path == "/dlq" or path.startswith("/dlq/"):
            return self.dead_letters(request, path)
        if path == "/partitions":
            return Reply(200, {"partitions": PARTITIONS})
        if path in ("/", "/webhook") and request.method == "POST":
            return self.taken(request)
        if path.startswith("/approvals/"):
            word = "approved" if request.json()["decision"] == "approve" else "rejected"
            return Reply(200, {"status": "processed", "incident": path[11:], "approval_status": word})
        return Reply(404, {"error": f"there is no {path}"})

    @staticmethod
    def dead_letters(request, path):
        if path == "/dlq":
            return Reply(200, {"dead_letters": [LETTER], "next_before": 7})
        if path == "/dlq/groups":
            return Reply(200, {"groups": [GROUP]})
        if path == "/dlq/7":
            return Reply(200, {**LETTER, **LETTER_DETAILS} if request.method == "GET" else {"status": "dropped", "dlq_id": 7})
        if path == "/dlq/7/replay":
            return Reply(200, {"dlq_id": 7, "success": True, "outcome": "opened", "incident": "INC-9", "correlation_id": "corr-7"})
        if path == "/dlq/8/replay":
            return Reply(200, {"dlq_id": 8, "success": False, "outcome": "still missing", "correlation_id": "corr-8"})
        return Reply(404, {"error": "no dead letter " + path[5:]})

    @staticmethod
    def taken(request):
        body = request.json()
        if isinstance(body, dict) and "specversion" in body:
            return Reply(200, {"event_id": body["id"], "correlation_id": "c", "status": "processed"})
        events = body if isinstance(body, list) else [{"id": f"alert-{n}"} for n in range(len(body["alerts"]))]
        rows = [{"event_id": e["id"], "correlation_id": "c", "status": "processed"} for e in events]
        rows[0]["duplicate"] = True
        return Reply(200, {"status": "processed", "events": rows})


api = Api(sys.argv[1])
with open(os.path.join(sys.argv[1], "url.new"), "w") as out:
    out.write(api.url)
os.rename(os.path.join(sys.argv[1], "url.new"), os.path.join(sys.argv[1], "url"))
threading.Event().wait()
