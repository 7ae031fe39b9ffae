/** V56: the operations of a training, counted again. docs/format/compute.md. */

import { type Answer, Looking, notChecked } from "./answers.ts";
import type { Bundle } from "./bundle.ts";
import type { Counted } from "./claims.ts";
import type { Example, Lock, ModuleRow, TraceRow } from "./documents.ts";
import { type JsonObject, same } from "./json.ts";
import { isLinearOfProjector, isTarget, partsOf } from "./methods.ts";
import { COMPUTE } from "./policy.ts";
import { div, ratio, rounded, stated } from "./rational.ts";
import { familyOf, roleOf } from "./roles.ts";
import { type Family, TABLES } from "./tables.ts";
import { batches, lengthOf, ofPairs } from "./trace.ts";

/** O10: a matrix that activations are multiplied with. */
interface Matrix {
  name: string;
  row: ModuleRow;
  outputs: number;
  inputs: number;
  /** It reads what the projector gives. */
  beside: boolean;
}

/** O11. */
interface Block {
  stages: [Matrix[], Matrix[], Matrix[], Matrix[]];
  attention: number;
}

interface Outline {
  logits: bigint;
  blocks: Block[];
  around: Matrix[];
  projector: Matrix[];
  normed: boolean;
  places: bigint;
}

/** O2: what was computed on, summed over batches. */
interface Work {
  positions: bigint;
  squares: bigint;
  labels: bigint;
  pictures: bigint;
  seeing: bigint;
  looks: bigint;
}

export type Terms = Record<"adapter" | "attention" | "head" | "language" | "projector" | "reference", bigint>;

const NAMES = TABLES.compute as Record<string, string>;
const named = (kind: string, name: string): RegExpExecArray | null => new RegExp(`^(?:${NAMES[kind]})$`, "s").exec(name);
const product = (sides: readonly number[]): number => sides.reduce((a, b) => a * b, 1);
const nothing = (): Work => ({ positions: 0n, squares: 0n, labels: 0n, pictures: 0n, seeing: 0n, looks: 0n });
const plus = (a: Work, b: Work, times = 1n): Work => ({
  positions: a.positions + times * b.positions,
  squares: a.squares + times * b.squares,
  labels: a.labels + times * b.labels,
  pictures: a.pictures + times * b.pictures,
  seeing: a.seeing + times * b.seeing,
  looks: a.looks + times * b.looks,
});

/** O10 and O11. */
export function outlineOf(modules: readonly ModuleRow[], family: Family): Outline {
  const parameters = modules
    .flatMap((row) => row.parameters.filter((one) => one.alias_of === undefined).map(({ name, shape }) => ({ row, shape, name: row.module ? `${row.module}.${name}` : name })))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const embeddings = parameters.find(({ name }) => name.endsWith("embed_tokens.weight"))?.shape ?? [0];
  const head = parameters.find(({ name, shape }) => shape.length === 2 && roleOf(family, name) === "head")?.shape ?? embeddings;
  const found: Outline = { logits: BigInt(product(head)), blocks: [], around: [], projector: [], normed: false, places: 0n };
  let [added, width] = [0, 0];
  const within = new Map<number, Matrix[]>();
  for (const { name, row, shape } of parameters) {
    const role = roleOf(family, name);
    if (role === "projector") found.normed ||= named("norm", name) !== null;
    if (named("places", name)) added += shape[1] ?? 0;
    if (shape.length < 2 || named("looked_up", name)) continue;
    const inputs = named("experts", name) ? (shape.at(-1) as number) : product(shape.slice(1));
    const module = name.replace(/\.weight$/, "");
    const matrix = { name: module, row, inputs, outputs: product(shape) / inputs, beside: named("beside", module) !== null };
    const towers = family.vision === null ? [] : [family.vision.blocks, ...family.vision.more];
    if (role === "vision" && !towers.some((list) => module.startsWith(`${list}.`))) width = Math.max(width, matrix.outputs);
    if (role === "projector") found.projector.push(matrix);
    if (role !== "language") continue;
    const block = /^\.([0-9]+)\./.exec(matrix.name.startsWith(family.language.blocks) ? matrix.name.slice(family.language.blocks.length) : "");
    if (block === null) found.around.push(matrix);
    else within.set(Number(block[1]), [...(within.get(Number(block[1])) ?? []), matrix]);
  }
  found.places = BigInt(Math.floor(added / Math.max(1, width)));
  found.blocks = [...within].sort(([a], [b]) => a - b).map(([, own]) => blockOf(own));
  return found;
}

function blockOf(matrices: readonly Matrix[]): Block {
  const block: Block = { stages: [[], [], [], []], attention: 0 };
  for (const matrix of matrices) {
    const output = named("output", matrix.name) !== null;
    const stage = named("read", matrix.name) ? 0 : output ? 1 : named("last", matrix.name) ? 3 : 2;
    block.stages[stage].push(matrix);
    if (output && !named("linear_attention", matrix.name)) block.attention = matrix.inputs;
  }
  return block;
}

const products = (matrix: Matrix): bigint => BigInt(matrix.outputs) * BigInt(matrix.inputs);

/** O13: the elements of the matrices of a delta, first the one that reads what the layer reads. */
function deltaOf(lock: Lock, family: Family, row: ModuleRow): bigint[] {
  const shapes = [...(partsOf(lock, family, row)?.values() ?? [])].map((part) => part.shape);
  const elements = shapes.filter((shape) => shape.length === 2).map((shape) => BigInt(product(shape)));
  return elements.length ? elements : [0n];
}

function adapter([first = 0n, ...others]: readonly bigint[], backward: boolean, reached: boolean): bigint {
  const rest = others.reduce((a, b) => a + b, 0n);
  if (!backward) return 2n * (first + rest);
  return first * (reached ? 6n : 4n) + rest * 6n;
}

interface Pass {
  /** The language role and the projector have their deltas. */
  adapted: boolean;
  backward: boolean;
  /** O12: something before the language role learns. */
  reached: boolean;
}

/** O12 to O14: adds what one sort of batches took. */
function add(terms: Terms, base: Outline, lock: Lock, family: Family, work: Work, { adapted, backward, reached }: Pass): void {
  if (work.positions === 0n) return;
  const { freeze, projector } = lock.train;
  const through = freeze.vision === false && reached;
  const learns = reached && projector !== null ? projector : "frozen";
  let before = through || (base.normed && learns === "full");
  const places = work.pictures * base.places;
  const given = base.places > 0n ? places : work.pictures;
  for (const matrix of base.projector) {
    terms.projector += given * products(matrix) * ((before ? 4n : 2n) + (learns === "full" ? 2n : 0n));
    if (adapted && projector === "lora" && isLinearOfProjector(family, matrix.row)) {
      terms.adapter += given * adapter(deltaOf(lock, family, matrix.row), learns === "lora", before);
    }
    before ||= learns !== "frozen";
  }
  for (const matrix of base.around) terms.language += work.positions * products(matrix) * (backward ? 4n : 2n);
  let flows = reached || (adapted && front(lock) > 0);
  for (const block of base.blocks) {
    const beside = block.stages[0].some((matrix) => matrix.beside);
    const positions = beside ? work.seeing : work.positions;
    const pairs = beside ? work.looks * base.places : work.squares;
    block.stages.forEach((stage, number) => {
      const targets = adapted ? stage.filter((matrix) => isTarget(lock, family, matrix.row) === "layer") : [];
      const reads = (matrix: Matrix): bigint => (matrix.beside ? places : positions);
      const behind = (matrix: Matrix): boolean => (matrix.beside ? reached : flows);
      for (const matrix of stage) terms.language += reads(matrix) * products(matrix) * (backward && behind(matrix) ? 4n : 2n);
      for (const matrix of targets) terms.adapter += reads(matrix) * adapter(deltaOf(lock, family, matrix.row), backward, behind(matrix));
      flows ||= targets.length > 0;
      if (number === 0) terms.attention += pairs * BigInt(block.attention) * (backward && flows ? 12n : 4n);
    });
  }
  terms.head += work.labels * base.logits * (backward ? 4n : 2n);
}

/** The virtual tokens that the method puts in front of every row. */
function front(lock: Lock): number {
  const { method } = lock.train;
  return method.kind === "prompt" || method.kind === "p_tuning" ? Number(method.virtual_tokens) : 0;
}

const total = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);

/** O2, O4 and O5: the work of batches of a side's captures that can be used. */
class Batches {
  constructor(
    private readonly lock: Lock,
    private readonly side: readonly Example[],
    private readonly shared: boolean,
  ) {}

  of(numbers: readonly number[]): Work {
    const rows = numbers.map((n) => this.side[n] as Example);
    const other = rows.map((row) => row.rejected ?? { tokens: 0, labels: 0 });
    const labels = total([...rows, ...other].map((row) => row.labels));
    const pictures = rows.map((row) => row.image_tokens ?? 0);
    if (!ofPairs(this.lock)) return this.padded(rows.map((row) => row.tokens), labels, pictures);
    if (this.shared) return this.padded(rows.map((row, i) => row.tokens + (other[i]?.labels ?? 0)), labels, pictures);
    return this.padded([...rows, ...other].map((row) => row.tokens), labels, [...pictures, ...pictures]);
  }

  unrelated(numbers: readonly number[]): Work {
    if (this.lock.train.objective.kind !== "kto") return nothing();
    const rows = numbers.map((n) => this.side[n] as Example);
    const labels = numbers.map((n) => (this.side[(n + 1) % this.side.length] as Example).labels);
    const lengths = rows.map((row, i) => row.tokens - row.labels + (labels[i] ?? 0));
    return this.padded(lengths, total(labels), rows.map((row) => row.image_tokens ?? 0));
  }

  private padded(lengths: readonly number[], labels: number, pictures: readonly number[]): Work {
    const longest = BigInt(lengths.reduce((a, b) => Math.max(a, b), 0) + front(this.lock));
    const positions = BigInt(lengths.length) * longest;
    const shown = BigInt(total(pictures));
    const seeing = BigInt(pictures.filter((own) => own > 0).length) * longest;
    return { positions, squares: positions * longest, labels: BigInt(labels), pictures: shown, seeing, looks: shown * longest };
  }

  /** Batches of a size, the shortest captures first, forward alone. */
  look(size: number): Work {
    const numbers = this.side.map((_, n) => n).sort((a, b) => lengthOf(this.side[a] as Example) - lengthOf(this.side[b] as Example));
    let work = nothing();
    for (let at = 0; at < numbers.length; at += size) {
      const batch = numbers.slice(at, at + size);
      work = plus(plus(work, this.of(batch)), this.unrelated(batch));
    }
    return work;
  }

  /** Every capture alone. */
  reference(): Work {
    return this.side.reduce((work, _, n) => plus(plus(work, this.of([n])), this.unrelated([n])), nothing());
  }
}

/** O2 to O5 and O9: every term but the tower's. */
export function recount(lock: Lock, examples: readonly Example[], trace: readonly TraceRow[], base: Outline, family: Family, shared: boolean): Terms {
  const { train } = lock;
  const usable = (side: string): Example[] => examples.filter((row) => row.side === side && row.dropped === undefined);
  const [learned, validation] = [usable("train"), usable("validation")];
  const count = (kind: string): number => trace.filter((row) => row.kind === kind).length;
  const made = new Batches(lock, learned, shared);
  const tower = train.freeze.vision === false;
  const until = train.projector === null || train.projector === "frozen" ? 0 : Math.min(train.freeze.projector_after_steps ?? train.steps, train.steps);
  let [shown, others, alone] = [nothing(), nothing(), nothing()];
  const read = batches(lock, learned);
  for (let n = 0; n < count("step") * train.accumulation; n++) {
    const batch = read.next().value as number[];
    const work = made.of(batch);
    const reached = tower || n < until * train.accumulation;
    if (work.pictures > 0n && reached) shown = plus(shown, work);
    else others = plus(others, work);
    alone = plus(alone, made.unrelated(batch));
  }
  const looks = count("validation");
  const seen = new Batches(lock, validation, shared);
  if (looks) alone = plus(alone, seen.look(train.batch_size), BigInt(looks));
  const terms: Terms = none();
  const reached = tower || (train.projector !== null && train.projector !== "frozen");
  add(terms, base, lock, family, shown, { adapted: true, backward: true, reached });
  add(terms, base, lock, family, others, { adapted: true, backward: true, reached: false });
  add(terms, base, lock, family, alone, { adapted: true, backward: false, reached: false });
  if (ofPairs(lock) && train.objective.reference !== undefined) {
    const asked = looks ? plus(made.reference(), seen.reference()) : made.reference();
    const own = none();
    const adapted = train.continues !== null && train.objective.reference === "start";
    add(own, base, lock, family, asked, { adapted, backward: false, reached: false });
    terms.reference = Object.values(own).reduce((a, b) => a + b, 0n);
  }
  return terms;
}

const none = (): Terms => ({ adapter: 0n, attention: 0n, head: 0n, language: 0n, projector: 0n, reference: 0n });

const ASSUMED = 10n ** 23n;

/** O8. */
export function modifierTest(whole: bigint, lock: Lock): JsonObject {
  const declared = lock.dossier?.base_compute;
  const [number = "", ...rest] = (declared ?? "").split(" FLOP, ");
  const value = declared === undefined ? null : stated(number);
  const base = value === null ? null : value.n / value.d;
  const against = base || ASSUMED;
  const limit = against / 3n;
  const exceeds = 3n * whole > against;
  const words = [`This training took ${short(whole)} floating point operations.`];
  if (base === null) {
    words.push(`The training compute of the base is not declared. A third of ${short(ASSUMED)}, which stands in for it, is ${short(limit)}`);
  } else {
    words.push(`The publisher declares ${short(base)} for the base (${rest.join(" FLOP, ")}). A third of it is ${short(limit)}`);
  }
  words.push(`and this is ${share(whole, limit || 1n)} % of that: ${exceeds ? "more" : "not more"} than the limit.`);
  if (lock.train.continues !== null) words.push("The earlier training that this one goes on from is not in the count.");
  words.push(
    "By the Commission guidelines C(2025) 7719 final as summarised in docs/format/compute.md, a modification that takes more than a third of the original model's training compute is an " +
      "indication that whoever makes it is the provider of a general-purpose model; where the original has systemic risk and its compute is not known, a third of 1e25 stands in. This compares " +
      "two numbers and is no legal opinion.",
  );
  return { base_flops: base === null ? null : `${base}`, exceeds, limit: `${limit}`, words: words.join(" ") };
}

/** A value above 0 as m · 10^e with three digits of m, rounded once, half to even. */
function threeDigits(above: bigint, below: bigint): [string, number] {
  let e = `${above}`.length - `${below}`.length;
  const scaled = (): string => rounded(e < 0 ? ratio(above * 10n ** BigInt(-e), below) : ratio(above, below * 10n ** BigInt(e)), 2);
  if (scaled().startsWith("0")) e--;
  if (scaled() === "10") e++;
  return [scaled(), e];
}

/** O8: 1.23e15, and a count below 1000 as it is. */
function short(count: bigint): string {
  if (count < 1000n) return `${count}`;
  const [m, e] = threeDigits(count, 1n);
  return `${m}e${e}`;
}

/** O8: a hundred times a share, as C's %.3g writes it. */
function share(whole: bigint, limit: bigint): string {
  if (whole === 0n) return "0";
  const [m, e] = threeDigits(100n * whole, limit);
  const exponent = `${Math.abs(e)}`.padStart(2, "0");
  if (e < -4 || e >= 3) return `${m}e${e < 0 ? "-" : "+"}${exponent}`;
  const value = stated(m);
  return rounded(e < 0 ? div(value, ratio(10n ** BigInt(-e))) : ratio(value.n * 10n ** BigInt(e), value.d), 6);
}

/** V56. */
export function operations(bundle: Bundle, counted: Counted, answers: ReadonlyMap<string, Answer>): Answer {
  const made = counted.of(COMPUTE);
  if (made.length === 0) return notChecked("no trusted compute claim");
  const unmet = ["V08", "V20", "V28"].find((id) => answers.get(id)?.verdict !== "ok");
  const { lock, modules, examples, trace } = bundle.documents;
  const family = familyOf(lock?.base.family ?? "");
  if (unmet || !lock || !modules || !examples || !trace || !family) return notChecked(unmet ?? "a document could not be read");
  const look = new Looking();
  const base = outlineOf(modules, family);
  for (const { predicate } of made) {
    const shared = predicate.shared_prompts === true;
    const may = !shared || (ofPairs(lock) && family.branches);
    if (!look.demand(may, "O4", "two answers cannot have stood behind one prompt")) continue;
    const flops = predicate.flops as Record<string, string>;
    const terms = recount(lock, examples, trace, base, family, shared);
    for (const [term, count] of Object.entries(terms)) look.demand(flops[term] === `${count}`, "O1", `${term} is ${flops[term]}, and ${count} follows`);
    const whole = Object.entries(flops).reduce((sum, [term, count]) => (term === "total" ? sum : sum + BigInt(count)), 0n);
    look.demand(flops.total === `${whole}`, "O6", `total is ${flops.total}, and the terms give ${whole}`);
    const measured = predicate.measured as JsonObject;
    const sides = lock.train.validation === null ? ["train"] : ["train", "validation"];
    const shown = examples.some((row) => "image_tokens" in row && sides.includes(String(row.side)));
    const tower = flops.tower !== "0";
    look.demand(shown === tower || (shown && lock.train.freeze.vision === false), "O6", `the tower took ${flops.tower} where pictures were ${shown ? "" : "not "}read`);
    const steps = trace.filter((row) => row.kind === "step").length;
    look.demand(Number(measured.from_step) <= steps, "O7", `the training went on after step ${measured.from_step}, and has ${steps}`);
    const meters = (measured.energy as { meters?: string[] }).meters;
    const own: Record<string, string> = { cpu: "rapl", cuda: "nvml" };
    const { device } = lock.environment;
    const metered = meters === undefined || (meters.includes(own[device] ?? "none") && !(device === "cpu" && meters.includes("nvml")));
    look.demand(metered, "O7", "the energy is not by the meter of the device that computed");
    const processes = Number(measured.processes ?? 1);
    const { environment, train } = lock;
    const possible = train.accumulation % processes === 0 && (environment.device === "cpu" || processes === environment.world_size);
    look.demand(possible, "O7", `${processes} processes cannot have trained together there`);
    look.demand(same(predicate.modifier_test, modifierTest(whole, lock)), "O8", "the test of the base's compute does not follow");
  }
  return look.answer("every term but the tower's, their total and the test that is made of it", "attested");
}
