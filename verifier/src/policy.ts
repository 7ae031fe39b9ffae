/** What an auditor demands: docs/format/policy.md. */

import { digest } from "./bytes.ts";
import type { Metric } from "./documents.ts";
import { type JsonObject, canonical, parse } from "./json.ts";
import type { TrustRole } from "./keys.ts";
import { misfits } from "./schema.ts";

export const PROVENANCE = "https://slsa.dev/provenance/v1";
export const MODULES = "urn:kolm:modules:v1";
export const COMPUTE = "urn:kolm:compute:v1";
export const KSCORE = "urn:kolm:kscore:v1";
export const TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1";
export const SUMMARY = "https://slsa.dev/verification_summary/v1";
export const EVAL_RESULT = "https://b7n0de.com/attestation/eval-result/v0.2";

export const ENDORSEMENT = "urn:kolm:endorsement:v1";

export interface Demand {
  predicate: string;
  role: TrustRole;
  threshold: number;
  keys?: string[];
  stamped?: { after?: string; before?: string };
}

export interface Policy {
  name: string;
  claims: Demand[];
  same_signer?: boolean;
  gate?: "passed" | "any";
  text?: "published" | "any";
  base_roots?: string[];
  eval_pack_roots?: string[];
  environment_classes?: string[];
  minimum_eval_cases?: number;
  lower_bound_above?: ("base" | "blind" | "majority" | "swapped")[];
  families?: string[];
  methods?: string[];
  metrics?: (string | Metric)[];
  freeze?: string[];
  floors?: Record<string, string>;
  packs?: { evaluator: string; pack: string }[];
  licenses?: string[];
  dossier?: string[];
  measurements?: string;
  reach?: ("delta_scope" | "base_identity" | "process" | "scores")[];
}

/** P3. */
export const BUILT_IN: Policy = {
  name: "built-in",
  claims: [
    { predicate: PROVENANCE, role: "builder", threshold: 1 },
    { predicate: MODULES, role: "builder", threshold: 1 },
    { predicate: KSCORE, role: "evaluator", threshold: 1 },
    { predicate: TEST_RESULT, role: "evaluator", threshold: 1 },
  ],
  same_signer: true,
  gate: "passed",
  minimum_eval_cases: 50,
  lower_bound_above: ["blind", "majority", "swapped"],
  reach: ["delta_scope", "scores"],
};

/** A policy file in JSON; throws an `Error` where it is none. */
export function readPolicy(bytes: Uint8Array): Policy {
  const document = parse(bytes) as JsonObject;
  const bad = misfits("policy", document);
  if (bad.length) throw new Error(`the policy: ${bad[0]}`);
  return document as unknown as Policy;
}

export const policyDigest = (policy: Policy): string => digest(canonical(policy as unknown as JsonObject));
