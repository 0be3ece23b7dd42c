#!/usr/bin/env python3
"""Adds up a meson testlog.json: every TAP line of a TAP test, one for any other test. Prints: passed failed skipped."""
import json
import re
import sys

passed = failed = skipped = 0
with open(sys.argv[1]) as log:
    for line in log:
        test = json.loads(line)
        out = test.get("stdout", "")
        ok = len(re.findall(r"^ok\b(?!.*# SKIP)", out, re.M))
        bad = len(re.findall(r"^not ok\b", out, re.M))
        skip = len(re.findall(r"^ok\b.*# SKIP", out, re.M))
        if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP") and bad == 0:
            bad = 1  # crashed, timed out, or a bad plan
        elif ok + bad + skip == 0:
            ok = 1
        passed, failed, skipped = passed + ok, failed + bad, skipped + skip
print(passed, failed, skipped)
