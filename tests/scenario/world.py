"""A broken service, the doubles around it, and the agent: what every scenario starts from."""
import http.client
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import Agent, event, eventually, post_event, request  # noqa: E402,F401

from function_double import FunctionDouble  # noqa: E402
from prometheus_double import PrometheusDouble, Rule  # noqa: E402

START_MS = 1_768_474_000_000  # 2026-01-15T10:46:40Z
LABELS = {"service": "shop", "namespace": "store", "pod": "shop-0", "job": "shop", "instance": "10.0.0.7:8080"}
PARAMETERS = {"name": "shop-0", "namespace": "store", "type": "pod"}
ANNOTATIONS = {"summary": "too many errors", "lambda_function": "pod-restart", "lambda_parameters": json.dumps(PARAMETERS)}


def catalogue(idempotent=True, risk="low", effect="reversible"):
    name = {"type": "string", "required": True, "from": ["pod", "deployment", "name"]}
    namespace = {"type": "string", "required": True, "from": ["namespace"]}
    kind = {"type": "string", "required": False, "choice": ["pod", "deployment"], "default": "pod"}
    return {"functions": [{
        "name": "pod-restart", "description": "Restart a pod.", "risk": risk, "effect": effect,
        "idempotent": idempotent, "cooldown": "1s", "parameters": {"name": name, "namespace": namespace, "type": kind}}]}


class World:
    """Settings use short times: the fake clock is moved in small steps by `tick`."""

    def __init__(self, functions=None, env=None, **settings):
        self.prometheus = PrometheusDouble()
        self.functions = FunctionDouble()
        self.rule = Rule("HighErrors", "shop_errors", 5, LABELS, {"severity": "warning"})
        self.prometheus.rules.append(self.rule)
        self.repairs = True
        self.functions.on_effect = self._effect
        base = {"prometheus": {"url": self.prometheus.url, "timeout": "2s"},
                "functions": {"gateway": f"127.0.0.1:{self.functions.port}"},
                "verify": {"first": "5s", "budget": "5m", "resolve_poll": "30s"},
                "loki": {"url": ""}, "tempo": {"url": ""}, "investigate": {"enabled": "false"},
                "log": {"level": "info"}, "workers": 16, "drain": "1s"}
        for key, value in settings.items():
            base.setdefault(key, {}).update(value) if isinstance(value, dict) else base.__setitem__(key, value)
        self.agent = Agent(base, env, START_MS)
        path = os.path.join(self.agent.dir, "catalogue.yaml")
        with open(path, "w") as f:
            json.dump(functions or catalogue(), f)
        base["catalogue"] = path
        with open(self.agent.config, "w") as f:
            json.dump(base, f)
        self.settings = base

    def _effect(self, function, parameters):
        if self.repairs:
            self.rule.value = 0.0

    def fault(self):
        self.rule.value = 9.0

    def fire(self, **kwargs):
        kwargs.setdefault("labels", LABELS)
        kwargs.setdefault("annotations", ANNOTATIONS)
        return self.send(event(**kwargs))

    def resolve(self, **kwargs):
        return self.fire(status="resolved", ends="2026-01-15T10:47:00Z", **kwargs)

    def send(self, body):
        """As a sender does: again until it is acknowledged. The agent may die meanwhile."""
        def accepted():
            self.revive()
            code, reply = post_event(self.agent.url, body)
            return (code, reply) if code < 500 else None
        return eventually(accepted, "the event is acknowledged")

    def bury(self, body):
        """The event arrives without a Content-Type: it is refused, kept, and good when it is replayed."""
        def refused():
            self.revive()
            call = http.client.HTTPConnection(self.agent.url.split("//")[1], timeout=10)
            try:
                call.request("POST", "/", json.dumps(body))
                return call.getresponse().status == 400
            except http.client.HTTPException as e:
                raise OSError(e) from e
            finally:
                call.close()
        return eventually(refused, "the refusal is on disk")

    def replay_all(self, url=None):
        """As an operator does: again until no letter is left. `url`: another way to the agent."""
        def replayed():
            self.revive()
            for letter in self.agent.get("/dlq")[1]["dead_letters"]:
                request(f"{url or self.agent.url}/dlq/{letter['dlq_id']}/replay", "POST", {"by": "tester"})
            return self.agent.get("/dlq")[1]["dead_letters"] == []
        return eventually(replayed, "every letter is replayed")

    def revive(self):
        """Starts the agent again when it has been killed (a crash scenario)."""
        while not self.agent.alive():
            self.agent.start()

    def follow(self, cutter):
        """The cutter stands before the agent, which listens elsewhere in each life."""
        revive = self.revive

        def revived():
            revive()
            cutter.peer = int(self.agent.url.rsplit(":", 1)[1])
        self.revive = revived
        self.revive()

    def tick(self, seconds=1.0):
        self.agent.clock.advance(seconds)

    def until(self, condition, what, seconds=1.0, patience=60):
        """Moves time until the condition holds."""
        def look():
            self.revive()
            return condition()
        return eventually(look, what, patience=patience, each=lambda: self.tick(seconds))

    def until_state(self, state, which="latest", **kwargs):
        def there():
            found = self.agent.incident(which)
            return found if found and found["state"] == state else None
        return self.until(there, f"{which} is {state}", **kwargs)

    def until_delivered(self, key, kinds):
        """The embedded ticket has at least these entries."""
        def there():
            code, ticket = self.agent.get(f"/tickets/{key}")
            return ticket if code == 200 and [e["kind"] for e in ticket["entries"]].count("comment") >= kinds else None
        return self.until(there, f"{kinds} comments on {key}")

    def close(self):
        try:
            self.agent.close()
        finally:
            self.prometheus.close()
            self.functions.close()
