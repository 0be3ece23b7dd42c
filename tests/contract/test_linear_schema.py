"""The Linear client's documents are valid GraphQL for Linear's schema; and the double's hand-written part of that
schema says nothing else than the full one (when LINEAR_SCHEMA, or ../shared/data/linear-schema.graphql, is there)."""
import json
import os
import subprocess
import unittest

import graphql

HERE = os.path.dirname(os.path.abspath(__file__))
FULL = os.environ.get("LINEAR_SCHEMA", os.path.join(HERE, "../../../shared/data/linear-schema.graphql"))


def read(path):
    with open(path) as f:
        return graphql.build_schema(f.read(), assume_valid=True)


def documents():
    return json.loads(subprocess.run([os.environ["PRINT_DOCUMENTS"]], check=True, capture_output=True).stdout)


class SchemaTest(unittest.TestCase):
    def check(self, schema):
        for text in documents():
            with self.subTest(text[:40]):
                self.assertEqual(graphql.validate(schema, graphql.parse(text)), [])

    def test_documents_fit_the_doubles_schema(self):
        self.assertGreater(len(documents()), 8)
        self.check(read(os.path.join(HERE, "../doubles/linear.graphql")))

    def test_a_wrong_field_or_type_would_be_found(self):
        schema = read(os.path.join(HERE, "../doubles/linear.graphql"))
        for text in ("query { viewer { nme } }", "query($id: Int!) { issue(id: $id) { id } }",
                     "mutation { issueCreate(input: {title: \"x\"}) { success } }"):
            self.assertTrue(graphql.validate(schema, graphql.parse(text)), text)

    @unittest.skipUnless(os.path.exists(FULL), "the full schema is not here")
    def test_documents_fit_linears_own_schema(self):
        self.check(read(FULL))

    @unittest.skipUnless(os.path.exists(FULL), "the full schema is not here")
    def test_the_doubles_schema_is_part_of_linears(self):
        full = read(FULL)
        part = read(os.path.join(HERE, "../doubles/linear.graphql"))
        for name, kind in part.type_map.items():
            if name.startswith("__") or not hasattr(kind, "fields"):
                continue
            self.assertIn(name, full.type_map)
            for field, definition in kind.fields.items():
                with self.subTest(f"{name}.{field}"):
                    self.assertIn(field, full.type_map[name].fields)
                    other = full.type_map[name].fields[field]
                    self.assertEqual(str(definition.type), str(other.type))
                    for argument, a in getattr(definition, "args", {}).items():
                        self.assertEqual(str(a.type), str(other.args[argument].type))


if __name__ == "__main__":
    unittest.main()
