/**
 * Time stamps of claims: docs/format/claims.md, C22 and C23.
 *
 * Whether a stamp is of the claim's signature is read here. Whether an authority made it needs CMS and certificates, which this
 * verifier does not read: it then says that it could not look.
 */

import { equal, sha256, unbase64 } from "./bytes.ts";
import type { JsonObject } from "./json.ts";

interface Der {
  tag: number;
  body: Uint8Array;
}

/** The elements that stand one after the other; null where these bytes are no strict DER. */
function elements(bytes: Uint8Array): Der[] | null {
  const found: Der[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] as number;
    let length = bytes[at + 1] ?? 255;
    let from = at + 2;
    if (length >= 128) {
      const count = length - 128;
      if (count < 1 || count > 3 || (tag & 31) === 31) return null;
      length = bytes.subarray(from, from + count).reduce((whole, byte) => whole * 256 + byte, 0);
      from += count;
    }
    if (from + length > bytes.length) return null;
    found.push({ tag, body: bytes.subarray(from, from + length) });
    at = from + length;
  }
  return found;
}

const inside = (element: Der | undefined, tag: number): Der[] => (element?.tag === tag ? (elements(element.body) ?? []) : []);

const SEQUENCE = 0x30;
const OCTETS = 0x04;
const EXPLICIT = 0xa0;
const INTEGER = 0x02;
const OBJECT_ID = 0x06;
const SHA256 = Uint8Array.of(0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);

/** Whether a granted response (RFC 3161, section 2.4.2: status 0) is of these bytes. */
function isOf(response: Uint8Array, signed: Uint8Array): boolean {
  const [status, token] = inside(elements(response)?.[0], SEQUENCE);
  const [granted] = inside(status, SEQUENCE);
  if (granted?.tag !== INTEGER || granted.body.length !== 1 || granted.body[0] !== 0) return false;
  const [, content] = inside(token, SEQUENCE); // ContentInfo
  const data = inside(inside(content, EXPLICIT)[0], SEQUENCE); // SignedData
  const [, wrapped] = inside(data[2], SEQUENCE); // EncapsulatedContentInfo
  const [octets] = inside(wrapped, EXPLICIT);
  const info = octets?.tag === OCTETS ? inside(elements(octets.body)?.[0], SEQUENCE) : []; // TSTInfo
  const [algorithm, hashed] = inside(info[2], SEQUENCE); // MessageImprint
  const [name] = inside(algorithm, SEQUENCE);
  const known = name?.tag === OBJECT_ID && equal(name.body, SHA256);
  return known && hashed?.tag === OCTETS && equal(hashed.body, sha256(signed));
}

/** Null without a stamp; else whether it is of the claim's signature. Throws an `Error` where it is no base64. */
export function stamped(envelope: JsonObject, signature: Uint8Array): boolean | null {
  const material = envelope.verificationMaterial as JsonObject;
  const data = material.timestampVerificationData as JsonObject | undefined;
  if (data === undefined) return null;
  const [one] = data.rfc3161Timestamps as JsonObject[];
  const response = unbase64(String(one?.signedTimestamp));
  if (response === null) throw new Error("C4: not the one base64 of its bytes");
  return isOf(response, signature);
}
