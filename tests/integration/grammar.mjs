// Reads {"logql": [...], "traceql": [...]} from stdin and prints those that the grammars do not accept, one JSON list a line.
import { readFileSync } from "node:fs";
import { parser as logql } from "@grafana/lezer-logql";
import { parser as traceql } from "@grafana/lezer-traceql";

const parsers = { logql, traceql };
const queries = JSON.parse(readFileSync(0, "utf8"));
for (const [language, list] of Object.entries(queries)) {
  for (const text of list) {
    let wrong = null;
    parsers[language].parse(text).iterate({ enter: (node) => { if (node.type.isError && wrong === null) wrong = node.from; } });
    if (wrong !== null) console.log(JSON.stringify([language, text, wrong]));
  }
}
