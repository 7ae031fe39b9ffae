/** V32 and V33: scores and evaluation, from references or, without them, from what the rows state. */

import { type Answer, Looking, notChecked } from "./answers.ts";
import { equal } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import type { Lock, Outcome, Prediction } from "./documents.ts";
import { evaluation, runs, withheld } from "./evaluation.ts";
import { canonical } from "./json.ts";
import { judgeOf } from "./metrics/index.ts";
import { less, stated } from "./rational.ts";
import { references } from "./sameness.ts";

const RUNS = ["adapter", "base", "blind"] as const;

/** V32. */
export function scores(bundle: Bundle): Answer {
  const { predictions, cases, lock } = bundle.documents;
  if (!predictions || !lock) return notChecked("a document could not be read");
  const look = new Looking();
  if (!bundle.digests.has("evalcases.jsonl")) {
    possible(look, lock, predictions);
    return look.findings.length ? look.answer("") : notChecked("the publisher withheld the text");
  }
  if (cases === undefined) return notChecked("the cases could not be read");
  if (cases.length !== predictions.length) return notChecked("V31");
  const texts = cases.map(references);
  const due = runs(lock, predictions, judgeOf(lock.evaluation.metric, texts), texts);
  for (const name of RUNS) {
    due[name]?.forEach((one, i) => {
      const outcome = (predictions[i] as Prediction)[name] as Outcome;
      look.demand(outcome.score === one.score, "E3", `case ${i + 1} by ${name} scores ${outcome.score}, and ${one.score} is due`);
      look.demand(outcome.covered === one.covered, "E3", `case ${i + 1} by ${name} is ${one.covered ? "" : "not "}covered`);
    });
  }
  return look.answer(`${predictions.length} cases`);
}

/** E10: what no reference could give. */
function possible(look: Looking, lock: Lock, predictions: readonly Prediction[]): void {
  const { least } = judgeOf(lock.evaluation.metric, [[""]]);
  predictions.forEach((row, i) => {
    const said = new Map<string, string>();
    for (const name of RUNS) {
      const outcome = row[name];
      if (outcome === null) continue;
      const where = `case ${i + 1} by ${name}`;
      const whole = outcome.finish === "stop" && outcome.tokens <= lock.evaluation.max_new_tokens;
      look.demand(whole || !outcome.covered, "E10", `${where} is covered, and was cut`);
      look.demand(outcome.covered || outcome.score === "0", "E10", `${where} scores, and is not covered`);
      const score = stated(outcome.score);
      look.demand(score.n === 0n || !less(score, least), "E10", `${where} scores ${outcome.score}, which no reference gives`);
      const says = judgeOf(lock.evaluation.metric, [[outcome.output]]).judge(outcome.output, [outcome.output]).parsed;
      look.demand(says || !outcome.covered, "E10", `${where} is covered, and says nothing`);
      const key = `${outcome.output}\n${outcome.covered}`;
      look.demand((said.get(key) ?? outcome.score) === outcome.score, "E10", `${where} scores otherwise than the same words`);
      said.set(key, outcome.score);
    }
  });
}

/** V33. */
export function figures(bundle: Bundle): Answer {
  const { predictions, cases, lock, snapshot, evaluation: stated_ } = bundle.documents;
  if (!predictions || !lock || !snapshot || !stated_) return notChecked("a document could not be read");
  const bytes = bundle.members.get("evaluation.json") ?? new Uint8Array();
  const look = new Looking();
  const open = !bundle.digests.has("evalcases.jsonl");
  if (predictions.length === 0) return notChecked("V31");
  if (open) {
    if (predictions.length !== snapshot.filter((row) => row.split === "eval").length) return notChecked("V31");
    const due = withheld(lock, predictions, snapshot, stated_);
    look.demand(equal(canonical(due), bytes), "E10", `${first(due, stated_)} does not follow from the scores as stated`);
    return look.findings.length ? look.answer("") : notChecked("the publisher withheld the text");
  }
  if (cases === undefined) return notChecked("the cases could not be read");
  if (cases.length !== predictions.length) return notChecked("V31");
  const due = evaluation(lock, predictions, cases);
  look.demand(equal(canonical(due), bytes), "E4", `${first(due, stated_)} does not follow from cases and outputs`);
  return look.answer("made again, byte for byte");
}

type Document = ReturnType<typeof withheld>;

const first = (due: Document, stated_: Document): string =>
  [...new Set([...Object.keys(due), ...Object.keys(stated_)])].sort().find((key) => !equal(canonical(due[key] ?? null), canonical(stated_[key] ?? null))) ?? "the spelling";
