"""A short torture run, and the proof that its judge sees: each way of spoiling a run must be found out."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class TortureTest(unittest.TestCase):
    def torture(self, *arguments):
        run = subprocess.run([sys.executable, os.path.join(HERE, "torture.py"), *map(str, arguments)], capture_output=True, text=True)
        for line in (run.stdout + run.stderr).splitlines():
            print("# " + line, flush=True)
        self.output = run.stdout + run.stderr
        rows = dict(line.rsplit(None, 1) for line in run.stdout.splitlines() if line[:1] not in (" ", "") and len(line.split()) > 1)
        return run.returncode, rows

    def clean(self, *arguments):
        code, rows = self.torture(*arguments)
        self.assertEqual(code, 0)
        for row in ("events lost", "incidents doubled", "effects lost", "effects doubled", "tickets doubled", "comments doubled"):
            self.assertEqual(rows[row], "0", row)
        return rows

    def spoiled(self, how, *rows, more=()):
        """Many short lives, so that chance spares no run."""
        code, seen = self.torture("--kills", 30, "--rate", 15, "--patience", 15, "--show", 1, "--break", how, *more)
        self.assertEqual(code, 1)
        for row in rows:
            self.assertGreater(int(seen[row]), 0, row)

    def test_50_kills_lose_and_double_nothing_with_linear(self):
        self.clean("--kills", 50, "--rate", 10, "--mode", "linear")

    def test_20_kills_lose_and_double_nothing_with_the_embedded_tracker(self):
        self.clean("--kills", 20, "--rate", 10, "--mode", "embedded")

    def test_40_power_cuts_lose_and_double_nothing(self):
        rows = self.clean("--power", "--kills", 40, "--rate", 10, "--mode", "embedded")
        self.assertEqual(rows["changes unseen"], "0")
        self.assertGreater(int(rows["changes not synced at a cut"]), 40)

    def test_the_judge_sees_an_intake_log_that_is_not_synced(self):
        self.spoiled("lie:intake-", "events lost", more=["--power"])

    def test_the_judge_sees_a_database_that_is_not_synced(self):
        """What is found depends on the cut: events lost, pages that do not fit, or a database that the agent refuses to open."""
        code, seen = self.torture("--kills", 30, "--rate", 15, "--patience", 15, "--show", 1, "--break", "lie:wal", "--power")
        self.assertEqual(code, 1)
        rows = ("events lost", "incidents doubled", "effects lost", "effects doubled", "tickets lost", "tickets doubled", "comments lost",
                "comments doubled", "not finished", "database damaged")
        found = [row for row in rows if int(seen.get(row, 0)) > 0]
        self.assertTrue(found or "the database is damaged" in self.output)

    def test_the_judge_sees_an_early_acknowledgement(self):
        self.spoiled("ack-early", "events lost")

    def test_the_judge_sees_events_that_are_not_recognised(self):
        self.spoiled("dedupe", "incidents doubled", "effects doubled")

    def test_the_judge_sees_peers_that_forget_keys(self):
        self.spoiled("no-key", "effects doubled", "tickets doubled", "comments doubled")


if __name__ == "__main__":
    unittest.main()
