"""The judge of the torture sees every fault that is planted in an otherwise good set of observations, under its name."""
import collections
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../doubles"))
import judge  # noqa: E402
from load import Episode  # noqa: E402

SOURCE = "prometheus-events"
MARKS = ("shop-1", "shop-2")


class World:
    """What a run without a fault leaves: two marks, one of which fired twice; it is the judge's `ask`, `function` and `load`
    at once."""

    def __init__(self):
        self.episodes = [Episode("shop-1", 0, True), Episode("shop-2", 0, True), Episode("shop-2", 60, True)]
        self.by_mark, self.events, self.incidents, self.tickets, self.letters = {}, {}, [], [], []
        self.done, self.of_mark = collections.Counter(), collections.defaultdict(list)
        for n, e in enumerate(self.episodes, 1):
            self.by_mark.setdefault(e.mark, []).append(e)
            for status in ("fired", "resolved"):
                e.acknowledged[status].add((SOURCE, f"{status}-{n}"))
                self.events[f"{status}-{n}"] = {"incident": f"INC-{n}", "outcome": "opened" if status == "fired" else "resolved"}
            self.incident(n, e.mark)

    def incident(self, n, mark):
        steps = (("event", "firing"), ("open", "done"), ("ticket", "done"), ("remediate", "done"), ("event", "resolved"), ("close", "closed"))
        self.incidents.append({"id": f"INC-{n}", "labels": {"pod": mark}, "state": "closed", "ticket": {"key": f"OPS-{n}"},
                               "action": {"result": "success", "idempotency_key": f"key-{n}"},
                               "timeline": [{"step": s, "outcome": o} for s, o in steps]})
        self.done[f"key-{n}"] += 1
        self.of_mark[mark].append(f"key-{n}")
        heads = ("Remediation Selected", "Remediation Executed", "Remediation Verified", "Alert Resolved")
        self.tickets.append([f"OPS-{n}", f"[Alert] Torture - {mark}", [("create",), *(("comment", h) for h in heads), ("state", "completed")]])

    def get(self, path):
        if path == "/incidents/latest":
            return self.incidents[-1]
        if path.startswith("/dlq"):
            return {"dead_letters": self.letters}
        name = path.rsplit("/", 1)[1]
        return self.events.get(name) or next((i for i in self.incidents if i["id"] == name), None)

    def all(self, paths):
        return [self.get(p) for p in paths]

    def verdict(self):
        v = judge.Verdict()
        by_mark = judge.incidents_of(self)
        judge.judge_events(v, self, self, by_mark)
        judge.judge_effects(v, self, self, by_mark)
        judge.judge_lives(v, by_mark)
        judge.judge_tickets(v, self.tickets, by_mark)
        judge.judge_letters(v, self)
        return {kind for kind, found in v.findings.items() if found}


class JudgeTest(unittest.TestCase):
    def test_what_is_right_passes(self):
        self.assertEqual(World().verdict(), set())

    def planted(self, plant, *kinds):
        w = World()
        plant(w)
        self.assertEqual(w.verdict(), set(kinds))

    def test_an_acknowledged_event_that_is_unknown(self):
        self.planted(lambda w: w.events.pop("fired-1"), "events lost")

    def test_an_acknowledged_end_that_is_unknown(self):
        self.planted(lambda w: w.events.pop("resolved-3"), "events lost")

    def test_an_event_that_belongs_to_nothing(self):
        self.planted(lambda w: w.events.update({"fired-1": {"outcome": "opened"}}), "events lost")

    def test_an_episode_with_two_incidents(self):
        def plant(w):
            w.episodes[0].acknowledged["fired"].add((SOURCE, "again"))
            w.events["again"] = {"incident": "INC-9", "outcome": "opened"}
        self.planted(plant, "incidents doubled")

    def test_more_incidents_than_episodes(self):
        def plant(w):
            w.incident(4, "shop-1")
            w.of_mark["shop-1"].remove("key-4")
        self.planted(plant, "incidents doubled")

    def test_an_effect_twice_under_one_key(self):
        def plant(w):
            w.of_mark["shop-1"].append("key-1")
        self.planted(plant, "effects doubled")

    def test_an_effect_twice_under_two_keys(self):
        self.planted(lambda w: w.of_mark["shop-1"].append("key-x"), "effects doubled")

    def test_a_claimed_success_without_an_effect(self):
        self.planted(lambda w: w.done.pop("key-2"), "effects lost")

    def test_an_alert_that_nobody_remedied(self):
        def plant(w):
            w.of_mark["shop-1"].clear()
            w.incidents[0]["action"] = {"result": "none"}
        self.planted(plant, "effects lost")

    def test_effects_of_one_key_in_the_wrong_order(self):
        self.planted(lambda w: w.of_mark["shop-2"].reverse(), "out of order")

    def test_a_ticket_twice(self):
        self.planted(lambda w: w.tickets.append(["OPS-9", *w.tickets[0][1:]]), "tickets doubled")

    def test_a_ticket_that_is_missing(self):
        self.planted(lambda w: w.tickets.pop(), "tickets lost")

    def test_a_comment_twice(self):
        self.planted(lambda w: w.tickets[0][2].insert(1, w.tickets[0][2][1]), "comments doubled")

    def test_a_comment_that_is_missing(self):
        self.planted(lambda w: w.tickets[0][2].remove(("comment", "Alert Resolved")), "comments lost")

    def test_comments_in_the_wrong_order(self):
        def plant(w):
            story = w.tickets[0][2]
            story[1], story[3] = story[3], story[1]
        self.planted(plant, "out of order")

    def test_a_ticket_that_stays_open(self):
        self.planted(lambda w: w.tickets[0][2].pop(), "out of order")

    def test_a_ticket_that_was_written_to_after_its_end(self):
        self.planted(lambda w: w.tickets[0][2].append(("comment", "Approved")), "out of order")

    def test_an_investigation_may_end_after_the_work_and_is_told_once(self):
        told = ("comment", "📊 **Observability Analysis")

        def plant(w):
            w.tickets[0][2].append(told)
            w.incidents[0]["timeline"].append({"step": "investigate", "outcome": "done"})
        self.planted(plant)
        self.planted(lambda w: w.tickets[0][2].extend([told, told]), "comments doubled")

    def test_work_before_its_event(self):
        self.planted(lambda w: w.incidents[0]["timeline"].insert(0, w.incidents[0]["timeline"].pop(1)), "out of order")

    def test_work_after_the_end(self):
        self.planted(lambda w: w.incidents[0]["timeline"].append({"step": "remediate", "outcome": "done"}), "out of order")

    def test_two_ends(self):
        self.planted(lambda w: w.incidents[0]["timeline"].append({"step": "close", "outcome": "closed"}), "not finished")

    def test_an_incident_that_is_still_on(self):
        self.planted(lambda w: w.incidents[0].update(state="recovered"), "not finished")

    def test_a_dead_letter(self):
        self.planted(lambda w: w.letters.append({"dlq_id": 1}), "buried")


if __name__ == "__main__":
    unittest.main()
