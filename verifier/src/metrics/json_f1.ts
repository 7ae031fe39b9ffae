/** The metric `json_f1`: docs/format/evaluation.md. */

import { type Json, parseText } from "../json.ts";
import { ONE, ZERO, compare, ratio } from "../rational.ts";
import { stripped } from "../text.ts";
import { type Judge, type Make, single } from "./metric.ts";
import { MILLIONTH } from "./texts.ts";

const FENCE = "```";

/** What stands between a first line of a fence and letters, and a last one of a fence alone. */
function insideFence(whole: string): string {
  if (!(whole.startsWith(FENCE) && whole.endsWith(FENCE))) return whole;
  const between = whole.slice(FENCE.length, -FENCE.length);
  const [opened, closed] = [between.indexOf("\n"), between.lastIndexOf("\n")];
  const fenced = opened >= 0 && opened < closed && /^[a-z]*$/.test(between.slice(0, opened)) && stripped(between.slice(closed)) === "";
  return fenced ? between.slice(opened + 1, closed) : whole;
}

type Fields = Map<string, number>;

/** The fields of a text, each with how often it is there; null for one that is no object and no list in JSON. */
export function fieldsOf(text: string): Fields | null {
  let value: Json;
  try {
    value = parseText(insideFence(stripped(text)), { fractions: true, numbers: "text" });
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const fields: Fields = new Map();
  collect(value, [], fields);
  return fields;
}

function collect(value: Json, path: readonly string[], fields: Fields): void {
  if (Array.isArray(value)) {
    for (const item of value) collect(item, path, fields);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) collect(item, [...path, key], fields);
  } else if (value !== null) {
    const text = stripped(String(value));
    if (text === "") return;
    const key = JSON.stringify([...path, text]);
    fields.set(key, (fields.get(key) ?? 0) + 1);
  }
}

const size = (fields: Fields): number => [...fields.values()].reduce((a, b) => a + b, 0);

function shared(a: Fields, b: Fields): number {
  let both = 0;
  for (const [key, count] of a) both += Math.min(count, b.get(key) ?? 0);
  return both;
}

const NONE: Fields = new Map();

function nearness(own: Fields, due: Fields | null): typeof ONE {
  if (due === null) return ZERO;
  const all = size(own) + size(due);
  return all === 0 ? ONE : ratio(2 * shared(own, due), all);
}

function compareFields(output: string, reference: string): { score: typeof ONE; parsed: boolean } {
  const own = fieldsOf(output);
  return { score: own === null ? ZERO : nearness(own, fieldsOf(reference)), parsed: own !== null };
}

export const jsonF1: Make = (): Judge => ({
  ...single(compareFields, MILLIONTH),
  figures: {
    names: ["exact_records", "f1", "precision", "recall"],
    of: (outputs, references) => {
      let [both, said, due, whole] = [0, 0, 0, 0];
      outputs.forEach((output, i) => {
        const own = (output === null ? null : fieldsOf(output)) ?? NONE;
        const all = (references[i] as readonly string[]).map(fieldsOf);
        const scores = all.map((one) => nearness(own, one));
        let best = 0;
        scores.forEach((score, at) => compare(score, scores[best] as typeof ONE) > 0 && (best = at));
        const theirs = all[best] ?? NONE;
        const here = shared(own, theirs);
        both += here;
        said += size(own);
        due += size(theirs);
        if (output !== null && here === size(own) && here === size(theirs)) whole++;
      });
      return { exact_records: [whole, outputs.length], f1: [2 * both, said + due], precision: [both, said], recall: [both, due] };
    },
  },
});
