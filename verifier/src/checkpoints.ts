/** Published checkpoints: docs/format/checkpoint.md, C1 to C11, and B14 and B18 of docs/format/bundle.md. */

import type { Looking } from "./answers.ts";
import { equal } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import type { AdapterTensor, CheckpointDocument, Lock, TraceRow } from "./documents.ts";
import { same } from "./json.ts";
import { familyOf, covers } from "./roles.ts";
import { type TensorFile, tensorDigest } from "./safetensors.ts";
import { Patience } from "./trace.ts";

export async function checkpointsHold(look: Looking, bundle: Bundle): Promise<void> {
  const { lock, trace, modules, adapter } = bundle.documents;
  if (!lock || !trace || !modules || !adapter) return;
  const here = [...bundle.digests.keys()].filter((name) => name.startsWith("checkpoint-")).sort();
  const rows = trace.filter((row) => row.kind === "checkpoint");
  const named = (row: TraceRow): string => `checkpoint-${String(row.step).padStart(8, "0")}`;
  const due = lock.publish.checkpoints === "bundle" ? rows.flatMap((row) => [`${named(row)}.json`, `${named(row)}.safetensors`]).sort() : [];
  look.demand(here.join() === due.join(), "B14", "the checkpoints are not those of the trace that the lock publishes");
  if (here.length === 0 || here.join() !== due.join()) return;
  const tensors = modules.flatMap((row) => row.adapter.map((one) => ({ ...one, module: row.module })));
  let before: { row: TraceRow; document: CheckpointDocument } | null = null;
  for (const row of rows) {
    const name = named(row);
    const document = bundle.documents.checkpoints.get(`${name}.json`);
    const file = bundle.documents.states.get(`${name}.safetensors`);
    if (document === undefined || file === undefined) continue; // V06 says why
    look.demand(bundle.digests.get(`${name}.json`) === row.state, "C4", `${name}.json is not the state in the trace`);
    look.demand(bundle.digests.get(`${name}.safetensors`) === document.tensors, "C3", `${name} names another tensor file`);
    look.demand(document.step === row.step, "C3", `${name} says step ${document.step}`);
    look.demand(same(document.patience, patienceAt(lock, trace, row)), "C9", `the state of early stopping in ${name} does not follow`);
    countsHold(look, lock, name, document, tensors, before);
    forms(look, lock, name, document, file, tensors);
    before = { row, document };
  }
  await ends(look, bundle, rows, named, tensors);
}

type Own = AdapterTensor & { module: string };

/** C10 and the first half of C11. */
function countsHold(
  look: Looking, lock: Lock, name: string, document: CheckpointDocument, tensors: readonly Own[], before: { document: CheckpointDocument } | null,
): void {
  const due = tensors.map((one) => one.tensor).sort().join();
  for (const key of ["updates", "gradient_steps"] as const) {
    look.demand(Object.keys(document[key]).sort().join() === due, "C10", `${key} of ${name} do not name the adapter's tensors`);
  }
  const last = lock.train.freeze.projector_after_steps;
  const family = familyOf(lock.base.family);
  for (const { tensor, module } of tensors) {
    const updates = document.updates[tensor] ?? 0;
    const gradients = document.gradient_steps[tensor] ?? 0;
    if (before === null) {
      look.demand(gradients === 0 && (updates === 0 || lock.train.continues !== null), "C10", `${name} begins with counts above 0`);
      continue;
    }
    const rise = updates - (before.document.updates[tensor] ?? 0);
    const seen = gradients - (before.document.gradient_steps[tensor] ?? 0);
    const inProjector = last !== null && (family?.projector_modules.some((one) => covers(one, module)) ?? false);
    const until = (step: number): number => (inProjector ? Math.min(step, last ?? step) : step);
    const steps = until(document.step) - until(before.document.step);
    look.demand(rise >= 0 && rise <= steps, "C10", `${name}: ${tensor} was updated ${rise} times in ${steps} steps`);
    look.demand(seen >= 0 && seen <= rise, "C10", `${name}: ${tensor} had a gradient in ${seen} of ${rise} updates`);
  }
}

/** C2. */
function forms(look: Looking, lock: Lock, name: string, document: CheckpointDocument, file: TensorFile, tensors: readonly Own[]): void {
  const due = new Map<string, string>([]);
  const form = (dtype: string, shape: readonly number[]): string => `${dtype} ${shape.join("x")}`;
  for (const one of tensors) {
    due.set(`weights.${one.tensor}`, form(one.dtype, one.shape));
    if ((document.updates[one.tensor] ?? 0) === 0) continue;
    const narrow = lock.train.optimizer !== "adamw" && one.elements >= 4096;
    for (const moment of ["exp_avg", "exp_avg_sq"]) {
      due.set(`${moment}.${one.tensor}`, form(narrow ? "U8" : "F32", one.shape));
      if (narrow) due.set(`${moment}_scales.${one.tensor}`, form("F32", [Math.ceil(one.elements / 256)]));
    }
  }
  for (const [key, expected] of due) {
    const tensor = file.tensors.get(key);
    const found = tensor === undefined ? "not there" : form(tensor.dtype, tensor.shape);
    look.demand(found === expected, "C2", `${key} in ${name} is ${found}, and ${expected} is due`);
  }
  const random = file.tensors.get("random");
  look.demand(random?.dtype === "U8" && random.shape.length === 1 && random.bytes.length > 0 && random.bytes.length <= 65_536, "C2", `${name} has no state of the generators`);
  for (const key of file.tensors.keys()) look.demand(due.has(key) || key === "random", "C2", `${key} has no place in ${name}`);
}

/** C9. */
function patienceAt(lock: Lock, trace: readonly TraceRow[], row: TraceRow): { best: string | null; since: number } | null {
  const patience = new Patience(lock);
  for (const one of trace.slice(0, trace.indexOf(row))) if (one.kind === "validation") patience.stops(one);
  return patience.state();
}

/** C6 and C11. */
async function ends(look: Looking, bundle: Bundle, rows: readonly TraceRow[], named: (row: TraceRow) => string, tensors: readonly Own[]): Promise<void> {
  const first = bundle.documents.states.get(`${named(rows[0] as TraceRow)}.safetensors`);
  const last = bundle.documents.states.get(`${named(rows.at(-1) as TraceRow)}.safetensors`);
  const counted = bundle.documents.checkpoints.get(`${named(rows.at(-1) as TraceRow)}.json`);
  for (const one of tensors) {
    const begun = first?.tensors.get(`weights.${one.tensor}`);
    if (begun) look.demand((await tensorDigest(begun)) === one.before, "C11", `${one.tensor} did not begin as the first checkpoint has it`);
    const ended = last?.tensors.get(`weights.${one.tensor}`);
    const shipped = bundle.documents.adapter?.tensors.get(one.tensor);
    if (ended && shipped) look.demand(equal(ended.bytes, shipped.bytes), "C6", `${one.tensor} is not what the last checkpoint has`);
    if (counted) look.demand(counted.gradient_steps[one.tensor] === one.gradient_steps, "C11", `${one.tensor} has other counts of gradients than modules.jsonl`);
  }
}
