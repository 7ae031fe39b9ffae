/** The metric `iou`: docs/format/evaluation.md. */

import { type Rational, ZERO, compare, div, mul, stated, sub, add, less } from "../rational.ts";
import { SPACES } from "../text.ts";
import { type Make, right, single } from "./metric.ts";

type Box = [Rational, Rational, Rational, Rational];

const NUMBER = "-?[0-9]{1,9}(?:\\.[0-9]{1,9})?";
const BETWEEN = `(?:[${SPACES}]*,[${SPACES}]*|[${SPACES}]+)`;
const FOUR = `[${SPACES}]*${Array(4).fill(`(${NUMBER})`).join(BETWEEN)}[${SPACES}]*`;
const BRACKETED = new RegExp(`\\[${FOUR}\\]|\\(${FOUR}\\)`, "u");
const WHOLE = new RegExp(`^${FOUR}$`, "u");

/** The first box of a text, or null. */
export function boxOf(text: string): Box | null {
  const match = BRACKETED.exec(text) ?? WHOLE.exec(text);
  if (match === null) return null;
  const box = match.slice(1).filter((part) => part !== undefined).map(stated) as Box;
  return less(box[0], box[2]) && less(box[1], box[3]) ? box : null;
}

const area = (box: Box): Rational => mul(sub(box[2], box[0]), sub(box[3], box[1]));
const smaller = (a: Rational, b: Rational): Rational => (less(a, b) ? a : b);
const larger = (a: Rational, b: Rational): Rational => (less(a, b) ? b : a);

export function shared(a: Box, b: Box): Rational {
  const width = sub(smaller(a[2], b[2]), larger(a[0], b[0]));
  const height = sub(smaller(a[3], b[3]), larger(a[1], b[1]));
  if (compare(width, ZERO) <= 0 || compare(height, ZERO) <= 0) return ZERO;
  const both = mul(width, height);
  return div(both, sub(add(area(a), area(b)), both));
}

export const iou: Make = (options) => {
  const threshold = stated(String(options.threshold));
  return single((output, reference) => {
    const [said, due] = [boxOf(output), boxOf(reference)];
    const holds = said !== null && due !== null && compare(shared(said, due), threshold) >= 0;
    return { score: right(holds), parsed: said !== null };
  });
};
