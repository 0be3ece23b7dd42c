"""Backups in a real S3 server that verifies every signature: nanio, or with VERSITYGW=PROGRAM the Versity gateway."""
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import AGENT, Agent, event, eventually, post_event, request  # noqa: E402

KEY_ID, SECRET = "backup-writer", "not-a-secret-but-long"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """One bucket, "vault", kept as plain files."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="agent-sre-s3-")
        self.bucket = os.path.join(self.dir, "vault")
        os.mkdir(self.bucket)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.log = open(os.path.join(tempfile.gettempdir(), f"agent-sre-s3-{self.port}.log"), "w+")
        self.start()

    def command(self):
        gateway = os.environ.get("VERSITYGW")
        if gateway:
            return [gateway, "--port", f"127.0.0.1:{self.port}", "posix", self.dir]
        return [sys.executable, "-m", "nanio", "serve", "--data-dir", self.dir, "--host", "127.0.0.1", "--port", str(self.port)]

    def start(self):
        env = {**os.environ, "NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET, "ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET}
        self.process = subprocess.Popen(self.command(), env=env, stdout=self.log, stderr=self.log)

        def answers():
            if self.process.poll() is not None:
                self.log.seek(0)
                raise AssertionError("the S3 server ended: " + self.log.read()[-2000:])
            return request(self.url + "/vault", timeout=2)[0]
        eventually(answers, "the S3 server answers", patience=30, pause=0.1)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def close(self):
        self.stop()
        self.log.close()
        os.unlink(self.log.name)
        shutil.rmtree(self.dir, ignore_errors=True)


class S3Test(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.env = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": self.server.url}
        self.target = "s3://vault/some/prefix"

    def agent(self, **backup):
        a = Agent({"backup": {"target": self.target, **backup}} if backup else {}, self.env)
        self.addCleanup(a.close)
        self.assertTrue(a.start(), a.stderr())
        return a

    def command(self, a, *arguments, env=None, code=0):
        done = subprocess.run([AGENT, *arguments], env={**a.env, **(env or {})}, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def data(self, a):
        return os.path.join(a.dir, "data")

    def test_what_serve_ships_to_a_bucket_can_be_restored(self):
        a = self.agent(every="1s")
        for n in range(50):
            post_event(a.url, event(alertname=f"A{n}", event_id=f"e{n}", annotations={"summary": "x" * 3000}))
        base = a.metric("backup_success_total")
        eventually(lambda: a.metric("backup_success_total") >= base + 2, "a point is shipped after them")
        eventually(lambda: a.metric("drill_last_success_timestamp_seconds") > 0, "and was restored on trial")
        fresh = os.path.join(a.dir, "fresh")
        key = os.path.join(self.data(a), "seal.key")
        text = self.command(a, "restore", "--from", self.target, "--data", fresh, "--key", key)
        self.assertIn("restored into", text)
        a.kill()
        shutil.rmtree(self.data(a))
        os.rename(fresh, self.data(a))
        self.assertTrue(a.start(), a.stderr())
        for n in (0, 49):
            self.assertEqual(request(f"{a.url}/events/prometheus-events/e{n}")[0], 200)

    def test_a_wrong_secret_is_refused_and_nothing_is_written(self):
        a = self.agent()
        text = self.command(a, "backup", self.target, "--data", self.data(a), env={"AWS_SECRET_ACCESS_KEY": "another-secret"}, code=1)
        self.assertIn("SignatureDoesNotMatch", text)
        self.assertNotIn("another-secret", text)
        self.assertEqual(glob.glob(self.server.bucket + "/**/*.part", recursive=True), [])
        text = self.command(a, "backup", "s3://other-bucket/x", "--data", self.data(a), code=1)
        self.assertIn("NoSuchBucket", text)

    def test_lists_of_more_than_one_page_are_whole(self):
        a = self.agent()
        first = json.loads(self.command(a, "backup", self.target, "--json", "--data", self.data(a)))
        folder = os.path.join(self.server.bucket, "some", "prefix", "00000000-others")
        os.mkdir(folder)
        for n in range(2100):
            with open(os.path.join(folder, f"{n:05}.txt"), "w") as f:
                f.write("x")
        second = json.loads(self.command(a, "backup", self.target, "--json", "--now", "--data", self.data(a)))
        self.assertEqual(second["kind"], "increment")
        points = json.loads(self.command(a, "restore", "list", "--from", self.target, "--json"))
        self.assertEqual([p["point"] for p in points], [first["point"], second["point"]])

    def test_a_server_that_is_away_for_a_while_is_tried_again(self):
        a = self.agent(every="1s")
        eventually(lambda: a.metric("backup_success_total") >= 1, "a point is shipped")
        self.server.stop()
        failures = lambda: a.metric("backup_attempts_total") - a.metric("backup_success_total")  # noqa: E731
        before = failures()
        eventually(lambda: failures() > before, "a backup fails")
        self.server.start()
        base = a.metric("backup_success_total")
        eventually(lambda: a.metric("backup_success_total") > base, "the next one does not")

    def test_a_changed_object_is_found_by_a_drill(self):
        a = self.agent()
        self.command(a, "backup", self.target, "--data", self.data(a))
        self.assertIn("can be restored", self.command(a, "backup", "drill", self.target, "--data", self.data(a)))
        part = glob.glob(self.server.bucket + "/**/*-000001.part", recursive=True)[0]
        with open(part, "r+b") as f:
            f.seek(4000)
            f.write(b"changed by somebody")
        text = self.command(a, "backup", "drill", self.target, "--data", self.data(a), code=1)
        self.assertIn(os.path.basename(part), text)
        self.assertIn("checksum", text)


if __name__ == "__main__":
    unittest.main()
