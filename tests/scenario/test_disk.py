"""A full disk, a read-only one, one that answers with errors, and damaged files: nothing lost, nothing twice, and it says so."""
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import time
import unittest

from world import ANNOTATIONS, LABELS, World, catalogue, event, eventually, post_event, request

from harness import AGENT, PATIENCE_S  # noqa: E402
from linear_double import KEY, LinearDouble  # noqa: E402

MOUNTS = os.geteuid() == 0 and shutil.which("mount") is not None


def mounts():
    """Whether a file system can be mounted here at all."""
    if not MOUNTS:
        return False
    place = f"/tmp/agent-sre-mount-{os.getpid()}"
    os.makedirs(place, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True).returncode == 0
    if done:
        subprocess.run(["umount", place], check=True)
    os.rmdir(place)
    return done


class BreakingLinear(LinearDouble):
    """The disk breaks while it makes the issue; knows how often it was asked to."""

    def __init__(self, breaks):
        super().__init__()
        self.breaks, self.asked = breaks, 0

    def issue_create(self, info, input):
        self.asked += 1
        self.breaks()
        return super().issue_create(info, input)


class Base(unittest.TestCase):
    def world(self, **more):
        w = World(**more)
        self.addCleanup(w.close)
        self.data = os.path.join(w.agent.dir, "data")
        return w

    def start(self, w):
        self.assertTrue(w.agent.start(), w.agent.stderr())

    def post(self, w, n):
        """One event of an alert of its own; True when it was acknowledged."""
        body = event(alertname=f"Disk{n}", event_id=f"disk-{n}", labels={**LABELS, "n": str(n)}, annotations=ANNOTATIONS)
        data = json.dumps(body).encode()
        import urllib.error
        import urllib.request
        call = urllib.request.Request(w.agent.url + "/", data, {"Content-Type": "application/cloudevents+json"})
        try:
            with urllib.request.urlopen(call, timeout=20) as reply:
                self.assertEqual(json.loads(reply.read())["status"], "processed")
                return True
        except urllib.error.HTTPError as e:
            self.assertEqual(e.code, 503, e.read())
            self.assertGreaterEqual(int(e.headers["Retry-After"]), 1)
            return False

    def post_until(self, w, acknowledged, n, most=3000):
        """Sends event after event until the answer is (not) an acknowledgement; returns who was acknowledged, and the next number."""
        kept = []
        for k in range(n, n + most):
            if self.post(w, k):
                kept.append(k)
                if acknowledged:
                    return kept, k + 1
            elif not acknowledged:
                return kept, k + 1
            else:
                time.sleep(0.05)
        raise AssertionError("never happened")

    def unready(self, w, *words):
        def look():
            code, body = w.agent.get("/ready")
            return body if code == 503 else None
        body = eventually(look, "/ready is red", 20)
        self.assertEqual(body["status"], "not ready")
        self.assertTrue(any(word in body["reason"] for word in words), body)
        self.assertEqual(w.agent.get("/health")[0], 200)
        eventually(lambda: any('"event":"store_unwell"' in line and any(word in line for word in words) for line in w.agent.lines), "the log says why", 20)

    def ready_again(self, w):
        eventually(lambda: w.agent.get("/ready")[0] == 200, "/ready is green by itself", 20)
        eventually(lambda: any('"event":"store_well"' in line for line in w.agent.lines), "the log says so", 20)

    def assert_once(self, w, kept):
        """Each acknowledged event is there once, and no alert has two incidents."""
        for n in kept:
            code, body = w.agent.get(f"/events/prometheus-events/disk-{n}")
            self.assertEqual(code, 200, (n, body))
        code, body = w.agent.get("/incidents?limit=1000")
        names = [i["alertname"] for i in body["incidents"]]
        self.assertEqual(len(names), len(set(names)), names)
        self.assertLessEqual({f"Disk{n}" for n in kept}, set(names))


@unittest.skipUnless(mounts(), "file systems cannot be mounted here")
class MountedTest(Base):
    def mounted(self, size):
        w = self.world()
        os.mkdir(self.data, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", self.data], check=True)

        def unmount():
            w.agent.stop()
            subprocess.run(["umount", self.data], check=True)
        self.addCleanup(unmount)
        self.start(w)
        return w

    def fill(self, leave=0):
        """A file that takes all the room but so many bytes."""
        path = os.path.join(self.data, "ballast")
        free = os.statvfs(self.data).f_bavail * os.statvfs(self.data).f_frsize
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        try:
            for _ in range(max(0, free - leave) // 4096 + (leave == 0)):
                os.write(fd, b"b" * 4096)
        except OSError:
            pass
        os.close(fd)
        return path

    def test_a_full_disk_takes_nothing_says_so_and_recovers_when_there_is_room(self):
        w = self.mounted("24m")
        kept, n = self.post_until(w, True, 0)
        for _ in range(2):  # it may fill up again and again
            ballast = self.fill()
            some, n = self.post_until(w, False, n)
            kept += some
            self.unready(w, "disk is full")
            for _ in range(5):  # what the blocks of the log that are there already can hold may be kept
                kept += [n] if self.post(w, n) else []
                n += 1
            os.unlink(ballast)
            self.ready_again(w)
            some, n = self.post_until(w, True, n)
            kept += some
            w.agent.lines.clear()
        self.assert_once(w, kept)
        w.agent.stop()
        self.start(w)
        self.assert_once(w, kept)

    def test_what_was_acknowledged_before_the_disk_was_full_survives_a_kill(self):
        w = self.mounted("24m")
        kept, n = self.post_until(w, True, 0)
        ballast = self.fill(leave=64 * 1024)
        some, n = self.post_until(w, False, n)
        kept += some
        w.agent.kill()
        os.unlink(ballast)
        self.start(w)
        some, n = self.post_until(w, True, n)
        self.assert_once(w, kept + some)

    def test_a_disk_that_becomes_read_only_is_noticed_and_recovers(self):
        w = self.mounted("64m")
        kept, n = self.post_until(w, True, 0)
        # files that are open for writing keep it writable: a bind mount of our own would not, so it is forced
        done = subprocess.run(["mount", "-o", "remount,ro", self.data], capture_output=True, text=True)
        if done.returncode != 0:  # "busy": as when a person tries; the kernel does it on errors of the disk
            self.assertIn("busy", done.stderr)
            self.assertTrue(self.post(w, n))
            w.agent.stop()
            subprocess.run(["mount", "-o", "remount,ro", self.data], check=True)
            self.assertFalse(w.agent.start())
            self.assertRegex(w.agent.stderr(), "not writable: Read-only file system")
            subprocess.run(["mount", "-o", "remount,rw", self.data], check=True)
            self.start(w)
            self.assert_once(w, kept + [n])
            return
        some, n = self.post_until(w, False, n)
        self.unready(w, "read-only", "Read-only")
        subprocess.run(["mount", "-o", "remount,rw", self.data], check=True)
        self.ready_again(w)
        more, n = self.post_until(w, True, n)
        self.assert_once(w, kept + some + more)


@unittest.skipUnless(os.environ.get("DISK_DOUBLE_LIBRARY"), "the double of a disk is not built")
class BrokenTest(Base):
    """Calls that fail with EIO."""

    def broken(self, **more):
        w = self.world(**more)
        self.switch = os.path.join(w.agent.dir, "disk-double")
        w.agent.env.update({"LD_PRELOAD": os.environ["DISK_DOUBLE_LIBRARY"], "DISK_DOUBLE": self.switch, "DISK_DOUBLE_DIR": self.data,
                            "ASAN_OPTIONS": w.agent.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"})
        self.set("")
        self.start(w)
        return w

    def set(self, word):
        with open(self.switch, "w") as f:
            f.write(word)

    def fails_and_recovers(self, word, *words):
        w = self.broken()
        kept, n = self.post_until(w, True, 0)
        refused = []
        self.set(word)
        for _ in range(5):
            self.assertFalse(self.post(w, n))
            refused.append(n)
            n += 1
        self.unready(w, *words)
        self.set("")
        self.ready_again(w)
        for k in refused:  # sent again, as a sender does: none of them is taken for a duplicate
            eventually(lambda k=k: self.post(w, k), "accepted again", 20)
        more, n = self.post_until(w, True, n)
        self.assert_once(w, kept + refused + more)

    def test_a_failed_sync_acknowledges_nothing_and_recovers(self):
        self.fails_and_recovers("sync", "Input/output error", "disk I/O error")

    def test_a_failed_write_acknowledges_nothing_and_recovers(self):
        self.fails_and_recovers("write", "Input/output error", "disk I/O error")

    def test_a_disk_that_the_kernel_makes_read_only_acknowledges_nothing_and_recovers(self):
        self.fails_and_recovers("readonly", "Read-only file system", "disk I/O error")

    def test_a_call_whose_result_cannot_be_stored_is_not_repeated(self):
        w = self.broken(functions=catalogue(idempotent=False))
        w.functions.careless.add("pod-restart")

        def repaired_and_broken(function, parameters):
            w.rule.value = 0.0
            self.set("write")
        w.functions.on_effect = repaired_and_broken
        w.fault()
        w.fire()
        self.unready(w, "Input/output error", "disk I/O error")
        for _ in range(10):  # the result cannot be stored all the while
            time.sleep(0.3)
            w.tick(2)
        self.assertEqual(len(w.functions.calls()), 1)
        self.set("")
        self.ready_again(w)
        incident = w.until_state("recovered")
        self.assertEqual((len(w.functions.effects), incident["action"]["result"]), (1, "success"))

    def test_tickets_whose_delivery_cannot_be_stored_are_not_sent_again(self):
        linear = BreakingLinear(lambda: self.set("write"))
        self.addCleanup(linear.close)
        w = self.broken(linear={"api_key": KEY, "url": linear.url + "/graphql", "timeout": "2s"})
        w.fault()
        w.fire()
        self.unready(w, "Input/output error", "disk I/O error")
        for _ in range(10):  # the delivery cannot be stored all the while
            time.sleep(0.3)
            w.tick(2)
        self.assertEqual(linear.asked, 1)
        self.set("")
        self.ready_again(w)
        w.until_state("recovered")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "everything is delivered")
        self.assertEqual((linear.asked, len(linear.issues), len(linear.comments)), (1, 1, 3))

    def test_what_a_failed_sync_left_in_the_file_is_not_believed_after_a_kill(self):
        w = self.broken()
        kept, n = self.post_until(w, True, 0)
        self.set("sync")
        refused = list(range(n, n + 3))
        for k in refused:
            self.assertFalse(self.post(w, k))
        w.agent.kill()
        self.set("")
        self.start(w)
        self.assert_once(w, kept)
        for k in refused:
            self.assertEqual(w.agent.get(f"/events/prometheus-events/disk-{k}")[0], 404)
        for k in refused:
            self.assertTrue(self.post(w, k))
        self.assert_once(w, kept + refused)


    def test_what_a_killed_process_wrote_is_believed_only_after_a_sync(self):
        w = self.broken()
        kept, n = self.post_until(w, True, 0)
        w.agent.kill()
        self.set("sync")
        self.assertFalse(w.agent.start())
        self.assertRegex(w.agent.stderr(), "cannot sync the intake log: Input/output error|the disk does not answer")
        self.set("")
        self.start(w)
        self.assert_once(w, kept)


class DamagedTest(Base):
    COUNT = 300

    def filled(self):
        """Many incidents, all worked on, and the agent stopped."""
        w = self.world()
        w.fault()
        self.start(w)
        for n in range(0, self.COUNT, 100):
            batch = [event(alertname=f"Disk{k}", event_id=f"disk-{k}", labels={**LABELS, "n": str(k)}) for k in range(n, n + 100)]
            code, _ = request(w.agent.url, "POST", batch, {"Content-Type": "application/cloudevents-batch+json"})
            self.assertEqual(code, 200)
        self.database = os.path.join(self.data, "agent-sre.db")
        w.until(lambda: self.query("SELECT count(*) FROM ticket_ref WHERE slot = 0")[0][0] >= self.COUNT, "all have tickets")
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "nothing waits")
        w.agent.stop()
        with sqlite3.connect(self.database) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return w

    def store(self, verb, *more):
        return subprocess.run([AGENT, "store", verb, "--data", self.data, *more], capture_output=True, text=True, timeout=PATIENCE_S,
                              env={k: v for k, v in os.environ.items() if k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")})

    def query(self, sql):
        db = sqlite3.connect(self.database)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def spoil(self, pages, seed=1):
        r = random.Random(seed)
        with open(self.database, "r+b") as f:
            for page in pages:
                f.seek((page - 1) * 4096)
                f.write(r.randbytes(4096))

    def pages(self, table):
        """The leaves of a table, by its tree."""
        shell = shutil.which("sqlite3")
        if shell is None:
            self.skipTest("sqlite3 is not installed: the pages of a table cannot be named")
        text = subprocess.run([shell, self.database, f"SELECT pageno FROM dbstat WHERE name = '{table}' AND pagetype = 'leaf' ORDER BY path"],
                              capture_output=True, text=True, check=True).stdout
        return [int(line) for line in text.split()]

    def tickets(self):
        return dict(self.query("SELECT key, title FROM ticket"))

    def go_on(self, w, tickets):
        """It starts, takes events, and makes no second ticket of any incident that is there."""
        self.start(w)
        self.assertTrue(self.post(w, 9999))
        w.until(lambda: w.agent.metric("ticket_operations_waiting") == 0, "tickets are delivered")
        self.assertEqual(w.agent.get("/ready")[0], 200)
        refs = self.query("SELECT incident, count(*) FROM ticket_ref WHERE slot = 0 GROUP BY incident HAVING count(*) > 1")
        self.assertEqual(refs, [])
        uids = self.query("SELECT uid, count(*) FROM incident GROUP BY uid HAVING count(*) > 1")
        self.assertEqual(uids, [])
        new = set(self.tickets()) - set(tickets)
        self.assertLessEqual(len(new), 1, new)

    def refuses(self, w, *words):
        self.assertFalse(w.agent.start())
        text = w.agent.stderr()
        self.assertIn("agent-sre store repair", text)
        self.assertTrue(any(word in text for word in words), text)

    def test_a_whole_store_passes_beside_the_running_agent(self):
        w = self.filled()
        self.start(w)
        checked = self.store("check", "--json")
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        report = json.loads(checked.stdout)
        self.assertTrue(report["ok"])
        self.assertLessEqual({"database", "relations", "intake log", "key"}, {f["what"] for f in report["findings"]})
        self.assertNotEqual(self.store("repair").returncode, 0)

    def test_a_database_that_is_cut_short_is_refused_at_start_and_repaired(self):
        w = self.filled()
        tickets = self.tickets()
        size = os.path.getsize(self.database)
        os.truncate(self.database, size - 5 * 4096 - 100)
        self.refuses(w, "cut short", "damaged")
        self.assertEqual(self.store("check").returncode, 1)
        repaired = self.store("repair")
        self.assertIn("everything as it was is in", repaired.stdout, repaired.stderr)
        self.assertEqual(self.store("check").returncode, 0)
        self.go_on(w, tickets)

    def test_a_damaged_root_is_refused_at_start_and_repaired(self):
        w = self.filled()
        tickets = self.tickets()
        root = self.query("SELECT rootpage FROM sqlite_schema WHERE name = 'job'")[0][0]
        self.spoil([root])
        self.refuses(w, "damaged")
        self.store("repair")
        self.assertEqual(self.store("check").returncode, 0)
        self.assertEqual(len(self.query("SELECT 1 FROM incident WHERE state <> 6 AND id NOT IN (SELECT incident FROM job)")), 0)
        self.go_on(w, tickets)

    def test_a_first_page_that_is_gone_is_refused_at_start_and_repaired(self):
        w = self.filled()
        tickets = self.tickets()
        self.spoil([1])
        self.refuses(w, "not a database of ours")
        self.store("repair")
        self.assertEqual(self.store("check").returncode, 0)
        self.assertEqual(self.query("SELECT count(*) FROM incident"), [(self.COUNT,)])
        self.go_on(w, tickets)

    def test_damage_in_the_middle_is_found_in_the_background_and_nothing_is_written_any_more(self):
        w = self.filled()
        tickets = self.tickets()
        leaf = self.pages("ticket_entry")[1]
        self.spoil([leaf])
        if w.agent.start():  # or it is met at once by who works
            eventually(lambda: w.agent.get("/ready")[0] == 503, "/ready is red", 30)
            self.assertIn("agent-sre store repair", w.agent.get("/ready")[1]["reason"])
            self.assertEqual(w.agent.get("/health")[0], 200)
            self.assertFalse(self.post(w, 5000))
            w.agent.stop()
        repaired = self.store("repair")
        self.assertEqual(repaired.returncode, 1, repaired.stdout)
        self.assertIn("ticket_entry", repaired.stdout)
        self.assertEqual(self.store("check").returncode, 0)
        self.go_on(w, tickets)

    def test_lost_incidents_are_named_and_the_others_go_on(self):
        w = self.filled()
        tickets = self.tickets()
        self.spoil([self.pages("incident")[1]])
        repaired = self.store("repair")
        self.assertEqual(repaired.returncode, 1, repaired.stdout)
        self.assertRegex(repaired.stdout, r"had begun and are lost \(INC-\d+ SRE-\d+")
        left = self.query("SELECT count(*) FROM incident")[0][0]
        self.assertTrue(self.COUNT - 60 < left < self.COUNT, left)
        self.assertEqual(self.store("check").returncode, 0)
        self.go_on(w, tickets)

    def test_a_flipped_bit_in_the_log_costs_one_record_and_is_counted(self):
        w = self.world()
        self.start(w)
        w.agent.kill()
        self.start(w)
        for n in range(20):
            self.assertTrue(self.post(w, n))
        w.agent.stop()
        self.database = os.path.join(self.data, "agent-sre.db")
        with sqlite3.connect(self.database) as db:  # as if nothing had been applied
            for table in ("incident", "event", "episode", "job", "journal", "ticket_op", "ticket_ref"):
                db.execute(f"DELETE FROM {table}")
            db.execute("UPDATE intake SET applied = 0")
        db.close()
        name = sorted(f for f in os.listdir(self.data) if re.fullmatch(r"intake-[0-9a-f]{16}\.log", f))[0]
        with open(os.path.join(self.data, name), "r+b") as f:
            at = f.read().index(b"disk-7")
            f.seek(at)
            f.write(b"Disk-7")
        checked = self.store("check")
        self.assertEqual(checked.returncode, 1, checked.stdout)
        self.assertIn("1 accepted records are lost", checked.stdout)
        self.start(w)
        self.assert_once(w, [n for n in range(20) if n != 7])
        self.assertEqual(w.agent.get("/events/prometheus-events/disk-7")[0], 404)
        self.assertEqual(w.agent.metric("intake_lost_records"), 1)
        self.assertTrue(os.path.exists(os.path.join(self.data, name + ".damaged")))


if __name__ == "__main__":
    unittest.main()
