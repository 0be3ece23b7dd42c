"""Order per key and effects once per key, through concurrent senders, lost answers, retries and kill -9 (SRE-011)."""
import concurrent.futures
import itertools
import json
import random
import threading
import time
import unittest

from world import ANNOTATIONS, LABELS, World, catalogue, event, eventually, post_event, request

from cutter import Cutter

COUNT = 100


def pod(n):
    return f"shop-{n}"


def alert(n, **more):
    """An alert of its own, in the lane that all of them share."""
    parameters = {"name": pod(n), "namespace": "store", "type": "pod"}
    body = event(labels={**LABELS, "pod": pod(n)}, event_id=f"event-{n}",
                 annotations={**ANNOTATIONS, "lambda_parameters": json.dumps(parameters)})
    return {**body, "partitionkey": "one-lane", **more}


def starts(n):
    return f"2026-01-15T{8 + n // 60:02}:{n % 60:02}:00Z"


def pair(n):
    """The n-th episode of one alert: it fires, it is over."""
    more = {"labels": LABELS, "annotations": ANNOTATIONS, "starts": starts(n)}
    return event(event_id=f"fired-{n}", **more), event(event_id=f"over-{n}", status="resolved", ends=starts(n + 1), **more)


class OrderTest(unittest.TestCase):
    def world(self, **more):
        functions = catalogue()
        functions["functions"][0] |= {"cooldown": "1ms", "per_hour": 100000}
        w = World(functions=functions, **{"policy": {"flaps_per_hour": 1000}, "verify": {"first": "1s", "resolve_poll": "5s"}, **more})
        self.addCleanup(w.close)
        self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def cutter(self, w, cuts):
        cutter = Cutter(0, lambda body: b"specversion" in body)
        self.addCleanup(cutter.close)
        cutter.cuts = cuts
        w.follow(cutter)
        w.agent_url = lambda: f"http://127.0.0.1:{cutter.port}"
        return cutter

    def send(self, w, body):
        """Until it is acknowledged: (when it was sent first, when it was answered)."""
        began = time.monotonic()

        def accepted():
            return post_event(w.agent_url() if hasattr(w, "agent_url") else w.agent.url, body)[0] == 200
        eventually(accepted, "the event is acknowledged")
        return began, time.monotonic()

    def place(self, w, event_id):
        """The number of the incident that the event opened or ended: they are given in the order of processing."""
        def known():
            w.revive()
            code, body = w.agent.get(f"/events/prometheus-events/{event_id}")
            return body if code == 200 and "incident" in body else None
        return int(eventually(known, f"{event_id} is known")["incident"].split("-")[1])

    # Order.

    def pairs_in_order(self, w, between=lambda n: None):
        """50 times firing and over, one after the other, nothing waits for the work: 100 events on one key."""
        for n in range(COUNT // 2):
            for body in pair(n):
                w.revive()
                self.send(w, body)
                between(n)
        for n in range(COUNT // 2):
            self.assertEqual((self.place(w, f"fired-{n}"), self.place(w, f"over-{n}")), (n + 1, n + 1))
        w.until_state("closed", f"INC-{COUNT // 2}", seconds=5)
        incidents = [w.agent.incident(f"INC-{n + 1}") for n in range(COUNT // 2)]
        self.assertEqual([i["state"] for i in incidents], ["closed"] * len(incidents))
        self.assertEqual([i["resolved_by"] for i in incidents], ["event"] * len(incidents))
        self.assertEqual([i.get("previous") for i in incidents], [None] + [i["id"] for i in incidents[:-1]])
        return incidents

    def test_100_sequential_events_on_one_key_are_processed_in_order(self):
        self.pairs_in_order(self.world())

    def test_100_sequential_events_stay_in_order_through_lost_answers(self):
        w = self.world()
        chance = random.Random(11)
        cutter = self.cutter(w, [chance.choice((None, None, "before", "after", "middle")) for _ in range(COUNT)])
        self.pairs_in_order(w)
        self.assertGreater(len(cutter.happened), 20)

    def test_100_sequential_events_stay_in_order_through_kills(self):
        w = self.world()
        self.pairs_in_order(w, lambda n: w.agent.kill() if n % 7 == 3 else None)
        self.assertGreater(w.agent.starts, 10)

    def concurrent(self, w, senders=20):
        """What was answered before another was sent stands before it: for all pairs of 100."""
        bodies = [alert(n) for n in range(COUNT)]
        with concurrent.futures.ThreadPoolExecutor(senders) as pool:
            times = list(pool.map(lambda b: self.send(w, b), bodies))
        places = [self.place(w, b["id"]) for b in bodies]
        self.assertEqual(sorted(places), list(range(1, COUNT + 1)))
        ordered = 0
        for a, b in itertools.permutations(range(COUNT), 2):
            if times[a][1] < times[b][0]:
                ordered += 1
                self.assertLess(places[a], places[b], f"{bodies[a]['id']} was answered before {bodies[b]['id']} was sent")
        self.assertGreater(ordered, COUNT)
        self.assertEqual(len(w.agent.get("/incidents?limit=1000")[1]["incidents"]), COUNT)

    def test_100_concurrent_events_on_one_key_are_processed_in_the_order_of_their_admission(self):
        self.concurrent(self.world())

    def test_100_concurrent_events_stay_in_order_through_lost_answers(self):
        w = self.world()
        chance = random.Random(12)
        cutter = self.cutter(w, [chance.choice((None, "before", "after", "middle")) for _ in range(COUNT)])
        self.concurrent(w)
        self.assertGreater(len(cutter.happened), 20)

    def test_100_concurrent_events_stay_in_order_through_kills(self):
        """The agent dies when a quarter, a half and three quarters of the senders have their answer."""
        w = self.world()
        send, answered, lock = self.send, itertools.count(1), threading.Lock()

        def send_and_kill(w, body):
            times = send(w, body)
            with lock:
                if next(answered) % (COUNT // 4) == 0:
                    w.agent.kill()
                    w.revive()
            return times
        self.send = send_and_kill
        self.concurrent(w)
        self.assertEqual(w.agent.starts, 5)

    # Sequences.

    def numbered(self, w, n, sequence):
        self.send(w, alert(n, sequence=str(sequence)))

    def counts(self, w):
        return tuple(int(w.agent.metric(m)) for m in ("order_violations_total", "sequence_gaps_total"))

    def wait_for_counts(self, w, violations, gaps):
        try:
            eventually(lambda: self.counts(w) == (violations, gaps), "the counts", patience=15)
        except AssertionError:
            self.assertEqual(self.counts(w), (violations, gaps))

    def test_a_whole_sequence_counts_nothing(self):
        w = self.world()
        for n in range(20):
            self.numbered(w, n, n)
        self.place(w, "event-19")
        self.assertEqual(self.counts(w), (0, 0))

    def test_gaps_and_reorderings_of_a_sequence_are_counted_and_the_events_take_effect(self):
        w = self.world()
        for n, sequence in enumerate((1, 2, 5, 4, 5, 6, 9)):
            self.numbered(w, n, sequence)
        self.wait_for_counts(w, 2, 4)
        self.assertEqual(len(w.agent.incidents()), 7)

    def test_a_resent_event_is_neither_a_gap_nor_a_reordering(self):
        w = self.world()
        for n in (1, 2, 3, 2, 1, 3, 4):
            self.numbered(w, n, n)
        self.place(w, "event-4")
        self.assertEqual(self.counts(w), (0, 0))

    def test_a_sequence_goes_on_after_a_kill(self):
        w = self.world()
        for n in (1, 2, 3):
            self.numbered(w, n, n)
        w.agent.kill()
        w.revive()
        self.numbered(w, 4, 4)
        self.numbered(w, 6, 6)
        self.numbered(w, 5, 5)
        self.wait_for_counts(w, 1, 1)

    def test_lanes_have_sequences_of_their_own(self):
        w = self.world()
        for n, lane in enumerate("aabbab"):
            self.send(w, alert(n, sequence=str((1, 2, 1, 2, 3, 3)[n]), partitionkey=lane))
        self.place(w, "event-5")
        self.assertEqual(self.counts(w), (0, 0))

    # Once.

    def finished(self, w):
        w.until_state("recovered")
        w.resolve()
        w.until_state("closed")
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(len(w.agent.incidents()), 1)

    def test_the_same_event_twice_has_one_effect(self):
        w = self.world()
        w.fault()
        first, second = w.fire(), w.fire()
        self.assertEqual((first[1].get("duplicate"), second[1].get("duplicate")), (None, True))
        self.finished(w)

    def test_the_same_idempotency_key_under_two_ids_is_one_event(self):
        w = self.world()
        w.fault()
        body = event(labels=LABELS, annotations=ANNOTATIONS)
        for n in range(3):
            code, reply = post_event(w.agent.url, {**body, "id": f"id-{n}", "idempotencykey": "key-1"})
            self.assertEqual((code, bool(reply.get("duplicate"))), (200, n > 0))
        self.finished(w)
        self.assertEqual(w.agent.incident()["fired_count"], 1)

    def test_a_key_counts_within_its_source(self):
        w = self.world()
        for n in range(2):
            code, reply = post_event(w.agent.url, {**alert(n, idempotencykey="key-1"), "source": f"source-{n}"})
            self.assertEqual((code, reply.get("duplicate")), (200, None))
        eventually(lambda: len(w.agent.incidents()) == 2, "both are known")

    def test_an_event_is_known_after_a_kill(self):
        w = self.world()
        w.fault()
        w.fire()
        w.agent.kill()
        w.revive()
        w.fire()
        self.finished(w)
        self.assertEqual(w.agent.incident()["fired_count"], 1)

    def test_a_failure_and_a_retry_are_one_effect_with_one_key(self):
        w = self.world()
        w.fault()
        w.functions.faults = [("status", 503), "lost", ("status", 503)]
        w.fire()
        self.finished(w)
        self.assertEqual(len(w.functions.calls()), 4)
        self.assertEqual(len({c.headers["Idempotency-Key"] for c in w.functions.calls()}), 1)

    def test_the_key_of_a_call_stays_through_a_kill_between_two_tries(self):
        w = self.world()
        w.fault()
        w.functions.fault_forever = ("status", 503)
        w.fire()
        w.until(lambda: len(w.functions.calls()) >= 2, "two tries have failed")
        w.agent.kill()
        w.functions.fault_forever = None
        self.finished(w)
        self.assertEqual(len({c.headers["Idempotency-Key"] for c in w.functions.calls()}), 1)

    def test_a_replay_has_no_second_effect(self):
        w = self.world()
        w.fault()
        body = event(labels=LABELS, annotations=ANNOTATIONS)
        w.bury(body)
        w.send(body)
        letter = w.agent.get("/dlq")[1]["dead_letters"][0]
        code, reply = request(f"{w.agent.url}/dlq/{letter['dlq_id']}/replay", "POST", {"by": "tester"})
        self.assertEqual((code, reply["success"], reply["outcome"]), (200, True, "duplicate"))
        self.assertGreaterEqual(request(f"{w.agent.url}/dlq/{letter['dlq_id']}/replay", "POST", {"by": "tester"})[0], 400)
        self.finished(w)

    # Order after a dead letter.

    def policy(self, word):
        return self.world(ordering={"after_dead_letter": [f"io.homelab.prometheus.alert.fired={word}"]})

    def refused(self, w, n):
        """An event whose data nobody can read, with its key."""
        body = alert(n)
        body["data"]["startsAt"] = "yesterday"
        self.assertEqual(post_event(w.agent.url, body)[0], 400)

    def letters(self, w, count):
        found = eventually(lambda: len(x := w.agent.get("/dlq")[1]["dead_letters"]) == count and x, f"{count} dead letters")
        return [letter["dlq_id"] for letter in reversed(found)]

    def replay(self, w, letter):
        code, reply = request(f"{w.agent.url}/dlq/{letter}/replay", "POST", {"by": "tester"})
        self.assertEqual(code, 200, reply)
        return reply["success"], reply["outcome"]

    def test_block_holds_later_events_back_until_the_dead_letter_is_gone_and_then_keeps_their_order(self):
        w = self.policy("block")
        self.refused(w, 0)
        self.send(w, alert(1))
        self.send(w, alert(2))
        self.send(w, alert(3, partitionkey="another-lane"))
        self.assertEqual(self.place(w, "event-3"), 1)
        first, second, third = self.letters(w, 3)
        self.assertFalse(self.replay(w, second)[0])
        w.agent.kill()
        w.revive()
        self.assertFalse(self.replay(w, third)[0])
        code, reply = request(f"{w.agent.url}/dlq/archive", "POST", {"ids": [first], "by": "tester"})
        self.assertEqual(code, 200, reply)
        self.assertFalse(self.replay(w, third)[0], "the second one is still there")
        self.assertEqual(self.replay(w, second), (True, "opened"))
        self.assertEqual(self.replay(w, third), (True, "opened"))
        self.assertEqual((self.place(w, "event-1"), self.place(w, "event-2")), (2, 3))
        self.send(w, alert(4))
        self.assertEqual(self.place(w, "event-4"), 4)

    def test_skip_lets_later_events_go_on_and_a_late_replay_changes_nothing(self):
        w = self.policy("skip")
        w.bury(alert(0))
        w.tick()
        self.send(w, alert(1))
        self.assertEqual(self.place(w, "event-1"), 1)
        self.assertEqual(self.replay(w, self.letters(w, 1)[0]), (True, "stale"))
        self.assertEqual(len(w.agent.incidents()), 1)

    def test_skip_takes_a_replay_that_nothing_has_overtaken(self):
        w = self.policy("skip")
        self.send(w, alert(1))
        self.place(w, "event-1")
        w.tick()
        w.bury(alert(0))
        self.assertEqual(self.replay(w, self.letters(w, 1)[0]), (True, "opened"))

    def test_allow_lets_a_replay_take_effect_whenever_it_comes(self):
        w = self.world()
        w.bury(alert(0))
        self.refused(w, 5)
        w.tick()
        self.send(w, alert(1))
        self.assertEqual(self.place(w, "event-1"), 1)
        self.assertEqual(self.replay(w, self.letters(w, 2)[0]), (True, "opened"))

    # Keys.

    def test_what_is_no_key_is_refused_kept_and_does_nothing(self):
        w = self.world()
        bad = [("id", "x'; DROP TABLE event; --"), ("idempotencykey", "${jndi:ldap://evil}"), ("partitionkey", "<script>"),
               ("id", "../../etc/passwd"), ("idempotencykey", "{{7*7}}"), ("id", "k" * 5000), ("idempotencykey", "line\nbreak")]
        for name, value in bad:
            with self.subTest(value[:20]):
                code, reply = post_event(w.agent.url, {**alert(1), name: value})
                self.assertEqual(code, 400)
                self.assertIn(name, reply["detail"])
        eventually(lambda: len(w.agent.get("/dlq")[1]["dead_letters"]) >= len(bad), "they are kept")
        self.assertEqual(w.agent.incidents(), [])
        rejected = {reason: w.agent.metric(f'idempotency_key_rejected_total{{reason="{reason}"}}') for reason in ("format", "length", "injection")}
        self.assertEqual(rejected, {"format": 1, "length": 1, "injection": 5})

    def test_keys_as_they_are_used_are_taken(self):
        w = self.world()
        good = ["0f8fad5b-d9cb-469f-a165-70867728950e", "urn:uuid:1-2", "build/42:step.3", "a+b=c@host", "x" * 200, "prometheus~1", "Müller-7"]
        for n, value in enumerate(good):
            code, reply = post_event(w.agent.url, {**alert(n), "id": value, "idempotencykey": value})
            self.assertEqual(code, 200, reply)
        eventually(lambda: len(w.agent.incidents()) == len(good), "all of them are processed")


if __name__ == "__main__":
    unittest.main()
