/** The bytes of a bundle: a tar of an OCI layout in its one form. docs/format/container.md, C1 to C14. */

import { concat, digestOf, equal, hex, text, utf8 } from "./bytes.ts";
import { type Json, type JsonObject, LARGEST_DOCUMENT, canonical, isObject, parse } from "./json.ts";
import { unbase64 } from "./bytes.ts";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const BUNDLE_TYPE = "application/vnd.kolm.bundle.v1";
export const CLAIM_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY = utf8("{}");
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
const LAYOUT = utf8('{"imageLayoutVersion":"1.0.0"}');
const BLOB = /^blobs\/sha256\/([0-9a-f]{64})$/;

export interface Entry {
  name: string;
  bytes: Uint8Array;
}

/** Why nothing can be said of a file: it is no bundle, or one of a later version. */
export class NoBundle extends Error {}

export class BadTar extends Error {}

/** C2: the 512 bytes before an entry. */
export function header(name: string, size: number): Uint8Array {
  const block = new Uint8Array(512);
  const put = (at: number, written: string): void => block.set(utf8(written), at);
  put(0, name);
  put(100, "0000644\0");
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${size.toString(8).padStart(11, "0")}\0`);
  put(136, "02263523000\0");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\x0000");
  put(329, "0000000\0");
  put(337, "0000000\0");
  const checksum = block.reduce((whole, byte) => whole + byte, 0);
  put(148, `${checksum.toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** C1 to C5: the entries of a file; throws `BadTar` where it is not the one tar of them. */
export function entries(file: Uint8Array, most: number): Entry[] {
  const found: Entry[] = [];
  let at = 0;
  for (;;) {
    const block = file.subarray(at, at + 512);
    if (block.length < 512) throw new BadTar(`the file ends inside of a header, at ${at}`);
    if (block.every((byte) => byte === 0)) break;
    const end = block.indexOf(0);
    const name = text(block.subarray(0, Math.min(end, 100))) ?? "";
    const size = parseInt(text(block.subarray(124, 135)) ?? "", 8);
    if (name !== "oci-layout" && name !== "index.json" && !BLOB.test(name)) {
      throw new BadTar(`an entry is called ${JSON.stringify(name.slice(0, 80))}`);
    }
    if (!Number.isSafeInteger(size) || !equal(block, header(name, size))) {
      throw new BadTar(`the header of ${name} is not the one of its name and size`);
    }
    const from = at + 512;
    const to = from + size;
    at = from + Math.ceil(size / 512) * 512;
    if (at > file.length) throw new BadTar(`${name} is said to be larger than the file`);
    if (!file.subarray(to, at).every((byte) => byte === 0)) throw new BadTar(`something behind ${name}, before the next`);
    found.push({ name, bytes: file.subarray(from, to) });
    if (found.length > most) throw new BadTar(`more than ${most} entries`);
  }
  if (file.length !== at + 1024 || !file.subarray(at).every((byte) => byte === 0)) {
    throw new BadTar("the end is not two blocks of zeros and the end of the file");
  }
  return found;
}

/** A file that begins with the entry `oci-layout` may be a bundle; nothing else is. */
export const looksLikeOne = (file: Uint8Array): boolean => equal(file.subarray(0, 11), utf8("oci-layout\0"));

export interface Descriptor extends JsonObject {
  digest: string;
  mediaType: string;
  size: number;
}

export interface Manifest extends JsonObject {
  artifactType: string;
  config: Descriptor;
  layers: Descriptor[];
}

export interface Claim {
  digest: string;
  bytes: Uint8Array;
  manifest: Uint8Array;
  manifestDigest: string;
}

/** C12: the predicate type of a blob that is a claim, else null. What else is wrong with it is V10's. */
export function claimedType(bytes: Uint8Array): string | null {
  const document = readOr(bytes);
  if (!isObject(document) || document.mediaType !== CLAIM_TYPE || !isObject(document.dsseEnvelope)) return null;
  const payload = document.dsseEnvelope.payload;
  const statement = typeof payload === "string" ? readOr(unbase64(payload) ?? new Uint8Array()) : undefined;
  return isObject(statement) && typeof statement.predicateType === "string" ? statement.predicateType : null;
}

export function readOr(bytes: Uint8Array): Json | undefined {
  if (bytes.length > LARGEST_DOCUMENT) return undefined;
  try {
    return parse(bytes);
  } catch {
    return undefined;
  }
}

/** C13: the manifest of a claim. */
export function claimManifest(digest: string, size: number, predicateType: string, subject: JsonObject): Uint8Array {
  return canonical({
    annotations: {
      "dev.sigstore.bundle.content": "dsse-envelope",
      "dev.sigstore.bundle.predicateType": predicateType,
    },
    artifactType: CLAIM_TYPE,
    config: { digest: EMPTY_DIGEST, mediaType: EMPTY_TYPE, size: EMPTY.length },
    layers: [
      {
        annotations: { "org.opencontainers.image.title": `${digest.replace(":", "-")}.sigstore.json` },
        digest,
        mediaType: CLAIM_TYPE,
        size,
      },
    ],
    mediaType: MANIFEST_TYPE,
    schemaVersion: 2,
    subject,
  });
}

const EMPTY_DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/** C8: the order of the entries that a manifest and its claims imply. */
export function order(manifestDigest: string, manifest: Manifest, claims: readonly Claim[]): string[] {
  const layers = [...manifest.layers].sort((a, b) => a.size - b.size || (a.digest < b.digest ? -1 : 1));
  const blobs = [
    manifestDigest,
    manifest.config.digest,
    ...(claims.length ? [EMPTY_DIGEST] : []),
    ...claims.flatMap((claim) => [claim.manifestDigest, claim.digest]),
    ...layers.map((layer) => layer.digest),
  ];
  return ["oci-layout", "index.json", ...new Set(blobs.map((digest) => `blobs/sha256/${digest.slice(7)}`))];
}

/** C9 and C10. */
export function layoutAndIndex(subject: JsonObject, claims: readonly Claim[]): [Uint8Array, Uint8Array] {
  const index = canonical({
    manifests: [
      {
        ...subject,
        annotations: { "org.opencontainers.image.ref.name": "v1" },
        artifactType: BUNDLE_TYPE,
      },
      ...claims.map((claim) => ({
        artifactType: CLAIM_TYPE,
        digest: claim.manifestDigest,
        mediaType: MANIFEST_TYPE,
        size: claim.manifest.length,
      })),
    ],
    mediaType: "application/vnd.oci.image.index.v1+json",
    schemaVersion: 2,
  });
  return [LAYOUT, index];
}

/** The claims among these blobs, in the order of their manifests. */
export async function claimsOf(blobs: Map<string, Uint8Array>, subject: JsonObject, own: Set<string>): Promise<Claim[]> {
  const found: Claim[] = [];
  for (const [digest, bytes] of blobs) {
    const type = own.has(digest) ? null : claimedType(bytes);
    if (type === null) continue;
    const manifest = claimManifest(digest, bytes.length, type, subject);
    found.push({ digest, bytes, manifest, manifestDigest: await digestOf(manifest) });
  }
  return found.sort((a, b) => (a.manifestDigest < b.manifestDigest ? -1 : 1));
}

export const blobDigest = (name: string): string | null => {
  const match = BLOB.exec(name);
  return match === null ? null : `sha256:${match[1]}`;
};

/** M6: the content id as a CID. */
export function cid(digest: string): string {
  const bytes = concat(Uint8Array.of(1, 0x55, 0x12, 0x20), Uint8Array.from(digest.slice(7).match(/../g) ?? [], (two) => parseInt(two, 16)));
  let bits = BigInt(`0x${hex(bytes)}`) << 2n; // 36 bytes are 288 bits, 58 digits of 5 bits are 290
  let written = "";
  for (let i = 0; i < 58; i++) {
    written = "abcdefghijklmnopqrstuvwxyz234567"[Number(bits & 31n)] + written;
    bits >>= 5n;
  }
  return `b${written}`;
}
