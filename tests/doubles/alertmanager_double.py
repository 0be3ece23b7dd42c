"""Alertmanager's API v2, as far as the agent asks: active alerts and status."""
from http_double import Double, Reply


class AlertmanagerDouble(Double):
    def __init__(self, port=0):
        super().__init__(port)
        self.alerts = lambda: []  # label sets
        self.posted = []          # alerts, as they came

    def answer(self, request):
        path = request.path.partition("?")[0]
        if path == "/api/v2/alerts" and request.method == "POST":
            self.posted += request.json()
            return Reply(200, b"")
        if path == "/api/v2/alerts":
            return Reply(200, [{"labels": labels, "status": {"state": "active"}} for labels in self.alerts()])
        if path == "/api/v2/status":
            return Reply(200, {"versionInfo": {"version": "0.25.0"}})
        return Reply(404, b'"not found"')
