/** Public keys, signatures and the trust file: docs/format/trust.md, and C3 to C6 of docs/format/claims.md. */

import { concat, equal, hex, sha256, unbase64, unhex, utf8 } from "./bytes.ts";
import { type JsonObject, canonical, parse } from "./json.ts";
import { digest } from "./bytes.ts";
import { misfits } from "./schema.ts";

export type TrustRole = "builder" | "evaluator" | "verifier" | "endorser" | "publisher" | "buyer";

export interface PublicKey {
  id: string;
  algorithm: "Ed25519" | "P-256";
  point: Uint8Array;
}

export interface TrustedKey extends PublicKey {
  name: string;
  roles: TrustRole[];
  revokedOn: string | null;
}

export interface Trust {
  digest: string;
  keys: Map<string, TrustedKey>;
  /** Whether it names authorities over time stamps (T12), which nothing here can check. */
  authorities: boolean;
}

/** Trust in one key, in every role that claims of a bundle need; for whoever has a public key and no trust file. */
export function trustIn(pem: string, name: string): Trust {
  const key = readKey(pem);
  const roles: TrustRole[] = ["builder", "evaluator", "verifier", "endorser"];
  return { digest: "", keys: new Map([[key.id, { ...key, name, roles, revokedOn: null }]]), authorities: false };
}

export const NOBODY: Trust = { digest: "", keys: new Map(), authorities: false };

/** T2: the trust file; throws an `Error` where it is none. */
export function readTrust(bytes: Uint8Array): Trust {
  const document = parse(bytes) as JsonObject;
  const bad = misfits("trust", document);
  if (bad.length) throw new Error(`the trust file: ${bad[0]}`);
  const keys = new Map<string, TrustedKey>();
  const names = new Set<string>();
  for (const row of document.keys as JsonObject[]) {
    const key = readKey(String(row.key));
    if (names.has(String(row.name)) || keys.has(key.id)) throw new Error(`the trust file names ${row.name}, or its key, twice`);
    names.add(String(row.name));
    const revoked = row.revoked as JsonObject | undefined;
    if (revoked !== undefined && !isTime(String(revoked.on))) throw new Error(`the trust file: ${revoked.on} is no time`);
    keys.set(key.id, {
      ...key,
      name: String(row.name),
      roles: row.roles as TrustRole[],
      revokedOn: revoked === undefined ? null : String(revoked.on),
    });
  }
  const authorities = ((document.authorities ?? []) as JsonObject[]).map((row) => String(row.name));
  if (new Set(authorities).size < authorities.length) throw new Error("the trust file names an authority twice");
  return { digest: digest(canonical(document)), keys, authorities: authorities.length > 0 };
}

const ED25519 = unhex("302a300506032b6570032100");
const P256 = unhex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

/** C3 and C6: a public key from its PEM text in its one form. */
export function readKey(pem: string): PublicKey {
  const body = pem.split("\n").slice(1, -2).join("");
  const der = unbase64(body);
  const lines = body.match(/.{1,64}/g) ?? [];
  const again = `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
  if (der === null || again !== pem) throw new Error("a public key is not in its canonical form");
  const id = hex(sha256(utf8(pem)));
  if (equal(der.subarray(0, 12), ED25519) && der.length === 44) {
    const point = der.subarray(12);
    if (!isUsual(point)) throw new Error("a public key of small order, or written in an unusual way, is no key");
    return { id, algorithm: "Ed25519", point };
  }
  if (equal(der.subarray(0, 26), P256) && der.length === 91 && der[26] === 4) {
    return { id, algorithm: "P-256", point: der.subarray(26) };
  }
  throw new Error("a public key is neither Ed25519 nor P-256 in its usual form");
}

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
// The y of the points of order 1, 2, 4 and 8 (RFC 8032, section 5.1).
const SMALL = new Set([0n, 1n, P - 1n, smallY(), P - smallY()]);

function smallY(): bigint {
  // y² = (−1 ± √(1 + d)) / d for the points of order 8, of which one sign gives a square.
  const power = (base: bigint, exponent: bigint): bigint => {
    let [result, b] = [1n, ((base % P) + P) % P];
    for (let e = exponent; e > 0n; e >>= 1n) {
      if (e & 1n) result = (result * b) % P;
      b = (b * b) % P;
    }
    return result;
  };
  const inverse = (x: bigint): bigint => power(x, P - 2n);
  const squareRoot = (x: bigint): bigint | null => {
    const value = ((x % P) + P) % P;
    for (const factor of [1n, power(2n, (P - 1n) / 4n)]) {
      const root = (power(value, (P + 3n) / 8n) * factor) % P;
      if ((root * root) % P === value) return root;
    }
    return null;
  };
  const d = (-121665n * inverse(121666n)) % P;
  const inner = squareRoot(1n + d);
  for (const sign of inner === null ? [] : [1n, -1n]) {
    const y = squareRoot((-1n + sign * inner!) * inverse(d));
    if (y !== null) return y;
  }
  throw new Error("the curve is not the one of RFC 8032");
}

const little = (bytes: Uint8Array): bigint => BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`);

/** Whether an Ed25519 point is written with y below p and is not of small order. */
function isUsual(point: Uint8Array): boolean {
  const y = little(point) & (2n ** 255n - 1n);
  return y < P && !SMALL.has(y);
}

export type Signed = "right" | "wrong" | "unsupported";

/** C5 and C6: whether a signature over the payload's pre-authentication encoding is that of this key. */
export async function verify(key: PublicKey, payloadType: string, payload: Uint8Array, signature: Uint8Array): Promise<Signed> {
  const type = utf8(payloadType);
  const signed = concat(utf8(`DSSEv1 ${type.length} `), type, utf8(` ${payload.length} `), payload);
  try {
    if (key.algorithm === "Ed25519") {
      if (signature.length !== 64 || little(signature.subarray(32)) >= L) return "wrong";
      const own = await crypto.subtle.importKey("raw", whole(key.point), { name: "Ed25519" }, false, ["verify"]);
      return (await crypto.subtle.verify({ name: "Ed25519" }, own, whole(signature), whole(signed))) ? "right" : "wrong";
    }
    const pair = fromDer(signature);
    if (pair === null) return "wrong";
    const own = await crypto.subtle.importKey("raw", whole(key.point), { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    const how = { name: "ECDSA", hash: "SHA-256" };
    return (await crypto.subtle.verify(how, own, whole(pair), whole(signed))) ? "right" : "wrong";
  } catch (problem) {
    // A browser without Ed25519 says so; it must not look like a wrong signature.
    if (problem instanceof DOMException && problem.name === "NotSupportedError") return "unsupported";
    return "wrong";
  }
}

const whole = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes);

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** r and s of a strict DER signature, 32 bytes each, with s in the lower half; null for anything else. */
function fromDer(der: Uint8Array): Uint8Array | null {
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return null;
  const numbers: bigint[] = [];
  let at = 2;
  for (let i = 0; i < 2; i++) {
    const length = der[at + 1] ?? 0;
    const body = der.subarray(at + 2, at + 2 + length);
    const first = body[0] ?? 255;
    const padded = first === 0 && length > 1 && (body[1] as number) < 128;
    if (der[at] !== 2 || length === 0 || length > 33 || body.length !== length || first > 127 || padded) return null;
    numbers.push(BigInt(`0x${hex(body)}`));
    at += 2 + length;
  }
  const [r, s] = numbers as [bigint, bigint];
  if (at !== der.length || r === 0n || s === 0n || r >= N || s > N / 2n) return null;
  return concat(...[r, s].map((one) => unhex(one.toString(16).padStart(64, "0"))));
}

/** Whether a time exists, in whole seconds of UTC, in the years 2020 to 2099. */
export function isTime(written: string): boolean {
  const year = Number(written.slice(0, 4));
  const at = new Date(written);
  return year >= 2020 && year <= 2099 && !Number.isNaN(at.getTime()) && at.toISOString() === written.replace("Z", ".000Z");
}
