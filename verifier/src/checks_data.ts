/** V30, V31, V34, V38 and V39: cases, predictions and snapshot. docs/format/verification.md. */

import { type Answer, Looking, notChecked } from "./answers.ts";
import { digest, merkleRoot } from "./bytes.ts";
import type { Bundle } from "./bundle.ts";
import { broken } from "./captures.ts";
import type { Capture, Lock, Outcome, Side, SnapshotRow } from "./documents.ts";
import { canonical, canonicalText, same } from "./json.ts";
import { familyOf } from "./roles.ts";
import { answered, asked } from "./sameness.ts";
import { carved, drawn } from "./snapshot.ts";
import { ofPairs } from "./trace.ts";

/** V30. */
export function cases(bundle: Bundle): Answer {
  const { cases: all, snapshot, header, lock } = bundle.documents;
  if (!snapshot || !header || !lock) return notChecked("a document could not be read");
  const look = new Looking();
  if (!bundle.digests.has("evalcases.jsonl")) return notChecked("the publisher withheld the text");
  if (all === undefined) return notChecked("the cases could not be read");
  look.demand(lock.data.cases === bundle.digests.get("evalcases.jsonl"), "S3", "the lock names other cases");
  const leaves = snapshot.filter((row) => row.split === "eval");
  const ids = all.map((capture) => digest(canonical(capture)));
  look.demand(ids.join() === leaves.map((row) => row.capture).join(), "S3", "the cases are not those of the snapshot's eval side");
  const shown = new Map<string, string>();
  const answers = new Map<string, string>();
  all.forEach((capture, i) => {
    const name = `case ${i + 1}`;
    const wrong = broken(capture);
    if (wrong !== null) look.say(wrong[0], `${name}: ${wrong[1]}`);
    const images = capture.images.map(({ file, pixels }) => ({ file, pixels }));
    const leaf = leaves[i]?.images.map(({ file, pixels }) => ({ file, pixels }));
    look.demand(same(images, leaf), "S2", `${name} shows other pictures than its line says`);
    if (header.rule.kind === "official") look.demand(capture.split === "eval", "S8", `${name} does not state that it is eval`);
    for (const image of capture.images) {
      const said = canonicalText(image);
      look.demand((shown.get(image.file) ?? said) === said, "C3", `${name} describes a picture otherwise than another case`);
      shown.set(image.file, said);
    }
    if (wrong !== null) return;
    const what = asked(capture);
    const answer = answered(capture);
    const other = answers.get(what);
    look.demand(other === undefined, "S13", `${name} ${other === answer ? "repeats" : "contradicts"} another case`);
    answers.set(what, answer);
  });
  return look.answer(`${all.length} cases`);
}

/** V31. */
export function predictions(bundle: Bundle): Answer {
  const { predictions: rows, snapshot, lock, cases: texts } = bundle.documents;
  if (!rows || !snapshot || !lock) return notChecked("a document could not be read");
  const look = new Looking();
  const declared = snapshot.filter((row) => row.split === "eval");
  look.demand(declared.length > 0, "P1", "no case is declared");
  look.demand(rows.map((row) => row.case).join() === declared.map((row) => row.capture).join(), "P1", "the answers are not those to the declared cases, each once and in order");
  const family = familyOf(lock.base.family);
  const sees = family === undefined ? lock.train.freeze.vision !== null : "vision" in family.roles;
  const pairs = ofPairs(lock);
  rows.forEach((row, i) => {
    const name = `the answer to case ${i + 1}`;
    look.demand((row.blind !== null) === sees, "P2", `${name} has ${row.blind ? "a" : "no"} blind run`);
    for (const [run, outcome] of [["adapter", row.adapter], ["base", row.base], ["blind", row.blind]] as const) {
      if (outcome !== null) finished(look, lock, outcome, `${name} by ${run}`);
    }
    if (!pairs) look.demand(row.preference === undefined, "P8", `${name} has likelihoods, and no pairs were learned`);
    else if (texts !== undefined && texts.length === rows.length) {
      const two = (texts[i] as Capture).rejected !== undefined;
      look.demand((row.preference !== undefined) === two, "P8", `${name} has ${row.preference ? "" : "no "}likelihoods`);
    }
  });
  batches(look, lock, rows.map((row) => row.batch));
  return look.answer(`${rows.length} answers`);
}

/** P6. */
function finished(look: Looking, lock: Lock, outcome: Outcome, name: string): void {
  const most = lock.evaluation.max_new_tokens;
  look.demand(outcome.tokens >= 1 && outcome.tokens <= most, "P6", `${name} has ${outcome.tokens} tokens`);
  const long = [...outcome.output].length >= 3072;
  if (outcome.finish === "length") look.demand(outcome.tokens === most || long, "P6", `${name} was cut before a limit`);
}

/** P5: as many in each batch as `batch_size` gives; the last one holds the rest. */
function batches(look: Looking, lock: Lock, numbers: readonly number[]): void {
  const size = lock.evaluation.batch_size;
  const held = new Map<number, number>();
  for (const number of numbers) held.set(number, (held.get(number) ?? 0) + 1);
  const count = Math.ceil(numbers.length / size);
  const right = Array.from({ length: count }, (_, i) => held.get(i) === (i < count - 1 ? size : numbers.length - size * (count - 1)));
  look.demand(held.size === count && right.every(Boolean), "P5", "the batches are not those that batch_size gives");
}

const SIDES: readonly Side[] = ["eval", "none", "train", "validation"];

/** V34. */
export function split(bundle: Bundle): Answer {
  const { snapshot, header } = bundle.documents;
  if (!snapshot || !header) return notChecked("a document could not be read");
  const look = new Looking();
  const ids = snapshot.map((row) => row.capture);
  look.demand(ids.every((id, i) => i === 0 || (ids[i - 1] as string) < id), "S2", "the lines are not sorted by capture, each once");
  look.demand(header.root === merkleRoot(snapshot.map((row) => canonical(row))), "S2", "the root is not that of the lines");
  const files = (rows: readonly SnapshotRow[]): Set<string> => new Set(rows.flatMap((row) => row.images.map((image) => image.file)));
  look.demand(header.captures === snapshot.length && header.images === files(snapshot).size, "S1", "the header counts other lines or pictures");
  const splits: Record<string, { captures: number; images: number }> = {};
  for (const side of SIDES) {
    const rows = snapshot.filter((row) => row.split === side);
    splits[side] = { captures: rows.length, images: files(rows).size };
  }
  look.demand(same(header.splits, splits), "S1", "the header counts other sides");
  look.demand((splits.train?.captures ?? 0) > 0 && (splits.eval?.captures ?? 0) > 0, "S9", "a side without a capture");
  const near = header.near_duplicates;
  look.demand(near.across_splits <= (splits.eval?.images ?? 0), "S12", "more near twins than eval pictures");
  const { kind } = header.rule;
  look.demand(near.policy === "report" || near.across_splits === 0, "S12", `${near.across_splits} near twins across the split under ${near.policy}`);
  look.demand(near.policy === "drop" || near.dropped === 0, "S12", "captures dropped by another policy than drop");
  look.demand(near.policy !== "group" || kind === "hash", "S12", "near twins are grouped under the rule hash alone");
  const twins = snapshot.flatMap((row) => row.images).every((image) => (image.twins !== undefined) === (near.policy === "group"));
  look.demand(twins, "S12", "twins are named under the policy group, and there of every picture");
  sides(look, bundle, near.policy === "drop" ? near.dropped : 0);
  return look.answer(`${snapshot.length} captures`);
}

function sides(look: Looking, bundle: Bundle, dropped: number): void {
  const { snapshot, header } = bundle.documents;
  if (!snapshot || !header) return;
  if (header.rule.kind === "hash") {
    const due = drawn(header, snapshot);
    const apart = snapshot.filter((row, i) => row.split !== due[i]);
    const left = snapshot.filter((row, i) => row.split === "none" && (due[i] === "train" || due[i] === "validation"));
    look.demand(apart.length === left.length && left.length === dropped, "S7", "a capture is on another side than the rule gives");
    return;
  }
  const none = snapshot.filter((row) => row.split === "none").length;
  look.demand(none === dropped, "S8", "a capture is on no side of an official split");
  if (header.rule.validation === "0" || dropped) return;
  const due = carved(header, snapshot);
  look.demand(snapshot.every((row, i) => (row.split === "validation") === due.has(i)), "S8", "the validation side is not the one that is carved out");
}

/** V38. */
export function text(bundle: Bundle): Answer {
  const { lock } = bundle.documents;
  if (!lock) return notChecked("the lock could not be read");
  const look = new Looking();
  const here = bundle.digests.has("evalcases.jsonl");
  if (!lock.publish.text && !here) return notChecked("the publisher withheld the text");
  look.demand(here, "S3", "the lock promises the cases, and they are missing");
  look.demand(lock.publish.text, "S3", "the lock withholds the cases, and they are there");
  return look.answer("prompts, references and outputs are there");
}

/** V39. */
export function apart(bundle: Bundle): Answer {
  const { snapshot } = bundle.documents;
  if (!snapshot) return notChecked("a document could not be read");
  const look = new Looking();
  const seen = new Map<string, Side>();
  for (const row of snapshot) {
    if (row.split === "none") continue;
    for (const image of row.images) {
      for (const name of [`file ${image.file}`, `pixels ${image.pixels}`]) {
        const other = seen.get(name) ?? row.split;
        look.demand(other === row.split, "S4", `a picture of ${row.capture} is on ${other} and ${row.split}`);
        seen.set(name, other);
      }
    }
  }
  return look.answer("no picture is on two sides");
}
