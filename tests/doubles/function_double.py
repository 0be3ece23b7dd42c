"""A host of LambdaFunctions: answers in the platform's shapes, and has an effect once per idempotency key
(or, for functions listed in `careless`, on every call)."""
import threading

from http_double import Double, Reply


class FunctionDouble(Double):
    def __init__(self, port=0):
        super().__init__(port)
        self.effects = []            # (function, parameters)
        self.keys = set()
        self.careless = set()        # functions that do not know idempotency keys
        self.on_effect = lambda function, parameters: None
        self.body = {"status": "success", "message": "restarted"}
        self.code = 200

    def calls(self):
        return [r for r in self.requests if r.method == "POST"]

    def answer(self, request):
        function = request.headers["Host"].split(".")[0]
        key = request.headers.get("Idempotency-Key")
        with self.lock:
            fresh = key not in self.keys or function in self.careless
            self.keys.add(key)
            if fresh and self.code == 200:
                self.effects.append((function, request.json()))
                self.on_effect(function, request.json())
        if self.code != 200:
            return Reply(self.code, self.body)
        data = {"functionName": function, "namespace": "ai", "invocationId": request.headers.get("ce-id"),
                "correlationId": request.headers.get("ce-correlationid"),
                "result": {"statusCode": 200, "body": self.body},
                "metrics": {"durationMs": 12, "coldStart": False, "memoryUsedMb": 40}}
        return Reply(200, data, headers={
            "ce-specversion": "1.0", "ce-id": "reply-1", "ce-type": "io.knative.lambda.response.success",
            "ce-source": f"io.knative.lambda/{function}", "ce-subject": function,
            "X-Correlation-ID": request.headers.get("X-Correlation-ID", "")})
