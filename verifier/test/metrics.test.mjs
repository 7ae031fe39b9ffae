/* Every metric gives what its published scorer gave: tests/vectors/metrics. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { part } from "./parts.mjs";

const FOLDER = join(import.meta.dirname, "../../tests/vectors/metrics");
const rows = (name) => readFileSync(join(FOLDER, `${name}.jsonl`), "utf8").trim().split("\n").map((line) => JSON.parse(line));
const { judgeOf } = await part("metrics/index.ts");
const { picked } = await part("metrics/choice.ts");
const { form } = await part("metrics/vqa.ts");
const { BadPattern, compile, find } = await part("metrics/regex.ts");
const { signTest } = await part("statistics.ts");
const number = ({ n, d }) => Number((n * 10n ** 20n) / d) / 1e20;

for (const name of ["contains", "iou", "json_f1", "pope", "relaxed", "rouge_l", "vqa"]) {
  test(name, () => {
    for (const row of rows(name)) {
      if (!("output" in row)) continue;
      const { score } = judgeOf({ kind: name, ...row.options }, [row.references]).judge(row.output, row.references);
      assert.ok(Math.abs(number(score) - Number(row.score)) < 1e-9, `${JSON.stringify(row)}: ${number(score)}`);
      if (row.normalised !== undefined) assert.equal(form(row.output), row.normalised, JSON.stringify(row));
    }
  });
}

test("cider_d", () => {
  const all = rows("cider_d").filter((row) => "output" in row);
  for (const pack of new Set(all.map((row) => row.pack))) {
    const own = all.filter((row) => row.pack === pack);
    const judge = judgeOf({ kind: "cider_d" }, own.map((row) => row.references));
    for (const row of own) {
      const { score } = judge.judge(row.output, row.references);
      assert.ok(Math.abs(number(score) - Number(row.score) / 10) < 1e-9, `${JSON.stringify(row)}: ${number(score)}`);
    }
  }
});

test("choice", () => {
  for (const row of rows("choice")) assert.equal(picked(row.output, row.options.choices), row.picked, JSON.stringify(row));
});

test("regex", () => {
  let compared = 0;
  for (const row of rows("regex")) {
    let pattern;
    try {
      pattern = compile(row.pattern);
    } catch (problem) {
      assert.ok(problem instanceof BadPattern);
      continue; // a pattern outside of the part that the format knows
    }
    const found = find(pattern, [...row.text]);
    const span = found && (pattern.group ? found.group : [found.start, found.end]);
    assert.deepEqual(span?.[0] === -1 ? null : span, row.span, JSON.stringify(row));
    compared++;
  }
  assert.ok(compared > 900, `${compared} patterns`);
});

test("what the format does not know is no pattern", () => {
  for (const pattern of ["(a)(b)", "(a)*", "a**", "(?=a)", "[", "a{3,2}", "\\1", "(?:a*)*", "a{33}", "a{0}", "^*"]) {
    assert.throws(() => compile(pattern), BadPattern, pattern);
  }
});

test("what the format says where no published scorer does", () => {
  for (const { metric, output, references, score, parsed } of rows("edges")) {
    const said = judgeOf(metric, [references]).judge(output, references);
    assert.deepEqual([number(said.parsed ? said.score : { n: 0n, d: 1n }), said.parsed], [Number(score), parsed], output.slice(0, 80));
  }
});

test("long texts cost what they weigh", () => {
  const before = performance.now();
  for (const text of [`a${" ".repeat(60000)}b`, `\`\`\`\n${"\n".repeat(60000)}x\`\`\``, "a ".repeat(30000)]) {
    for (const kind of ["json_f1", "rouge_l", "vqa"]) judgeOf({ kind }, [[text]]).judge("a ".repeat(1500), [text]);
  }
  assert.ok(performance.now() - before < 5000);
});

test("the sign test of many cases", () => {
  const found = [[99000, 100000], [29700, 30300], [1000, 1001], [100000, 100000], [1, 199999]].map(([b, c]) => signTest(b, c));
  assert.deepEqual(found, ["0.025127", "0.014468", "1", "1", "0"]);
});
