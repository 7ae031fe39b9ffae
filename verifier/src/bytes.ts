/** Bytes, text and SHA-256: what every other file rests on. */

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export const concat = (...parts: Uint8Array[]): Uint8Array => joined(parts);

/** As many parts as there are, one after the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Strict UTF-8, a byte order mark kept; null for anything else. */
export function text(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(digits: string): Uint8Array {
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** The 32 bytes of a digest as documents write it. */
export const raw = (digest: string): Uint8Array => unhex(digest.replace("sha256:", ""));

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 of RFC 4648, section 4, with padding and zero in the unused bits; null for anything else. */
export function unbase64(written: string): Uint8Array | null {
  if (written.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(written)) return null;
  const body = written.replace(/=+$/, "");
  const bytes = new Uint8Array(Math.floor((body.length * 6) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const sign of body) {
    bits = (bits << 6) | ALPHABET.indexOf(sign);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >> held) & 255;
      bits &= (1 << held) - 1;
    }
  }
  return held < 6 && bits === 0 ? bytes : null;
}

/** The digest of a whole blob, by the platform's own crypto. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return `sha256:${hex(new Uint8Array(hash))}`;
}

// SHA-256 of short inputs (lines of a Merkle tree, streams of draws), where a promise for each of
// many thousands would cost more than the hash. FIPS 180-4, section 6.2.
const PRIMES: number[] = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const root = (n: number, power: number): number => {
  const value = n ** power;
  return Math.floor((value - Math.floor(value)) * 2 ** 32) >>> 0;
};
const K = new Uint32Array(PRIMES.map((p) => root(p, 1 / 3)));
const START = PRIMES.slice(0, 8).map((p) => root(p, 1 / 2));
const W = new Uint32Array(64);

export function sha256(...parts: Uint8Array[]): Uint8Array {
  const input = parts.length === 1 ? (parts[0] as Uint8Array) : concat(...parts);
  const length = input.length;
  const padded = new Uint8Array(((length + 8) >> 6 << 6) + 64);
  padded.set(input);
  padded[length] = 128;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length << 3) >>> 0);
  const state = new Uint32Array(START);
  for (let block = 0; block < padded.length; block += 64) compress(state, view, block);
  const out = new Uint8Array(32);
  const written = new DataView(out.buffer);
  state.forEach((word, i) => written.setUint32(4 * i, word));
  return out;
}

const turn = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

function compress(state: Uint32Array, view: DataView, block: number): void {
  for (let i = 0; i < 16; i++) W[i] = view.getUint32(block + 4 * i);
  for (let i = 16; i < 64; i++) {
    const a = W[i - 15]!;
    const b = W[i - 2]!;
    const s0 = turn(a, 7) ^ turn(a, 18) ^ (a >>> 3);
    const s1 = turn(b, 17) ^ turn(b, 19) ^ (b >>> 10);
    W[i] = (W[i - 16]! + s0 + W[i - 7]! + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    number, number, number, number, number, number, number, number,
  ];
  for (let i = 0; i < 64; i++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((value, i) => {
    state[i] = state[i]! + value;
  });
}

export const digest = (...parts: Uint8Array[]): string => `sha256:${hex(sha256(...parts))}`;

/** The root of the Merkle tree of RFC 6962, section 2.1, over these leaves. */
export function merkleRoot(leaves: readonly Uint8Array[]): string {
  const hashes = leaves.map((leaf) => sha256(Uint8Array.of(0), leaf));
  return `sha256:${hex(hashes.length ? tree(hashes, 0, hashes.length) : sha256(new Uint8Array()))}`;
}

function tree(hashes: Uint8Array[], from: number, to: number): Uint8Array {
  if (to - from === 1) return hashes[from] as Uint8Array;
  let half = 1;
  while (half * 2 < to - from) half *= 2;
  return sha256(Uint8Array.of(1), tree(hashes, from, from + half), tree(hashes, from + half, to));
}
