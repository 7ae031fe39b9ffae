/** The metric `vqa`: docs/format/evaluation.md, and the contractions of docs/format/tables/vqa.json. */

import { ONE, type Rational, add, div, less, mul, ratio } from "../rational.ts";
import { TABLES } from "../tables.ts";
import { stripped, words } from "../text.ts";
import type { Make } from "./metric.ts";

const CONTRACTIONS = TABLES.vqa?.contractions as Record<string, string>;
const NUMBERS: Record<string, string> = { none: "0" };
["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].forEach((word, n) => {
  NUMBERS[word] = `${n}`;
});
const ARTICLES = new Set(["a", "an", "the"]);
const SIGNS = [...';/[]"{}()=+\\_-><@`!'];

/** The form in which two answers are compared. */
export function form(text: string): string {
  let bare = text.toLowerCase().replace(/[,?]/g, "").replaceAll("'s", " 's");
  bare = stripped(stripped(bare).replace(/[\n\t]/g, " "));
  let spread = bare;
  for (const sign of SIGNS) {
    const beside = bare.includes(`${sign} `) || bare.includes(` ${sign}`);
    spread = spread.replaceAll(sign, beside ? "" : " ");
  }
  let left = 32;
  spread = spread.replace(/\.(?![0-9])/g, (stop) => (left-- > 0 ? "" : stop));
  const look = (table: Record<string, string>, word: string): string => (Object.hasOwn(table, word) ? (table[word] as string) : word);
  return words(spread)
    .map((word) => look(NUMBERS, word))
    .filter((word) => !ARTICLES.has(word))
    .map((word) => look(CONTRACTIONS, word))
    .join(" ");
}

export const vqa: Make = () => ({
  least: ratio(1, 6),
  judge: (output, references) => {
    const said = form(output);
    const all = references.length;
    const same = references.filter((reference) => form(reference) === said).length;
    const third = (n: number): Rational => (less(ratio(n, 3), ONE) ? ratio(n, 3) : ONE);
    const score = div(add(mul(ratio(same), third(same - 1)), mul(ratio(all - same), third(same))), ratio(all));
    return { score: same ? score : ratio(0), parsed: stripped(output) !== "" };
  },
});
