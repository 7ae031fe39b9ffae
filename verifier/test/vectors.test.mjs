/* Documents and bundles of tests/vectors, good and bad, are taken and refused as they are to be. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import test from "node:test";
import { part } from "./parts.mjs";

const VECTORS = join(import.meta.dirname, "../../tests/vectors");
const { audit } = await part("verify.ts");
const { NOBODY, readTrust } = await part("keys.ts");
const { BUILT_IN } = await part("policy.ts");
const { readClaim } = await part("claims.ts");
const { readRequest } = await part("request.ts");
const { broken } = await part("captures.ts");
const { canonicalText, parse, isCanonical } = await part("json.ts");
const { misfits } = await part("schema.ts");
const { evaluation } = await part("evaluation.ts");
const { modifierTest, outlineOf, recount } = await part("compute.ts");
const { familyOf } = await part("roles.ts");
const { kscore } = await part("kscore.ts");

const files = (...path) => readdirSync(join(VECTORS, ...path)).map((name) => join(VECTORS, ...path, name));
const bytes = (path) => new Uint8Array(readFileSync(path));

test("bundles", async () => {
  const { invalid } = JSON.parse(readFileSync(join(VECTORS, "bundle/expected.json"), "utf8"));
  for (const path of files("bundle", "invalid")) {
    const { checks } = await audit(bytes(path), NOBODY, BUILT_IN);
    const failed = checks.filter((check) => check.verdict === "failed" && check.id < "V10").map((check) => check.id);
    for (const id of Object.keys(invalid[basename(path, ".kolm")])) assert.ok(failed.includes(id), `${basename(path)}: ${id} is due, and ${failed} failed`);
  }
  const { checks } = await audit(bytes(join(VECTORS, "bundle/valid/toy.kolm")), NOBODY, BUILT_IN);
  const told = Object.fromEntries(checks.map((check) => [check.id, check.detail]));
  for (const [id, option] of [["V40", "--base"], ["V46", "--rescore"], ["V48", "--captures"], ["V53", "--replay"], ["V68", "--request"]]) assert.match(told[id], new RegExp(option), id);
  assert.deepEqual(checks.slice(0, 5).map((check) => check.verdict), Array(5).fill("ok"));
});

test("trust files", () => {
  for (const path of files("trust", "valid")) readTrust(bytes(path));
  for (const path of files("trust", "invalid")) assert.throws(() => readTrust(bytes(path)), basename(path));
});

test("claims", async () => {
  const trust = readTrust(bytes(join(VECTORS, "envelope/trust.json")));
  const right = async (path) => {
    const said = await readClaim({ bytes: bytes(path) }, trust);
    return said.signed === "right" && said.key.revokedOn === null;
  };
  for (const path of files("envelope", "valid")) assert.ok(await right(path), basename(path));
  for (const path of files("envelope", "invalid")) assert.ok(!(await right(path).catch(() => false)), basename(path));
});

test("a request is about its pack, by its own name", async () => {
  const policy = { schema: "urn:kolm:policy:v1", name: "buyer", claims: BUILT_IN.claims };
  const predicate = { name: "toys", nonce: "5e".repeat(32), pack: { captures: 1, kind: "open", root: `sha256:${"0".repeat(64)}` }, policy };
  const asked = (name) => {
    const envelope = parse(bytes(files("envelope", "valid")[0]));
    const statement = parse(new Uint8Array(Buffer.from(envelope.dsseEnvelope.payload, "base64")));
    const subject = [{ name, digest: { sha256: "0".repeat(64) } }];
    const payload = canonicalText({ ...statement, subject, predicateType: "urn:kolm:request:v1", predicate });
    envelope.dsseEnvelope.payload = Buffer.from(payload).toString("base64");
    return readRequest(new Uint8Array(Buffer.from(canonicalText(envelope))), NOBODY);
  };
  assert.equal((await asked("toys")).pack.kind, "open");
  await assert.rejects(asked("others"), /R1/);
});

const SCHEMA = { modules_row: 1, predictions_row: 1, examples_row: 1, trace_row: 1, checkpoint: 1, receipt: 1, kscore: 1, evaluation: 1 };

for (const name of Object.keys(SCHEMA)) {
  test(`schema ${name}`, () => {
    for (const path of files(name, "valid")) assert.deepEqual(misfits(name, parse(bytes(path))), [], path);
    for (const path of files(name, "invalid")) {
      let fits = true;
      try {
        fits = misfits(name, parse(bytes(path))).length === 0;
      } catch {
        fits = false;
      }
      assert.ok(!fits, path);
    }
  });
}

test("captures", () => {
  const right = (path) => {
    const data = bytes(path);
    const value = parse(data);
    return data.length <= 65536 && isCanonical(data, value) && misfits("capture", value).length === 0 && broken(value) === null;
  };
  for (const path of files("capture", "valid")) assert.ok(right(path), basename(path));
  for (const path of files("capture", "invalid")) {
    let taken = true;
    try {
      taken = right(path);
    } catch {
      taken = false;
    }
    assert.ok(!taken, basename(path));
  }
});

test("evaluations", () => {
  for (const name of ["exact", "pictures", "questions", "relaxed"]) {
    const { settings, predictions, evalcases, evaluation: due } = JSON.parse(readFileSync(join(VECTORS, `evaluation/${name}.json`), "utf8"));
    assert.equal(canonicalText(evaluation({ evaluation: settings }, predictions, evalcases)), canonicalText(due), name);
  }
});

test("K", () => {
  for (const line of readFileSync(join(VECTORS, "kscore-v1-v2.jsonl"), "utf8").trim().split("\n")) {
    const { input, out } = JSON.parse(line);
    const whole = ["accuracy", "coverage", "size_bytes", "p50_latency_us", "cost_usd_per_call"].every((key) => typeof input[key] === "number");
    if (out?.spec !== "k-score-1" || !whole) continue;
    const { accuracy, coverage, size_bytes, p50_latency_us, cost_usd_per_call } = input;
    const found = kscore({ accuracy: `${accuracy}`, coverage: `${coverage}`, size_bytes, p50_latency_us, cost_usd_per_call: `${cost_usd_per_call}` });
    assert.equal(Number(found.composite), out.composite, line);
  }
});

/* Rows of modules.jsonl of folded shapes: a star stands for each of some blocks. */
function modulesOf(shapes) {
  const rows = new Map();
  for (const [name, blocks, shape] of shapes) {
    for (const block of blocks.length ? blocks : [0]) {
      const full = name.replace("*", block);
      const [module, leaf] = [full.slice(0, full.lastIndexOf(".")), full.slice(full.lastIndexOf(".") + 1)];
      if (!rows.has(module)) rows.set(module, { module, parameters: [] });
      rows.get(module).parameters.push({ name: leaf, shape });
    }
  }
  return [...rows.values()];
}

test("operations", () => {
  const { families, order, trace, one, pairs } = JSON.parse(readFileSync(join(VECTORS, "operations/operations.json"), "utf8"));
  for (const [name, { shapes, cases }] of Object.entries(families)) {
    const family = familyOf(name);
    const base = outlineOf(modulesOf(shapes), family);
    for (const { name: setting, shared, train, flops } of cases) {
      const examples = train.objective.kind === "sft" ? one : pairs;
      const terms = recount({ seeds: { order }, train }, examples, trace, base, family, shared);
      assert.deepEqual(Object.fromEntries(Object.entries(terms).map(([term, count]) => [term, `${count}`])), flops, `${name}, ${setting}`);
    }
  }
});

test("the test of the base's compute", () => {
  for (const { total, base_compute, continues, due } of JSON.parse(readFileSync(join(VECTORS, "operations/modifier_test.json"), "utf8"))) {
    const lock = { dossier: base_compute === null ? {} : { base_compute }, train: { continues: continues ? {} : null } };
    assert.deepEqual({ ...modifierTest(BigInt(total), lock) }, due, `${total} beside ${base_compute}`);
  }
});
