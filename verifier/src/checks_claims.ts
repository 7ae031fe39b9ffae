/** V16 to V19 and V35 to V37: what trusted claims say, held against the content. docs/format/verification.md. */

import { type Answer, Looking, notChecked } from "./answers.ts";
import type { Bundle } from "./bundle.ts";
import { type Counted, type Said, finished, started } from "./claims.ts";
import { type Lock, type ModuleRow, ROLES, type Role } from "./documents.ts";
import { type Json, type JsonObject, canonicalText, same } from "./json.ts";
import { kscore } from "./kscore.ts";
import { pairedMethod } from "./metrics/index.ts";
import { COMPUTE, KSCORE, MODULES, PROVENANCE, TEST_RESULT } from "./policy.ts";
import { compare, less, mul, ratio, rounded, stated, sub, abs } from "./rational.ts";
import { packRoot } from "./snapshot.ts";
import { signTest } from "./statistics.ts";

/** C12: the words about each role that the base has, from recomputed roles. */
export function words(modules: readonly ModuleRow[], roles: ReadonlyMap<string, Role>): string[] {
  return ROLES.flatMap((role) => {
    const states = modules.filter((row) => roles.get(row.module) === role).map((row) => row.state);
    if (states.length === 0) return [];
    return [`${role} ${states.includes("trained") ? "trained" : states.includes("adapted") ? "adapted" : "frozen"}`];
  });
}

export function modulesClaim(bundle: Bundle, counted: Counted, roles: ReadonlyMap<string, Role> | null): Answer {
  const made = counted.of(MODULES);
  const { lock, modules } = bundle.documents;
  if (made.length === 0) return notChecked("no trusted modules claim");
  if (lock === undefined || modules === undefined) return notChecked("lock or modules could not be read");
  if (roles === null) return notChecked("V20");
  const look = new Looking();
  for (const { predicate } of made) {
    look.demand(predicate.modules === bundle.digests.get("modules.jsonl"), "C12", "it is about another list of modules");
    look.demand(predicate.base === lock.base.root, "C12", "it is about another base");
    const due = words(modules, roles);
    look.demand(same(predicate.words, due), "C12", `it says ${String(predicate.words)}, and ${due.join(", ")} holds`);
  }
  return look.answer(`by ${names(made)}`, "attested");
}

const names = (made: Said[]): string => [...new Set(made.map((one) => one.key?.name))].join(", ");

export function provenanceClaim(bundle: Bundle, counted: Counted): Answer {
  const made = counted.of(PROVENANCE);
  const { lock, header } = bundle.documents;
  if (made.length === 0) return notChecked("no trusted provenance");
  if (lock === undefined || header === undefined) return notChecked("lock or snapshot could not be read");
  const look = new Looking();
  for (const { predicate } of made) {
    const definition = predicate.buildDefinition as JsonObject;
    const inner = definition.internalParameters as JsonObject;
    look.demand((definition.externalParameters as JsonObject).name === lock.name, "C11", "it was built under another name");
    look.demand(inner.lock === bundle.digests.get("spec.lock.json"), "C11", "it was built from another lock");
    look.demand(same(inner.environment, lock.environment), "C11", "it was built in another environment");
    const dependencies: Json = [
      { annotations: { id: lock.base.id }, digest: { merkleSha256: lock.base.root.slice(7) }, name: "base" },
      { digest: { merkleSha256: header.root.slice(7), sha256: bundle.digests.get("snapshot.json")?.slice(7) ?? "" }, name: "snapshot" },
    ];
    look.demand(same(definition.resolvedDependencies, dependencies), "C11", "it was built from another base or snapshot");
    const builder = (predicate.runDetails as JsonObject).builder as JsonObject;
    look.demand(builder.id === "urn:kolm:builder:local:v1", "C11", `the builder ${builder.id} is not known`);
    look.demand(started(predicate) <= finished(predicate), "C11", "it ends before it starts");
  }
  return look.answer(`by ${names(made)}`, "attested");
}

interface Dependency {
  name: string;
  digest: JsonObject;
}

const gateOf = (one: Said): JsonObject => one.predicate.gate as JsonObject;
const packOf = (one: Said): JsonObject => one.predicate.pack as JsonObject;
/** K7: of the bundle's own cases. */
export const isOwn = (one: Said): boolean => packOf(one).owner === "publisher";

/** What a test result says of the gate and of K, in the words of a K-score. */
function verdictOf({ predicate }: Said): string {
  const k = (predicate.passedTests as string[]).includes("k") || ((predicate.failedTests as string[]).includes("k") ? false : null);
  return `${String(predicate.result).toLowerCase()}, K ${k}`;
}

export function scoreClaims(bundle: Bundle, counted: Counted): Answer {
  const held = counted.holding.filter((one) => one.type === KSCORE);
  const scores = counted.of(KSCORE);
  const tests = counted.of(TEST_RESULT);
  const { snapshot, evaluation, lock } = bundle.documents;
  if (held.length + tests.length === 0) return notChecked("no trusted K-score or test result");
  if (!snapshot || !evaluation || !lock) return notChecked("snapshot, evaluation or lock could not be read");
  const look = new Looking();
  const own = packRoot(snapshot);
  look.demand(scores.length === 0 || scores.some(isOwn), "K7", "no K-score is about the bundle's own cases");
  for (const one of held) look.demand(counted.isInTime(one), "C17", "a K-score was measured before the build began");
  for (const one of scores.filter(isOwn)) {
    look.demand(one.predicate.evaluation === bundle.digests.get("evaluation.json"), "K7", "a K-score is of another evaluation");
    look.demand(packOf(one).root === own, "K7", "a K-score says that other cases are the bundle's own");
  }
  const decided = ["evaluation.json", "spec.lock.json"];
  const floors = evaluation.floors.filter((floor) => floor.demanded !== null);
  for (const { predicate } of tests) {
    const stated = (predicate.configuration as { name: string; digest: JsonObject }[]).map((one) => `${one.name} ${one.digest.sha256}`).sort();
    const due = decided.map((name) => `${name} ${bundle.digests.get(name)?.slice(7)}`);
    look.demand(stated.join() === due.join(), "C14", "a test result is over something else than evaluation and lock");
    const passed = predicate.passedTests as string[];
    const missed = predicate.failedTests as string[];
    look.demand(!passed.some((name) => missed.includes(name)), "C14", "a test stands on both sides");
    look.demand(predicate.result === (missed.length ? "FAILED" : "PASSED"), "C14", `the result is ${predicate.result}`);
    for (const floor of floors) {
      const side = floor.passed ? passed : missed;
      look.demand(side.includes(floor.name), "C14", `the floor ${floor.name} does not stand where the evaluation has it`);
    }
    const asked = [...floors.map((floor) => floor.name), ...(lock.evaluation.floors.k === null ? [] : ["k"])];
    look.demand(same([...passed, ...missed].sort(), asked.sort()), "C14", "its tests are not those that the lock demands");
  }
  for (const signer of new Set(tests.map((test) => test.keyid))) {
    const own = counted.scores().filter((score) => score.keyid === signer && isOwn(score));
    const verdicts = [
      ...own.map(gateOf).map((gate) => `${gate.verdict}, K ${gate.k_passed}`),
      ...tests.filter((test) => test.keyid === signer).map(verdictOf),
    ];
    look.demand(new Set(verdicts).size === 1, "K6", `two verdicts of one signer: ${verdicts.join("; ")}`);
  }
  return look.answer(`by ${names([...scores, ...tests])}`, "attested");
}

/** V19: what can be recomputed is the same in every claim of a kind. */
export function oneVoice(counted: Counted): Answer {
  const said = new Map<string, string>();
  const look = new Looking();
  const hold = (kind: string, what: Json | undefined): void => {
    const value = canonicalText(what ?? null);
    look.demand((said.get(kind) ?? value) === value, "C7", `two claims state different things of ${kind}`);
    said.set(kind, value);
  };
  for (const one of counted.counting) {
    const { type, predicate } = one;
    if (type === MODULES) {
      hold("modules", predicate.modules);
      hold("base", `${predicate.base}`);
    }
    if (type === PROVENANCE) {
      const definition = predicate.buildDefinition as JsonObject;
      const [base] = definition.resolvedDependencies as unknown as [Dependency];
      hold("base", `sha256:${base.digest.merkleSha256}`);
      hold("lock", (definition.internalParameters as JsonObject).lock);
    }
    if (type === KSCORE && isOwn(one)) {
      const { size_bytes: size, accuracy, coverage } = predicate.inputs as JsonObject;
      hold("size", size);
      hold("scores", [accuracy ?? null, coverage ?? null]);
    }
    if (type === COMPUTE) hold("operations", predicate.flops);
  }
  return look.answer("what can be recomputed is the same in all claims");
}

export function contentAxes(bundle: Bundle, counted: Counted, attested: boolean): Answer {
  const scores = counted.of(KSCORE);
  const { evaluation, lock, predictions } = bundle.documents;
  if (scores.length === 0) return notChecked("no trusted K-score");
  if (!evaluation || !lock || !predictions) return notChecked("a document could not be read");
  const look = new Looking();
  const size = ["adapter_model.safetensors", "adapter_config.json"].reduce((n, name) => n + (bundle.members.get(name)?.length ?? 0), 0);
  let elsewhere = false;
  for (const one of scores) {
    const { predicate } = one;
    const inputs = predicate.inputs as JsonObject;
    look.demand(Number(inputs.p95_latency_us) >= Number(inputs.p50_latency_us), "K4", "p95 is below the median");
    overlaps(look, packOf(one), isOwn(one));
    look.demand(inputs.size_bytes === size, "K1", `size_bytes is ${inputs.size_bytes}, and the adapter has ${size}`);
    const here = isOwn(one);
    elsewhere ||= !here;
    if (here) {
      look.demand(inputs.accuracy === evaluation.adapter.accuracy, "K1", `accuracy is ${inputs.accuracy}, and the evaluation has ${evaluation.adapter.accuracy}`);
      const coverage = rounded(ratio(evaluation.covered, evaluation.cases), 6);
      look.demand(inputs.coverage === coverage, "K1", `coverage is ${inputs.coverage}, and ${coverage} is due`);
    }
    const fewest = here ? 1 + predictions.reduce((least, row) => Math.min(least, row.adapter.tokens), Infinity) : 2;
    cost(look, lock, stated(String(inputs.cost_usd_per_call)), fewest);
    for (const rival of (predicate.rivals ?? []) as JsonObject[]) rivals(look, rival, lock, inputs);
  }
  return look.answer(elsewhere ? "on other cases accuracy and coverage are the signer's measurement" : "accuracy, coverage and size", attested || elsewhere ? "attested" : "recomputed");
}

/** K8: what the evaluator says of training can be. */
function overlaps(look: Looking, pack: JsonObject, own: boolean): void {
  const stated_ = pack.overlap as Record<string, number> | undefined;
  if (stated_ === undefined) return;
  look.demand(!own, "K8", "an overlap is stated for the bundle's own cases");
  const { captures = 0, seen_cases: seen = 0, cases = 0 } = stated_;
  look.demand(captures <= seen && seen <= cases, "K8", "the overlap contradicts itself");
}

/** K5. */
function cost(look: Looking, lock: Lock, claimed: ReturnType<typeof stated>, tokens: number): void {
  const price = lock.evaluation.cost;
  if (price.kind === "local") {
    look.demand(claimed.n === 0n, "K5", "an answer costs something, and the lock says local");
    return;
  }
  const least = stated(rounded(mul(stated(price.usd_per_1000_tokens), ratio(tokens, 1000)), 6));
  look.demand(!less(claimed, least), "K5", "an answer costs less than the fewest tokens at the lock's price");
}

/** K9: what contradicts itself. */
function rivals(look: Looking, rival: JsonObject, lock: Lock, inputs: JsonObject): void {
  const { bundle_only: ours, rival_only: theirs, p, method } = rival.paired as { bundle_only: number; rival_only: number; p: string; method: string };
  const cases = Number(rival.cases);
  look.demand(Number(rival.covered) <= cases, "K9", "a rival answered more cases than there are");
  if (!look.demand(ours + theirs <= cases, "K9", "a rival's counts are of more cases than there are")) return;
  const due = pairedMethod(lock.evaluation.metric);
  look.demand(method === due, "K9", "a rival's test is not the one for the metric");
  look.demand(signTest(ours, theirs) === p, "K9", "a rival's p does not follow from its counts");
  const mean = stated(String(rival.accuracy));
  for (const range of [rival.interval, rival.clustered] as JsonObject[]) {
    const inside = !less(mean, stated(String(range.low))) && !less(stated(String(range.high)), mean);
    look.demand(inside, "K9", "a rival's accuracy lies outside of its interval");
  }
  if (due === "sign-exact") return;
  const apart = sub(stated(String(inputs.accuracy)), mean);
  look.demand(compare(abs(sub(apart, ratio(ours - theirs, cases))), ratio(1, 1_000_000)) <= 0, "K9", "a rival's counts do not give the accuracies");
}

export function axes(counted: Counted): Answer {
  const scores = counted.of(KSCORE);
  if (scores.length === 0) return notChecked("no trusted K-score");
  const look = new Looking();
  for (const { predicate } of scores) {
    const due = kscore(predicate.inputs as JsonObject);
    look.demand(same(predicate.axes, due.axes), "K2", "an axis does not follow from the inputs");
    look.demand(predicate.composite === due.composite, "K2", `K is ${predicate.composite}, and ${due.composite} follows from the inputs`);
  }
  return look.answer("axes and K follow from the inputs", "attested");
}

export function gates(bundle: Bundle, counted: Counted): Answer {
  const scores = counted.of(KSCORE);
  const { lock, evaluation } = bundle.documents;
  if (scores.length === 0) return notChecked("no trusted K-score");
  if (!lock || !evaluation) return notChecked("a document could not be read");
  const look = new Looking();
  for (const one of scores) {
    const gate = gateOf(one);
    const k = lock.evaluation.floors.k;
    look.demand(gate.k === k, "K6", `it demands a K of ${gate.k}, and the lock ${k}`);
    const passed = k === null ? null : !less(stated(String(one.predicate.composite)), stated(k));
    look.demand(gate.k_passed === passed, "K6", `k_passed is ${gate.k_passed}`);
    if (isOwn(one)) look.demand(gate.floors_passed === evaluation.floors_passed, "K6", `floors_passed is ${gate.floors_passed}`);
    const verdict = passed !== false && gate.floors_passed ? "passed" : "failed";
    look.demand(gate.verdict === verdict, "K6", `the gate says ${gate.verdict}, and ${verdict} follows`);
  }
  return look.answer("the gate follows from K and the floors", "attested");
}
