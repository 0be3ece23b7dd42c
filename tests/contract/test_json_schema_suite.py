"""The official JSON Schema test suite for draft-07, as the source package of PyPI's jsonschema carries it."""
import glob
import json
import os
import subprocess
import sys
import tarfile
import unittest

VERSION = "4.23.0"
JUDGE = os.environ["JUDGE_SCHEMAS"]
CACHE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "json-schema-suite")

# What json_schema.h and pattern.h refuse to compile rather than ignore: part of the refusal's message.
LEFT_OUT = ("only references into this document", "is supported at the root only", "only date-time and uri are supported",
            "look-around and named groups", "an escape that is not supported")


def suite():
    folder = os.path.join(CACHE, f"jsonschema-{VERSION}")
    if not os.path.isdir(folder):
        os.makedirs(CACHE, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--no-binary", "jsonschema", "--dest", CACHE, f"jsonschema=={VERSION}"], check=True)
        with tarfile.open(os.path.join(CACHE, f"jsonschema-{VERSION}.tar.gz")) as package:
            wanted = [m for m in package.getmembers() if "/json/tests/draft7/" in m.name and ".." not in m.name]
            package.extractall(CACHE, wanted)
    return os.path.join(folder, "json", "tests", "draft7")


def judged(*patterns):
    files = sorted(f for pattern in patterns for f in glob.glob(os.path.join(suite(), pattern)))
    run = subprocess.run([JUDGE, *files], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


class SuiteTest(unittest.TestCase):
    def check(self, rows, at_least):
        decided = [r for r in rows if isinstance(r["got"], bool)]
        wrong = [r for r in decided if r["got"] != r["want"]]
        self.assertEqual(wrong, [])
        unexpected = [r for r in rows if not isinstance(r["got"], bool) and not any(w in r["got"] for w in LEFT_OUT)]
        self.assertEqual(unexpected, [])
        print(f"# {len(decided)} tests judged as the suite wants, {len(rows) - len(decided)} left out")
        self.assertGreaterEqual(len(decided), at_least)

    def test_every_required_test_is_judged_right_or_its_schema_is_refused(self):
        self.check(judged("*.json"), 750)

    def test_date_time_and_uri(self):
        self.check(judged("optional/format/date-time.json", "optional/format/uri.json"), 51)

    def test_regular_expressions(self):
        self.check(judged("optional/ecmascript-regex.json", "optional/non-bmp-regex.json"), 70)


if __name__ == "__main__":
    unittest.main()
