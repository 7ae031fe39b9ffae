/** What a method ships for a module: the parts of a delta, their shapes, and whether the delta counts. docs/format/modules.md, N8, N9 and N12. */

import type { Lock, ModuleRow } from "./documents.ts";
import { ONE, type Rational, ZERO, add, compare, decimal, div, mul, ofFloat, ratio, sub } from "./rational.ts";
import { embedding, isExperts, isLeaf } from "./roles.ts";
import { type Tensor, numbers } from "./safetensors.ts";
import type { Family } from "./tables.ts";

export type Fresh = "zeros" | "ones" | null;

export interface PartForm {
  shape: number[];
  /** What a fresh one holds; null where that is drawn. */
  fresh: Fresh;
}

export const PREFIX = "base_model.model.";
/** The tensor of `prompt`, which has no module's name before it. */
export const PROMPT = "prompt_embeddings";

/** N8: the names that parts of deltas have under the lock's method. */
export function partNames(lock: Lock): string[] {
  const { method } = lock.train;
  switch (method.kind) {
    case "lora":
      return [
        "lora_A.weight", "lora_B.weight",
        ...(method.dora ? ["lora_magnitude_vector"] : []),
        ...(method.experts ? ["base_layer.lora_A.weight", "base_layer.lora_B.weight"] : []),
      ];
    case "bottleneck":
      return ["down.weight", "down.bias", "up.weight", "up.bias"].map((part) => `lora_bottleneck_${part}`);
    case "prefix":
      return ["lora_prefix_keys", "lora_prefix_values"];
    case "prompt":
      return [PROMPT];
    case "p_tuning":
      return [...encoderParts(lock, 1).keys()];
    case "ia3":
      return ["ia3_l"];
  }
}

/** Whether the lock's method adapts a module, by the family's table and the module's own parameters. */
export function isTarget(lock: Lock, family: Family, row: ModuleRow): "layer" | "experts" | null {
  const { method, freeze, projector } = lock.train;
  if (method.kind === "prompt" || method.kind === "p_tuning") return row.module === embedding(family) ? "layer" : null;
  if (isLeaf(family.language, row.module, method.targets)) return "layer";
  if (freeze.vision === false && family.vision !== null && isLeaf(family.vision, row.module, null)) return "layer";
  if (projector === "lora" && isLinearOfProjector(family, row)) return "layer";
  return method.experts && isExperts(family, row.module) ? "experts" : null;
}

/** O6: a module of the projector whose parameters are a weight of two dimensions and at most a bias of one. */
export function isLinearOfProjector(family: Family, row: ModuleRow): boolean {
  if (!family.projector_modules.some((one) => row.module === one || row.module.startsWith(`${one}.`))) return false;
  const sides = new Map(row.parameters.map((parameter) => [parameter.name, parameter.shape.length]));
  sides.delete(sides.get("bias") === 1 ? "bias" : "");
  return sides.size === 1 && sides.get("weight") === 2;
}

/** The parts that an adapted module must have, by name; null where its own weight has another form than a layer's. */
export function partsOf(lock: Lock, family: Family, row: ModuleRow): Map<string, PartForm> | null {
  const kind = isTarget(lock, family, row);
  if (kind === "experts") return expertParts(lock, family, row);
  const weight = row.parameters.find((parameter) => parameter.name === "weight");
  if (weight === undefined || weight.shape.length !== 2) return null;
  const [out, into] = weight.shape as [number, number];
  const { method } = lock.train;
  switch (method.kind) {
    case "lora": {
      const rank = Number(method.rank);
      const parts = new Map<string, PartForm>([
        ["lora_A.weight", { shape: [rank, into], fresh: null }],
        ["lora_B.weight", { shape: [out, rank], fresh: "zeros" }],
      ]);
      if (method.dora) parts.set("lora_magnitude_vector", { shape: [out], fresh: null });
      return parts;
    }
    case "bottleneck": {
      const size = Number(method.size);
      return new Map<string, PartForm>([
        ["lora_bottleneck_down.weight", { shape: [size, out], fresh: null }],
        ["lora_bottleneck_down.bias", { shape: [size], fresh: "zeros" }],
        ["lora_bottleneck_up.weight", { shape: [out, size], fresh: "zeros" }],
        ["lora_bottleneck_up.bias", { shape: [out], fresh: "zeros" }],
      ]);
    }
    case "prefix": {
      const shape = [Number(method.virtual_tokens), out];
      return new Map<string, PartForm>([
        ["lora_prefix_keys", { shape, fresh: null }],
        ["lora_prefix_values", { shape, fresh: "zeros" }],
      ]);
    }
    case "prompt":
      return new Map([[PROMPT, { shape: [Number(method.virtual_tokens), into], fresh: null }]]);
    case "p_tuning":
      return encoderParts(lock, into);
    case "ia3": {
      const leaves = method.feedforward as string[];
      const inward = isLeaf(family.language, row.module, leaves);
      return new Map<string, PartForm>([["ia3_l", { shape: inward ? [1, into] : [out, 1], fresh: "ones" }]]);
    }
  }
}

/** N8: what makes the virtual tokens of `p_tuning`, each as wide as an embedding. */
function encoderParts(lock: Lock, width: number): Map<string, PartForm> {
  const { method } = lock.train;
  const size = Number(method.encoder_size);
  const found = new Map<string, PartForm>();
  const put = (name: string, ...shape: number[]): unknown => found.set(`lora_prompt_encoder.${name}`, { shape, fresh: null });
  put("embedding.weight", Number(method.virtual_tokens), width);
  const layers: [number, number, number][] = method.encoder === "lstm" ? [[0, 2 * size, 2 * size], [2, width, 2 * size]] : [[0, size, width], [2, size, size], [4, width, size]];
  for (const [n, out, into] of layers) {
    put(`mlp_head.${n}.weight`, out, into);
    put(`mlp_head.${n}.bias`, out);
  }
  for (const layer of method.encoder === "lstm" ? ["l0", "l0_reverse", "l1", "l1_reverse"] : []) {
    put(`lstm_head.weight_ih_${layer}`, 4 * size, layer.startsWith("l0") ? width : 2 * size);
    put(`lstm_head.weight_hh_${layer}`, 4 * size, size);
    put(`lstm_head.bias_ih_${layer}`, 4 * size);
    put(`lstm_head.bias_hh_${layer}`, 4 * size);
  }
  return found;
}

/** L18: of the last parameter `lora_A` and `lora_B`, of the one before it those below `base_layer`. */
function expertParts(lock: Lock, family: Family, row: ModuleRow): Map<string, PartForm> | null {
  const rank = Number(lock.train.method.rank);
  const names = family.experts.map((name) => name.slice(name.lastIndexOf(".") + 1));
  const parts = new Map<string, PartForm>();
  for (const [i, before] of [[names.length - 1, ""], [names.length - 2, "base_layer."]] as const) {
    const shape = row.parameters.find((parameter) => parameter.name === names[i])?.shape;
    if (shape === undefined || shape.length !== 3) return null;
    const [experts, out, into] = shape as [number, number, number];
    parts.set(`${before}lora_A.weight`, { shape: [experts * rank, into], fresh: null });
    parts.set(`${before}lora_B.weight`, { shape: [out, rank * experts], fresh: "zeros" });
  }
  return parts;
}

const TINY = ratio(1n, 1n << 126n);
const SMALL = ratio(1n, 1n << 24n);

/** N12: whether the delta of one adapted module counts. */
export function counts(lock: Lock, row: ModuleRow, parts: ReadonlyMap<string, Tensor>): boolean {
  const { method } = lock.train;
  const get = (name: string): Float64Array => numbers(parts.get(name) as Tensor) as Float64Array;
  switch (method.kind) {
    case "lora": {
      const norm = decimal(row.weight_norm ?? "");
      if (norm === null || !parts.has("lora_A.weight") || !parts.has("lora_B.weight")) return false;
      const rank = Number(method.rank);
      const alpha = ratio(Number(method.alpha));
      const squared = method.rslora ? div(mul(alpha, alpha), ratio(rank)) : div(mul(alpha, alpha), ratio(rank * rank));
      const a = get("lora_A.weight");
      const b = get("lora_B.weight");
      const least = mul(norm, SMALL);
      return productReaches(b, a, rank, squared, mul(least, least)) && elementReaches(b, a, rank, squared);
    }
    case "prefix": {
      const norm = decimal(row.weight_norm ?? "");
      if (norm === null) return false;
      const values = get("lora_prefix_values");
      const squares = sumOfSquares(values);
      const tokens = ratio(Number(method.virtual_tokens));
      const least = mul(norm, SMALL);
      const wide = compare(div(squares, tokens), mul(least, least)) >= 0;
      return wide && compare(div(squares, ratio(values.length)), mul(TINY, TINY)) >= 0;
    }
    case "prompt":
    case "p_tuning": {
      const norm = decimal(row.weight_norm ?? "");
      if (norm === null) return false;
      const last = method.encoder === "lstm" ? 2 : 4;
      const tensors = method.kind === "prompt" ? [PROMPT] : ["weight", "bias"].map((name) => `lora_prompt_encoder.mlp_head.${last}.${name}`);
      const squares = tensors.map((name) => sumOfSquares(get(name))).reduce(add);
      const own = method.kind === "prompt" ? div(squares, ratio(Number(method.virtual_tokens))) : squares;
      const least = mul(norm, SMALL);
      return compare(own, mul(least, least)) >= 0 && compare(own, mul(TINY, TINY)) >= 0;
    }
    case "bottleneck": {
      const out = (parts.get("lora_bottleneck_up.weight") as Tensor).shape[0] ?? 0;
      const least = mul(ratio(out), mul(SMALL, SMALL));
      return productReaches(get("lora_bottleneck_up.weight"), get("lora_bottleneck_down.weight"), Number(method.size), ONE, least);
    }
    case "ia3": {
      const values = get("ia3_l");
      const squares = sumOfSquares(values, ONE);
      const least = ratio(1n, 1n << 23n);
      return compare(div(squares, ratio(values.length)), mul(least, least)) >= 0;
    }
  }
}

/** The exact sum of the squares of the distances from a number. */
function sumOfSquares(values: Float64Array, from: Rational = ZERO): Rational {
  let whole = ZERO;
  for (const value of values) {
    const apart = sub(ofFloat(value), from);
    whole = add(whole, mul(apart, apart));
  }
  return whole;
}

/**
 * Whether squared · ‖b·a‖² is at least a bound; a is rank × in, b is out × rank.
 *
 * ‖b·a‖² is the sum over the products of the two Gram matrices. Floating point decides where its
 * error cannot matter, and exact arithmetic elsewhere.
 */
function productReaches(b: Float64Array, a: Float64Array, rank: number, squared: Rational, bound: Rational): boolean {
  const into = a.length / rank;
  const out = b.length / rank;
  let [value, size] = [0, 0];
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < rank; j++) {
      let [left, right, leftSize, rightSize] = [0, 0, 0, 0];
      for (let k = 0; k < into; k++) {
        const term = (a[i * into + k] as number) * (a[j * into + k] as number);
        left += term;
        leftSize += Math.abs(term);
      }
      for (let k = 0; k < out; k++) {
        const term = (b[k * rank + i] as number) * (b[k * rank + j] as number);
        right += term;
        rightSize += Math.abs(term);
      }
      value += left * right;
      size += leftSize * rightSize;
    }
  }
  const error = size * (into + out + rank * rank + 4) * 2 ** -52;
  const least = toNumber(div(bound, squared));
  const plain = size > 1e-200 && least > 1e-200;
  if (plain && value - error > least * (1 + 1e-12)) return true;
  if (plain && value + error < least * (1 - 1e-12)) return false;
  return compare(mul(squared, exactProduct(b, a, rank)), bound) >= 0;
}

function exactProduct(b: Float64Array, a: Float64Array, rank: number): Rational {
  const [wholeA, shiftA] = integers(a);
  const [wholeB, shiftB] = integers(b);
  const into = a.length / rank;
  const out = b.length / rank;
  let whole = 0n;
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      let [left, right] = [0n, 0n];
      for (let k = 0; k < into; k++) left += (wholeA[i * into + k] as bigint) * (wholeA[j * into + k] as bigint);
      for (let k = 0; k < out; k++) right += (wholeB[k * rank + i] as bigint) * (wholeB[k * rank + j] as bigint);
      whole += left * right * (i === j ? 1n : 2n);
    }
  }
  return ratio(whole, 1n << BigInt(2 * (shiftA + shiftB)));
}

/** The values as whole numbers of units of 2^-shift. */
function integers(values: Float64Array): [bigint[], number] {
  let least = 0;
  for (const value of values) if (value !== 0) least = Math.min(least, Math.floor(Math.log2(Math.abs(value))) - 54);
  const shift = -least;
  return [Array.from(values, (value) => scaled(value, shift)), shift];
}

function scaled(value: number, shift: number): bigint {
  const { n, d } = ofFloat(value);
  return (n << BigInt(shift)) / d;
}

/** Whether an element of the scaled product is at least 2^-126. */
function elementReaches(b: Float64Array, a: Float64Array, rank: number, squared: Rational): boolean {
  const into = a.length / rank;
  const out = b.length / rank;
  const bound = toNumber(squared) ** -0.5 * 2 ** -126;
  let open = false;
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < into; i++) {
      let [value, size] = [0, 0];
      for (let r = 0; r < rank; r++) {
        const term = (b[o * rank + r] as number) * (a[r * into + i] as number);
        value += term;
        size += Math.abs(term);
      }
      const error = size * (rank + 2) * 2 ** -52;
      if (Math.abs(value) - error > bound * 1.000001) return true;
      open ||= Math.abs(value) + error >= bound * 0.999999;
    }
  }
  if (!open) return false;
  const least = mul(TINY, TINY);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < into; i++) {
      let exact = ZERO;
      for (let r = 0; r < rank; r++) exact = add(exact, mul(ofFloat(b[o * rank + r] as number), ofFloat(a[r * into + i] as number)));
      if (compare(mul(squared, mul(exact, exact)), least) >= 0) return true;
    }
  }
  return false;
}

function toNumber(value: Rational): number {
  const above = value.n.toString(2).length;
  const below = value.d.toString(2).length;
  const shift = BigInt(Math.max(0, 64 - above + below));
  return Number((value.n << shift) / value.d) * 2 ** -Number(shift);
}
