/** Tensor files: docs/format/container.md, T1 to T7. */

import { concat, digestOf, utf8 } from "./bytes.ts";
import { type Json, canonical, canonicalText, isObject, parse } from "./json.ts";

const BITS: Record<string, number> = {
  BOOL: 8, U8: 8, I8: 8, F8_E4M3: 8, F8_E5M2: 8, I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, I64: 64, U64: 64, F64: 64,
};
export const FLOATS = new Set(["F8_E4M3", "F8_E5M2", "F16", "BF16", "F32", "F64"]);

export interface Tensor {
  name: string;
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

export interface TensorFile {
  tensors: Map<string, Tensor>;
  canonical: boolean;
}

/** Reads a tensor file; throws an `Error` that says which of T1 to T4 does not hold. */
export function readTensors(file: Uint8Array): TensorFile {
  const wrong = (rule: string, what: string): Error => new Error(`${rule}: ${what}`);
  if (file.length < 8) throw wrong("T1", "shorter than a length");
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length > 4_194_304) throw wrong("T1", "a header above 4 MiB");
  if (8 + length > file.length) throw wrong("T1", "the header is longer than the file");
  const written = file.subarray(8, 8 + length);
  const header = parse(written.subarray(0, lastBrace(written)));
  if (!isObject(header)) throw wrong("T2", "the header is no object");
  const tensors = new Map<string, Tensor>();
  const data = file.subarray(8 + length);
  const spans: [number, number, string][] = [];
  for (const [name, stated] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [dtype, shape, [from, to]] = tensorOf(name, stated);
    const size = (shape.reduce((n, side) => n * side, 1) * (BITS[dtype] ?? 0)) / 8;
    if (to - from !== size || to > data.length) throw wrong("T3", `${name} does not fill its bytes`);
    spans.push([from, to, name]);
    tensors.set(name, { name, dtype, shape, bytes: data.subarray(from, to) });
  }
  spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let at = 0;
  for (const [from, to, name] of spans) {
    if (from !== at) throw wrong("T4", `a hole or an overlap before ${name}`);
    at = to;
  }
  if (at !== data.length) throw wrong("T4", "bytes behind the last tensor");
  return { tensors, canonical: isCanonical(written, header, spans) };
}

const lastBrace = (written: Uint8Array): number => {
  let end = written.length;
  while (end > 0 && written[end - 1] === 32) end--;
  return end;
};

function tensorOf(name: string, stated: Json): [string, number[], [number, number]] {
  const wrong = new Error(`T2: ${name.slice(0, 80)} is not described by dtype, shape and data_offsets alone`);
  if (utf8(name).length > 512 || !isObject(stated)) throw wrong;
  if (Object.keys(stated).sort().join() !== "data_offsets,dtype,shape") throw wrong;
  const { dtype, shape, data_offsets: offsets } = stated;
  if (typeof dtype !== "string" || !(dtype in BITS)) throw new Error(`T3: ${name} has no known dtype`);
  if (!counts(shape) || shape.length > 8 || !counts(offsets) || offsets.length !== 2) throw wrong;
  return [dtype, shape, [offsets[0] as number, offsets[1] as number]];
}

const counts = (value: Json | undefined): value is number[] =>
  Array.isArray(value) && value.every((one) => typeof one === "number" && one >= 0);

/** T5. */
function isCanonical(written: Uint8Array, header: { [key: string]: Json }, spans: [number, number, string][]): boolean {
  const body = canonicalText(header);
  const text = new TextDecoder().decode(written);
  const padded = body + " ".repeat((8 - (utf8(body).length % 8)) % 8);
  const names = Object.keys(header).filter((name) => name !== "__metadata__").sort();
  // Empty tensors share their offset with the next one, so that offsets alone do not say the order.
  let at = 0;
  const inOrder = names.every((name) => {
    const span = spans.find((one) => one[2] === name) as [number, number, string];
    const right = span[0] === at;
    at = span[1];
    return right;
  });
  return text === padded && inOrder && canonicalText(header.__metadata__ ?? null) === '{"format":"pt"}';
}

/** T6. */
export const tensorDigest = (tensor: Tensor): Promise<string> =>
  digestOf(
    concat(utf8("kolm-tensor-v1\0"), canonical({ dtype: tensor.dtype, shape: tensor.shape }), Uint8Array.of(0), tensor.bytes),
  );

/** The numbers of a tensor of floats, exactly; null for other dtypes. */
export function numbers(tensor: Tensor): Float64Array | null {
  const { bytes, dtype } = tensor;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read: Record<string, [number, (at: number) => number]> = {
    F64: [8, (at) => view.getFloat64(at, true)],
    F32: [4, (at) => view.getFloat32(at, true)],
    F16: [2, (at) => small(view.getUint16(at, true), 5, 10, true)],
    BF16: [2, (at) => small(view.getUint16(at, true), 8, 7, true)],
    F8_E5M2: [1, (at) => small(view.getUint8(at), 5, 2, true)],
    F8_E4M3: [1, (at) => small(view.getUint8(at), 4, 3, false)],
  };
  const how = read[dtype];
  if (how === undefined) return null;
  const [width, get] = how;
  const found = new Float64Array(bytes.length / width);
  for (let i = 0; i < found.length; i++) found[i] = get(i * width);
  return found;
}

/** T7: the value of a small float; in F8_E4M3 only all bits set is no number. */
function small(bits: number, exponentBits: number, fractionBits: number, infinities: boolean): number {
  const top = 2 ** exponentBits - 1;
  const exponent = (bits >> fractionBits) & top;
  const fraction = bits & (2 ** fractionBits - 1);
  const sign = bits >> (exponentBits + fractionBits) ? -1 : 1;
  if (exponent === top && (infinities || fraction === 2 ** fractionBits - 1)) return NaN;
  const bias = 2 ** (exponentBits - 1) - 1;
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias - fractionBits)
    : sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
}
