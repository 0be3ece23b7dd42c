"""Service levels on tickets: the real daemon against scripted doubles. What Prometheus says of an SLO decides priority, title,
labels, link and comment; no answer stops nothing."""
import concurrent.futures
import json
import os
import time
import unittest

from world import ANNOTATIONS, LABELS, World, event, eventually, post_event  # noqa: F401

from http_double import Double, Reply
from linear_double import KEY, LinearDouble

UNAVAILABLE = "SLM data was unavailable"
SLO_LABELS = {**LABELS, "slo": "availability"}
WORDS = ("slo_name", "sloth_", "pyrra_")


def plain(slo="availability", **values):
    """The four series of WORKFLOW-001.3; a list is several series of one name."""
    names = {"target": "slo:target", "current": "sli:current", "remaining": "slo:error_budget_remaining",
             "burn": "slo:error_budget_burn_rate"}
    found = {}
    for key, value in values.items():
        many = value if isinstance(value, list) else [value]
        found[f'{names[key]}{{slo_name="{slo}"}}'] = [({"slo_name": slo, "n": str(n)}, v) for n, v in enumerate(many)]
    return found


def sloth(slo, objective, errors, remaining=None, days=30):
    labels = {"sloth_slo": slo, "sloth_id": f"shop-{slo}", "sloth_service": "shop"}
    samples = [({**labels, "__name__": f"slo:sli_error:ratio_rate{w}", "sloth_window": w}, v) for w, v in errors.items()]
    samples += [({**labels, "__name__": "slo:objective:ratio"}, objective), ({**labels, "__name__": "slo:time_period:days"}, days)]
    if remaining is not None:
        samples.append(({**labels, "__name__": "slo:period_error_budget_remaining:ratio"}, remaining))
    return {f'{{sloth_slo="{slo}"}}': samples}


EXAMPLE = plain(target=0.999, current=0.9985, remaining=0.001, burn=0.0005)


class Rota(Double):
    def __init__(self):
        super().__init__()
        self.email = "ana@example.com"

    def answer(self, request):
        return Reply(200, {"email": self.email})


class SlmTest(unittest.TestCase):
    def world(self, series=EXAMPLE, **kwargs):
        kwargs.setdefault("slo", {})
        kwargs["slo"].setdefault("timeout", "1s")
        w = World(**kwargs)
        self.addCleanup(w.close)
        w.prometheus.answers = dict(series)
        w.fault()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def fire(self, w, severity="warning", slo="availability", **more):
        labels = {**LABELS, "severity": severity, **({"slo": slo} if slo is not None else {})}
        return w.fire(labels=labels, **more)

    def ticket(self, w, which="INC-1", comments=0):
        """The ticket, once the incident's first work is done."""
        def there():
            incident = w.agent.incident(which)
            if not incident or "ticket" not in incident:
                return None
            code, ticket = w.agent.get(f"/tickets/{incident['ticket']['key']}")
            return ticket if code == 200 and sum(e["kind"] == "comment" for e in ticket["entries"]) >= comments else None
        return w.until(there, f"the ticket of {which}", seconds=0)

    def said(self, w, what):
        return [json.loads(line) for line in list(w.agent.lines) if f'"event":"{what}"' in line]

    def test_the_printed_example(self):
        w = self.world(slo={"link": "https://grafana.example.com", "sli_names": ["availability=uptime"]})
        self.fire(w)
        ticket = self.ticket(w, comments=1)
        self.assertEqual(ticket["title"], "[Alert] HighErrors - shop-0 (SLO: availability)")
        self.assertEqual(ticket["priority"], 2)
        self.assertEqual(ticket["labels"], ["alert", "prometheus", "slo-violation"])
        for line in ("- SLO: availability", "- SLI: uptime", "- Target: 99.9%", "- Current: 99.85%",
                     "- Error Budget Remaining: 0.1% of the budget", "- Error Budget Burn Rate: 0.05%", "- Violation Severity: high"):
            self.assertIn(line + "\n", ticket["body"])
        link = next(json.loads(e["body"]) for e in ticket["entries"] if e["kind"] == "link")
        self.assertEqual(link, {"url": "https://grafana.example.com/d/slo-availability", "title": "SLO: Availability (99.9% target)"})
        self.assertIn("This alert impacts SLO: availability. Current SLI: 99.85%, Target: 99.9%, Error Budget Burn Rate: 0.05%.",
                      [e["body"] for e in ticket["entries"]])
        assessed = self.said(w, "slo_assessed")[0]
        self.assertEqual((assessed["violation_severity"], assessed["priority"], assessed["reason"]),
                         ("high", "High", "Warning severity + 0.05% error budget burn"))
        self.assertEqual(w.agent.incident("INC-1")["slo"]["error_budget_burn_rate"], 0.0005)

    def test_every_cell_of_the_table_reaches_the_ticket(self):
        burns = {"critical": 0.0006, "high": 0.0005, "medium": 0.00005, "low": 0.00001, "unknown": None}
        wanted = {"critical": [1, 1, 2, 2, 1], "warning": [1, 2, 3, 3, 2], "info": [4, 4, 4, 4, 4], "page": [2, 3, 3, 4, 3]}
        series = {}
        for name, burn in burns.items():
            series.update(plain(name, target=0.999, current=0.9999, **({} if burn is None else {"burn": burn})))
        w = self.world(series)
        cells = [(severity, name) for severity in wanted for name in burns]
        for n, (severity, slo) in enumerate(cells):
            self.fire(w, severity, slo, alertname=f"A{n}", event_id=f"e{n}")
        for n, (severity, slo) in enumerate(cells):
            ticket = self.ticket(w, f"INC-{n + 1}")
            self.assertEqual(ticket["priority"], wanted[severity][list(burns).index(slo)], (severity, slo))
            self.assertEqual("slo-violation" in ticket["labels"], slo in ("critical", "high"))

    def test_the_four_series_are_asked_for_once_escaped_and_by_equality(self):
        name = 'a"} or vector(1) #\\'
        w = self.world({})
        self.fire(w, slo=name)
        self.ticket(w)
        asked = w.prometheus.queries(*WORDS)
        for metric in ("slo:target", "sli:current", "slo:error_budget_remaining", "slo:error_budget_burn_rate"):
            self.assertEqual(asked.count(metric + '{slo_name="a\\"} or vector(1) #\\\\"}'), 1, asked)
        self.assertFalse([q for q in asked if "=~" in q])
        sent = [r.method for r in w.prometheus.requests if "slo_name" in r.path + r.body.decode()]
        self.assertGreaterEqual(len(sent), 4)
        self.assertEqual(set(sent), {"GET"})

    def test_an_answer_is_remembered_for_a_while(self):
        w = self.world(slo={"remember": "30s"})
        self.fire(w)
        self.ticket(w)
        first = len(w.prometheus.queries(*WORDS))
        self.assertGreaterEqual(first, 4)
        self.fire(w, alertname="Other", event_id="2")
        self.ticket(w, "INC-2")
        self.assertEqual(len(w.prometheus.queries(*WORDS)), first)
        steps = [row["step"] for row in w.agent.incident("INC-2")["timeline"]]
        self.assertNotIn("assess", steps, "what is remembered needs no step of its own")
        w.tick(31)
        w.prometheus.answers = plain(target=0.999, current=0.9999, burn=0.0)
        self.fire(w, alertname="Third", event_id="3")
        self.assertIn("- Violation Severity: low\n", self.ticket(w, "INC-3")["body"])

    def test_a_storm_asks_once(self):
        w = self.world()
        bodies = [event(alertname=f"S{n}", labels=SLO_LABELS, annotations={"summary": "x"}, event_id=f"s{n}") for n in range(100)]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertTrue(all(code == 200 for code, _ in pool.map(lambda b: post_event(w.agent.url, b), bodies)))
        for n in (1, 50, 100):
            self.assertIn("(SLO: availability)", self.ticket(w, f"INC-{n}")["title"])
        self.assertEqual(len(w.prometheus.queries("slo:target")), 1)

    def test_of_several_series_the_worst_counts(self):
        w = self.world(plain(target=[0.999, 0.99], current=[0.9999, 0.95], remaining=[0.9, -4], burn=[0.0, 0.0006]))
        self.fire(w)
        slo = w.until(lambda: (w.agent.incident() or {}).get("slo"), "assessed", seconds=0)
        self.assertEqual((slo["current"], slo["error_budget_remaining"], slo["error_budget_burn_rate"], slo["violation_severity"]),
                         (0.95, -4, 0.0006, "critical"))

    def test_a_missing_series_is_unknown_and_a_missing_budget_is_computed(self):
        w = self.world(plain(target=0.999, current=0.9985))
        self.fire(w)
        ticket = self.ticket(w)
        self.assertIn("- Error Budget Remaining: -50% of the budget\n", ticket["body"])
        self.assertIn("- Error Budget Burn Rate: unknown\n- Violation Severity: unknown\n", ticket["body"])
        self.assertEqual(ticket["priority"], 2)
        self.assertIn("slo-violation", ticket["labels"])

    def test_what_is_no_number_is_unknown(self):
        w = self.world(plain(target=0.999, current=float("nan"), remaining=float("nan"), burn=float("inf")))
        self.fire(w)
        ticket = self.ticket(w)
        self.assertIn(UNAVAILABLE, ticket["body"])
        self.assertNotIn("SLO:", ticket["title"])

    def test_sloths_records_are_read(self):
        w = self.world(sloth("availability", 0.999, {"5m": 0.0144, "1h": 0.003, "30d": 0.0005}, 0.5))
        self.fire(w)
        ticket = self.ticket(w)
        self.assertIn("- Current: 99.95%\n- Error Budget Remaining: 50% of the budget\n", ticket["body"])
        self.assertIn("- Burn Multiples: 14.4x in 5m, 3x in 1h\n", ticket["body"])
        # half of 30 days at three times the sustainable rate
        self.assertIn("- Error Budget Spent In: 120 h 00 m\n", ticket["body"])
        self.assertEqual(ticket["priority"], 2)

    def test_pyrras_records_are_read(self):
        series = {f'{name}{{slo="availability"}}': [({"slo": "availability"}, value)] for name, value in
                  {"pyrra_objective": 0.99, "pyrra_window": 2419200, "pyrra_availability": 0.985,
                   "pyrra_errors:rate5m": 0.5, "pyrra_requests:rate5m": 10}.items()}
        w = self.world(series)
        self.fire(w)
        slo = w.until(lambda: (w.agent.incident() or {}).get("slo"), "assessed", seconds=0)
        self.assertEqual((slo["source"], slo["target"], slo["current"]), ("pyrra", 0.99, 0.985))
        self.assertAlmostEqual(slo["burn_multiples"]["5m"], 5)
        self.assertAlmostEqual(slo["error_budget_remaining"], -0.5)

    def test_definitions_come_before_records(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/slo/definitions")
        ratio = '(sum(rate(http_requests_total{job="shop",code=~"5.."}[%s])) / sum(rate(http_requests_total{job="shop"}[%s])))'
        w = self.world({**EXAMPLE, ratio % ("30d", "30d"): [({}, 0.0008)], ratio % ("5m", "5m"): [({}, 0.03)]},
                       slo={"definitions": [path]})
        self.fire(w)
        slo = w.until(lambda: (w.agent.incident() or {}).get("slo"), "assessed", seconds=0)
        self.assertEqual((slo["source"], slo["target"], slo["current"], slo["violation_severity"]), ("openslo", 0.999, 0.9992, "critical"))

    def test_a_source_that_knows_the_budget_comes_before_one_that_knows_a_rate(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../data/slo/definitions")
        ratio = '(sum(rate(http_requests_total{job="shop",code=~"5.."}[5m])) / sum(rate(http_requests_total{job="shop"}[5m])))'
        w = self.world({ratio: [({}, 0.03)], **sloth("availability", 0.999, {"5m": 0.03, "30d": 0.0008})}, slo={"definitions": [path]})
        self.fire(w)
        slo = w.until(lambda: (w.agent.incident() or {}).get("slo"), "assessed", seconds=0)
        self.assertEqual((slo["source"], slo["current"]), ("sloth", 0.9992))
        w.prometheus.answers = {ratio: [({}, 0.03)]}
        w.tick(31)
        self.fire(w, alertname="Other", event_id="2")
        slo = w.until(lambda: (w.agent.incident("INC-2") or {}).get("slo"), "assessed", seconds=0)
        self.assertEqual((slo["source"], slo["current"], slo["violation_severity"]), ("openslo", None, "critical"))

    def test_unavailable_then_healed(self):
        for fault in (("status", 503), "black hole"):
            with self.subTest(fault):
                w = self.world()
                w.prometheus.answers_fault = fault
                began = time.monotonic()
                self.fire(w)
                ticket = self.ticket(w)
                self.assertLess(time.monotonic() - began, 6)
                self.assertEqual(ticket["title"], "[Alert] HighErrors - shop-0")
                self.assertEqual(ticket["priority"], 2)
                self.assertIn(UNAVAILABLE, ticket["body"])
                self.assertEqual(ticket["labels"], ["alert", "prometheus"])
                self.assertTrue(self.said(w, "slm_unavailable"))
                self.assertGreaterEqual(w.agent.metric('slm_queries_total{outcome="unavailable"}'), 1)
                w.until_state("recovered")  # the rest runs
                w.prometheus.answers_fault = None
                w.tick(2)
                self.fire(w, alertname="Later", event_id="2")
                self.assertIn("(SLO: availability)", self.ticket(w, "INC-2")["title"])

    def test_without_a_label_nobody_is_asked_and_nothing_waits(self):
        w = self.world()
        self.fire(w, slo=None)
        ticket = self.ticket(w)
        self.assertIn(UNAVAILABLE, ticket["body"])
        self.assertEqual(w.prometheus.queries(*WORDS), [])
        self.assertNotIn("assess", [row["step"] for row in w.agent.incident("INC-1")["timeline"]])

    def test_switched_off_nobody_is_asked(self):
        w = self.world(env={"SLM_ENABLED": "false"})
        self.fire(w)
        self.assertIn("SLM is switched off", self.ticket(w)["body"])
        self.assertEqual(w.prometheus.queries(*WORDS), [])

    def test_a_hostile_name_stays_a_name(self):
        name = "../x?y z"
        w = self.world(plain(name, target=0.999, current=0.9, burn=0.01), slo={"link": "https://grafana.example.com/base"})
        self.fire(w, slo=name)
        ticket = self.ticket(w)
        link = next(json.loads(e["body"]) for e in ticket["entries"] if e["kind"] == "link")
        self.assertEqual(link["url"].lower(), "https://grafana.example.com/base/d/slo-..%2fx%3fy%20z")

    def test_the_end_tells_what_was_consumed(self):
        w = self.world(plain(target=0.999, current=0.9985, remaining=0.4, burn=0.0005))
        self.fire(w)
        w.until_state("recovered")
        w.tick(31)
        w.prometheus.answers = plain(target=0.999, current=0.9985, remaining=0.15, burn=0.0)
        w.resolve(labels=SLO_LABELS)
        w.until_state("closed")
        text = "\n".join(e["body"] for e in self.ticket(w)["entries"])
        self.assertIn("error budget consumed during this time: 25% of the budget; 15% remain", text)

    def schedule(self, text):
        path = os.path.join("/tmp", f"agent-sre-rota-{os.getpid()}-{id(self)}.yaml")
        with open(path, "w") as f:
            f.write(text)
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        return path

    def test_who_is_on_call_changes_at_its_minute(self):
        # the fake clock starts at 10:46:40
        text = "rotations:\n  - people: [ana@example.com, ben@example.com]\n    start: 2026-01-15T10:40:00Z\n    shift: 10m\n"
        path = self.schedule(text)
        w = self.world(ticket={"schedule": path, "on_call": "late@example.com"})
        w.tick(199)  # 10:49:59
        self.fire(w, slo=None)
        self.assertEqual(self.ticket(w)["assignee"], "ana@example.com")
        while w.agent.clock.now_ms() < 1_768_474_200_000:  # 10:50:00
            w.tick(0.1)
        self.fire(w, slo=None, alertname="Next", event_id="2")
        self.assertEqual(self.ticket(w, "INC-2")["assignee"], "ben@example.com")
        with open(path, "w") as f:
            f.write("rotations: []\n")
        self.fire(w, slo=None, alertname="Empty", event_id="3")
        self.assertEqual(self.ticket(w, "INC-3")["assignee"], "late@example.com")
        with open(path, "w") as f:
            f.write("rotations: [oops\n")
        self.fire(w, slo=None, alertname="Broken", event_id="4")
        self.assertEqual(self.ticket(w, "INC-4")["assignee"], "late@example.com")
        self.assertTrue(self.said(w, "on_call_unavailable"))

    def test_an_endpoint_says_who_is_on_call(self):
        rota = Rota()
        self.addCleanup(rota.close)
        w = self.world(ticket={"schedule": rota.url + "/now", "on_call": "late@example.com"})
        self.fire(w, slo=None)
        self.assertEqual(self.ticket(w)["assignee"], "ana@example.com")
        rota.email = "ben@example.com"
        self.fire(w, slo=None, alertname="Soon", event_id="2")
        self.assertEqual(self.ticket(w, "INC-2")["assignee"], "ana@example.com", "remembered")
        self.assertEqual(len(rota.requests), 1)
        w.tick(31)
        self.fire(w, slo=None, alertname="Later", event_id="3")
        self.assertEqual(self.ticket(w, "INC-3")["assignee"], "ben@example.com")
        for n, fault in enumerate(("reset", ("status", 500), "malformed", "black hole")):
            rota.fault_forever = fault
            w.tick(31)
            self.fire(w, slo=None, alertname=f"F{n}", event_id=f"f{n}")
            self.assertEqual(self.ticket(w, f"INC-{n + 4}")["assignee"], "late@example.com", fault)

    def linear_world(self, **more):
        self.linear = LinearDouble()
        self.addCleanup(self.linear.close)
        w = World(linear={"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"},
                  slo={"link": "https://grafana.example.com"}, **more)
        self.addCleanup(w.close)
        self.linear.now_ms = w.agent.clock.now_ms
        w.prometheus.answers = dict(EXAMPLE)
        w.rule.rule_labels = {"severity": "critical"}
        w.fault()
        self.assertTrue(w.agent.start(), w.agent.stderr())
        self.fire(w, "critical")
        w.until_state("recovered")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        self.assertEqual(len(self.linear.issues), 1)
        return w, next(iter(self.linear.issues.values()))

    def test_linear_gets_priority_label_link_and_person(self):
        rota = self.schedule("rotations:\n  - people: [oncall@example.com]\n    start: 2026-01-01T00:00\n    shift: 7d\n")
        _, issue = self.linear_world(ticket={"schedule": rota})
        self.assertEqual((issue["priority"], issue["assigneeId"]), (1, "user-1"))
        self.assertEqual(sorted(issue["labels"]), ["label-alert", "label-prometheus", "label-slo-violation"])
        self.assertTrue(issue["title"].endswith("(SLO: availability)"))
        attachment = next(iter(self.linear.attachments.values()))
        self.assertEqual((attachment["url"], attachment["title"]),
                         ("https://grafana.example.com/d/slo-availability", "SLO: Availability (99.9% target)"))

    def test_a_person_whom_linear_does_not_know_leaves_the_ticket_unassigned_and_says_so(self):
        w, issue = self.linear_world(ticket={"on_call": "stranger@example.com"})
        self.assertIsNone(issue.get("assigneeId"))
        notes = [row.get("note", "") for row in w.agent.incident()["timeline"] if row["step"] == "ticket"]
        self.assertTrue(any("assignee left out" in n for n in notes), notes)


if __name__ == "__main__":
    unittest.main()
