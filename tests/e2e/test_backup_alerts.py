"""The alerts about backups, evaluated by the real rule engine over made-up series."""
import json
import os
import subprocess
import tempfile
import unittest

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "alerts.yaml")


class BackupAlertsTest(unittest.TestCase):
    def check(self, alert, series, at, fires, every="1m"):
        labels = {"BackupTooOld": "warning", "BackupDrillTooOld": "warning"}
        expected = [{"exp_labels": {"severity": labels.get(alert, "critical")}}] if fires else []
        case = {"rule_files": [RULES], "evaluation_interval": every,
                "tests": [{"interval": every, "input_series": [{"series": k, "values": v} for k, v in series.items()],
                           "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            json.dump(case, f)
            f.flush()
            done = subprocess.run(["promtool", "test", "rules", f.name], capture_output=True, text=True, timeout=60)
        text = done.stdout + done.stderr
        if fires:  # the words of the annotations are compared too, and not given: what was got stands in the complaint
            self.assertIn(f'alertname="{alert}"', text[text.index("got:"):] if "got:" in text else text)
        else:
            self.assertEqual(done.returncode, 0, text)

    def test_one_failed_attempt_fires_and_successes_alone_do_not(self):
        attempts, success = "agent_sre_backup_attempts_total", "agent_sre_backup_success_total"
        self.check("BackupFailed", {attempts: "1x20 2x10", success: "1x30"}, "25m", True)
        self.check("BackupFailed", {attempts: "1+1x30", success: "1+1x30"}, "25m", False)

    def test_a_backup_is_too_old_after_a_day(self):
        last = "agent_sre_backup_last_success_timestamp_seconds"
        self.check("BackupTooOld", {last: "0x1500"}, "1450m", True)
        self.check("BackupTooOld", {last: "0x1500"}, "1430m", False)

    def test_no_age_at_all_fires_only_when_every_target_was_looked_into(self):
        unknown = "agent_sre_backup_targets_unknown"
        for alert, gauge, hours in (("BackupTooOld", "agent_sre_backup_last_success_timestamp_seconds", 26),
                                    ("BackupDrillTooOld", "agent_sre_drill_last_success_timestamp_seconds", 35 * 24 + 2)):
            self.check(alert, {gauge: "0x900", unknown: "1x900"}, f"{hours}h", False, "1h")
            self.check(alert, {gauge: "0x900", unknown: "0x900"}, f"{hours}h", True, "1h")

    def test_a_target_that_is_not_known_hides_no_age_of_the_others(self):
        last, unknown = "agent_sre_backup_last_success_timestamp_seconds", "agent_sre_backup_targets_unknown"
        self.check("BackupTooOld", {last: "60x1500", unknown: "1x1500"}, "1450m", True)
        self.check("BackupTooOld", {last: "60x1500", unknown: "1x1500"}, "1430m", False)

    def test_an_hour_without_a_point_is_too_much(self):
        self.check("BackupRPOMissed", {"agent_sre_rpo_seconds": "0+60x100"}, "62m", True)
        self.check("BackupRPOMissed", {"agent_sre_rpo_seconds": "0+60x100"}, "59m", False)

    def test_a_failed_drill_fires(self):
        self.check("BackupDrillFailed", {"agent_sre_drill_failures_total": "0x10 1x10"}, "15m", True)
        self.check("BackupDrillFailed", {"agent_sre_drill_failures_total": "1x20"}, "15m", False)


if __name__ == "__main__":
    unittest.main()
