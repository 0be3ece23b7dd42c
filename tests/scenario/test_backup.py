"""The store is backed up while alerts come in, and a restored agent goes on where the point was taken."""
import concurrent.futures
import datetime
import glob
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from world import LABELS, START_MS, World, event, eventually, post_event, request

from harness import AGENT, Agent  # noqa: E402

KEY = "5a" * 32


def when(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.vault = tempfile.mkdtemp(prefix="agent-sre-vault-")
        self.addCleanup(shutil.rmtree, self.vault, True)

    def world(self, start=True, **more):
        w = World(**more)
        self.addCleanup(w.close)
        if start:
            self.assertTrue(w.agent.start(), w.agent.stderr())
        return w

    def shipping_world(self, target=None, **more):
        return self.world(backup={"target": [target or self.vault], "every": "15m", **more})

    def command(self, w, *arguments, env=None, code=0):
        """Runs one command beside the daemon, on its clock."""
        done = subprocess.run([AGENT, *arguments], env={**w.agent.env, **(env or {})}, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        return done.stdout if code == 0 else done.stderr

    def data(self, w):
        return os.path.join(w.agent.dir, "data")

    def backup(self, w, *more, **kwargs):
        return self.command(w, "backup", self.vault, "--now", "--data", self.data(w), *more, **kwargs)

    def points(self, w):
        return json.loads(self.command(w, "restore", "list", "--from", self.vault, "--json"))

    def restore(self, w, *more, **kwargs):
        """Into a new directory, with the key of the old one."""
        fresh = os.path.join(w.agent.dir, f"fresh-{time.monotonic_ns()}")
        kwargs.setdefault("code", 0)
        text = self.command(w, "restore", "--from", self.vault, "--data", fresh, "--key",
                            os.path.join(self.data(w), "seal.key"), *more, **kwargs)
        return fresh, text

    def go_on(self, w, fresh):
        """The old machine is lost; an agent starts on what was restored."""
        w.agent.kill()
        shutil.rmtree(self.data(w))
        os.rename(fresh, self.data(w))
        self.assertTrue(w.agent.start(), w.agent.stderr())

    def logged(self, w, name):
        return [json.loads(line) for line in w.agent.lines if f'"event":"{name}"' in line]

    def shipped(self, w, count):
        return eventually(lambda: len(self.points(w)) >= count, f"{count} points are there")

    def test_a_restored_agent_closes_what_was_open_and_calls_nothing_twice(self):
        w = self.world()
        w.fault()
        w.fire()
        w.until_state("recovered")
        self.assertEqual(len(w.functions.effects), 1)
        self.backup(w)
        fresh, text = self.restore(w)
        self.assertIn("restored into", text)
        self.go_on(w, fresh)
        self.assertEqual(w.agent.incident()["state"], "recovered")
        w.resolve()
        w.until_state("closed")
        self.assertEqual(len(w.functions.effects), 1)
        self.assertEqual(len(w.agent.incidents()), 1)
        # what was known before the loss is still a duplicate
        code, reply = post_event(w.agent.url, event(labels=LABELS))
        self.assertEqual(code, 200)
        self.assertEqual(len(w.agent.incidents()), 1)

    def test_nothing_that_was_acknowledged_before_the_point_is_lost_under_load(self):
        w = self.world()
        acknowledged = []
        stop = threading.Event()

        def send(worker):
            n = 0
            while not stop.is_set():
                n += 1
                name = f"load-{worker}-{n}"
                code, _ = post_event(w.agent.url, event(alertname=f"A{worker}x{n}", event_id=name, annotations={"summary": "x"}))
                if code == 200:
                    acknowledged.append(name)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(send, k) for k in range(4)]
            eventually(lambda: len(acknowledged) > 40, "load")
            promised = []
            for _ in range(5):
                before = list(acknowledged)
                self.backup(w)
                promised.append((before, self.points(w)[-1]))
                time.sleep(0.1)
            stop.set()
            for f in futures:
                f.result()
        w.agent.kill()
        for before, point in (promised[0], promised[-1]):
            self.assertGreater(len(before), 30)
            fresh, _ = self.restore(w, "--to", point["time"])
            other = Agent(w.settings, None, START_MS)
            self.addCleanup(other.close)
            shutil.copytree(fresh, os.path.join(other.dir, "data"))
            self.assertTrue(other.start(), other.stderr())

            unknown = list(before)

            def look():
                answers = {n: request(f"{other.url}/events/prometheus-events/{n}")[0] for n in unknown}
                self.assertLessEqual(set(answers.values()), {200, 404, 429}, "404: not applied yet; 429: asked too fast")
                unknown[:] = [n for n, code in answers.items() if code != 200]
                return not unknown
            try:
                eventually(look, "every event is known again", patience=40, pause=0.2)
            finally:
                self.assertEqual(unknown, [], f"of {len(before)} events")
            other.stop()

    def test_what_was_answered_and_waits_for_the_database_is_in_the_point(self):
        w = self.world()
        w.fire(alertname="Before", event_id="before", annotations={"summary": "x"})
        w.until_state("escalated")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "nothing is under way")
        time.sleep(0.5)
        lock = sqlite3.connect(os.path.join(self.data(w), "agent-sre.db"), isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")  # the writer waits, the intake log does not
        batch = [event(alertname=f"Waits{n}", event_id=f"waits-{n}", annotations={"summary": "x"}) for n in range(20)]
        code, reply = request(w.agent.url, "POST", batch, {"Content-Type": "application/cloudevents-batch+json"})
        self.assertEqual(code, 200, reply)
        known = lock.execute("SELECT count(*) FROM event").fetchone()[0]
        self.backup(w)
        lock.execute("ROLLBACK")
        lock.close()
        self.assertEqual(known, 1, "the database knew none of them")
        fresh, _ = self.restore(w)
        self.go_on(w, fresh)
        for n in range(20):
            eventually(lambda n=n: w.agent.get(f"/events/prometheus-events/waits-{n}")[0] == 200, f"event {n} is known again")
        self.assertEqual(len(w.agent.incidents()), 21)

    def test_a_time_between_two_points_gives_the_earlier_one(self):
        w = self.world()
        w.fire(alertname="First", event_id="1")
        self.backup(w)
        w.tick(600)
        middle = w.agent.clock.now_ms()
        w.tick(600)
        w.fire(alertname="Second", event_id="2")
        self.backup(w)
        fresh, text = self.restore(w, "--to", when(middle))
        self.assertIn("point", text)
        latest, _ = self.restore(w, "--to", "latest")
        self.go_on(w, fresh)
        self.assertEqual([i["alertname"] for i in w.agent.incidents()], ["First"])
        self.go_on(w, latest)
        self.assertEqual([i["alertname"] for i in w.agent.incidents()], ["Second", "First"])

    def test_serve_ships_points_by_itself_and_says_so_in_its_metrics(self):
        w = self.shipping_world()
        self.shipped(w, 1)
        w.fire()
        w.tick(14 * 60)
        time.sleep(0.5)
        self.assertEqual(len(self.points(w)), 1)
        w.tick(61)
        self.shipped(w, 2)
        self.assertEqual([p["kind"] for p in self.points(w)], ["full", "increment"])
        eventually(lambda: w.agent.metric("backup_success_total") == 2, "two successes")
        self.assertEqual(w.agent.metric("backup_attempts_total"), 2)
        self.assertEqual(w.agent.metric("backup_last_success_timestamp_seconds"), w.agent.clock.now_ms() / 1000)
        self.assertGreater(w.agent.metric('backup_size_bytes{component="store_full"}'), 1000)
        self.assertEqual(w.agent.metric("backup_duration_seconds_count"), 2)
        w.tick(300)
        eventually(lambda: w.agent.metric("rpo_seconds") == 300, "the age of the last point is shown")
        w.tick(24 * 3600)
        self.shipped(w, 3)
        self.assertEqual(self.points(w)[-1]["kind"], "full")

    def test_a_restart_makes_no_point_before_its_time(self):
        w = self.shipping_world()
        self.shipped(w, 1)
        w.agent.stop()
        w.agent.start()
        eventually(lambda: w.agent.metric("backup_last_success_timestamp_seconds") > 0, "the last point is known")
        time.sleep(0.3)
        self.assertEqual(len(self.points(w)), 1)
        w.tick(15 * 60)
        self.shipped(w, 2)
        self.assertEqual(self.points(w)[-1]["kind"], "increment")

    def test_serve_restores_on_trial_and_leaves_nothing_behind(self):
        w = self.shipping_world(drill_every="10m")
        first = eventually(lambda: self.logged(w, "backup_drill"), "the first drill")
        self.assertEqual(first[0]["target"], self.vault)
        eventually(lambda: w.agent.metric("drill_last_success_timestamp_seconds") > 0, "its time is shown")
        self.assertEqual(w.agent.metric("restore_duration_seconds_count"), 1)
        self.assertGreater(w.agent.metric("restore_bytes"), 1000)
        self.assertEqual(glob.glob(os.path.join(self.data(w), "drill-*")), [])
        w.agent.stop()
        w.agent.start()
        time.sleep(0.5)
        self.assertEqual(len(self.logged(w, "backup_drill")), 1, "a restart forgets no drill")
        w.tick(11 * 60)
        eventually(lambda: len(self.logged(w, "backup_drill")) == 2, "the next drill")

    def test_a_drill_that_finds_damage_says_which_part(self):
        w = self.shipping_world(drill_every="10m")
        eventually(lambda: self.logged(w, "backup_drill"), "the first drill")
        part = glob.glob(os.path.join(self.vault, "*", "*-000001.part"))[0]
        with open(part, "r+b") as f:
            f.seek(999)
            f.write(b"not what was there")
        w.tick(11 * 60)
        failed = eventually(lambda: self.logged(w, "backup_drill_failed"), "the drill fails")
        self.assertIn(os.path.basename(part), failed[0]["error"])
        eventually(lambda: w.agent.metric("drill_failures_total") == 1, "the failure is counted")
        text = self.command(w, "backup", "drill", self.vault, "--data", self.data(w), code=1)
        self.assertIn(os.path.basename(part), text)
        self.assertEqual(glob.glob(os.path.join(self.data(w), "drill-*")), [])

    def test_a_target_that_cannot_be_written_is_seen_and_got_over(self):
        blocked = os.path.join(self.vault, "blocked")
        with open(blocked, "w") as f:
            f.write("in the way")
        w = self.shipping_world(os.path.join(blocked, "deep"))
        eventually(lambda: self.logged(w, "backup_failed"), "the failure is logged")
        eventually(lambda: w.agent.metric("backup_attempts_total") == 1, "and counted")
        self.assertEqual(w.agent.metric("backup_success_total"), 0)
        eventually(lambda: w.agent.metric("backup_failing") == 1, "what the in-process alert looks at")
        self.assertEqual(w.agent.metric("backup_last_success_timestamp_seconds"), 0)
        self.assertEqual(w.fire()[0], 200, "alerts are taken in all the same")
        os.unlink(blocked)
        w.tick(61)
        eventually(lambda: w.agent.metric("backup_success_total") == 1, "the next try is made within a minute")
        eventually(lambda: w.agent.metric("backup_failing") == 0, "and all is well")

    def test_a_full_target_disk_fails_the_backup_and_nothing_else(self):
        small = os.path.join(self.vault, "small")
        os.mkdir(small)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", small], check=False).returncode != 0:
            self.skipTest("needs to mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=False)
        w = self.shipping_world(small)
        failed = eventually(lambda: self.logged(w, "backup_failed"), "the failure is logged")
        self.assertIn("No space left", failed[0]["error"])
        self.assertEqual(w.fire()[0], 200)
        self.assertEqual(self.command(w, "restore", "list", "--from", small).strip(), f"{small} holds no backup")
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        w.tick(61)
        eventually(lambda: w.agent.metric("backup_success_total") == 1, "there is room again")

    def test_two_places_get_every_point(self):
        other = tempfile.mkdtemp(prefix="agent-sre-vault-")
        self.addCleanup(shutil.rmtree, other, True)
        w = self.world(backup={"target": [self.vault, other]})
        self.shipped(w, 1)
        eventually(lambda: glob.glob(os.path.join(other, "*", "*.point")), "the other place has one")
        shutil.rmtree(self.vault)
        with open(self.vault, "w") as f:
            f.write("in the way")
        w.tick(16 * 60)
        eventually(lambda: len(glob.glob(os.path.join(other, "*", "*.point"))) == 2, "one place that fails does not hinder the other")
        eventually(lambda: self.logged(w, "backup_failed"), "the failure is logged")
        os.unlink(self.vault)

    def test_a_place_that_cannot_be_asked_has_no_age_and_hides_none(self):
        blocked = os.path.join(self.vault, "blocked")
        with open(blocked, "w") as f:
            f.write("in the way")
        other = tempfile.mkdtemp(prefix="agent-sre-vault-")
        self.addCleanup(shutil.rmtree, other, True)
        w = self.world(backup={"target": [os.path.join(blocked, "deep"), other]})
        eventually(lambda: w.agent.metric("backup_success_total") == 1, "the other place has a point")
        eventually(lambda: w.agent.metric("backup_last_success_timestamp_seconds") > 0, "and its age is shown")
        self.assertEqual(w.agent.metric("backup_targets_unknown"), 1)
        os.unlink(blocked)
        w.tick(61)
        eventually(lambda: w.agent.metric("backup_targets_unknown") == 0, "it is known within a minute")
        eventually(lambda: w.agent.metric("backup_success_total") == 2, "and has a point")

    def test_old_series_are_removed_and_the_newest_stays(self):
        w = self.shipping_world()
        self.shipped(w, 1)
        first = self.points(w)[0]["point"]
        w.tick(20 * 86400)
        self.shipped(w, 2)
        w.tick(10 * 86400 + 3600)
        eventually(lambda: first not in [p["point"] for p in self.points(w)], "the first series is gone")
        self.assertGreaterEqual(len(self.points(w)), 2)
        self.assertEqual(glob.glob(os.path.join(self.vault, first + "*")), [])

    def test_a_backup_killed_at_any_moment_leaves_only_whole_points(self):
        w = self.world()
        for n in range(300):
            post_event(w.agent.url, event(alertname=f"Bulk{n}", event_id=f"bulk-{n}", annotations={"summary": "x" * 8000}))
        known = 0
        killed = 0
        for k in range(12):
            p = subprocess.Popen([AGENT, "backup", self.vault, "--now", "--full", "--data", self.data(w)], env=w.agent.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.02 * k)
            p.send_signal(signal.SIGKILL)
            killed += p.wait() == -signal.SIGKILL
            known = max(known, len(self.points(w)))
        self.assertGreater(killed, 3)
        self.backup(w)
        self.assertGreater(len(self.points(w)), 0)
        for point in self.points(w):
            fresh, _ = self.restore(w, "--to", point["time"])
            shutil.rmtree(fresh)

    def test_a_restore_killed_at_any_moment_leaves_nothing_that_a_daemon_opens(self):
        w = self.world()
        for n in range(300):
            post_event(w.agent.url, event(alertname=f"Bulk{n}", event_id=f"bulk-{n}", annotations={"summary": "x" * 8000}))
        self.backup(w)
        key = os.path.join(self.data(w), "seal.key")
        fresh = os.path.join(w.agent.dir, "fresh")
        arguments = ["restore", "--from", self.vault, "--data", fresh, "--key", key]
        refused = 0
        for k in range(40):
            p = subprocess.Popen([AGENT, *arguments], env=w.agent.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.01 * k)
            p.send_signal(signal.SIGKILL)
            if p.wait() == 0:
                shutil.rmtree(fresh)
                continue
            if not os.path.exists(os.path.join(fresh, "agent-sre.db")):
                continue
            with open(os.path.join(fresh, "agent-sre.db"), "rb") as f:
                if f.read(15) == b"SQLite format 3":  # killed behind its last step
                    shutil.rmtree(fresh)
                    continue
            text = self.command(w, "serve", "--data", fresh, "--listen", "127.0.0.1:0", code=1)
            self.assertIn("not a database of ours", text)
            refused += 1
            if refused >= 3:
                break
        self.assertGreater(refused, 0)
        self.command(w, *arguments)
        self.go_on(w, fresh)
        self.assertEqual(request(f"{w.agent.url}/events/prometheus-events/bulk-299")[0], 200)

    def test_the_agent_killed_while_it_ships_goes_on_after_its_start(self):
        w = self.shipping_world(every="1s")
        for k in range(8):
            w.fire(alertname=f"Kill{k}", event_id=f"kill-{k}")
            w.tick(1)
            time.sleep(0.03 * k)
            w.agent.kill()
            self.assertTrue(w.agent.start(), w.agent.stderr())
        before = len(self.points(w))
        w.tick(5)
        self.shipped(w, before + 1)
        w.agent.stop()
        fresh, _ = self.restore(w)
        self.go_on(w, fresh)
        self.assertEqual(len(w.agent.incidents()), 8)

    def test_another_key_is_refused_by_its_id_and_a_damaged_part_by_its_name(self):
        w = self.world()
        w.fire()
        self.backup(w)
        fresh = os.path.join(w.agent.dir, "fresh")
        text = self.command(w, "restore", "--from", self.vault, "--data", fresh, env={"AGENT_SRE_ENCRYPTION_KEY": KEY}, code=1)
        self.assertRegex(text, r"sealed with the key [0-9a-f]{8}, which is not here")
        self.assertNotIn(KEY, text)
        text = self.command(w, "restore", "--from", self.vault, "--data", fresh, code=1)
        self.assertRegex(text, r"sealed with the key [0-9a-f]{8}, which is not here; name the key file with --key FILE")
        part = glob.glob(os.path.join(self.vault, "*", "*-000001.part"))[0]
        with open(part, "r+b") as f:
            f.truncate(os.path.getsize(part) - 1)
        text = self.restore(w, code=1)[1]
        self.assertIn(os.path.basename(part), text)
        self.assertFalse(os.path.exists(fresh))

    def test_a_store_in_use_and_a_directory_with_something_in_it_are_not_restored_into(self):
        w = self.world()
        self.backup(w)
        text = self.command(w, "restore", "--from", self.vault, "--data", self.data(w), "--key",
                            os.path.join(self.data(w), "seal.key"), code=1)
        self.assertIn("in use by a running agent-sre", text)
        w.agent.stop()
        text = self.command(w, "restore", "--from", self.vault, "--data", self.data(w), "--key",
                            os.path.join(self.data(w), "seal.key"), code=1)
        self.assertIn("not empty", text)
        self.backup(w)  # and a stopped agent's store can be backed up

    def test_an_agent_that_lost_its_disk_does_not_bury_the_points_of_the_old_one(self):
        for key in ({}, {"AGENT_SRE_ENCRYPTION_KEY": KEY}):
            shutil.rmtree(self.vault, True)
            w = World(env=key, backup={"target": [self.vault]})
            self.addCleanup(w.close)
            self.assertTrue(w.agent.start(), w.agent.stderr())
            w.fire()
            self.shipped(w, 1)
            eventually(lambda w=w: w.agent.metric("drill_last_success_timestamp_seconds") > 0, "the drill is over")
            before = self.points(w)
            w.agent.kill()
            shutil.copy(os.path.join(self.data(w), "seal.key"), w.agent.dir) if not key else None
            shutil.rmtree(self.data(w))
            self.assertTrue(w.agent.start(), w.agent.stderr())
            w.tick(16 * 60)
            failed = eventually(lambda w=w: self.logged(w, "backup_failed"), "the new store is not shipped there")
            self.assertIn("another store" if key else "another key", failed[0]["error"])
            w.tick(40 * 86400)
            time.sleep(0.5)
            self.assertEqual(self.points(w), before)

    def test_a_backup_of_unusual_size_is_noticed(self):
        w = self.shipping_world(full_every="1m", every="1m")
        for n in range(1, 7):
            eventually(lambda n=n: w.agent.metric("backup_success_total") == n, f"point {n}")
            w.tick(61)
        eventually(lambda: w.agent.metric("backup_success_total") == 7, "point 7")
        self.assertEqual({p["kind"] for p in self.points(w)}, {"full"})
        self.assertEqual(w.agent.metric('backup_unusual_total{what="size"}'), 0)
        for n in range(200):
            post_event(w.agent.url, event(alertname=f"Bulk{n}", event_id=f"bulk-{n}", annotations={"summary": "x" * 8000}))
        w.agent.stop()  # what was usual is known again after a restart
        w.agent.start()
        w.tick(61)
        eventually(lambda: w.agent.metric('backup_unusual_total{what="size"}') == 1, "the large one is noticed")
        self.assertEqual(self.logged(w, "backup_unusual")[0]["what"], "size")

    def test_secrets_stand_in_no_log_and_no_metric(self):
        w = self.world(backup={"target": ["s3://bucket1/x"], "s3": {"endpoint": "http://127.0.0.1:1", "access_key_id": "visible-id",
                                                                    "secret_access_key": "hidden-secret-1", "session_token": "hidden-token-1"}})
        eventually(lambda: self.logged(w, "backup_failed"), "nobody answers there")
        with open(os.path.join(self.data(w), "seal.key")) as f:
            key = f.read().strip()
        text = "".join(w.agent.lines) + w.agent.get("/metrics")[1] + w.agent.stderr()
        for secret in ("hidden-secret-1", "hidden-token-1", key):
            self.assertNotIn(secret, text)


if __name__ == "__main__":
    unittest.main()
