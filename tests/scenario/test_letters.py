"""Dead letters from end to end: tickets of groups, archive and replay under kills, limits, bursts."""
import http.client
import json
import os
import threading
import time
import unittest
import urllib.error
import urllib.request

from world import World, event, eventually, post_event, request  # noqa: F401

from linear_double import KEY, LinearDouble

JSON = {"Content-Type": "application/json"}
DAY = 86400


def bad(n):
    return event(event_id=f"bad-{n}", status="odd")


class LettersCase(unittest.TestCase):
    def world(self, start=True, **settings):
        w = World(**settings)
        self.addCleanup(w.close)
        if start:
            self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def bury(self, w, count, start=0):
        """Dead letters, in one request."""
        body = [bad(n) for n in range(start, start + count)]

        def taken():
            w.revive()
            return request(w.agent.url + "/", "POST", body, {"Content-Type": "application/cloudevents-batch+json"})[0] == 400
        eventually(taken, "the dead letters are written")

    def letters(self, w, **query):
        query = {"limit": 1000, **query}
        return w.agent.get("/dlq?" + "&".join(f"{k}={v}" for k, v in query.items()))[1]["dead_letters"]

    def post(self, w, path, body=None):
        return request(w.agent.url + path, "POST", body or {}, JSON, 60)

    def delivered(self, w):
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "every ticket operation is delivered")

    def tickets(self, w):
        found = []
        while (reply := w.agent.get(f"/tickets/SRE-{len(found) + 1}"))[0] == 200:
            found.append(reply[1])
        return found

    def comments(self, ticket):
        return [e["body"].split("\n")[0] for e in ticket["entries"] if e["kind"] == "comment"]


class Tickets(LettersCase):
    def test_a_burst_of_one_failure_is_one_ticket(self):
        w = self.world(ticket={"on_call": "oncall@example.com"}, public_url="https://agent.example")
        self.bury(w, 1000)
        eventually(lambda: self.tickets(w), "a ticket")
        self.bury(w, 200, 1000)
        time.sleep(2.5)
        ticket, = self.tickets(w)
        self.assertTrue(ticket["title"].startswith("[Dead Letters] validation_failure: "), ticket["title"])
        self.assertEqual((ticket["assignee"], ticket["priority"], ticket["state"]), ("oncall@example.com", 2, "unstarted"))
        group = self.letters(w)[0]["group"]
        for words in (f"`{group}`", "bad-", "agent-sre dlq replay --all --group " + group, "Correlation id"):
            self.assertIn(words, ticket["body"])
        link, = [e["body"] for e in ticket["entries"] if e["kind"] == "link"]
        self.assertRegex(link, r"https://agent.example/dlq/\d+")
        self.assertEqual({l["linear_issue_id"] for l in self.letters(w)}, {"SRE-1"})

    def test_it_is_told_of_replays_and_closes_when_its_letters_are_gone(self):
        w = self.world()
        # an event that nobody can read, and one that the agent takes when it is replayed is not to be had from outside:
        # archiving and dropping clear as well as replays do
        self.bury(w, 3)
        eventually(lambda: self.tickets(w), "a ticket")
        ids = sorted(l["dlq_id"] for l in self.letters(w))
        self.assertEqual(self.post(w, "/dlq/archive", {"ids": ids[:2]})[1]["archived"], 2)
        time.sleep(2)
        self.assertEqual(self.tickets(w)[0]["state"], "unstarted")
        token = w.agent.get(f"/dlq/{ids[2]}")[1]["drop_token"]
        self.assertEqual(request(w.agent.url + f"/dlq/{ids[2]}?confirm={token}", "DELETE")[0], 200)
        eventually(lambda: self.tickets(w)[0]["state"] == "completed", "the ticket is closed")
        self.assertEqual(self.comments(self.tickets(w)[0]), ["**Cleared**"])
        self.bury(w, 1, 3)
        eventually(lambda: len(self.tickets(w)) == 2, "a new spell is a new ticket")
        eventually(lambda: self.letters(w)[0]["linear_issue_id"] == "SRE-2", "the letter names its own spell's ticket")
        self.assertEqual(self.letters(w, archived="true")[0]["linear_issue_id"], "SRE-1")

    def test_different_failures_are_different_tickets_and_few_transient_ones_none(self):
        w = self.world(dlq={"ticket_above": 3})
        self.bury(w, 1)
        request(w.agent.url + "/", "POST", b"{broken", {"Content-Type": "application/cloudevents+json"})
        eventually(lambda: len(self.tickets(w)) == 2, "two tickets")
        # letters of incidents are on the incidents' tickets
        w.functions.fault_forever = ("status", 503)
        w.fault()
        w.fire()
        w.until_state("escalated", seconds=10)
        self.delivered(w)
        time.sleep(2)
        titles = [t["title"] for t in self.tickets(w)]
        self.assertEqual(sum(t.startswith("[Dead Letters]") for t in titles), 2, titles)

    def test_at_linear_one_issue_whatever_commit_the_agent_dies_after(self):
        def life(crash_after=None, crash_log=None):
            linear = LinearDouble()
            w = World(linear={"api_key": KEY, "url": linear.url + "/graphql", "timeout": "2s"},
                      ticket={"on_call": "oncall@example.com"})
            linear.now_ms = w.agent.clock.now_ms
            try:
                w.agent.start(crash_after, crash_log)
                self.bury(w, 2)
                w.until(lambda: linear.issues, "the issue is opened")
                w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "it is delivered")

                def archived():
                    w.revive()
                    self.post(w, "/dlq/archive", {"filter": {"category": "validation_failure"}})
                    return self.letters(w) == []
                w.until(archived, "the letters are archived")
                issue, = linear.issues.values()
                w.until(lambda: issue["stateId"] == "state-completed-4", "the issue is closed")
                w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "all is delivered")
                kept = sorted(l["event_id"] for l in self.letters(w, archived="true"))
                return {"issues": len(linear.issues), "title": issue["title"], "creations": sorted(linear.creations)[0][0],
                        "comments": [c["body"].split("\n")[0] for c in issue["comments"]], "kept": sorted(set(kept)),
                        "assignee": issue["assigneeId"]}, w.agent.starts
            finally:
                w.close()
                linear.close()
        log = f"/tmp/agent-sre-commits-{os.getpid()}-letters"
        expected, _ = life(None, log)
        with open(log) as f:
            count = len(f.readlines())
        os.unlink(log)
        self.assertEqual((expected["issues"], expected["comments"], expected["kept"]), (1, ["**Cleared**"], ["bad-0", "bad-1"]))
        kills = 0
        for n in range(1, count + 1):
            with self.subTest(crash_after=n):
                got, starts = life(n)
                kills += starts - 1
                self.assertEqual(got, expected)
        self.assertGreater(kills, count // 2, "the kills must really have happened")


class Archive(LettersCase):
    def test_what_is_old_goes_to_the_archive_and_can_still_be_found_and_read(self):
        w = self.world(dlq={"retention": "30d", "retention_by_type": ["io.homelab.prometheus.alert.fired=60d"]})
        self.bury(w, 2)  # of type resolved: status odd is not "firing"
        _, kept = post_event(w.agent.url, {**event(event_id="kept"), "data": {"status": "firing"}})
        self.assertEqual(len(self.letters(w)), 3)
        w.tick(31 * DAY)
        eventually(lambda: len(self.letters(w)) == 1, "the old ones are archived", patience=40)
        self.assertEqual(self.letters(w)[0]["event_id"], "kept")
        found = self.letters(w, archived="true")
        self.assertEqual(sorted(l["event_id"] for l in found), ["bad-0", "bad-1"])
        whole = w.agent.get(f"/dlq/{found[0]['dlq_id']}")[1]
        self.assertEqual((whole["state"], whole["event"]["body"]["data"]["status"]), ("archived", "odd"))
        w.tick(30 * DAY)
        eventually(lambda: self.letters(w) == [], "the last one too", patience=40)
        self.assertEqual(w.agent.metric("dlq_archived_total"), 3)

    def crashes(self, act, check, count=1, prepare=None):
        """`act` again with a kill after every commit that it makes; `check` at the end."""
        def life(crash_after=None, crash_log=None):
            w = World()
            try:
                w.agent.start()
                self.bury(w, count)
                w.agent.stop()
                w.agent.start(crash_after, crash_log)
                w.until(lambda: act(w), "it is done")
                w.agent.stop()
                w.agent.start()
                check(w)
                return w.agent.starts - 3
            finally:
                w.close()
        log = f"/tmp/agent-sre-commits-{os.getpid()}-archive"
        life(None, log)
        with open(log) as f:
            commits = len(f.readlines())
        os.unlink(log)
        self.assertGreaterEqual(commits, 2)
        kills = 0
        for n in range(1, commits + 1):
            with self.subTest(crash_after=n):
                kills += life(n)
        self.assertGreaterEqual(kills, 2, "the kills must really have happened")

    def test_an_archive_that_is_killed_after_any_commit_loses_and_doubles_nothing(self):
        def act(w):
            w.revive()
            self.post(w, "/dlq/archive", {"filter": {"category": "validation_failure"}})
            return self.letters(w) == []

        def check(w):
            found = self.letters(w, archived="true")
            self.assertEqual(sorted(l["event_id"] for l in found), ["bad-0", "bad-1", "bad-2"])
            for letter in found:
                self.assertEqual(w.agent.get(f"/dlq/{letter['dlq_id']}")[1]["event"]["body"]["id"], letter["event_id"])
        self.crashes(act, check, 3)

    def test_a_replay_that_is_killed_after_any_commit_is_counted_and_never_lost(self):
        def act(w):
            w.revive()
            code, reply = self.post(w, "/dlq/1/replay")
            return code == 200 and not reply["success"]

        def check(w):
            letter = w.agent.get("/dlq/1")[1]
            self.assertEqual((letter["state"], letter["event"]["body"]["id"]), ("pending", "bad-0"))
            self.assertIn(letter["replays"], (1, 2))
            self.assertGreaterEqual(len(letter["replay_history"]), 1)
            self.assertEqual(len(self.letters(w)), 1)
            self.assertEqual(w.agent.incidents(), [])
        self.crashes(act, check)


class Limits(LettersCase):
    def test_over_the_limit_is_429_with_a_pause_and_nothing_is_kept(self):
        w = self.world(intake={"rate": 1, "burst": 5})
        codes = []
        for n in range(12):
            codes.append(post_event(w.agent.url, event(alertname=f"A{n}"))[0])
        self.assertEqual(codes[:5], [200] * 5)
        limited = codes.count(429)
        self.assertGreaterEqual(limited, 5)
        self.assertEqual(w.agent.metric('rate_limited_total{endpoint="/"}'), limited)
        self.assertEqual(len(w.agent.incidents()), 12 - limited)
        self.assertEqual(self.letters(w), [])

    def test_the_pause_is_said_and_true(self):
        w = self.world(intake={"rate": 1, "burst": 1})
        self.assertEqual(post_event(w.agent.url, event(alertname="A"))[0], 200)
        call = urllib.request.Request(w.agent.url + "/webhook", b"{}", JSON)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(call)
        self.assertEqual((refused.exception.code, refused.exception.headers["Retry-After"]), (429, "1"))
        time.sleep(1.05)
        self.assertEqual(post_event(w.agent.url, event(alertname="B"))[0], 200)

    def test_a_batch_counts_each_event_and_refused_ones_count_too(self):
        w = self.world(intake={"rate": 1, "burst": 10})
        self.bury(w, 8)
        batch = [event(alertname=f"A{n}") for n in range(8)]
        code, _ = request(w.agent.url + "/", "POST", batch, {"Content-Type": "application/cloudevents-batch+json"})
        self.assertEqual(code, 429)
        self.assertEqual(w.agent.metric("rate_limited_total"), 8)
        self.assertEqual(w.agent.incidents(), [], "all of a batch or nothing")
        for _ in range(4):
            code, _ = request(w.agent.url + "/", "POST", b"{broken", {"Content-Type": "application/cloudevents+json"})
        self.assertEqual(code, 429)
        self.assertLessEqual(len(self.letters(w)), 12)

    def test_sources_may_have_limits_of_their_own(self):
        w = self.world(intake={"rates": ["noisy-*=3/m"]})
        noisy = [post_event(w.agent.url, event(alertname=f"N{n}", source="noisy-1"))[0] for n in range(6)]
        self.assertEqual(noisy, [200] * 3 + [429] * 3)
        quiet = [post_event(w.agent.url, event(alertname=f"Q{n}", source="quiet"))[0] for n in range(50)]
        self.assertEqual(quiet, [200] * 50)

    def test_the_table_of_callers_is_bounded_and_the_least_recent_one_is_dropped(self):
        w = self.world(intake={"rates": ["*=1/h"]}, policy={"mode": "shadow"})
        port = int(w.agent.url.rsplit(":", 1)[1])

        def send(n):
            connection = http.client.HTTPConnection("127.0.0.1", port, source_address=(f"127.1.{n // 250}.{n % 250 + 1}", 0))
            connection.request("POST", "/", json.dumps(event(status="resolved", alertname=f"A{n}", ends="2026-01-15T10:47:00Z")),
                               {"Content-Type": "application/cloudevents+json"})
            code = connection.getresponse().status
            connection.close()
            return code
        self.assertEqual([send(0), send(0)], [200, 429])
        self.assertEqual({send(n) for n in range(1, 1024)}, {200})
        self.assertEqual(send(0), 429, "1024 callers are known")
        self.assertEqual(send(1024), 200)
        self.assertEqual([send(0), send(1)], [429, 200], "the one that was quiet longest was forgotten")

    def test_calls_that_change_something_are_limited_apart_from_reads(self):
        w = self.world(api={"rate": 1000, "change_rate": 2})
        codes = [self.post(w, "/dlq/7/replay")[0] for _ in range(20)]
        self.assertEqual(codes[:4], [404] * 4)
        self.assertIn(429, codes)
        self.assertEqual(w.agent.get("/dlq")[0], 200)
        self.assertGreaterEqual(w.agent.metric('rate_limited_total{endpoint="/dlq"}'), 10)

    def test_a_limit_that_is_no_limit_is_refused_with_words(self):
        w = self.world(start=False, intake={"rates": ["noisy=many"]})
        self.assertFalse(w.agent.start())
        self.assertIn("SOURCE-PATTERN=EVENTS/s", w.agent.stderr())
        w.agent.process = None


class Bursts(LettersCase):
    def test_two_thousand_failures_at_once_are_all_there(self):
        w = self.world()
        senders, each = 40, 50
        codes = []

        def send(sender):
            for n in range(each):
                codes.append(post_event(w.agent.url, bad(sender * each + n))[0])
        threads = [threading.Thread(target=send, args=(s,)) for s in range(senders)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(codes, [400] * senders * each)
        found, before = [], 2 ** 62
        while page := self.letters(w, before=before):
            found += [l["event_id"] for l in page]
            before = page[-1]["dlq_id"]
        self.assertEqual(sorted(found), sorted(f"bad-{n}" for n in range(senders * each)))
        w.agent.kill()
        w.agent.start()
        self.assertEqual(w.agent.metric("dlq_size"), senders * each)


class Audit(LettersCase):
    def test_every_change_is_a_line_of_the_audit(self):
        w = self.world()
        self.bury(w, 3)
        ids = sorted(l["dlq_id"] for l in self.letters(w))
        self.post(w, f"/dlq/{ids[0]}/replay", {"by": "kim"})
        self.post(w, "/dlq/replay", {"count": 1, "by": "kim"})
        self.post(w, "/dlq/archive", {"ids": ids[:1], "by": "kim"})
        request(w.agent.url + f"/dlq/{ids[1]}?confirm=wrong&by=kim", "DELETE")
        token = w.agent.get(f"/dlq/{ids[1]}")[1]["drop_token"]
        request(w.agent.url + f"/dlq/{ids[1]}?confirm={token}&by=kim", "DELETE")
        lines = eventually(lambda: (lambda a: a if len(a) >= 6 else None)(
            [json.loads(l) for l in w.agent.lines if '"event":"audit"' in l]), "six lines")
        self.assertEqual({l["who"] for l in lines}, {"kim@127.0.0.1"})
        self.assertEqual([l["what"] for l in lines], ["dlq.replay"] * 3 + ["dlq.archive", "dlq.drop", "dlq.drop"])
        self.assertEqual([l["outcome"] for l in lines if l["what"] == "dlq.drop"][-1], "success")
        self.assertIn("token", [l["outcome"] for l in lines if l["what"] == "dlq.drop"][0])


if __name__ == "__main__":
    unittest.main()
