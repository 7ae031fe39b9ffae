/** The data order, the learning rates and the rows of a trace as lock and examples give them. docs/format/trace.md, randomness.md and examples.md. */

import type { Looking } from "./answers.ts";
import { digest, raw, sha256, utf8 } from "./bytes.ts";
import type { Example, Facts, Lock, SnapshotRow, TraceRow } from "./documents.ts";
import { canonical, isObject } from "./json.ts";
import { Stream, derive } from "./random.ts";
import {
  ONE, type Rational, ZERO, abs, add, compare, cosPi, decimal, div, exp, less, log, mul, ofFloat, ratio, rounded, stated, sub,
} from "./rational.ts";

export const ofPairs = (lock: Lock): boolean => lock.train.objective.kind !== "sft";

/** X1, X3 to X7 and X9. */
export function examplesHold(look: Looking, lock: Lock, snapshot: readonly SnapshotRow[], examples: readonly Example[]): void {
  const lines = (["train", "validation"] as const).flatMap((side) => snapshot.filter((row) => row.split === side));
  look.demand(examples.length === lines.length, "X1", `${examples.length} examples for ${lines.length} captures`);
  const pairs = ofPairs(lock);
  const weighed = lock.train.objective.kind === "ddpo";
  examples.forEach((row, i) => {
    const line = lines[i];
    if (line === undefined) return;
    look.demand(row.side === line.split, "X1", `example ${i + 1} is on another side than its capture`);
    const many = line.images.length > lock.train.max_images;
    look.demand((row.dropped === "too_many_images") === many, "X5", `example ${i + 1} has ${line.images.length} pictures`);
    if (row.dropped !== undefined) {
      look.demand(pairs || row.dropped !== "same_answers", "X3", `example ${i + 1} has one answer`);
      return;
    }
    const sides = row.rejected === undefined ? [row] : [row, row.rejected];
    for (const one of sides) {
      look.demand(one.tokens <= lock.train.max_seq_length, "X4", `example ${i + 1} is longer than the lock allows`);
      look.demand(one.labels >= 1 && one.labels < one.tokens, "X4", `example ${i + 1} has ${one.labels} labels among ${one.tokens} tokens`);
      const corrected = weighed ? one.corrected !== undefined && one.corrected < one.labels : one.corrected === undefined;
      look.demand(corrected, "X7", `example ${i + 1} says ${one.corrected} corrected labels`);
    }
    const shown = line.images.length;
    const room = Math.min(...sides.map((one) => one.tokens - one.labels));
    const counted = row.image_tokens === undefined ? shown === 0 : shown > 0 && row.image_tokens >= shown && row.image_tokens <= room;
    look.demand(counted, "X9", `example ${i + 1} has ${row.image_tokens ?? "no"} tokens for ${shown} pictures`);
    look.demand((row.rejected !== undefined) === pairs, "X7", `example ${i + 1} has ${sides.length} answers`);
    if (row.rejected !== undefined) {
      look.demand(row.tokens - row.labels === row.rejected.tokens - row.rejected.labels, "X7", `the answers of example ${i + 1} stand behind different prompts`);
    }
  });
  const usable = (side: string): boolean => examples.some((row) => row.side === side && row.dropped === undefined);
  look.demand(usable("train"), "X6", "no example can be used");
  look.demand(lock.train.early_stopping === null || usable("validation"), "X6", "early stopping without a validation side");
}

export const lengthOf = (row: Example): number => Math.max(row.tokens, row.rejected?.tokens ?? 0);
export const labelsOf = (row: Example): number => row.labels + (row.rejected?.labels ?? 0);

/** Q6: the batches of a training, without an end, as numbers among the captures of a side that can be used. */
export function* batches(lock: Lock, usable: readonly Example[]): Generator<number[]> {
  const size = lock.train.batch_size;
  for (let epoch = 0; ; epoch++) {
    const seed = derive("epoch", raw(lock.seeds.order), sha256(canonical(epoch)));
    const stream = new Stream(seed);
    const shuffled = stream.shuffle(usable.map((_, n) => n));
    const cut: number[][] = [];
    for (let at = 0; at < shuffled.length; at += 64 * size) {
      const group = shuffled.slice(at, at + 64 * size);
      group.sort((a, b) => lengthOf(usable[a] as Example) - lengthOf(usable[b] as Example));
      for (let from = 0; from < group.length; from += size) cut.push(group.slice(from, from + size));
    }
    yield* stream.shuffle(cut);
  }
}

/** Q7: the positions among a side's captures that each step reads, without an end. */
export function* order(lock: Lock, train: readonly Example[]): Generator<number[]> {
  const positions = train.flatMap((row, i) => (row.dropped === undefined ? [i] : []));
  const read = batches(lock, positions.map((i) => train[i] as Example));
  for (;;) {
    const step: number[] = [];
    for (let i = 0; i < lock.train.accumulation; i++) step.push(...(read.next().value as number[]));
    yield step.map((n) => positions[n] as number);
  }
}

/** S8: the factor of the peak rate at a step. */
export function factor(lock: Lock, step: number): Rational {
  const { warmup_steps: warm, steps, schedule } = lock.train;
  if (step <= warm) return ratio(step, warm);
  const d = ratio(step - warm, steps - warm + 1);
  if (schedule === "constant") return ONE;
  if (schedule === "linear") return sub(ONE, d);
  return div(add(ONE, cosPi(d)), ratio(2));
}

/** S5. */
export function chains(lock: Lock, states: readonly string[]): string[] {
  const found: string[] = [];
  const { continues } = lock.train;
  for (const state of states) {
    const before = found.at(-1) ?? continues?.chain;
    found.push(before === undefined ? state : digest(raw(before), raw(state)));
  }
  return found;
}

const sixPlaces = (written: string): boolean => (written.split(".")[1] ?? "").length <= 6;

/** S1 to S12. */
export function traceHolds(look: Looking, lock: Lock, examples: readonly Example[], trace: readonly TraceRow[]): void {
  const { train } = lock;
  const side = (name: string): Example[] => examples.filter((row) => row.side === name);
  const learned = side("train");
  const validation = side("validation").filter((row) => row.dropped === undefined);
  const borders = new Set(Array.from({ length: train.segments }, (_, k) => Math.floor(((k + 1) * train.steps) / train.segments)));
  const read = order(lock, learned);
  const canRead = learned.some((row) => row.dropped === undefined);
  let stopped = false;
  let at = 0;
  const next = (kind: string, step: number): TraceRow | null => {
    const row = trace[at++];
    const right = row?.kind === kind && row.step === step;
    look.demand(right, "S6", `row ${at} of the trace is no ${kind} of step ${step}`);
    return right ? (row as TraceRow) : null;
  };
  if (next("checkpoint", 0) === null || !canRead) return;
  const patience = new Patience(lock);
  for (let step = 1; step <= train.steps && !stopped; step++) {
    const row = next("step", step);
    if (row === null) return;
    stepHolds(look, lock, learned, row, read.next().value as number[]);
    if (train.validation !== null && step % train.validation.every_steps === 0) {
      const seen = next("validation", step);
      if (seen === null) return;
      validationHolds(look, lock, validation, seen);
      stopped = patience.stops(seen);
    }
    if ((borders.has(step) || stopped) && next("checkpoint", step) === null) return;
  }
  look.demand(at === trace.length, "S6", "the trace goes on behind its end");
  const checkpoints = trace.filter((row) => row.kind === "checkpoint");
  const due = chains(lock, checkpoints.map((row) => row.state));
  checkpoints.forEach((row, i) => look.demand(row.chain === due[i], "S5", `the chain of the checkpoint of step ${row.step} does not follow`));
}

/** S10, and C9: the state of early stopping after the validations so far. */
export class Patience {
  private best: Rational | null = null;
  private written: string | null = null;
  private since = 0;

  constructor(private readonly lock: Lock) {}

  stops(row: TraceRow): boolean {
    const stopping = this.lock.train.early_stopping;
    if (stopping === null) return false;
    const metric = stopping.on === "metric";
    if (metric && row.answers === undefined) return false;
    const written = metric ? row.answers.score : row.loss;
    const value = stated(written);
    const better = this.best === null || (metric ? less(this.best, value) : less(value, this.best));
    if (better) [this.best, this.written, this.since] = [value, written, 0];
    else this.since++;
    return this.since >= stopping.patience;
  }

  state(): { best: string | null; since: number } | null {
    return this.lock.train.early_stopping === null ? null : { best: this.written, since: this.since };
  }
}

function stepHolds(look: Looking, lock: Lock, learned: readonly Example[], row: TraceRow, due: readonly number[]): void {
  const { train } = lock;
  const where = `step ${row.step}`;
  look.demand(row.positions.join() === due.join(), "S7", `${where} reads other captures than its order gives`);
  const rows = due.map((position) => learned[position] as Example);
  look.demand(row.label_tokens === total(rows.map(labelsOf)), "S8", `${where} has ${row.label_tokens} labels`);
  look.demand(sixPlaces(row.loss) && sixPlaces(row.grad_norm), "S8", `${where} states more than six places`);
  const f = factor(lock, row.step);
  const rate = rounded(mul(stated(train.learning_rate), f), 15);
  look.demand(row.learning_rate === rate, "S8", `${where} learns at ${row.learning_rate}, and ${rate} is due`);
  const after = train.freeze.projector_after_steps;
  const still = train.projector === null || train.projector === "frozen" || (after !== null && row.step > after);
  const own = still ? null : rounded(mul(stated(train.projector_learning_rate), f), 15);
  look.demand(row.projector_learning_rate === own, "S8", `${where}: the projector learns at ${row.projector_learning_rate}`);
  const fresh = train.continues === null && train.method.kind !== "prompt" && train.method.kind !== "p_tuning";
  const first = row.step === 1 && fresh;
  factsHold(look, lock, row, rows, where, first);
}

function validationHolds(look: Looking, lock: Lock, usable: readonly Example[], row: TraceRow): void {
  const where = `the validation after step ${row.step}`;
  look.demand(row.label_tokens === total(usable.map(labelsOf)), "S9", `${where} has ${row.label_tokens} labels`);
  look.demand(sixPlaces(row.loss), "S8", `${where} states more than six places`);
  const asked = lock.train.validation?.answers ?? null;
  const cases = asked === null ? undefined : Math.min(asked.cases, usable.length);
  look.demand(row.answers?.cases === cases, "S9", `${where} answers ${row.answers?.cases ?? "no"} captures`);
  factsHold(look, lock, row, usable, where, false);
}

const total = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);

/** S11 and S12. */
function factsHold(look: Looking, lock: Lock, row: TraceRow, rows: readonly Example[], where: string, first: boolean): void {
  const { objective, precision } = lock.train;
  if (objective.kind === "sft") {
    look.demand(row.facts === undefined, "S11", `${where} states facts`);
    return;
  }
  const { facts } = row;
  const keys = ["chosen_reward", "margin", "preferred", "rejected_reward"];
  if (objective.kind === "kto") keys.push("reference_point");
  if (objective.kind === "orpo") keys.push("supervised_loss");
  const complete = isObject(facts) && Object.keys(facts).sort().join() === keys.sort().join();
  if (!look.demand(complete, "S11", `${where} does not state the facts of ${objective.kind}`)) return;
  const value = (key: keyof Facts): Rational => stated(String(facts[key]));
  for (const key of keys) look.demand(key === "preferred" || sixPlaces(String(facts[key])), "S11", `${where}: ${key} has more than six places`);
  const [chosen, rejected, margin] = [value("chosen_reward"), value("rejected_reward"), value("margin")];
  const apart = abs(sub(margin, sub(chosen, rejected)));
  look.demand(compare(apart, ratio(2, 1_000_000)) <= 0, "S12", `${where}: the margin is not the difference of the rewards`);
  const pairs = rows.length;
  const { preferred } = facts;
  look.demand(preferred <= pairs, "S12", `${where}: more preferred pairs than were read`);
  look.demand(!(less(ZERO, margin) && preferred === 0), "S12", `${where}: a margin above 0, and no pair is preferred`);
  look.demand(!(less(margin, ZERO) && preferred === pairs), "S12", `${where}: a margin below 0, and all pairs are preferred`);
  if (objective.kind === "kto") look.demand(!less(value("reference_point"), ZERO), "S12", `${where}: reference_point is below 0`);
  if (objective.kind === "orpo") look.demand(!less(value("supervised_loss"), ZERO), "S12", `${where}: supervised_loss is below 0`);
  if (objective.kind === "simpo") look.demand(!less(ZERO, chosen) && !less(ZERO, rejected), "S12", `${where}: a reward of simpo is above 0`);
  const per = precision === "bfloat16" ? ratio(5, 100) : ratio(1, 10_000);
  const tokens = objective.kind === "ddpo" ? 1 : Math.max(1, row.label_tokens / pairs);
  const begins = first && objective.reference !== undefined;
  const most = begins ? mul(mul(per, ofFloat(tokens)), stated(String(objective.beta))) : null;
  lossHolds(look, lock, stated(row.loss), facts, pairs, most === null ? null : mul(ratio(8), most), where);
  if (most !== null) {
    if (objective.kind === "kto") look.demand(compare(value("reference_point"), most) <= 0, "S12", `${where}: a reference point before anything was learned`);
    const begun = compare(abs(chosen), most) <= 0 && compare(abs(rejected), most) <= 0;
    look.demand(begun, "S12", `${where}: rewards before anything was learned`);
  }
}

/** S12: the loss is not below what the formula gives at the mean margin; that of one pair is what it gives, and in the first step that of
 * pairs whose margins are `apart` from 0 at most. */
function lossHolds(look: Looking, lock: Lock, loss: Rational, facts: Facts, pairs: number, apart: Rational | null, where: string): void {
  const { objective } = lock.train;
  const option = (key: string): Rational => decimal(String(objective[key])) ?? ZERO;
  const margin = stated(facts.margin);
  const slack = (due: Rational): Rational => mul(ratio(1, 1000), add(ONE, abs(due)));
  const alone = `${where}: one pair of such facts has another loss`;
  const begun = (losses: readonly Rational[]): void => {
    const low = losses.reduce((a, b) => (less(b, a) ? b : a));
    const high = losses.reduce((a, b) => (less(a, b) ? b : a));
    const within = compare(add(loss, slack(low)), low) >= 0 && compare(loss, add(high, slack(high))) <= 0;
    look.demand(within, "S12", `${where}: a loss that nobody has before anything was learned`);
  };
  const [up, down] = apart === null ? [ZERO, ZERO] : [apart, sub(ZERO, apart)];
  if (objective.kind === "kto") {
    const [good, bad] = [option("desirable_weight"), option("undesirable_weight")];
    const most = div(add(good, bad), ratio(2));
    look.demand(compare(loss, add(most, ratio(1, 1_000_000))) <= 0, "S12", `${where}: the loss is above what kto can give`);
    const missed = (x: Rational): Rational => div(ONE, add(ONE, bounded(x)));
    const due = (a: Rational, b: Rational): Rational => div(add(mul(good, missed(a)), mul(bad, missed(b))), ratio(2));
    const zero = stated(String(facts.reference_point));
    const own = due(sub(stated(facts.chosen_reward), zero), sub(zero, stated(facts.rejected_reward)));
    if (pairs === 1) look.demand(compare(abs(sub(loss, own)), slack(own)) <= 0, "S12", alone);
    if (apart !== null) begun([due(up, up), due(up, down), due(down, up), due(down, down)]);
    return;
  }
  const formulas: Record<string, (m: Rational) => Rational> = {
    dpo: (m) => {
      const smoothing = option("label_smoothing");
      return add(mul(sub(ONE, smoothing), softplus(sub(ZERO, m))), mul(smoothing, softplus(m)));
    },
    ddpo: (m) => softplus(sub(ZERO, m)),
    ipo: (m) => {
      const off = sub(div(m, option("beta")), div(ONE, mul(ratio(2), option("beta"))));
      return mul(off, off);
    },
    orpo: (m) => add(stated(facts.supervised_loss), mul(option("odds_weight"), softplus(sub(ZERO, m)))),
    simpo: (m) => softplus(sub(option("gamma"), m)),
  };
  const least = formulas[objective.kind] as (m: Rational) => Rational;
  const bound = least(margin);
  const one = ratio(1, 1_000_000);
  const rounding = abs(sub(least(add(margin, one)), least(sub(margin, one))));
  const near = add(add(rounding, one), mul(ratio(1, 100_000), abs(bound)));
  look.demand(compare(add(loss, near), bound) >= 0, "S12", `${where}: a loss that no pairs of this margin have`);
  if (pairs === 1) look.demand(compare(loss, add(add(bound, rounding), slack(bound))) <= 0, "S12", alone);
  if (apart !== null) begun([least(down), least(ZERO), least(up)]);
}

/** e^x, where 1 beside it is all or nothing as 1 beside what is larger still. */
const bounded = (x: Rational): Rational => exp(less(ratio(60), x) ? ratio(60) : less(x, ratio(-60)) ? ratio(-60) : x);

const softplus = (x: Rational): Rational =>
  less(ratio(80), x) ? x : less(x, ratio(-130)) ? ZERO : log(add(ONE, exp(x)));

/** L9. */
export function seeds(lock: Lock): { initialisation: string; order: string } {
  const d = sha256(canonical({ base: lock.base.root, data: lock.data.training, nonce: lock.nonce, train: lock.train }));
  return { initialisation: digest(utf8("initialisation"), d), order: digest(utf8("order"), d) };
}
