/** What a check answers: docs/format/verification.md, "Answers". */

export type Verdict = "ok" | "failed" | "could_not_look" | "not_checked";
export type Evidence = "recomputed" | "attested" | "none";

export interface Finding {
  rule: string;
  what: string;
}

export interface Answer {
  verdict: Verdict;
  evidence: Evidence;
  detail: string;
  findings: Finding[];
}

export interface Check extends Answer {
  id: string;
  question: string;
}

const SHOWN = 20;

/** Collects what does not hold while a check looks. */
export class Looking {
  readonly findings: Finding[] = [];

  say(rule: string, what: string): void {
    if (this.findings.length < SHOWN) this.findings.push({ rule, what });
  }

  /** Says so unless it holds; gives whether it does. */
  demand(holds: boolean, rule: string, what: string): boolean {
    if (!holds) this.say(rule, what);
    return holds;
  }

  answer(detail: string, evidence: Evidence = "recomputed"): Answer {
    const first = this.findings[0];
    return first === undefined
      ? { verdict: "ok", evidence, detail, findings: [] }
      : { verdict: "failed", evidence: "recomputed", detail: first.what, findings: this.findings };
  }
}

export const ok = (detail: string, evidence: Evidence = "recomputed"): Answer => ({ verdict: "ok", evidence, detail, findings: [] });
export const failed = (rule: string, what: string): Answer => ({
  verdict: "failed",
  evidence: "recomputed",
  detail: what,
  findings: [{ rule, what }],
});
export const couldNotLook = (detail: string): Answer => ({ verdict: "could_not_look", evidence: "none", detail, findings: [] });
export const notChecked = (detail: string): Answer => ({ verdict: "not_checked", evidence: "none", detail, findings: [] });
