/** V10 to V15: who signed, in which role, about what. docs/format/verification.md. */

import { type Answer, Looking, couldNotLook } from "./answers.ts";
import type { Bundle } from "./bundle.ts";
import { Counted, type Said, hasPassed, mayMake, readClaim } from "./claims.ts";
import type { Trust } from "./keys.ts";
import { type Demand, EVAL_RESULT, type Policy, SUMMARY } from "./policy.ts";

export async function signatures(bundle: Bundle, trust: Trust, policy: Policy): Promise<[Map<string, Answer>, Counted]> {
  const form = new Looking();
  const read: Said[] = [];
  for (const claim of bundle.claims) {
    try {
      read.push(await readClaim(claim, trust));
    } catch (problem) {
      const said = (problem as Error).message;
      form.say(/^C[0-9]+/.exec(said)?.[0] ?? "C2", said);
    }
  }
  const counted = new Counted(read, bundle.id);
  const answers = new Map<string, Answer>([
    ["V10", form.answer(`${bundle.claims.length} claims`)],
    ["V11", whose(counted, trust, policy)],
    ["V12", about(counted)],
    ["V13", demanded(counted, policy)],
    ["V14", enough(counted, policy)],
    ["V15", revoked(counted, policy)],
  ]);
  return [answers, counted];
}

function whose(counted: Counted, trust: Trust, policy: Policy): Answer {
  const look = new Looking();
  for (const one of counted.all) {
    if (one.key === undefined || one.signed === "unsupported") continue;
    const { name } = one.key;
    if (look.demand(one.signed === "right", "C6", `a claim that names ${name} is not signed by that key`)) {
      look.demand(mayMake(one) || standing(counted, one.kind).length > 0, "T3", `${name} may not make a claim of kind ${one.type}`);
      look.demand(!trust.authorities || one.stamp !== "of other bytes", "C23", `a claim by ${name} carries a time stamp of something else`);
    }
  }
  if (look.findings.length) return look.answer("");
  const unsupported = counted.all.find((one) => one.signed === "unsupported");
  if (unsupported !== undefined) return couldNotLook(`this browser cannot check ${unsupported.key?.algorithm} signatures`);
  const stamps = trust.authorities && counted.all.some((one) => one.signed === "right" && one.stamp !== "none");
  if (stamps) return couldNotLook("a claim carries a time stamp, and who made it cannot be checked here");
  const open = policy.claims.filter((demand) => {
    const made = counted.all.filter((one) => one.kind === demand.predicate);
    return made.length > 0 && !made.some((one) => one.signed === "right");
  });
  if (open.length) return couldNotLook(`no key that is trusted made the claim ${open[0]?.predicate}`);
  return look.answer(`${counted.trusted.length} signed by trusted keys`);
}

function about(counted: Counted): Answer {
  const look = new Looking();
  for (const one of counted.all) look.demand(counted.isAbout(one), "C9", `a claim of kind ${one.type} is about another bundle`);
  return look.answer("every claim is about this manifest");
}

/** The claims of a kind that count; of audits and eval results those that passed and are the newest. */
const standing = (counted: Counted, kind: string): Said[] =>
  kind === SUMMARY || kind === EVAL_RESULT ? counted.audits(kind).filter(hasPassed) : counted.of(kind);

function filling(counted: Counted, demand: Demand): Said[] {
  return standing(counted, demand.predicate).filter((one) => one.key?.roles.includes(demand.role) && (demand.keys?.includes(one.keyid) ?? true));
}

const byStrangers = (counted: Counted, demand: Demand): boolean =>
  counted.all.some((one) => one.kind === demand.predicate && one.key === undefined && counted.isAbout(one));

function demanded(counted: Counted, policy: Policy): Answer {
  const look = new Looking();
  let open: string | null = null;
  for (const demand of policy.claims) {
    const all = { ...demand };
    delete all.keys;
    if (filling(counted, all).length) continue;
    const refused = demand.predicate === SUMMARY && counted.audits().length > 0; // none that counts passed
    if (byStrangers(counted, demand) && !refused) open = demand.predicate;
    else look.say("C19", `no claim of kind ${demand.predicate} counts`);
  }
  if (look.findings.length || open === null) return look.answer(`${policy.claims.length} demanded`);
  return couldNotLook(`the claim ${open} is there, but only from keys that are not trusted`);
}

function enough(counted: Counted, policy: Policy): Answer {
  const look = new Looking();
  let open: string | null = null;
  let shared = null as Set<string> | null;
  for (const demand of policy.claims) {
    const keys = new Set(filling(counted, demand).map((one) => one.keyid));
    if (keys.size < demand.threshold) {
      const what = `${keys.size} of ${demand.threshold} keys made ${demand.predicate}`;
      if (byStrangers(counted, demand)) open = what;
      else look.say("claims", what);
    }
    const first = demand.role === "builder" || demand.role === "evaluator";
    if (first && demand.threshold === 1) shared = new Set([...(shared ?? keys)].filter((key) => keys.has(key)));
  }
  for (const demand of policy.claims.filter((one) => one.stamped !== undefined)) {
    if (filling(counted, demand).some((one) => one.stamp !== "none")) open ??= "who made a time stamp cannot be checked here";
    else look.say("stamped", `no claim of kind ${demand.predicate} carries a time stamp`);
  }
  if (policy.same_signer && shared !== null && shared.size === 0 && open === null) {
    look.say("same_signer", "no one key made all demanded claims");
  }
  if (look.findings.length || open === null) return look.answer("as many keys as the policy demands");
  return couldNotLook(open);
}

function revoked(counted: Counted, policy: Policy): Answer {
  const look = new Looking();
  for (const { predicate } of policy.claims) {
    const made = counted.trusted.filter((one) => one.kind === predicate);
    const held = made.some((one) => one.key?.revokedOn === null || counted.isSaved(one));
    look.demand(made.length === 0 || held, "T5", `the only claim of kind ${predicate} comes from a revoked key`);
  }
  return look.answer("no signature is void");
}
