"""Every LogQL and TraceQL that is sent, for alerts of all kinds and hostile labels, before the grammars that Loki's and Tempo's own
editors use. NODE_MODULES names where tests/integration/package.json is installed."""
import json
import os
import shutil
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "doubles"))
from loki_double import LokiDouble  # noqa: E402
from tempo_double import TempoDouble  # noqa: E402

PRINT_EVIDENCE, NODE_MODULES = os.environ["PRINT_EVIDENCE"], os.environ["NODE_MODULES"]
VALUES = ("cart-7d9f8b6c5d-x2x9z", "ca.rt|(x)*", '"} or vector(1) #', "a\\", 'x" && true } || { duration > 0s', "line\nbreak", "`'{}[]()",
          "\x01\x7f", "\ufeff", "é😀", "None", "{{ $labels.pod }}", "")
SHAPES = (("namespace", "pod"), ("namespace", "pod", "service"), ("namespace", "deployment"), ("namespace", "statefulset", "app"),
          ("namespace", "app"), ("job", "instance"), ("namespace", "persistentvolumeclaim", "service"), ("namespace",), ("node", "job"))


class GrammarTest(unittest.TestCase):
    def judge(self, queries):
        for name in ("grammar.mjs", "package.json"):
            shutil.copy(os.path.join(HERE, name), NODE_MODULES)
        done = subprocess.run(["node", "grammar.mjs"], cwd=NODE_MODULES, input=json.dumps(queries), capture_output=True, text=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_the_judges_tell_right_from_wrong(self):
        right = {"logql": ['{a="b"} | json', 'sum by (a) (count_over_time({a="b"}[15s]))'], "traceql": ['{ resource.service.name = "a" && duration > 1s }']}
        wrong = {"logql": ["{a=}", '{a="b} | json', "sum by (count_over_time({a=\"b\"}[15s])"], "traceql": ['{ resource.service.name = "a }', "{ duration > }"]}
        self.assertEqual(self.judge(right), [])
        self.assertEqual(len(self.judge(wrong)), 5)

    def test_all_queries_are_accepted(self):
        loki, tempo = LokiDouble(), TempoDouble()
        self.addCleanup(loki.close)
        self.addCleanup(tempo.close)
        for value in VALUES:
            for shape in SHAPES:
                labels = {"alertname": "A", **{name: value for name in shape}}
                done = subprocess.run([PRINT_EVIDENCE, "-", loki.url, tempo.url, json.dumps(labels), "1768474000000", "1768474020000", "5000", ""],
                                      capture_output=True, text=True, timeout=60, check=True)
                for source in ("logs", "traces"):
                    self.assertEqual(json.loads(done.stdout)["asked"][source]["status"], "ok")  # or not asked
        self.assertGreater(len(set(loki.queries)), 100)
        self.assertGreater(len(set(tempo.queries)), 20)
        self.assertEqual(self.judge({"logql": sorted(set(loki.queries)), "traceql": sorted(set(tempo.queries))}), [])
        print(f"# {len(set(loki.queries))} LogQL and {len(set(tempo.queries))} TraceQL queries")


if __name__ == "__main__":
    unittest.main()
