/** The command: node kolm-verify.mjs FILE [--trust FILE] [--policy FILE | --request FILE] [--json]. */

import { readFileSync } from "node:fs";
import { NOBODY, readTrust } from "./keys.ts";
import { BUILT_IN, readPolicy } from "./policy.ts";
import { readRequest } from "./request.ts";
import { audit } from "./verify.ts";

const USAGE = "usage: kolm-verify.mjs FILE [--trust FILE] [--policy FILE | --request FILE] [--json]";
const CODES = { ok: 0, failed: 1, could_not_look: 3, not_checked: 3 };

async function main(given: string[]): Promise<number> {
  const { file, trust, policy, request, json } = options(given);
  const keys = trust === undefined ? NOBODY : readTrust(readFileSync(trust));
  const demands = policy === undefined ? BUILT_IN : readPolicy(readFileSync(policy));
  const asked = request === undefined ? null : await readRequest(readFileSync(request), keys);
  const found = await audit(readFileSync(file), keys, demands, asked);
  if (json) {
    process.stdout.write(`${JSON.stringify({ bundle: found.id, overall: found.overall, detail: found.detail, checks: found.checks })}\n`);
  } else {
    for (const check of found.checks) process.stdout.write(`${check.id} ${check.verdict}: ${check.detail}\n`);
    process.stdout.write(`${found.overall}: ${found.detail}\n`);
  }
  return CODES[found.overall];
}

function options(given: string[]): { file: string; trust?: string; policy?: string; request?: string; json: boolean } {
  const named: Record<string, string> = {};
  let json = false;
  for (let i = 0; i < given.length; i++) {
    const word = given[i] as string;
    if (word === "--json") json = true;
    else if (["--trust", "--policy", "--request"].includes(word)) named[word.slice(2)] = given[++i] ?? "";
    else if (word.startsWith("-") || "file" in named) throw new Error(`not known: ${word}`);
    else named.file = word;
  }
  if (named.file === undefined) throw new Error(USAGE);
  if ("policy" in named && "request" in named) throw new Error("a request brings its own policy: give one of both");
  return { file: named.file, trust: named.trust, policy: named.policy, request: named.request, json };
}

// Whoever reads the answer may have read enough of it: head(1) does.
process.stdout.on("error", (problem: NodeJS.ErrnoException) => {
  if (problem.code !== "EPIPE") throw problem;
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (problem) {
  process.stderr.write(`could not look: ${(problem as Error).message}\n`);
  process.exitCode = 3;
}
