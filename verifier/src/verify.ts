/** An audit of one file: every numbered check, the four verdicts and the answer. */

import { type Answer, type Check, type Verdict, couldNotLook, notChecked } from "./answers.ts";
import { type Bundle, open } from "./bundle.ts";
import { axes, contentAxes, gates, modulesClaim, oneVoice, provenanceClaim, scoreClaims } from "./checks_claims.ts";
import { apart, cases, predictions, split, text } from "./checks_data.ts";
import { operations } from "./compute.ts";
import { documents } from "./checks_documents.ts";
import { type Conclusion, conclusions, policyChecks, recomputed } from "./checks_policy.ts";
import { scope } from "./checks_scope.ts";
import { figures, scores } from "./checks_scores.ts";
import { signatures } from "./checks_signatures.ts";
import { NoBundle } from "./container.ts";
import type { Trust } from "./keys.ts";
import type { Policy } from "./policy.ts";
import { QUESTIONS } from "./questions.ts";
import { type Request, answered } from "./request.ts";

export interface Report {
  overall: Verdict;
  detail: string;
  id: string;
  checks: Check[];
  /** What the receipt calls it: a label, not an identity. */
  name: string;
  /** Keys that signed claims, with the name that the trust file gives them. */
  signers: { keyid: string; name: string | null }[];
  conclusions: Record<string, Conclusion>;
}

/** Checks a file; what this verifier cannot look at answers so, and never 'ok'. */
export async function audit(file: Uint8Array, trust: Trust, given: Policy, request: Request | null = null): Promise<Report> {
  const policy = request?.policy ?? given;
  let bundle: Bundle;
  try {
    bundle = await open(file);
  } catch (problem) {
    if (!(problem instanceof NoBundle)) throw problem;
    return report("", new Map([["V01", couldNotLook(`no bundle: ${problem.message}`)]]), () => "no bundle");
  }
  const answers = new Map(bundle.answers);
  if (bundle.manifest === undefined) return report(bundle.id, answers, () => "the manifest could not be read");
  const put = (found: Iterable<[string, Answer]>): void => {
    for (const [id, answer] of found) answers.set(id, answer);
  };
  const [signed, counted] = await signatures(bundle, trust, policy);
  const [scoped, roles] = await scope(bundle);
  put(signed);
  put(scoped);
  put([
    ["V08", await documents(bundle)],
    ["V16", modulesClaim(bundle, counted, roles)],
    ["V17", provenanceClaim(bundle, counted)],
    ["V18", scoreClaims(bundle, counted)],
    ["V19", oneVoice(counted)],
    ["V30", cases(bundle)],
    ["V31", predictions(bundle)],
    ["V34", split(bundle)],
    ["V36", axes(counted)],
    ["V37", gates(bundle, counted)],
    ["V38", text(bundle)],
    ["V39", apart(bundle)],
  ]);
  const complete = answers.get("V31")?.verdict === "ok";
  put([
    ["V32", complete ? scores(bundle) : notChecked("V31")],
    ["V33", complete ? figures(bundle) : notChecked("V31")],
  ]);
  answers.set("V35", contentAxes(bundle, counted, !recomputed(answers)));
  answers.set("V56", operations(bundle, counted, answers));
  put(policyChecks(bundle, counted, trust, policy, answers, roles));
  if (request !== null) answers.set("V68", answered(bundle, counted, request, answers));
  const keys = new Map(counted.all.map((one) => [one.keyid, one.signed === "right" ? (one.key?.name ?? null) : null]));
  return {
    ...report(bundle.id, answers, unasked),
    name: bundle.documents.receipt?.name ?? "",
    signers: [...keys].map(([keyid, name]) => ({ keyid, name })),
    conclusions: conclusions(answers, counted.scores().length > 0),
  };
}

// What answers the checks that were not asked, up to the last of each; V44 nobody answers yet.
const ANSWERED_BY: [number, string][] = [
  [43, "kolm verify --base DIR answers it"],
  [44, "no verifier answers it yet"],
  [46, "kolm verify --rescore N --captures STORE answers it"],
  [49, "kolm verify --captures STORE answers it"],
  [54, "kolm verify --replay N --captures STORE answers it"],
  [57, "kolm verify --rescore all --captures STORE answers it"],
  [68, "--request FILE, the signed request that it should answer, was not given"],
];

function unasked(number: string): string {
  return ANSWERED_BY.find(([last]) => Number(number.slice(1)) <= last)?.[1] ?? "nothing answers it";
}

function report(id: string, answers: Map<string, Answer>, otherwise: (number: string) => string): Report {
  const checks = Object.entries(QUESTIONS).map(([number, question]) => ({
    id: number,
    question,
    ...(answers.get(number) ?? notChecked(otherwise(number))),
  }));
  const overall = worst(checks.map((check) => check.verdict));
  const first = checks.find((check) => check.verdict === overall && overall !== "ok");
  const detail = first === undefined ? "every check that was asked holds" : `${first.id}: ${first.detail}`;
  return { overall, detail, id, checks, name: "", signers: [], conclusions: {} };
}

/** 'No' beats 'could not look', and that beats 'yes'. */
export const worst = (verdicts: Verdict[]): Verdict =>
  verdicts.includes("failed") ? "failed" : verdicts.includes("could_not_look") ? "could_not_look" : "ok";
