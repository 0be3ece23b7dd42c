"""What an incident's metrics, logs and traces say comes to its ticket, once, whatever fails and whenever the agent is killed."""
import math
import time
import unittest
import urllib.request

from world import LABELS, START_MS, World

from linear_double import KEY, LinearDouble
from loki_double import LokiDouble
from tempo_double import Span, TempoDouble

PNG = b"\x89PNG\r\n\x1a\n"
MARK = "Observability Analysis"
START_S = START_MS / 1000


def surge(t):
    """Requests, and what follows from them, rise four minutes before the alert."""
    return 20 + 3 * math.sin(t / 40) + (80 if t > START_S - 240 else 0)


class InvestigationTest(unittest.TestCase):
    def world(self, linear=True, **more):
        self.loki, self.tempo, self.linear = LokiDouble(), TempoDouble(), LinearDouble()
        for double in (self.loki, self.tempo, self.linear):
            self.addCleanup(double.close)
        if linear:
            more["linear"] = {"api_key": KEY, "url": self.linear.url + "/graphql", "timeout": "2s"}
        w = World(loki={"url": self.loki.url}, tempo={"url": self.tempo.url},
                  investigate={"enabled": "true", "timeout": "4s", "source_timeout": "2s"}, **more)
        self.addCleanup(w.close)
        self.linear.now_ms = w.agent.clock.now_ms
        pod = {"namespace": "store", "pod": "shop-0"}
        w.prometheus.series = [({"__name__": "container_cpu_usage_seconds_total", **pod}, lambda t: surge(t) / 100),
                               ({"__name__": "container_memory_working_set_bytes", **pod}, lambda t: 2e8 + 1e6 * surge(t)),
                               ({"__name__": "http_requests_total", **pod}, surge)]
        for n in range(60):
            self.loki.log(START_MS - 3600_000 + 60_000 * n, f'{{"level":"info","msg":"request {n} done"}}', pod)
        for n in range(40):
            self.loki.log(START_MS - 200_000 + 4_000 * n, f'{{"level":"error","msg":"OutOfMemoryError in worker {n}"}}', pod)
        for n in range(12):
            trace = f"{n + 1:032x}"
            self.tempo.traces[trace] = [Span("shop", "GET /cart", START_MS - 20_000 * n - 5_000, 2400, "0000000000000001"),
                                        Span("store", "SELECT", START_MS - 20_000 * n - 4_900, 2100, "0000000000000002", "0000000000000001")]
        w.fault()
        return w

    def told(self):
        """The comments that tell of investigations, on the one ticket."""
        self.assertLessEqual(len(self.linear.issues), 1)
        return [c["body"] for i in self.linear.issues.values() for c in i["comments"] if MARK in c["body"]]

    def start(self, w, **how):
        self.assertTrue(w.agent.start(**how), w.agent.stderr())

    def test_the_ticket_tells_what_was_seen_before_and_after_the_remedy(self):
        w = self.world()
        self.start(w)
        w.fire()
        w.until_state("recovered")
        w.until(lambda: len(self.told()) == 2, "both stages are told")
        first, second = self.told()
        for heading in ("### Metrics Analysis", "### Log Analysis", "### Trace Analysis", "### AI Agent Insights", "### Recommended Remediation"):
            self.assertIn(heading, first)
        self.assertIn("after the remedy", second)
        self.assertIn("OutOfMemoryError", first)
        pictures = {url: body for url, body in self.linear.files.items() if f"({url})" in first}
        self.assertGreaterEqual(len(pictures), 4, first)
        for body in pictures.values():
            self.assertTrue(body.startswith(PNG))
            self.assertLess(len(body), 1_000_000)
        self.assertNotIn("picture:", first)

    def test_a_name_that_looks_like_a_picture_hides_none(self):
        w = self.world()
        w.prometheus.series = [({**labels, "namespace": "store](picture:x"}, value) for labels, value in w.prometheus.series]
        self.start(w)
        w.fire(labels={**LABELS, "namespace": "store](picture:x"})
        w.until(lambda: self.told(), "the first look is told")
        self.assertGreaterEqual(len(self.linear.files), 3)
        self.assertEqual([url for url in self.linear.files if f"]({url})" not in self.told()[0]], [])

    def test_the_embedded_tracker_shows_the_pictures_itself(self):
        w = self.world(linear=False)
        self.start(w)
        w.fire()
        w.until_state("recovered")
        key = w.agent.incident()["ticket"]["key"]
        w.until(lambda: sum(MARK in e["body"] for e in w.agent.get(f"/tickets/{key}")[1]["entries"]) == 2, "both stages are told")
        with urllib.request.urlopen(f"{w.agent.url}/pictures/INC-1/initial/cpu.png", timeout=10) as reply:
            self.assertTrue(reply.read().startswith(PNG))
        self.assertEqual(w.agent.get("/pictures/INC-1/initial/nothing.png")[0], 404)
        self.assertEqual(w.agent.get("/pictures/INC-1/later/cpu.png")[0], 404)

    def test_what_does_not_answer_is_said_and_completed_when_it_is_back(self):
        w = self.world()
        self.loki.fault_forever = ("status", 503)
        self.start(w)
        w.fire()
        w.until(lambda: len(self.told()) >= 1, "the first look is told")
        self.assertIn("Unavailable", self.told()[0])
        self.loki.fault_forever = None

        def first_stage():
            return [body for body in self.told() if "after the remedy" not in body]
        w.until(lambda: len(first_stage()) == 2, "completed", seconds=5)
        self.assertNotIn("OutOfMemoryError", first_stage()[0])
        self.assertIn("OutOfMemoryError", first_stage()[1])
        self.assertTrue(first_stage()[1].startswith("*This completes an analysis above"))
        w.until(lambda: len(self.told()) > 2, "the second stage is told")

    def test_what_stays_away_is_asked_three_times_more_and_no_oftener(self):
        w = self.world()
        self.tempo.fault_forever = ("status", 500)
        self.start(w)
        w.fire()
        w.until_state("recovered")
        w.until(lambda: len(self.told()) == 2, "both stages are told")

        def looks():
            return len([r for r in w.agent.incident()["timeline"] if r["step"] == "investigate"])
        w.until(lambda: looks() == 8, "two stages, four looks each", seconds=10)
        for _ in range(20):
            w.tick(100)
            time.sleep(0.05)
        self.assertEqual(looks(), 8)
        self.assertEqual(len(self.told()), 2)

    def test_no_source_keeps_the_remedy_waiting(self):
        w = self.world()
        for double in (self.loki, self.tempo):
            double.fault_forever = "black hole"
        self.start(w)
        w.fire()
        w.until(lambda: w.functions.effects, "the remedy is carried out", patience=1.5)
        self.assertEqual(self.told(), [])

    def test_a_kill_after_a_commit_tells_each_stage_once(self):
        for n in range(1, 26, 2):  # every second commit: each takes two seconds
            with self.subTest(crash_after=n):
                w = self.world()
                self.start(w, crash_after=n)
                w.fire()
                w.until_state("recovered")
                w.until(lambda: w.revive() or len(self.told()) == 2, "both stages are told")
                w.until(lambda: w.revive() or w.agent.metric("ticket_operations_waiting") == 0, "delivered")
                self.assertEqual(len(self.told()), 2)
                self.assertEqual(len(w.functions.effects), 1)
                self.doCleanups()


if __name__ == "__main__":
    unittest.main()
