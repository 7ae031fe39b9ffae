/** Claims: their form, whose they are and which of them count. docs/format/claims.md. */

import { digest, unbase64 } from "./bytes.ts";
import type { Claim } from "./container.ts";
import { type JsonObject, isCanonical, parse } from "./json.ts";
import { type Signed, type Trust, type TrustRole, type TrustedKey, isTime, verify } from "./keys.ts";
import { COMPUTE, ENDORSEMENT, EVAL_RESULT, KSCORE, MODULES, PROVENANCE, SUMMARY, TEST_RESULT } from "./policy.ts";
import { misfits } from "./schema.ts";
import { stamped } from "./stamps.ts";

interface Kind {
  schema: string;
  role: TrustRole;
  times: (predicate: JsonObject) => string[];
}

export type Kinds = Record<string, Kind>;

/** The kinds that stand in a bundle. */
const KNOWN: Kinds = {
  [PROVENANCE]: { schema: "predicate_provenance", role: "builder", times: (p) => [started(p), finished(p)] },
  [MODULES]: { schema: "predicate_modules", role: "builder", times: () => [] },
  [COMPUTE]: { schema: "predicate_compute", role: "builder", times: () => [] },
  [KSCORE]: { schema: "kscore", role: "evaluator", times: (p) => [String(p.measured_on)] },
  [TEST_RESULT]: { schema: "predicate_test_result", role: "evaluator", times: () => [] },
  [SUMMARY]: { schema: "predicate_verification_summary", role: "verifier", times: (p) => [String(p.timeVerified)] },
  [EVAL_RESULT]: { schema: "predicate_eval_result", role: "verifier", times: (p) => [String(p.evaluatedAt)] },
  [ENDORSEMENT]: { schema: "predicate_endorsement", role: "endorser", times: (p) => [String(p.endorsed_on)] },
};

const metadata = (predicate: JsonObject): JsonObject => (predicate.runDetails as JsonObject).metadata as JsonObject;
export const started = (predicate: JsonObject): string => String(metadata(predicate).startedOn);
export const finished = (predicate: JsonObject): string => String(metadata(predicate).finishedOn);

/** A claim whose form is right. */
export interface Said {
  digest: string;
  type: string;
  /** The type, but for the test result of an audit. */
  kind: string;
  predicate: JsonObject;
  subject: string;
  /** What the statement calls its subject: a label. */
  name: string;
  keyid: string;
  key: TrustedKey | undefined;
  signed: Signed | "by nobody known";
  /** Whether it carries a time stamp, and one of its own signature. */
  stamp: "none" | "of its signature" | "of other bytes";
  /** The latest time that it states. */
  statedAt: string | null;
}

/** C8: the form first, then the key, then the signature. Throws an `Error` that says what is wrong with the form. */
export async function readClaim(claim: Pick<Claim, "bytes">, trust: Trust, kinds: Kinds = KNOWN): Promise<Said> {
  const wrong = (what: string): Error => new Error(what);
  if (claim.bytes.length > 1_048_576) throw wrong("C2: larger than 1 MiB");
  const envelope = parse(claim.bytes) as JsonObject;
  if (!isCanonical(claim.bytes, envelope)) throw wrong("C2: it is not canonical");
  const bad = misfits("envelope", envelope);
  if (bad.length) throw wrong(`C1: ${bad[0]}`);
  const dsse = envelope.dsseEnvelope as JsonObject;
  const { keyid, sig } = (dsse.signatures as JsonObject[])[0] as { keyid: string; sig: string };
  const hint = ((envelope.verificationMaterial as JsonObject).publicKey as JsonObject).hint;
  if (hint !== keyid) throw wrong("C3: it names two keys");
  const payload = unbase64(String(dsse.payload));
  const signature = unbase64(sig);
  if (payload === null || signature === null) throw wrong("C4: not the one base64 of its bytes");
  const statement = parse(payload) as JsonObject;
  if (!isCanonical(payload, statement)) throw wrong("C9: the statement is not canonical");
  const misfit = misfits("statement", statement);
  if (misfit.length) throw wrong(`C9: ${misfit[0]}`);
  const type = String(statement.predicateType);
  const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (kind === undefined) throw wrong(`C10: nothing is known of ${type}`);
  const predicate = statement.predicate as JsonObject;
  const unfit = misfits(kind.schema, predicate);
  if (unfit.length) throw wrong(`C10: ${unfit[0]}`);
  const times = kind.times(predicate);
  for (const time of times) if (!isTime(time)) throw wrong(`C10: ${time} is no time of the years 2020 to 2099`);
  const stamp = stamped(envelope, signature);
  const key = trust.keys.get(keyid);
  const about = (statement.subject as JsonObject[])[0] as JsonObject;
  return {
    digest: digest(claim.bytes),
    type,
    kind: isOfAudit(type, predicate) ? AUDIT_TESTS : type,
    predicate,
    subject: `sha256:${(about.digest as JsonObject).sha256}`,
    name: String(about.name),
    keyid,
    key,
    signed: key === undefined ? "by nobody known" : await verify(key, String(dsse.payloadType), payload, signature),
    stamp: stamp === null ? "none" : stamp ? "of its signature" : "of other bytes",
    statedAt: times.sort().at(-1) ?? null,
  };
}

/** C14: a test result over a policy is an audit's, and says nothing of the gate. */
const AUDIT_TESTS = "test result of an audit";
const isOfAudit = (type: string, predicate: JsonObject): boolean =>
  type === TEST_RESULT && (predicate.configuration as JsonObject[]).some((item) => Object.hasOwn(item, "uri"));

export function mayMake(said: Said): boolean {
  const { role } = KNOWN[said.type] as { role: TrustRole };
  return said.key?.roles.includes(said.kind === AUDIT_TESTS ? "verifier" : role) ?? false;
}

const modelOf = (said: Said): string => `sha256:${((said.predicate.model as JsonObject).digest as JsonObject).sha256}`;

/** What trusted keys really said about this bundle, and what of it counts. */
export class Counted {
  /** Right signature, right role, this subject; revoked keys among them. */
  readonly trusted: Said[];
  /** Those of them that are not void, however old. */
  readonly holding: Said[];
  /** Those of them that count: C15, C17, C18 and C21. */
  readonly counting: Said[];
  readonly buildStart: string | null;
  readonly buildEnd: string | null;

  constructor(
    readonly all: Said[],
    readonly id: string,
  ) {
    this.trusted = all.filter((one) => one.signed === "right" && mayMake(one) && this.isAbout(one));
    const still = (one: Said): boolean => one.key?.revokedOn === null;
    const builds = this.trusted.filter((one) => one.type === PROVENANCE);
    const held = builds.filter(still);
    this.buildStart = earliest(held.length ? held : builds, started);
    this.buildEnd = earliest(held.length ? held : builds, finished);
    this.holding = this.trusted.filter((one) => still(one) || this.isSaved(one));
    const made = this.holding.filter((one) => this.isInTime(one) && this.isSecondParty(one));
    this.counting = made.filter((one) => !made.some((other) => isLaterScore(other, one)));
  }

  isAbout(one: Said): boolean {
    const uri = one.type !== SUMMARY || one.predicate.resourceUri === `urn:kolm:bundle:${this.id}`;
    return one.subject === this.id && uri && (one.type !== EVAL_RESULT || modelOf(one) === this.id);
  }

  of(type: string): Said[] {
    return this.counting.filter((one) => one.kind === type);
  }

  /** C17 and C21: not from before the build. */
  isInTime(one: Said): boolean {
    if (one.type === KSCORE) return this.buildStart === null || String(one.predicate.measured_on) >= this.buildStart;
    if (one.type === EVAL_RESULT) return this.buildEnd === null || String(one.predicate.evaluatedAt) >= this.buildEnd;
    if (one.type === SUMMARY) return this.buildEnd === null || String(one.predicate.timeVerified) >= this.buildEnd;
    if (one.type === ENDORSEMENT) return this.buildEnd === null || String(one.predicate.endorsed_on) >= this.buildEnd;
    return true;
  }

  /** C21: whoever built the bundle does not endorse it. */
  private isSecondParty(one: Said): boolean {
    const built = (other: Said): boolean => other.type === PROVENANCE || other.type === MODULES;
    return one.type !== ENDORSEMENT || !this.trusted.some((other) => built(other) && other.keyid === one.keyid);
  }

  /** C18 and T5: a claim of a revoked key that an audit from before shows to be older. */
  isSaved(claim: Said): boolean {
    const revokedOn = claim.key?.revokedOn ?? "";
    return this.trusted.some((audit) => {
      if (audit.type !== SUMMARY || audit.keyid === claim.keyid || audit.key?.revokedOn !== null) return false;
      const time = String(audit.predicate.timeVerified);
      const inputs = (audit.predicate.inputAttestations ?? []) as JsonObject[];
      const names = inputs.some((input) => `sha256:${(input.digest as JsonObject).sha256}` === claim.digest);
      const late = time < revokedOn && time >= (claim.statedAt ?? "") && time >= (this.buildEnd ?? "");
      return audit.predicate.verificationResult === "PASSED" && names && late;
    });
  }

  /** C15, C25 and V13: the newest audit, or eval result, of each key; of two from one second the failed one. */
  audits(kind: typeof SUMMARY | typeof EVAL_RESULT = SUMMARY): Said[] {
    const newest = new Map<string, Said>();
    const rank = (one: Said): string => `${one.statedAt}${hasPassed(one) ? 0 : 1}`;
    for (const one of this.of(kind)) {
      const other = newest.get(one.keyid);
      if (other === undefined || rank(one) > rank(other)) newest.set(one.keyid, one);
    }
    return [...newest.values()];
  }

  /** Of the K-scores that count and are from one second the one that says least. */
  scores(): Said[] {
    const newest = new Map<string, Said>();
    for (const one of this.of(KSCORE)) {
      const other = newest.get(series(one));
      newest.set(series(one), other === undefined ? one : laterScore(other, one));
    }
    return [...newest.values()];
  }
}

/** C15 and C25: an audit that passed, or an eval result of which each demand holds. */
export function hasPassed(one: Said): boolean {
  if (one.type === SUMMARY) return one.predicate.verificationResult === "PASSED";
  return (one.predicate.claims as JsonObject[]).every((demand) => demand.passed === true);
}

/** C17: what one key said of one pack; of the bundle's own cases apart. */
function series(score: Said): string {
  const { owner, root } = score.predicate.pack as JsonObject;
  return `${score.keyid} ${owner === "publisher"} ${root}`;
}

const isLaterScore = (a: Said, b: Said): boolean =>
  a.type === KSCORE && b.type === KSCORE && series(a) === series(b) && String(a.predicate.measured_on) > String(b.predicate.measured_on);

/** The later of two K-scores; of one second the one that says less for the bundle: a failed gate, then the lower K. */
export function laterScore(a: Said, b: Said): Said {
  const [at, then] = [a, b].map((one) => String(one.predicate.measured_on)) as [string, string];
  const [failed, missed] = [a, b].map((one) => (one.predicate.gate as JsonObject).verdict !== "passed") as [boolean, boolean];
  if (at !== then) return at < then ? b : a;
  if (failed !== missed) return failed ? a : b;
  return Number(b.predicate.composite) < Number(a.predicate.composite) ? b : a;
}

const earliest = (all: Said[], time: (predicate: JsonObject) => string): string | null =>
  all.map((one) => time(one.predicate)).sort()[0] ?? null;
