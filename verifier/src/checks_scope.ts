/** V20 to V29: can what is shipped change anything but what is declared? docs/format/verification.md. */

import { adapterConfig } from "./adapter_config.ts";
import { type Answer, Looking, couldNotLook, notChecked, ok } from "./answers.ts";
import { equal } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import type { Lock, ModuleRow, Parameter, Receipt, Role, TraceRow } from "./documents.ts";
import { isObject, same } from "./json.ts";
import { PREFIX, PROMPT, type PartForm, counts as deltaCounts, isTarget, partNames, partsOf } from "./methods.ts";
import { counts, vlmTrain } from "./receipt.ts";
import { covers, embeddingExpression, expertExpression, expression, familyOf, inMemory, isExperts, isLeaf, partKeys, roleOfModule, targetExpression } from "./roles.ts";
import { FLOATS, type Tensor, type TensorFile, numbers, tensorDigest } from "./safetensors.ts";
import type { Family } from "./tables.ts";

interface Scope {
  lock: Lock;
  family: Family;
  modules: ModuleRow[];
  adapter: TensorFile;
  /** Of each tensor of the adapter the row and what it is of it; missing for one outside the grammar. */
  places: Map<string, { row: ModuleRow; part: string; whole: boolean }>;
}

/** The answers, and the recomputed role of each module; null where the family is not known. */
export async function scope(bundle: Bundle): Promise<[Map<string, Answer>, Map<string, Role> | null]> {
  const answers = new Map<string, Answer>();
  const { lock, receipt, modules, adapter, trace } = bundle.documents;
  const set = (ids: string[], answer: Answer): void => ids.forEach((id) => answers.set(id, answer));
  set(["V20", "V21", "V22", "V23", "V24", "V25", "V26", "V27", "V28", "V29"], notChecked("a document could not be read"));
  if (adapter) answers.set("V26", finite(adapter));
  if (!lock || !receipt || !modules || !adapter || !trace) return [answers, null];
  const family = familyOf(lock.base.family);
  const differ = lock.base.family !== receipt.base.family;
  const look = new Looking();
  look.demand(!differ, "O1", `the lock says ${lock.base.family}, the receipt ${receipt.base.family}`);
  answers.set("V20", differ ? look.answer("") : family ? ok(lock.base.family) : couldNotLook(`no table for the family ${lock.base.family}`));
  answers.set("V29", await sums(lock, receipt, modules, adapter, trace, family));
  if (family === undefined) {
    set(["V21", "V22", "V23", "V24", "V27", "V28"], notChecked("V20"));
    answers.set("V25", couldNotLook("the layers of the projector follow from the family's table"));
    return [answers, null];
  }
  const places = placed(lock, modules, adapter);
  const all: Scope = { lock, family, modules, adapter, places };
  const roles = new Map(modules.map((row) => [row.module, roleOfModule(family, row.module, owned(row))]));
  answers.set("V21", partition(all, roles));
  answers.set("V22", inPlace(all));
  answers.set("V23", shapes(all));
  answers.set("V24", replaced(all));
  answers.set("V25", config(bundle, all));
  answers.set("V27", changes(all));
  answers.set("V28", follows(bundle, all, receipt));
  return [answers, roles];
}

const owned = (row: ModuleRow): string[] => [...row.parameters, ...row.buffers].map((one) => one.name);

function placed(lock: Lock, modules: readonly ModuleRow[], adapter: TensorFile): Scope["places"] {
  const rows = new Map(modules.map((row) => [row.module, row]));
  const parts = partNames(lock);
  const found: Scope["places"] = new Map();
  for (const name of adapter.tensors.keys()) {
    const home = name === PROMPT && parts.includes(PROMPT) ? promptHome(modules) : undefined;
    if (home !== undefined) found.set(name, { row: home, part: PROMPT, whole: false });
    if (!name.startsWith(PREFIX)) continue;
    const rest = name.slice(PREFIX.length);
    for (let at = rest.indexOf("."); at !== -1; at = rest.indexOf(".", at + 1)) {
      const row = rows.get(rest.slice(0, at));
      const part = rest.slice(at + 1);
      if (row === undefined) continue;
      const whole = row.parameters.some((parameter) => parameter.name === part);
      if (whole || (part !== PROMPT && parts.includes(part))) found.set(name, { row, part, whole });
    }
  }
  return found;
}

/** N8: the one listed module whose last name is `embed_tokens`. */
function promptHome(modules: readonly ModuleRow[]): ModuleRow | undefined {
  const found = modules.filter((row) => row.module.split(".").at(-1) === "embed_tokens");
  return found.length === 1 ? found[0] : undefined;
}

const ascending = (names: readonly string[]): boolean => names.every((name, i) => i === 0 || (names[i - 1] as string) < name);

/** V21. */
function partition({ family, modules }: Scope, roles: ReadonlyMap<string, Role>): Answer {
  const look = new Looking();
  look.demand(ascending(modules.map((row) => row.module)), "N1", "the modules are not sorted, or one stands twice");
  const keys = new Map<string, string>();
  const own = new Set(modules.flatMap((row) => row.parameters.filter((one) => one.alias_of === undefined).map((one) => `${row.module}.${one.name}`)));
  for (const row of modules) {
    const role = roles.get(row.module) as Role;
    look.demand(role === row.role, "N2", `${row.module} is said to be ${row.role}, and its name says ${role}`);
    look.demand(role !== "other", "O3", `${row.module} has no role in this family`);
    const names = [row.parameters, row.buffers].map((list) => list.map((one) => one.name));
    look.demand(names.every(ascending), "N4", `the tensors of ${row.module} are not sorted, or one stands twice`);
    look.demand(new Set(names.flat()).size === names.flat().length, "N4", `a name of ${row.module} stands twice`);
    look.demand(names.flat().length > 0, "N1", `${row.module} owns nothing`);
    look.demand(ascendingOrEqual(row.adapter.map((one) => one.tensor)), "N7", `the adapter's tensors of ${row.module} are not sorted`);
    for (const parameter of row.parameters) {
      const full = `${row.module}.${parameter.name}`;
      const stored = parameter.checkpoint;
      if (parameter.alias_of !== undefined) {
        const right = family.aliases[full] === parameter.alias_of && stored.length === 0 && own.has(parameter.alias_of);
        look.demand(right, "N6", `${full} may not share the storage of ${parameter.alias_of}`);
        continue;
      }
      const single = stored.length === 1 && inMemory(family, stored[0] as string) === full;
      const parts = stored.length > 0 && !single ? partKeys(family, full, parameter.shape) : null;
      const right = single || (parts !== null && same(parts, stored.map((key) => inMemory(family, key))));
      look.demand(right, "N5", `${full} is not held under ${stored.slice(0, 3).join(", ") || "no key"}`);
      for (const key of stored) {
        look.demand(!keys.has(key), "N5", `${key} is said to be ${keys.get(key)} and ${full}`);
        keys.set(key, full);
      }
    }
  }
  return look.answer(`${modules.length} modules`);
}

const ascendingOrEqual = (names: readonly string[]): boolean => names.every((name, i) => i === 0 || (names[i - 1] as string) <= name);

/** V22. */
function inPlace(all: Scope): Answer {
  const { lock, family, modules, adapter, places } = all;
  const look = new Looking();
  const listed = new Map(modules.flatMap((row) => row.adapter.map((one) => [one.tensor, row] as const)));
  for (const name of adapter.tensors.keys()) {
    const place = places.get(name);
    if (place === undefined) {
      look.say("N8", `${name} is no tensor of ${lock.train.method.kind} in a listed module`);
      continue;
    }
    const { row, whole } = place;
    look.demand(listed.get(name) === row, "N7", `${name} does not stand in the row of ${row.module}`);
    look.demand(row.state !== "frozen", "N3", `${name} is in ${row.module}, which is declared frozen`);
    if (!whole) {
      look.demand(isTarget(lock, family, row) !== null, "O5", `${row.module} may not be adapted`);
      look.demand(row.state === "adapted", "N3", `${name} is a delta in ${row.module}, which is declared ${row.state}`);
    }
  }
  for (const row of modules) {
    const here = [...places].filter(([, place]) => place.row === row).map(([name]) => name);
    for (const { tensor } of row.adapter) look.demand(here.includes(tensor), "N7", `${tensor} of ${row.module} is not in the adapter`);
    look.demand((row.state === "frozen") === (row.adapter.length === 0), "N3", `${row.module} is ${row.state} with ${row.adapter.length} tensors`);
    look.demand(row.state === "adapted" || isTarget(lock, family, row) === null, "O5", `${row.module} is to be adapted and is ${row.state}`);
    if (row.state === "trained") {
      const parts = here.map((name) => places.get(name)?.part);
      for (const { name } of row.parameters) look.demand(parts.includes(name), "N3", `the adapter has no ${name} of ${row.module}, which is trained`);
    }
  }
  return look.answer(`${adapter.tensors.size} tensors`);
}

/** V23. */
function shapes(all: Scope): Answer {
  const { lock, family, modules, adapter, places } = all;
  const look = new Looking();
  for (const row of modules) {
    const stated = new Map(row.adapter.map((one) => [one.tensor, one]));
    const here = [...places].filter(([, place]) => place.row === row);
    for (const [name] of here) {
      const tensor = adapter.tensors.get(name) as Tensor;
      const one = stated.get(name);
      look.demand(FLOATS.has(tensor.dtype), "N9", `${name} holds no floats`);
      if (one === undefined) continue;
      look.demand(one.dtype === tensor.dtype, "N9", `${name} is ${tensor.dtype} and listed as ${one.dtype}`);
      look.demand(same(one.shape, tensor.shape), "N9", `${name} has another shape than listed`);
    }
    for (const [name, { part, whole }] of here) {
      if (!whole) continue;
      const parameter = row.parameters.find((one) => one.name === part);
      look.demand(same(parameter?.shape, adapter.tensors.get(name)?.shape), "N8", `${name} has another shape than the parameter`);
    }
    if (row.state !== "adapted") continue;
    const due = partsOf(lock, family, row);
    if (due === null) {
      look.say("N8", `${row.module} has no weight that ${lock.train.method.kind} can adapt`);
      continue;
    }
    hold(look, row, due, new Map(row.adapter.map(({ tensor }) => [partOf(row, tensor), adapter.tensors.get(tensor)])));
  }
  return look.answer("shapes are those of the method");
}

function hold(look: Looking, row: ModuleRow, due: Map<string, PartForm>, here: Map<string, Tensor | undefined>): void {
  for (const [part, form] of due) {
    const tensor = here.get(part);
    if (look.demand(tensor !== undefined, "N8", `the delta of ${row.module} has no ${part}`)) {
      look.demand(same(tensor?.shape, form.shape), "N8", `${part} of ${row.module} is ${tensor?.shape.join(" × ")}, and ${form.shape.join(" × ")} is due`);
    }
  }
  for (const part of here.keys()) look.demand(due.has(part), "N8", `${part} is no part of the delta of ${row.module}`);
}

const partOf = (row: ModuleRow, tensor: string): string => (tensor === PROMPT ? PROMPT : tensor.slice(PREFIX.length + row.module.length + 1));

const isProjector = (family: Family, row: ModuleRow): boolean => family.projector_modules.some((one) => covers(one, row.module));

/** V24. */
function replaced({ lock, family, modules, places }: Scope): Answer {
  const look = new Looking();
  const full = lock.train.projector === "full";
  for (const [name, { row, whole }] of places) {
    if (whole) look.demand(full && isProjector(family, row) && row.state === "trained", "O6", `${name} replaces a tensor of ${row.module}`);
  }
  for (const row of modules) {
    const due = full && isProjector(family, row) && row.parameters.length > 0;
    if (due) look.demand(row.state === "trained", "O6", `${row.module} is to be trained in full and is ${row.state}`);
    else look.demand(row.state !== "trained", "O6", `${row.module} may not be trained in full`);
  }
  return look.answer("no tensor of the base is replaced without being declared");
}

/** V25. */
function config(bundle: Bundle, { lock, family, modules }: Scope): Answer {
  const adapted = modules.filter((row) => row.state === "adapted");
  const layers = adapted.filter((row) => isProjector(family, row)).map((row) => row.module);
  const names = (lock.train.method.experts ?? []) as string[];
  const experts = adapted.filter((row) => isExperts(family, row.module)).flatMap((row) => names.map((name) => `${row.module}.${name}`));
  const look = new Looking();
  const { dropout } = lock.train.method;
  look.demand(dropout === undefined || (Number(dropout) >= 0 && Number(dropout) < 1), "B16", `a dropout of ${String(dropout)}`);
  const due = adapterConfig(lock, modules, layers, experts);
  look.demand(equal(due, bundle.members.get("adapter_config.json") ?? new Uint8Array()), "B16", "it is not the one that lock and modules make");
  return look.answer("made again, byte for byte");
}

/** V26. */
function finite(adapter: TensorFile): Answer {
  const look = new Looking();
  for (const tensor of adapter.tensors.values()) {
    const wrong = numbers(tensor)?.find((value) => !(Math.abs(value) < 2 ** 33));
    look.demand(wrong === undefined, "T7", `${tensor.name} holds ${wrong}`);
  }
  return look.answer("every number is finite and below 2^33");
}

/** V27. */
function changes({ lock, family, modules, adapter, places }: Scope): Answer {
  for (const row of modules) {
    const tensors = new Map([...places].filter(([, place]) => place.row === row).map(([name, { part }]) => [part, adapter.tensors.get(name) as Tensor]));
    if (row.state === "trained" && wholeDiffers(row)) return ok(`${row.module} has other values than the base`);
    const due = row.state === "adapted" && isTarget(lock, family, row) === "layer" ? partsOf(lock, family, row) : null;
    const complete = due !== null && [...due].every(([part, form]) => same(tensors.get(part)?.shape, form.shape) && numbers(tensors.get(part) as Tensor));
    const usable = complete && [...tensors.values()].every((one) => numbers(one)?.every(Number.isFinite));
    if (usable && deltaCounts(lock, row, tensors)) return ok(`the delta of ${row.module} counts`);
  }
  const look = new Looking();
  look.say("N12", "no delta counts, and no whole tensor has other values than the base's");
  return look.answer("");
}

const wholeDiffers = (row: ModuleRow): boolean =>
  row.adapter.some((one) => {
    const parameter = row.parameters.find(({ name }) => one.tensor === `${PREFIX}${row.module}.${name}`);
    return one.after !== (parameter?.dtype === one.dtype ? parameter.before : one.before);
  });

/** V28. */
function follows(bundle: Bundle, { lock, family, modules }: Scope, receipt: Receipt): Answer {
  const { snapshot, trace, examples } = bundle.documents;
  if (!snapshot || !trace || !examples) return notChecked("a document could not be read");
  const look = new Looking();
  const adapterBytes = bundle.members.get("adapter_model.safetensors")?.length ?? 0;
  const facts = lock.train.objective.kind === "sft" || trace.every((row) => row.kind !== "step" || isObject(row.facts));
  if (facts) {
    const due = vlmTrain({ lock, modules, snapshot, trace, examples, adapterBytes });
    for (const [key, value] of Object.entries(due)) look.demand(same(receipt.vlm_train[key], value), "R5", `vlm_train.${key} does not follow`);
  }
  settings(look, lock, family);
  const unnamed = family.papers.filter((paper) => !lock.base.papers.includes(paper));
  look.demand(unnamed.length === 0, "L1", `the lock does not name ${unnamed.join(", ")}`);
  const seeing = "vision" in family.roles;
  if (!seeing) {
    const shown = snapshot.find((row) => row.split !== "none" && row.images.length > 0);
    look.demand(shown === undefined, "L14", `the capture ${shown?.capture} shows a picture, and the base reads text alone`);
    look.demand(lock.evaluation.floors.above_blind === null, "L14", "a floor on what a blind run would give");
  }
  for (const row of modules) held(look, lock, family, row);
  return look.answer("the receipt's training block follows");
}

function settings(look: Looking, lock: Lock, family: Family): void {
  const { train, base } = lock;
  const { method, freeze, quantisation } = train;
  look.demand((freeze.vision === null) === !("vision" in family.roles), "L14", "freeze.vision does not fit the family's roles");
  look.demand((train.projector === null) === !("projector" in family.roles), "L14", "projector does not fit the family's roles");
  const still = train.projector === null || train.projector === "frozen";
  look.demand(!still || train.projector_learning_rate === "0", "L6", "a projector that does not train has a learning rate");
  const tokens = method.kind === "prompt" || method.kind === "p_tuning";
  const due = tokens ? embeddingExpression(family) : targetExpression(family, method.targets, freeze.vision === false);
  look.demand(due === method.target_expression, "O5", "target_expression is not the one of its leaf names");
  if (method.kind === "ia3") {
    const forward = method.feedforward as string[];
    const within = ascending(forward) && forward.every((name) => method.targets.includes(name));
    look.demand(within, "L5", "feedforward names something else than targets");
    const own = forward.length ? expression(family.language, forward) : null;
    look.demand(method.feedforward_expression === own, "L5", "feedforward_expression is not the one of its leaf names");
  }
  const alone = freeze.vision !== false && train.projector !== "lora";
  if (tokens || method.kind === "prefix") look.demand(alone, "L5", `${method.kind} adapts the language role alone`);
  if (method.kind === "prompt") look.demand(method.text_alone === !("vision" in family.roles), "L5", "text_alone does not fit the family's roles");
  if (train.projector === "lora") look.demand(method.kind === "lora", "L6", "deltas on the projector are LoRA's");
  if (method.experts !== undefined || method.expert_expression !== undefined) {
    const names = family.experts.map((name) => name.slice(name.lastIndexOf(".") + 1));
    look.demand(same(method.experts, names) && method.expert_expression === expertExpression(family), "L18", "the experts are not those of the family");
    look.demand(method.dropout === "0" && method.dora === false, "L18", "dropout or DoRA with experts");
  }
  if (quantisation !== null) {
    const all = expression(family.language, Object.keys(family.language.leaves));
    look.demand(quantisation.target_expression === all, "L12", "quantisation.target_expression is not that of all linear layers of the language blocks");
  }
  if (base.template.source === "family") {
    look.demand(family.templates.includes(base.template.digest), "L13", "no chat template of kolm's for this family has this digest");
  }
}

/** N14. */
function held(look: Looking, lock: Lock, family: Family, row: ModuleRow): void {
  const { quantisation } = lock.train;
  const narrow = quantisation !== null && isLeaf(family.language, row.module, null);
  for (const { name, quantised } of row.parameters) {
    const due = narrow && name === "weight";
    look.demand((quantised !== undefined) === due, "N14", `${row.module}.${name} is ${due ? "not " : ""}held in 4 bits`);
    if (quantised === undefined || quantisation === null) continue;
    const right = quantised.kind === quantisation.kind && quantised.double === quantisation.double && quantised.block_size === quantisation.block_size;
    look.demand(right, "N14", `${row.module}.${name} is held in another way than the lock says`);
  }
}

/** V29. */
async function sums(
  lock: Lock, receipt: Receipt, modules: readonly ModuleRow[], adapter: TensorFile, trace: readonly TraceRow[], family: Family | undefined,
): Promise<Answer> {
  const steps = trace.filter((row) => row.kind === "step").length;
  const look = new Looking();
  const product = (shape: readonly number[]): number => shape.reduce((n, side) => n * side, 1);
  look.demand(same(receipt.counts, counts(modules)), "R4", "the receipt's counts are not those of the modules");
  totals(look, lock, modules, family);
  const seen = new Set<string>();
  const known = new Map<string, Parameter>(modules.flatMap((row) => row.parameters.map((one) => [`${row.module}.${one.name}`, one] as const)));
  for (const [name, one] of known) {
    if (one.alias_of !== undefined) look.demand(known.get(one.alias_of)?.before === one.before, "N6", `${name} differs from ${one.alias_of}, which it shares`);
  }
  for (const row of modules) {
    for (const one of [...row.parameters, ...row.buffers]) look.demand(one.before === one.after, "N4", `${row.module}.${one.name} changed`);
    for (const { name, quantised } of row.parameters) look.demand(quantised?.before === quantised?.after, "N14", `${row.module}.${name} changed as it is held`);
    for (const one of row.parameters) {
      look.demand(!one.requires_grad && one.gradient_steps === 0, "N10", `${row.module}.${one.name} of the base had a gradient`);
      look.demand(one.elements === product(one.shape), "N11", `the elements of ${row.module}.${one.name} are not those of its shape`);
    }
    const weighed = row.state === "adapted" && row.parameters.some((one) => one.name === "weight");
    look.demand((row.weight_norm !== null) === weighed, "N12", `weight_norm of ${row.module} is ${row.weight_norm}`);
    const fresh = family === undefined || row.state !== "adapted" ? null : partsOf(lock, family, row);
    for (const one of row.adapter) {
      look.demand(!seen.has(one.tensor), "N7", `${one.tensor} is listed twice`);
      seen.add(one.tensor);
      look.demand(one.elements === product(one.shape), "N11", `the elements of ${one.tensor} are not those of its shape`);
      const seen_steps = one.gradient_steps > 0 && one.gradient_steps <= steps;
      look.demand(seen_steps, "N9", `${one.tensor} had a gradient in ${one.gradient_steps} of ${steps} steps`);
      look.demand(one.before !== one.after, "N9", `${one.tensor} is what it was before training`);
      look.demand(one.dtype === "F32", "N9", `${one.tensor} is ${one.dtype}`);
      const narrow = lock.train.optimizer !== "adamw" && one.elements >= 4096;
      look.demand((one.moments !== undefined) === narrow, "N15", `the moments of ${one.tensor} are ${narrow ? "not " : ""}in 8 bits`);
      const tensor = adapter.tensors.get(one.tensor);
      if (tensor !== undefined) look.demand((await tensorDigest(tensor)) === one.after, "N9", `${one.tensor} has another digest than listed`);
      if (lock.train.continues === null) await beginning(look, row, one, fresh);
    }
  }
  for (const name of adapter.tensors.keys()) look.demand(seen.has(name), "N7", `${name} is not listed`);
  return look.answer("counts and digests add up");
}

/** B25: the modules hold as many parameters and tensors as the base; a checkpoint with keys that no model reads has more. */
function totals(look: Looking, lock: Lock, modules: readonly ModuleRow[], family: Family | undefined): void {
  const own = modules.flatMap((row) => row.parameters).filter((one) => one.alias_of === undefined);
  const found = {
    parameters: own.reduce((n, one) => n + one.elements, 0),
    tensors: new Set(own.flatMap((one) => one.checkpoint)).size,
  };
  const more = (family?.left_out.length ?? 0) > 0;
  for (const [name, count] of Object.entries(found)) {
    const stated = Number(lock.base[name]);
    look.demand(stated === count || (more && stated > count), "B25", `the lock has ${stated} ${name}, and the modules ${count}`);
  }
}

/** N9: the initial values that are known. */
async function beginning(look: Looking, row: ModuleRow, one: ModuleRow["adapter"][number], fresh: Map<string, PartForm> | null): Promise<void> {
  const part = partOf(row, one.tensor);
  if (row.state === "trained") {
    const parameter = row.parameters.find(({ name }) => name === part);
    const held = parameter === undefined || parameter.dtype !== one.dtype || parameter.before === one.before;
    look.demand(held, "N9", `${one.tensor} did not begin as the base's`);
    return;
  }
  const kind = fresh?.get(part)?.fresh;
  if (kind === null || kind === undefined || one.dtype !== "F32" || one.elements > 2 ** 28) return;
  const bytes = new Uint8Array(4 * one.elements);
  if (kind === "ones") new Float32Array(bytes.buffer).fill(1);
  const due = await tensorDigest({ name: one.tensor, dtype: one.dtype, shape: one.shape, bytes });
  look.demand(one.before === due, "N9", `${one.tensor} did not begin at ${kind}`);
}
