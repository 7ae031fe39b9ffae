/** `evaluation.json` as cases, outputs and lock make it: docs/format/evaluation.md. */

import { byPoint } from "./captures.ts";
import { collect } from "./collect.ts";
import type { Capture, Evaluation, Lock, Mean, Metric, Outcome, Prediction, SnapshotRow } from "./documents.ts";
import type { Json, JsonObject } from "./json.ts";
import { type Judge, type Judged } from "./metrics/metric.ts";
import { numberOf } from "./metrics/texts.ts";
import { judgeOf, pairedMethod } from "./metrics/index.ts";
import { type Rational, ONE, ZERO, compare, div, less, ratio, rounded, stated, sub, sum } from "./rational.ts";
import { question, references, response } from "./sameness.ts";
import { asked } from "./sameness.ts";
import { clustered, clusters, mean, signTest } from "./statistics.ts";
import { normalised } from "./text.ts";

export interface Scored {
  score: string;
  covered: boolean;
}

/** E3: what an answer scores, to six places, and whether it is covered. */
export function scored(judge: Judge, outcome: Outcome, all: readonly string[], most: number): Scored {
  const judged: Judged = judge.judge(outcome.output, all);
  const covered = outcome.finish === "stop" && outcome.tokens <= most && judged.parsed;
  return { score: covered ? rounded(judged.score, 6) : "0", covered };
}

export interface Runs {
  adapter: Scored[];
  base: Scored[];
  blind: Scored[] | null;
}

/** The scores of every run, from references where they are given, else as the rows state them. */
export function runs(lock: Lock, predictions: readonly Prediction[], judge: Judge | null, texts: readonly (readonly string[])[]): Runs {
  const run = (name: "adapter" | "base" | "blind"): Scored[] =>
    predictions.map((row, i) => {
      const outcome = row[name] as Outcome;
      return judge === null ? outcome : scored(judge, outcome, texts[i] as readonly string[], lock.evaluation.max_new_tokens);
    });
  const seeing = predictions.every((row) => row.blind !== null);
  return { adapter: run("adapter"), base: run("base"), blind: seeing ? run("blind") : null };
}

const points = (run: readonly Scored[]): Rational[] => run.map((one) => stated(one.score));

/** The whole document, from the cases. */
export function evaluation(lock: Lock, predictions: readonly Prediction[], cases: readonly Capture[]): JsonObject {
  const texts = cases.map(references);
  const judge = judgeOf(lock.evaluation.metric, texts);
  const all = runs(lock, predictions, judge, texts);
  const majority = majorityOf(lock, cases, judge, texts);
  const swapped = mean(
    successors(cases).map((next, i) => stated(scored(judge, (predictions[i] as Prediction).adapter, texts[next] as string[], lock.evaluation.max_new_tokens).score)),
  );
  const parts = {
    majority,
    swapped,
    slices: slices(cases, points(all.adapter)),
    figures: figures(judge, all, predictions, texts),
    distinct_questions: new Set(cases.map(asked)).size,
  };
  return document(lock, predictions, all, cases.map((one) => one.images.map((image) => image.pixels)), parts);
}

/** E10: from scores as they are stated, and what else is stated. */
export function withheld(lock: Lock, predictions: readonly Prediction[], snapshot: readonly SnapshotRow[], as: Evaluation): JsonObject {
  const all = runs(lock, predictions, null, []);
  const pictures = snapshot.filter((row) => row.split === "eval").map((row) => row.images.map((image) => image.pixels));
  const { majority, swapped, slices: parts, figures: said, distinct_questions } = as;
  return document(lock, predictions, all, pictures, { majority, swapped, slices: parts, figures: said as Json[], distinct_questions });
}

interface Parts {
  majority: JsonObject;
  swapped: JsonObject;
  slices: JsonObject[];
  figures: Json[];
  distinct_questions: number;
}

function document(lock: Lock, predictions: readonly Prediction[], all: Runs, pictures: readonly (readonly string[])[], parts: Parts): JsonObject {
  const groups = clusters(pictures);
  const [adapter, base] = [points(all.adapter), points(all.base)];
  const blind = all.blind === null ? null : points(all.blind);
  const together = {
    adapter: clustered(adapter, groups),
    base: clustered(base, groups),
    blind: blind === null ? null : clustered(blind, groups),
    clusters: groups.length,
    largest: groups.reduce((most, group) => Math.max(most, group.length), 0),
    level: "0.95",
    method: "wilson-clustered",
  };
  const found: JsonObject = {
    adapter: mean(adapter),
    base: mean(base),
    blind: blind === null ? null : mean(blind),
    cases: predictions.length,
    clustered: together,
    covered: all.adapter.filter((one) => one.covered).length,
    cut_prompts: predictions.filter((row) => row.cut !== 0).length,
    distinct_questions: parts.distinct_questions,
    figures: parts.figures,
    images: new Set(pictures.flat()).size,
    majority: parts.majority,
    metric: lock.evaluation.metric,
    paired: paired(adapter, base, lock.evaluation.metric),
    schema: "urn:kolm:evaluation:v1",
    slices: parts.slices,
    swapped: parts.swapped,
  };
  const asked = floors(lock, found as unknown as Evaluation);
  found.floors = asked;
  found.floors_passed = asked.every((floor) => floor.passed !== false);
  const measured = preference(predictions);
  if (measured !== null) found.preference = measured;
  return found;
}

/** E6. */
function paired(adapter: readonly Rational[], base: readonly Rational[], metric: Metric): JsonObject {
  const by = adapter.map((one, i) => compare(one, base[i] as Rational));
  const ours = by.filter((one) => one > 0).length;
  const theirs = by.filter((one) => one < 0).length;
  return { adapter_only: ours, base_only: theirs, method: pairedMethod(metric), p: signTest(ours, theirs) };
}

/** E8. */
function majorityOf(lock: Lock, cases: readonly Capture[], judge: Judge, texts: readonly (readonly string[])[]): JsonObject {
  const answer = mostFrequent(cases.map((one) => normalised(response(one))));
  const outcome = { output: answer, tokens: 1, finish: "stop" } as Outcome;
  const own = texts.map((all) => stated(scored(judge, outcome, all, lock.evaluation.max_new_tokens).score));
  return { answer, ...mean(own) };
}

function mostFrequent(all: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || byPoint(a[0], b[0]))[0]?.[0] ?? "";
}

/** E12: for each case the next one that asks the same, in the order of the ids. */
function successors(cases: readonly Capture[]): number[] {
  const asking = new Map<string, number[]>();
  cases.forEach((one, i) => {
    const what = question(one);
    collect(asking, what, i);
  });
  const lonely: number[] = [];
  const rounds: number[][] = [];
  for (const places of asking.values()) {
    const answers = new Set(places.map((i) => normalised(response(cases[i] as Capture))));
    if (answers.size === 1) for (const place of places) lonely.push(place);
    else rounds.push(places);
  }
  rounds.push(lonely.sort((a, b) => a - b));
  const next = new Array<number>(cases.length);
  for (const round of rounds) round.forEach((i, at) => (next[i] = round[(at + 1) % round.length] as number));
  return next;
}

/** E7. */
function slices(cases: readonly Capture[], own: readonly Rational[]): JsonObject[] {
  const groups = new Map<string, { kind: string; value: string; points: Rational[] }>();
  const put = (kind: string, value: string, i: number): void => {
    const key = `${kind} ${value}`;
    const group = groups.get(key) ?? { kind, value, points: [] };
    group.points.push(own[i] as Rational);
    groups.set(key, group);
  };
  const often = new Map<string, number>();
  for (const one of cases) for (const tag of new Set(one.tags)) often.set(tag, (often.get(tag) ?? 0) + 1);
  const tags = new Set([...often].sort((a, b) => b[1] - a[1] || byPoint(a[0], b[0])).slice(0, 256).map(([tag]) => tag));
  cases.forEach((one, i) => {
    put("answer_type", answerType(response(one)), i);
    put("image_size", imageSize(one), i);
    for (const tag of new Set(one.tags)) if (tags.has(tag)) put("tag", tag, i);
  });
  return [...groups.values()]
    .sort((a, b) => byPoint(a.kind, b.kind) || byPoint(a.value, b.value))
    .map(({ kind, value, points: of }) => ({ cases: of.length, kind, value, ...mean(of) }));
}

function answerType(text: string): string {
  const form = normalised(text);
  if (form === "yes" || form === "no") return "boolean";
  return numberOf(text) === null ? "text" : "number";
}

function imageSize(one: Capture): string {
  const largest = Math.max(0, ...one.images.map((image) => image.width * image.height));
  if (largest === 0) return "none";
  return largest <= 256 * 256 ? "small" : largest <= 1024 * 1024 ? "medium" : "large";
}

/** E15. */
function figures(judge: Judge, all: Runs, predictions: readonly Prediction[], texts: readonly (readonly string[])[]): Json[] {
  const { figures: own } = judge;
  if (own === undefined) return [];
  const share = (counts: [number, number] | undefined): string | null =>
    counts === undefined || counts[1] === 0 ? null : rounded(ratio(counts[0], counts[1]), 6);
  const of = (name: "adapter" | "base" | "blind"): Record<string, [number, number]> | null => {
    const run = all[name];
    if (run === null) return null;
    return own.of(run.map((one, i) => (one.covered ? ((predictions[i] as Prediction)[name] as Outcome).output : null)), texts);
  };
  const [adapter, base, blind] = [of("adapter"), of("base"), of("blind")];
  return own.names.map((name) => ({ adapter: share(adapter?.[name]), base: share(base?.[name]), blind: share(blind?.[name]), name }));
}

/** E16: preferences. */
function preference(predictions: readonly Prediction[]): JsonObject | null {
  const rows = predictions.flatMap((row) => (row.preference === undefined ? [] : [row.preference]));
  if (rows.length === 0) return null;
  const off = (run: "adapter" | "base"): Rational[] => rows.map((row) => sub(stated(row[run].chosen), stated(row[run].rejected)));
  const share = (all: readonly Rational[]): JsonObject => mean(all.map((one) => (less(ZERO, one) ? ONE : ZERO)));
  const [adapter, base] = [off("adapter"), off("base")];
  const implicit = adapter.map((one, i) => sub(one, base[i] as Rational));
  return {
    adapter: share(adapter),
    base: share(base),
    cases: rows.length,
    implicit: share(implicit),
    margin: rounded(div(sum(implicit), ratio(rows.length)), 6),
  };
}

interface Floor extends JsonObject {
  name: string;
  demanded: string | null;
  observed: string | null;
  passed: boolean | null;
}

/** E9. */
function floors(lock: Lock, found: Evaluation): Floor[] {
  const asked = lock.evaluation.floors;
  const accuracy = stated(found.adapter.accuracy);
  const less_ = (other: Mean | null): string | null => (other === null ? null : rounded(sub(accuracy, stated(other.accuracy)), 6));
  const sizes = found.slices.filter((slice) => slice.cases >= asked.worst_slice_minimum_cases).map((slice) => stated(slice.accuracy));
  const worst = sizes.reduce((least, one) => (less(one, least) ? one : least), accuracy);
  const own = (found.figures as { name: string; adapter: string | null }[]).find((figure) => figure.name === "f1");
  const observed: [keyof typeof asked & string, string | null][] = [
    ["accuracy_lower_bound", found.adapter.interval.low],
    ["clustered_lower_bound", ((found.clustered as JsonObject).adapter as JsonObject).low as string],
    ["worst_slice", rounded(worst, 6)],
    ["better_than_base_p", found.paired.p],
    ["above_blind", less_(found.blind)],
    ["above_majority", less_(found.majority)],
    ["f1", own?.adapter ?? null],
  ];
  const better = found.paired.adapter_only > found.paired.base_only && !less(accuracy, stated(found.base.accuracy));
  return observed.map(([name, value]) => {
    const demanded = asked[name] as string | null;
    if (demanded === null) return { demanded, name, observed: value, passed: null };
    if (value === null) return { demanded, name, observed: value, passed: false };
    const passed = name === "better_than_base_p" ? less(stated(value), stated(demanded)) && better : !less(stated(value), stated(demanded));
    return { demanded, name, observed: value, passed };
  });
}

