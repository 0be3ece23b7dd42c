"""Charts as others see them: golden pictures, XML, and the schema of Vega-Lite.

After a change that is meant, and after looking at what it did:
    UPDATE_GOLDEN=1 DRAW_CHARTS=build/tests/unit/chart/draw_charts tests/python.sh tests/tap.py tests/contract/test_charts.py GoldenTest
"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tools"))
import picture  # noqa: E402
from PIL import Image  # noqa: E402

DRAW = os.environ["DRAW_CHARTS"]
EVIDENCE = os.path.join(HERE, "..", "data", "evidence")
GOLDEN = os.path.join(HERE, "..", "golden", "charts")
REMEDIED = "2026-01-15T10:57:00Z"
KINDS = ["cpu", "memory-cpu", "requests", "resources", "log-volume", "error-classes", "latency", "service-map", "comparison"]
DARK = ["cpu", "log-volume", "service-map"]  # the theme is one table of colours: three pictures show all of it


def load(name):
    with open(os.path.join(EVIDENCE, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


class Charts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="charts-")
        self.addCleanup(shutil.rmtree, self.folder)

    def draw(self, evidence, theme="light", *remedied):
        """Draws an evidence, a name or a value, and returns the folder with the files."""
        if isinstance(evidence, dict):
            path = os.path.join(self.folder, "evidence.in")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(evidence, file)
        else:
            path = os.path.join(EVIDENCE, evidence + ".json")
        out = tempfile.mkdtemp(dir=self.folder)
        subprocess.run([DRAW, path, out, theme, *remedied], check=True)
        return out


class GoldenTest(Charts):
    def compare(self, folder, theme, names):
        for name in names:
            golden = os.path.join(GOLDEN, f"{theme}-{name}.png")
            drawn = os.path.join(folder, name + ".png")
            if os.environ.get("UPDATE_GOLDEN"):
                os.makedirs(GOLDEN, exist_ok=True)
                Image.open(drawn).save(golden, optimize=True)
            with self.subTest(theme=theme, chart=name):
                self.assertLessEqual(picture.difference(golden, drawn), picture.TOLERANCE)

    def test_light(self):
        self.compare(self.draw("surge", "light", REMEDIED), "light", KINDS)

    def test_dark(self):
        self.compare(self.draw("surge", "dark", REMEDIED), "dark", DARK)

    def differs(self, evidence, *names):
        folder = self.draw(evidence, "light", REMEDIED)
        for name in names:
            with self.subTest(chart=name):
                found = picture.difference(os.path.join(GOLDEN, f"light-{name}.png"), os.path.join(folder, name + ".png"))
                print(f"# {name}: {found:.4f} of the blocks differ")
                self.assertGreater(found, 2 * picture.TOLERANCE)

    def test_a_series_that_is_moved_by_five_minutes_is_noticed(self):
        evidence = load("surge")
        for series in evidence["series"]:
            if series["role"] == "cpu" and series["object"].endswith("x2x4z"):
                series["start_ms"] += 300000
        self.differs(evidence, "cpu", "resources")

    def test_an_alert_marker_that_is_gone_is_noticed(self):
        evidence = load("surge")
        evidence["window"]["alert_ms"] = evidence["window"]["start_ms"] - 1
        self.differs(evidence, "cpu", "requests", "resources", "log-volume")

    def test_an_alert_line_that_is_painted_over_is_noticed(self):
        """Nothing but the line itself: what is left of it takes its place."""
        golden = os.path.join(GOLDEN, "light-cpu.png")
        without = os.path.join(self.folder, "without.png")
        image = Image.open(golden).convert("RGB")
        alarm = [x for x in range(image.width) if image.getpixel((x, 300)) == (0xb8, 0x43, 0x00)]
        self.assertIn(len(alarm), (2, 3, 4))
        image.paste(image.crop((alarm[0] - 12, 170, alarm[0] - 2, 552)), (alarm[0] - 2, 170))
        image.save(without)
        found = picture.difference(golden, without)
        print(f"# {found:.4f} of the blocks differ")
        self.assertGreater(found, 2 * picture.TOLERANCE)

    def test_a_missing_bar_and_a_faster_service_are_noticed(self):
        evidence = load("surge")
        evidence["lines"] = [line for line in evidence["lines"] if "OutOfMemory" not in line["text"]]
        for span in evidence["spans"]:
            if span["service"] == "database-service":
                span["duration_us"] //= 4
        self.differs(evidence, "log-volume", "error-classes", "service-map")

    def test_rounding_is_not_noticed(self):
        golden = os.path.join(GOLDEN, "light-cpu.png")
        noisy = os.path.join(self.folder, "noisy.png")
        image = Image.open(golden).convert("RGB")
        image.point([min(255, max(0, v + (2 if v % 3 else -2))) for v in range(256)] * 3).save(noisy)
        self.assertEqual(picture.difference(golden, noisy), 0)


class FormTest(Charts):
    def test_every_svg_is_xml_with_a_title_and_without_anything_active(self):
        for evidence in ("surge", "quiet", "hostile"):
            folder = self.draw(evidence, "dark", REMEDIED)
            found = glob.glob(os.path.join(folder, "*.svg"))
            self.assertGreater(len(found), 2)
            for path in found:
                with self.subTest(evidence=evidence, chart=os.path.basename(path)):
                    root = xml.parse(path).getroot()
                    names = {element.tag.split("}")[-1] for element in root.iter()}
                    self.assertIn("title", names)
                    self.assertIn("desc", names)
                    self.assertFalse(names & {"script", "foreignObject", "a", "image", "text"}, names)

    def test_hostile_words_are_masked_and_cut(self):
        with open(os.path.join(self.draw("hostile"), "words.json"), encoding="utf-8") as file:
            words = file.read()
        self.assertNotIn("hunter2", words)
        self.assertNotIn("\u202e", words)
        self.assertNotIn("x" * 1200, words)

    def test_pictures_are_below_a_megabyte(self):
        for evidence in ("surge", "hostile"):
            for path in glob.glob(os.path.join(self.draw(evidence, "light", REMEDIED), "*.png")):
                self.assertLess(os.path.getsize(path), 1000000)
                with open(path, "rb") as file:
                    self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")


class VegaTest(Charts):
    @classmethod
    def setUpClass(cls):
        import altair
        import jsonschema
        path = os.path.join(os.path.dirname(altair.__file__), "vegalite", "v5", "schema", "vega-lite-schema.json")
        with open(path, encoding="utf-8") as file:
            cls.judge = jsonschema.Draft7Validator(json.load(file))

    def specifications(self):
        for evidence in ("surge", "quiet", "hostile"):
            for path in sorted(glob.glob(os.path.join(self.draw(evidence, "light", REMEDIED), "*.json"))):
                if os.path.basename(path) != "words.json":
                    with open(path, encoding="utf-8") as file:
                        yield evidence, os.path.basename(path), json.load(file)

    def test_every_specification_is_valid(self):
        seen = 0
        for evidence, name, spec in self.specifications():
            with self.subTest(evidence=evidence, chart=name):
                self.assertEqual([error.message[:300] for error in self.judge.iter_errors(spec)], [])
            seen += 1
        self.assertGreaterEqual(seen, 9 + 4)

    def test_what_is_no_specification_is_refused_by_that_schema(self):
        spec = next(spec for _, name, spec in self.specifications() if name == "cpu.json")
        self.assertTrue(self.judge.is_valid(spec))
        spec["layer"][0]["mark"] = "nothing"
        self.assertFalse(self.judge.is_valid(spec))

    def test_vega_draws_each(self):
        import vl_convert
        for evidence, name, spec in self.specifications():
            with self.subTest(evidence=evidence, chart=name):
                svg = vl_convert.vegalite_to_svg(spec, vl_version="5.20")
                root = xml.fromstring(svg)
                self.assertGreater(len(list(root.iter())), 30)


if __name__ == "__main__":
    unittest.main()
