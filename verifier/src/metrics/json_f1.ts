/** The metric `json_f1`: docs/format/evaluation.md. */

import { type Json, parseText } from "../json.ts";
import { ONE, ZERO, compare, ratio } from "../rational.ts";
import { stripped } from "../text.ts";
import { type Judge, type Make, single } from "./metric.ts";
import { MILLIONTH } from "./texts.ts";

const FENCE = /^```[A-Za-z0-9]*\s*\n([\s\S]*?)\n?\s*```$/;

type Fields = Map<string, number>;

/** The fields of a text, each with how often it is there; null for one that is no JSON. */
export function fieldsOf(text: string): { fields: Fields; record: boolean } | null {
  const whole = stripped(text);
  const body = FENCE.exec(whole)?.[1] ?? whole;
  let value: Json;
  try {
    value = parseText(body, { fractions: true, numbers: "text" });
  } catch {
    return null;
  }
  const fields: Fields = new Map();
  collect(value, [], fields);
  return { fields, record: typeof value === "object" && value !== null };
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

function compareFields(output: string, reference: string): { score: typeof ONE; parsed: boolean } {
  const said = fieldsOf(output);
  const due = fieldsOf(reference);
  const parsed = said?.record ?? false;
  if (due === null) return { score: ZERO, parsed };
  const own = parsed && said !== null ? said.fields : NONE;
  const all = size(own) + size(due.fields);
  return { score: all === 0 ? ONE : ratio(2 * shared(own, due.fields), all), parsed };
}

export const jsonF1: Make = (): Judge => ({
  ...single(compareFields, MILLIONTH),
  figures: {
    names: ["exact_records", "f1", "precision", "recall"],
    of: (outputs, references) => {
      let [both, said, due, whole] = [0, 0, 0, 0];
      outputs.forEach((output, i) => {
        const all = references[i] as readonly string[];
        const scores = all.map((reference) => compareFields(output ?? "", reference).score);
        let best = 0;
        scores.forEach((score, at) => compare(score, scores[best] as typeof ONE) > 0 && (best = at));
        const theirs = fieldsOf(all[best] ?? "")?.fields ?? NONE;
        const found = output === null ? null : fieldsOf(output);
        const own = found?.record ? found.fields : NONE;
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
