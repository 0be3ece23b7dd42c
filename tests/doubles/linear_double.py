"""Linear as a double: every request is validated against the schema and carried out in memory.

Faults come from http_double; besides, `errors` is a list of GraphQL errors (extensions) that are answered, one per
request, in place of the result: ("RATELIMITED", 400), ("AUTHENTICATION_ERROR", 401), ("INTERNAL_SERVER_ERROR", 200) …
"""
import os
import time

import graphql

from http_double import Double, Reply

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = "lin_api_double_key_0123456789"


class LinearDouble(Double):
    def __init__(self, port=0):
        with open(os.path.join(HERE, "linear.graphql")) as f:
            self.schema = graphql.build_schema(f.read())
        super().__init__(port)
        self.team = {"id": "team-1", "name": "Site Reliability", "key": "SRE"}
        self.states = [{"id": f"state-{t}-{n}", "name": t, "type": t, "position": float(n), "team": self.team}
                       for n, t in enumerate(("backlog", "unstarted", "unstarted", "started", "completed", "canceled"))]
        self.labels = [{"id": "label-alert", "name": "alert", "team": self.team}]
        self.users = [{"id": "user-1", "name": "On Call", "email": "oncall@example.com"}]
        self.issues, self.comments, self.attachments = {}, {}, {}
        self.places, self.files = {}, {}  # files announced, and stored by their asset URL
        self.errors = []
        self.now_ms = lambda: int(time.time() * 1000)
        self.creations = []  # every creation that took effect: (kind, id)

    def root(self):
        return {
            "viewer": lambda info: {"id": "me", "name": "agent-sre", "email": "agent@example.com"},
            "teams": lambda info, filter=None, first=50: {"nodes": [self.team] if filter["key"]["eq"] == self.team["key"] else []},
            "workflowStates": lambda info, filter=None, first=50: {"nodes": self.states},
            "issueLabels": lambda info, filter=None, first=50: {"nodes": [l for l in self.labels if l["name"] == filter["name"]["eq"]]},
            "users": lambda info, filter=None, first=50: {"nodes": [u for u in self.users if u["email"] == filter["email"]["eq"]]},
            "issue": lambda info, id: self.find(self.issues, id, "Issue"),
            "comment": lambda info, id=None, hash=None: self.find(self.comments, id, "Comment"),
            "issueCreate": self.issue_create, "issueUpdate": self.issue_update, "commentCreate": self.comment_create,
            "attachmentCreate": self.attachment_create, "issueLabelCreate": self.label_create,
            "fileUpload": self.file_upload,
        }

    @staticmethod
    def find(table, key, kind):
        if key not in table:
            raise graphql.GraphQLError(f"Entity not found: {kind}", extensions={"code": "INPUT_ERROR", "type": "invalid input"})
        return table[key]

    def put(self, table, kind, entry):
        if entry["id"] in table:
            raise graphql.GraphQLError(f"{kind} with this id exists", extensions={"code": "INPUT_ERROR", "type": "invalid input"})
        table[entry["id"]] = entry
        self.creations.append((kind, entry["id"]))
        return entry

    def issue_create(self, info, input):
        number = len(self.issues) + 1
        issue = self.put(self.issues, "issue", {
            **input, "identifier": f"OPS-{number}", "url": f"https://linear.example/issue/OPS-{number}",
            "labels": list(input.get("labelIds", [])), "comments": []})
        return {"success": True, "lastSyncId": 1.0, "issue": issue}

    def issue_update(self, info, id, input):
        issue = self.find(self.issues, id, "Issue")
        issue["labels"] = sorted(set(issue["labels"]) | set(input.pop("addedLabelIds", [])))
        issue.update(input)
        return {"success": True, "lastSyncId": 1.0, "issue": issue}

    def comment_create(self, info, input):
        issue = self.find(self.issues, input["issueId"], "Issue")
        comment = self.put(self.comments, "comment", dict(input))
        issue["comments"].append(comment)
        return {"success": True, "lastSyncId": 1.0, "comment": comment}

    def attachment_create(self, info, input):
        key = (input["issueId"], input["url"])
        self.attachments[key] = {"id": f"attachment-{len(self.attachments)}", **input}
        return {"success": True, "lastSyncId": 1.0, "attachment": self.attachments[key]}

    def label_create(self, info, input):
        if input["name"] in (l["name"] for l in self.labels):
            raise graphql.GraphQLError("duplicate label name", extensions={"code": "INPUT_ERROR", "type": "invalid input"})
        label = {"id": f"label-{input['name']}", "name": input["name"], "team": self.team}
        self.labels.append(label)
        return {"success": True, "lastSyncId": 1.0, "issueLabel": label}

    def file_upload(self, info, contentType, filename, size, makePublic=False):
        name = f"{len(self.places)}/{filename}"
        self.places[name] = {"type": contentType, "size": size}
        return {"success": True, "lastSyncId": 1.0, "uploadFile": {
            "filename": filename, "contentType": contentType, "size": size, "uploadUrl": f"{self.url}/store/{name}",
            "assetUrl": f"{self.url}/asset/{name}", "headers": [{"key": "x-store-token", "value": f"token-{name}"}]}}

    def store(self, request):
        """The file store behind the upload: takes what was announced, and wants nothing of Linear's key."""
        name = request.path[len("/store/"):]
        place = self.places.get(name)
        wanted = place is not None and {"Content-Type": place["type"], "Content-Length": str(place["size"]), "x-store-token": f"token-{name}",
                                        "Cache-Control": "public, max-age=31536000", "Authorization": None}
        if request.method != "PUT" or not wanted or any(request.headers.get(k) != v for k, v in wanted.items()):
            return Reply(403, b"SignatureDoesNotMatch", "text/plain")
        self.files[f"{self.url}/asset/{name}"] = request.body
        return Reply(200, b"", "text/plain")

    def answer(self, request):
        if request.path.startswith("/store/"):
            return self.store(request)
        if request.headers.get("Authorization") != KEY:
            return Reply(401, {"errors": [{"message": "no", "extensions": {"code": "AUTHENTICATION_ERROR"}}]})
        with self.lock:
            if self.errors:
                code, status = self.errors.pop(0)
                headers = {"X-RateLimit-Requests-Remaining": "0", "X-RateLimit-Requests-Reset": str(self.now_ms() + 2000)}
                return Reply(status, {"errors": [{"message": "scripted", "extensions": {"code": code}}]}, headers=headers)
            body = request.json()
            result = graphql.graphql_sync(self.schema, body["query"], self.root(), variable_values=body.get("variables"))
        invalid = result.errors and result.data is None and not any((e.extensions or {}).get("code") for e in result.errors)
        reply = {"data": result.data}
        if result.errors:
            reply["errors"] = [{"message": e.message, "extensions": e.extensions or {"code": "GRAPHQL_VALIDATION_FAILED"}} for e in result.errors]
        return Reply(400 if invalid else 200, reply)
