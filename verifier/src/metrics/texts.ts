/** Metrics that compare texts: exact, contains, relaxed, anls, rouge_l and pope. docs/format/evaluation.md. */

import { ZERO, ONE, type Rational, abs, compare, decimal, div, mul, ratio, stated, sub, less } from "../rational.ts";
import { bareWords, folded, letterWords, normalised, standsIn, stripped } from "../text.ts";
import { type Judge, type Make, right, single } from "./metric.ts";

export const exact: Make = () =>
  single((output, reference) => {
    const text = normalised(output);
    return { score: right(text !== "" && text === normalised(reference)), parsed: text !== "" };
  });

export const contains: Make = () =>
  single((output, reference) => {
    const words = bareWords(reference);
    const whole = normalised(output);
    const holds = words.length ? standsIn(words, bareWords(output)) : whole === normalised(reference);
    return { score: right(holds), parsed: whole !== "" };
  });

const NUMBER = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$/;

/** The number that a text is, or null. */
export function numberOf(text: string): Rational | null {
  const whole = stripped(text);
  const share = whole.endsWith("%");
  const body = stripped(whole.replace(/%+$/, ""));
  if ([...body].length > 64 || !NUMBER.test(body)) return null;
  const value = decimal(body);
  return value === null ? null : share ? div(value, ratio(100)) : value;
}

export const relaxed: Make = (options) => {
  const tolerance = stated(String(options.tolerance));
  return single((output, reference) => {
    const said = numberOf(output);
    const due = numberOf(reference);
    const parsed = due === null ? stripped(output) !== "" : said !== null;
    if (said !== null && due !== null && due.n !== 0n) {
      return { score: right(compare(abs(sub(said, due)), mul(tolerance, abs(due))) <= 0), parsed };
    }
    return { score: right(stripped(output).toLowerCase() === stripped(reference).toLowerCase()), parsed };
  });
};

export const anls: Make = (options) => {
  const threshold = stated(String(options.threshold));
  return single((output, reference) => {
    const [a, b] = [[...folded(output)], [...folded(reference)]];
    const parsed = a.length > 0;
    const n = Math.max(a.length, b.length);
    if (n > 2048) return { score: right(a.join("") === b.join("")), parsed };
    const off = n ? ratio(distance(a, b), n) : ZERO;
    return { score: less(off, threshold) ? sub(ONE, off) : ZERO, parsed };
  }, sub(ONE, threshold));
};

function distance(a: readonly string[], b: readonly string[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  a.forEach((sign, i) => {
    const next = [i + 1];
    b.forEach((other, j) => {
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, (row[j] as number) + (sign === other ? 0 : 1)));
    });
    row = next;
  });
  return row[b.length] as number;
}

export const MILLIONTH = ratio(1, 1_000_000);

export const rougeL: Make = () =>
  single((output, reference) => {
    const [a, b] = [letterWords(output), letterWords(reference)];
    const l = common(a, b);
    return { score: a.length + b.length ? ratio(2 * l, a.length + b.length) : ZERO, parsed: a.length > 0 };
  }, MILLIONTH);

/** The longest common subsequence, a row at a time in the bits of whole numbers (Hyyrö 2004, section 4): a bit is 0 where the row rises. */
function common(a: readonly string[], b: readonly string[]): number {
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  const places = new Map<string, bigint>();
  short.forEach((word, place) => places.set(word, (places.get(word) ?? 0n) | (1n << BigInt(place))));
  const whole = (1n << BigInt(short.length)) - 1n;
  let row = whole;
  for (const word of long) {
    const met = row & (places.get(word) ?? 0n);
    if (met) row = ((row + met) | (row - met)) & whole;
  }
  return short.length - row.toString(2).replaceAll("0", "").length;
}

/** What a text says: no, yes, or neither. */
function says(text: string): "yes" | "no" | null {
  const words = bareWords((text.split(".")[0] ?? "").replaceAll(",", ""));
  if (words.includes("no") || words.includes("not")) return "no";
  return words.includes("yes") ? "yes" : null;
}

export const pope: Make = (): Judge => ({
  least: ONE,
  judge: (output, references) => {
    const said = says(output);
    return { score: right(said !== null && said === says(references[0] ?? "")), parsed: said !== null };
  },
  figures: {
    names: ["f1", "precision", "recall", "yes_ratio"],
    of: (outputs, references) => {
      const said = outputs.map((output) => output !== null && says(output) === "yes");
      const due = references.map((all) => says(all[0] ?? "") === "yes");
      const count = (all: readonly boolean[]): number => all.filter(Boolean).length;
      const both = count(said.map((yes, i) => yes && (due[i] as boolean)));
      return {
        f1: [2 * both, count(said) + count(due)],
        precision: [both, count(said)],
        recall: [both, count(due)],
        yes_ratio: [count(said), outputs.length],
      };
    },
  },
});
