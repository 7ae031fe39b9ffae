/** V68, and the policy that a request makes: docs/format/request.md. */

import { type Answer, Looking, couldNotLook, notChecked } from "./answers.ts";
import { digest } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import { type Answers, POLICY_CHECKS } from "./checks_policy.ts";
import { type Counted, type Said, readClaim } from "./claims.ts";
import type { Floors, Lock } from "./documents.ts";
import type { JsonObject } from "./json.ts";
import type { Trust } from "./keys.ts";
import { KSCORE, type Policy } from "./policy.ts";
import { less, stated } from "./rational.ts";

const REQUEST = "urn:kolm:request:v1";

export interface Request {
  digest: string;
  said: Said;
  nonce: string;
  pack: { kind: "open" | "sealed"; root: string };
  /** R3: what the answer must pass. */
  policy: Policy;
}

/** R1 and R3; throws an `Error` where the file is no request. */
export async function readRequest(bytes: Uint8Array, trust: Trust): Promise<Request> {
  const said = await readClaim({ bytes }, trust, { [REQUEST]: { schema: "request", role: "buyer", times: () => [] } });
  const { name, nonce, pack, policy: asked } = said.predicate as unknown as { name: string; nonce: string; pack: Request["pack"]; policy: Policy };
  if (said.subject !== pack.root || said.name !== name) throw new Error("R1: the subject of the request is not its pack, by its name");
  if (asked.eval_pack_roots !== undefined) throw new Error("R3: the policy of the request names packs of its own");
  const policy: Policy =
    pack.kind === "open"
      ? { ...asked, eval_pack_roots: [pack.root] }
      : { ...asked, packs: [...(asked.packs ?? []), { evaluator: said.keyid, pack: pack.root }] };
  return { digest: digest(bytes), said, nonce, pack, policy };
}

/** V68. */
export function answered(bundle: Bundle, counted: Counted, request: Request, answers: Answers): Answer {
  const { lock, header } = bundle.documents;
  if (lock === undefined || header === undefined) return notChecked("lock or snapshot could not be read");
  const look = new Looking();
  const { said, pack } = request;
  const { key } = said;
  if (key !== undefined && said.signed !== "unsupported") {
    look.demand(said.signed === "right", "R4", `the request is not signed by ${key.name}`);
    look.demand(key.roles.includes("buyer") && key.revokedOn === null, "R4", `${key.name} is trusted in no request`);
  }
  look.demand(lock.request === request.digest, "R5", `the lock names ${lock.request ?? "no request"}`);
  look.demand(lock.nonce === request.nonce, "R6", "the nonce is another one");
  look.demand(header.rule.nonce === request.nonce, "R6", "the split was drawn by another nonce");
  if (pack.kind === "open") look.demand(lock.evaluation.pack === pack.root, "R7", `the lock names ${lock.evaluation.pack ?? "no pack"}`);
  floorsHold(look, lock, request.policy);
  if (pack.kind === "sealed") unseen(look, counted, pack.root);
  const others = POLICY_CHECKS.filter((id) => id !== "V65");
  for (const id of others) look.demand(answers.get(id)?.verdict !== "failed", "R8", `${id} does not hold`);
  if (look.findings.length) return look.answer("");
  if (key === undefined) return couldNotLook(`the key that signed the request is not trusted: ${said.keyid}`);
  if (said.signed === "unsupported") return couldNotLook(`this browser cannot check ${key.algorithm} signatures`);
  const open = others.filter((id) => answers.get(id)?.verdict === "could_not_look");
  if (open.length) return couldNotLook(`could not look: ${open.join(", ")}`);
  return look.answer(`it answers the request of ${key.name}`, pack.kind === "open" ? "recomputed" : "attested");
}

/** R8: each floor of the policy is one that the lock demands, at least as strictly. */
function floorsHold(look: Looking, lock: Lock, policy: Policy): void {
  const own = lock.evaluation.floors;
  for (const [name, least] of Object.entries(policy.floors ?? {})) {
    const demanded = own[name as keyof Floors] as string | null | undefined;
    const laxer = (a: string): boolean => (name === "better_than_base_p" ? less(stated(least), stated(a)) : less(stated(a), stated(least)));
    look.demand(typeof demanded === "string" && !laxer(demanded), "R8", `the lock demands ${demanded ?? "nothing"} of ${name}`);
    if (name === "worst_slice") look.demand(own.worst_slice_minimum_cases <= 30, "R8", "the lock counts larger slices alone");
  }
}

/** R9: no K-score on the sealed pack says that training has seen it. */
function unseen(look: Looking, counted: Counted, root: string): void {
  for (const { type, predicate } of counted.holding) {
    if (type !== KSCORE) continue;
    const pack = predicate.pack as JsonObject & { overlap?: Record<string, number | null> };
    if (pack.root !== root) continue;
    const { seen_cases: cases = 0, captures = 0, images = 0, near_twins: twins = 0 } = pack.overlap ?? {};
    const seen = [cases, captures, images, twins].some((count) => (count ?? 0) > 0);
    look.demand(!seen, "R9", "cases of the sealed pack, or near twins of them, were in training");
  }
}
