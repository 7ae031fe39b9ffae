/** V60 to V67, and the four verdicts: docs/format/policy.md and verification.md. */

import { type Answer, Looking, type Verdict, couldNotLook, notChecked, ok } from "./answers.ts";
import type { Bundle } from "./bundle.ts";
import { isOwn, words } from "./checks_claims.ts";
import { type Counted, laterScore } from "./claims.ts";
import type { Evaluation, Lock, Metric, Role } from "./documents.ts";
import { type JsonObject, same } from "./json.ts";
import type { Trust } from "./keys.ts";
import type { Policy } from "./policy.ts";
import { compare, less, stated, sub } from "./rational.ts";
import { packRoot } from "./snapshot.ts";

export type Answers = ReadonlyMap<string, Answer>;

export const POLICY_CHECKS = ["V60", "V61", "V62", "V63", "V64", "V65", "V66", "V67"];

const of = (answers: Answers, id: string): Verdict => answers.get(id)?.verdict ?? "not_checked";

/** The scores were recomputed from the cases. */
export const recomputed = (answers: Answers): boolean => of(answers, "V32") === "ok" && of(answers, "V33") === "ok";

export function policyChecks(
  bundle: Bundle, counted: Counted, trust: Trust, policy: Policy, answers: Answers, roles: ReadonlyMap<string, Role> | null,
): Map<string, Answer> {
  const { lock } = bundle.documents;
  if (lock === undefined) {
    const open = notChecked("the lock could not be read");
    return new Map(POLICY_CHECKS.map((id) => [id, id === "V65" ? reach(policy, answers, false) : open]));
  }
  return new Map([
    ["V60", base(lock, policy)],
    ["V61", method(bundle, lock, policy, roles)],
    ["V62", scores(bundle, lock, counted, policy, answers)],
    ["V63", licences(bundle, policy, answers)],
    ["V64", environment(lock, policy)],
    ["V65", reach(policy, answers, counted.scores().length > 0)],
    ["V66", packs(counted, trust, policy)],
    ["V67", declared(lock, policy)],
  ]);
}

const none = "the policy has no such clause";

function base(lock: Lock, policy: Policy): Answer {
  const look = new Looking();
  const { root, family, license } = lock.base;
  if (policy.base_roots) look.demand(policy.base_roots.includes(root), "base_roots", `the base is ${root}`);
  if (policy.families) look.demand(policy.families.includes(family), "families", `the family is ${family}`);
  if (policy.licenses) look.demand(policy.licenses.includes(license), "licenses", `the licence of the base is ${license || "not stated"}`);
  return look.answer(policy.base_roots || policy.families || policy.licenses ? "the base is accepted" : none);
}

function method(bundle: Bundle, lock: Lock, policy: Policy, roles: ReadonlyMap<string, Role> | null): Answer {
  const look = new Looking();
  const { kind } = lock.train.method;
  if (policy.methods) look.demand(policy.methods.includes(kind), "methods", `the method is ${kind}`);
  if (policy.freeze) {
    const { modules } = bundle.documents;
    if (roles === null || modules === undefined) return look.findings.length ? look.answer("") : couldNotLook("roles could not be recomputed");
    const hold = words(modules, roles);
    for (const word of policy.freeze) look.demand(hold.includes(word), "freeze", `'${word}' does not hold: ${hold.join(", ")}`);
  }
  return look.answer(policy.methods || policy.freeze ? "method and freeze rules are accepted" : none);
}

function scores(bundle: Bundle, lock: Lock, counted: Counted, policy: Policy, answers: Answers): Answer {
  const { evaluation, snapshot } = bundle.documents;
  const look = new Looking();
  let open = "";
  if (evaluation === undefined || snapshot === undefined) return couldNotLook("the evaluation could not be read");
  if (policy.metrics) {
    const accepted = policy.metrics.some((one) => metricAccepted(one, lock.evaluation.metric));
    look.demand(accepted, "metrics", `the metric is ${lock.evaluation.metric.kind}, with its options`);
  }
  if (policy.text === "published") look.demand(bundle.digests.has("evalcases.jsonl"), "text", "prompts and references are withheld");
  if (policy.eval_pack_roots) {
    const root = packRoot(snapshot);
    look.demand(policy.eval_pack_roots.includes(root), "eval_pack_roots", `the cases are ${root}`);
  }
  const numbers = policy.minimum_eval_cases !== undefined || policy.lower_bound_above !== undefined || Object.keys(policy.floors ?? {}).length > 0;
  const known = recomputed(answers);
  if (numbers && !known) open = "the scores were not recomputed";
  if (numbers && known) {
    const unseen = observed(look, policy, evaluation);
    if (unseen !== null) open ||= `the policy demands ${unseen}, and nothing was observed`;
  }
  if (policy.gate === "passed" || policy.floors?.k !== undefined) {
    const decisive = deciding(counted, policy);
    if (decisive === null) open ||= "no K-score counts";
    else {
      const gate = decisive.gate as JsonObject;
      if (policy.gate === "passed") look.demand(gate.verdict === "passed", "gate", "the gate failed");
      if (policy.floors?.k !== undefined && known) {
        look.demand(!less(stated(String(decisive.composite)), stated(policy.floors.k)), "floors.k", `K is ${decisive.composite}`);
      }
    }
  }
  if (look.findings.length) return look.answer("");
  return open ? couldNotLook(open) : ok("evaluation and gate meet the policy");
}

/** The clauses about numbers of the evaluation; gives the first floor for which nothing is observed. */
function observed(look: Looking, policy: Policy, found: Evaluation): string | null {
  let unseen: string | null = null;
  if (policy.minimum_eval_cases !== undefined) {
    const { distinct_questions: distinct } = found;
    look.demand(distinct >= policy.minimum_eval_cases, "minimum_eval_cases", `${distinct} distinct questions`);
  }
  const low = stated(found.adapter.interval.low);
  const seeing = found.images > 0;
  for (const name of policy.lower_bound_above ?? []) {
    const other = found[name];
    if (name === "blind" && (other === null || !seeing)) continue;
    look.demand(other !== null && less(stated(other.accuracy), low), "lower_bound_above", `the lower bound ${found.adapter.interval.low} is not above ${name}, ${other?.accuracy}`);
  }
  for (const [name, least] of Object.entries(policy.floors ?? {})) {
    if (name === "k") continue;
    const floor = found.floors.find((one) => one.name === name);
    let value = floor?.observed ?? null;
    if (name === "worst_slice") value = worstSlice(found, 30);
    if (value === null) {
      unseen ??= name;
      continue;
    }
    const better = found.paired.adapter_only > found.paired.base_only && !less(stated(found.adapter.accuracy), stated(found.base.accuracy));
    const holds = name === "better_than_base_p" ? less(stated(value), stated(least)) && better : !less(stated(value), stated(least));
    look.demand(holds, `floors.${name}`, `${name} is ${value}`);
  }
  return unseen;
}

/** Over every slice of 30 cases or more, and smaller ones where the lock's own minimum is lower. */
function worstSlice(found: Evaluation, most: number): string {
  const own = stated(found.floors.find((one) => one.name === "worst_slice")?.observed ?? found.adapter.accuracy);
  const rest = found.slices.filter((slice) => slice.cases >= most).map((slice) => stated(slice.accuracy));
  const least = [own, ...rest].reduce((a, b) => (less(b, a) ? b : a));
  return found.slices.map((slice) => slice.accuracy).find((one) => compare(stated(one), least) === 0) ?? found.floors.find((one) => one.name === "worst_slice")?.observed ?? found.adapter.accuracy;
}

/** Whether a metric is one that the policy accepts: by name, or with options that are no laxer. */
function metricAccepted(accepted: string | Metric, metric: Metric): boolean {
  if (typeof accepted === "string") return accepted === metric.kind;
  if (accepted.kind !== metric.kind) return false;
  return Object.entries(accepted).every(([key, value]) => {
    if (key === "tolerance" || (key === "threshold" && metric.kind === "anls")) return compare(stated(String(metric[key])), stated(String(value))) <= 0;
    if (key === "threshold") return compare(stated(String(metric[key])), stated(String(value))) >= 0;
    return same(metric[key], value);
  });
}

/** The K-score on the bundle's own cases that counts: a failed gate first, then the lowest K; or the newest of the key that the policy names. */
function deciding(counted: Counted, policy: Policy): JsonObject | null {
  const all = counted.scores().filter(isOwn).map((one) => ({ keyid: one.keyid, said: one.predicate }));
  const named = policy.measurements !== undefined && policy.measurements !== "worst" ? all.filter((one) => one.keyid === policy.measurements) : all;
  const rank = (one: JsonObject): [number, string] => [(one.gate as JsonObject).verdict === "failed" ? 0 : 1, String(one.composite)];
  const sorted = named.map((one) => one.said).sort((a, b) => {
    const [[left, k], [right, other]] = [rank(a), rank(b)];
    return left - right || Number(sub(stated(k), stated(other)).n);
  });
  return sorted[0] ?? null;
}

function licences(bundle: Bundle, policy: Policy, answers: Answers): Answer {
  if (!policy.licenses) return ok(none);
  const { cases } = bundle.documents;
  if (cases === undefined || of(answers, "V30") !== "ok") return couldNotLook("the eval cases are not at hand");
  const look = new Looking();
  for (const one of cases) look.demand(policy.licenses.includes(one.license), "licenses", `an eval case has the licence ${one.license || "that nobody stated"}`);
  return look.answer("the licences are accepted");
}

function environment(lock: Lock, policy: Policy): Answer {
  if (!policy.environment_classes) return ok(none);
  const look = new Looking();
  look.demand(policy.environment_classes.includes(lock.environment.class), "environment_classes", `it was made in ${lock.environment.class}`);
  return look.answer("the environment class is accepted");
}

function declared(lock: Lock, policy: Policy): Answer {
  if (!policy.dossier) return ok(none);
  const look = new Looking();
  for (const name of policy.dossier) look.demand(lock.dossier?.[name] !== undefined, "dossier", `${name} is not declared`);
  return look.answer("what the policy demands is declared", "attested");
}

const SCOPE = ["V20", "V21", "V22", "V23", "V24", "V25", "V26", "V27", "V28", "V29"];
const SCORES = ["V30", "V31", "V32", "V33", "V34", "V39"];

export type Conclusion = "reached" | "failed" | "not reached";

/** The two verdicts that a file alone can give; the others need a base or a replay. */
export function conclusions(answers: Answers, scored: boolean): Record<"delta_scope" | "base_identity" | "process" | "scores", Conclusion> {
  const whole = (ids: string[]): Conclusion => {
    const verdicts = ids.map((id) => of(answers, id));
    return verdicts.every((one) => one === "ok") ? "reached" : verdicts.includes("failed") ? "failed" : "not reached";
  };
  return {
    delta_scope: whole(SCOPE),
    base_identity: "not reached",
    process: "not reached",
    scores: whole(scored ? [...SCORES, "V35", "V36", "V37"] : SCORES),
  };
}

function reach(policy: Policy, answers: Answers, scored: boolean): Answer {
  const reached = conclusions(answers, scored);
  const open = (policy.reach ?? []).filter((name) => reached[name] === "not reached"); // what failed is told by its checks
  return open.length ? couldNotLook(`not reached: ${open.join(", ")}`) : ok(policy.reach ? "reached" : none);
}

function packs(counted: Counted, trust: Trust, policy: Policy): Answer {
  if (!policy.packs) return ok(none);
  const look = new Looking();
  const unknown = policy.packs.find(({ evaluator }) => !trust.keys.has(evaluator));
  for (const { evaluator, pack } of policy.packs) {
    if (!trust.keys.has(evaluator)) continue;
    const all = counted.scores().filter((one) => one.keyid === evaluator && (one.predicate.pack as JsonObject).root === pack);
    const made = all.length ? all.reduce(laterScore) : undefined;
    const passed = ((made?.predicate.gate ?? {}) as JsonObject).verdict === "passed";
    look.demand(passed, "packs", `${made ? "the gate failed" : "no K-score"} of ${evaluator} on ${pack}`);
  }
  if (look.findings.length || unknown === undefined) return look.answer("the named evaluators passed it", "attested");
  return couldNotLook(`the key of the evaluator ${unknown.evaluator} is not in the trust file`);
}
