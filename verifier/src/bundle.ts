/** A file taken apart: entries, manifest, members, documents, claims, and the answers V01 to V07 and V09. */

import { type Answer, Looking, failed, notChecked, ok } from "./answers.ts";
import { digestOf, equal, text } from "./bytes.ts";
import {
  BadTar, BUNDLE_TYPE, type Claim, type Entry, MANIFEST_TYPE, type Manifest, NoBundle, blobDigest, claimsOf, entries, layoutAndIndex, looksLikeOne,
  order, readOr,
} from "./container.ts";
import type {
  Capture, CheckpointDocument, Evaluation, Example, Lock, ModuleRow, Prediction, Receipt, SnapshotHeader, SnapshotRow, TraceRow,
} from "./documents.ts";
import { type Json, type JsonObject, LARGEST_DOCUMENT, canonical, isCanonical, isObject, lines, parse } from "./json.ts";
import { KINDS, type Kind, LIMITS, descriptors, kindOf, manifestOf, titleOf } from "./members.ts";
import { type TensorFile, readTensors } from "./safetensors.ts";
import { misfits } from "./schema.ts";

/** The documents that could be read and fit their schemas; a key is missing where one could not. */
export interface Documents {
  receipt?: Receipt;
  config?: JsonObject;
  modules?: ModuleRow[];
  lock?: Lock;
  header?: SnapshotHeader;
  snapshot?: SnapshotRow[];
  cases?: Capture[];
  examples?: Example[];
  trace?: TraceRow[];
  predictions?: Prediction[];
  evaluation?: Evaluation;
  card?: string;
  adapter?: TensorFile;
  checkpoints: Map<string, CheckpointDocument>;
  states: Map<string, TensorFile>;
}

export interface Bundle {
  answers: Map<string, Answer>;
  id: string;
  manifest?: Manifest;
  members: Map<string, Uint8Array>;
  digests: Map<string, string>;
  documents: Documents;
  claims: Claim[];
}

/** Opens a file; throws `NoBundle` where nothing can be said of it. */
export async function open(file: Uint8Array): Promise<Bundle> {
  const answers = new Map<string, Answer>();
  const bundle: Bundle = {
    answers, id: "", members: new Map(), digests: new Map(), claims: [],
    documents: { checkpoints: new Map(), states: new Map() },
  };
  if (!looksLikeOne(file)) throw new NoBundle("it does not begin as a bundle does");
  const unread = (from: number, why: string): Bundle => {
    for (let n = from; n <= 9; n++) answers.set(`V0${n}`, notChecked(why));
    return bundle;
  };
  if (file.length > LIMITS.file) {
    answers.set("V01", notChecked("V02"));
    answers.set("V02", failed("C6", "larger than 64 GiB"));
    return unread(3, "V02");
  }
  let found: Entry[];
  try {
    found = entries(file, LIMITS.entries);
  } catch (problem) {
    if (!(problem instanceof BadTar)) throw problem;
    answers.set("V01", failed("C1", problem.message));
    return unread(2, "V01 failed");
  }
  answers.set("V01", ok(`${found.length} entries`));
  const blobs = await hashed(found, answers);
  const third = found[2];
  bundle.id = third === undefined ? "" : (blobDigest(third.name) ?? "");
  const manifest = third === undefined ? undefined : readOr(third.bytes);
  const type = isObject(manifest) ? manifest.artifactType : undefined;
  const right = bundle.id !== "" && answers.get("V03")?.verdict === "ok";
  if (right && isObject(manifest) && type !== BUNDLE_TYPE) {
    const later = typeof type === "string" && /^application\/vnd\.kolm\.bundle\.v[1-9][0-9]{0,3}$/.test(type);
    throw new NoBundle(later ? `it is of a later version of the format: ${type}` : "its manifest is none of a bundle");
  }
  const bad = manifest === undefined ? ["it is no JSON document"] : misfits("manifest", manifest);
  if (bad.length) {
    const why = `the third entry is no manifest: ${bad[0]}`;
    answers.set("V04", failed("M3", why));
    answers.set("V09", failed("M6", why));
    for (const id of ["V02", "V05", "V06", "V07", "V08"]) answers.set(id, notChecked("the manifest could not be read"));
    return bundle;
  }
  bundle.manifest = manifest as Manifest;
  await layout(bundle, found, blobs);
  readDocuments(bundle);
  return bundle;
}

/** V03, first half: every blob hashes to its name. Gives the blobs by their names. */
async function hashed(found: Entry[], answers: Map<string, Answer>): Promise<Map<string, Uint8Array>> {
  const look = new Looking();
  const blobs = new Map<string, Uint8Array>();
  for (const { name, bytes } of found) {
    const digest = blobDigest(name);
    if (digest === null) continue;
    look.demand((await digestOf(bytes)) === digest, "C7", `${name} hashes to something else`);
    blobs.set(digest, bytes);
  }
  answers.set("V03", look.answer(`${blobs.size} blobs hashed`));
  return blobs;
}

async function layout(bundle: Bundle, found: Entry[], blobs: Map<string, Uint8Array>): Promise<void> {
  const { answers } = bundle;
  const manifest = bundle.manifest as Manifest;
  const listed = descriptors(manifest);
  const sizes = new Looking();
  sizes.findings.push(...(answers.get("V03")?.findings ?? []));
  const reach = new Looking();
  const named: { name: string; digest: string; size: number }[] = [];
  for (const descriptor of listed) {
    const name = titleOf(descriptor);
    const kind = kindOf(name);
    const bytes = blobs.get(descriptor.digest);
    reach.demand(kind !== undefined && kind.type === descriptor.mediaType, "M3", `${name} is no member of this media type`);
    if (bytes === undefined) {
      reach.say("C8", `${name} is not in the file`);
    } else {
      sizes.demand(bytes.length === descriptor.size, "C7", `${name} has another size than stated`);
    }
    if (kind === undefined) continue;
    reach.demand(!bundle.digests.has(name), "M2", `${name} twice`);
    named.push({ name, digest: descriptor.digest, size: descriptor.size });
    bundle.digests.set(name, descriptor.digest);
    if (bytes !== undefined) bundle.members.set(name, bytes);
  }
  answers.set("V03", sizes.answer(answers.get("V03")?.detail ?? ""));
  const missing = KINDS.filter((kind) => kind.required && !named.some(({ name }) => kind.name.test(name)));
  for (const kind of missing) reach.say("M2", `no ${kind.name.source.replace(/[\\^$]/g, "")}`);
  reach.demand(new Set(listed.map((one) => one.digest)).size === listed.length, "M7", "two members with the same digest");
  const third = (found[2] as Entry).bytes;
  reach.demand(equal(third, canonical(manifestOf(named))), "M8", "the manifest is not the one that its members make");

  const subject = { digest: bundle.id, mediaType: MANIFEST_TYPE, size: third.length };
  const own = new Set([bundle.id, ...listed.map((one) => one.digest)]);
  bundle.claims = await claimsOf(blobs, subject, own);
  answers.set("V02", limits(bundle, found, named));
  const due = order(bundle.id, manifest, bundle.claims);
  const names = found.map((entry) => entry.name);
  reach.demand(names.join() === due.join(), "C8", differs(names, due));
  for (const claim of bundle.claims) {
    const stored = blobs.get(claim.manifestDigest);
    if (stored !== undefined) reach.demand(equal(stored, claim.manifest), "C13", "the manifest of a claim is another one");
  }
  answers.set("V04", reach.answer(`${named.length} members, ${bundle.claims.length} claims`));
  const parts = layoutAndIndex(subject, bundle.claims);
  const index = new Looking();
  parts.forEach((part, i) => index.demand(equal(found[i]?.bytes ?? new Uint8Array(), part), i ? "C10" : "C9", `${names[i]} is not the one that the manifests imply`));
  answers.set("V05", index.answer("both made again, byte for byte"));
  const shown = await digestOf(third);
  answers.set("V09", shown === bundle.id ? ok(bundle.id) : failed("M6", `the manifest hashes to ${shown}`));
}

function differs(names: string[], due: string[]): string {
  const at = names.findIndex((name, i) => name !== due[i]);
  if (at === -1) return `${due[names.length] ?? "an entry"} is missing`;
  return `entry ${at + 1} is ${names[at]}, and ${due[at] ?? "the end"} is due`;
}

function limits(bundle: Bundle, found: Entry[], named: { name: string; size: number }[]): Answer {
  const look = new Looking();
  look.demand(found.length <= LIMITS.entries, "C6", `${found.length} entries`);
  for (const { name, bytes } of found.slice(0, 2)) look.demand(bytes.length <= LARGEST_DOCUMENT, "C6", `${name} is too large`);
  look.demand(named.length <= LIMITS.members, "C6", `${named.length} members`);
  look.demand(bundle.claims.length <= LIMITS.claims, "C6", `${bundle.claims.length} claims`);
  for (const { name, size } of named) look.demand(size <= (kindOf(name)?.most ?? 0), "C6", `${name} is too large`);
  return look.answer("sizes and counts");
}

const SLOTS: Record<string, keyof Documents> = {
  "receipt.json": "receipt", "adapter_config.json": "config", "modules.jsonl": "modules", "spec.lock.json": "lock", "snapshot.json": "header",
  "snapshot.jsonl": "snapshot", "evalcases.jsonl": "cases", "examples.jsonl": "examples", "trace.jsonl": "trace", "predictions.jsonl": "predictions",
  "evaluation.json": "evaluation", "README.md": "card", "adapter_model.safetensors": "adapter",
};

/** V06 and V07. */
function readDocuments(bundle: Bundle): void {
  const strict = new Looking();
  const spelled = new Looking();
  for (const [name, bytes] of bundle.members) {
    const kind = kindOf(name) as Kind;
    if (bytes.length > kind.most) continue;
    const before = strict.findings.length;
    const document = read(name, kind, bytes, strict, spelled);
    if (strict.findings.length > before || document === undefined) continue;
    const slot = SLOTS[name];
    if (slot !== undefined) (bundle.documents as unknown as Record<string, unknown>)[slot] = document;
    else if (name.endsWith(".json")) bundle.documents.checkpoints.set(name, document as CheckpointDocument);
    else if (name.endsWith(".safetensors")) bundle.documents.states.set(name, document as TensorFile);
  }
  bundle.answers.set("V06", strict.answer(`${bundle.members.size} members`));
  bundle.answers.set("V07", spelled.answer(`${bundle.members.size} members`));
}

function read(name: string, kind: Kind, bytes: Uint8Array, strict: Looking, spelled: Looking): unknown {
  try {
    switch (kind.form) {
      case "picture":
        return undefined;
      case "text": {
        const written = text(bytes);
        strict.demand(written !== null, "B4", `${name} is not UTF-8`);
        return written ?? undefined;
      }
      case "safetensors": {
        const file = readTensors(bytes);
        spelled.demand(file.canonical, "T5", `the header of ${name} is not canonical`);
        return file;
      }
      case "lines": {
        const rows = lines(bytes);
        if (rows === null) return void strict.say("B3", `${name} does not end with a newline`);
        return rows.map((row, i) => {
          if (row.length > LIMITS.line) throw new Error(`line ${i + 1} is longer than ${LIMITS.line} bytes`);
          return one(`${name}, line ${i + 1}`, kind, row, strict, spelled);
        });
      }
      default:
        return one(name, kind, bytes, strict, spelled);
    }
  } catch (problem) {
    strict.say("B4", `${name}: ${(problem as Error).message}`);
    return undefined;
  }
}

function one(name: string, kind: Kind, bytes: Uint8Array, strict: Looking, spelled: Looking): Json {
  const value = parse(bytes, { fractions: kind.form === "peft" });
  spelled.demand(isCanonical(bytes, value), "B3", `${name} is not canonical`);
  const bad = kind.schema === undefined ? [] : misfits(kind.schema, value);
  if (bad.length) strict.say("B4", `${name}: ${bad[0]}`);
  if (kind.form === "peft") strict.demand(isObject(value), "B4", `${name} is no object`);
  return value;
}
