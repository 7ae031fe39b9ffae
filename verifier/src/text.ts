/** Texts as metrics compare them: docs/format/evaluation.md, E3. */

import { TABLES } from "./tables.ts";

const FOLD = TABLES.casefold?.fold as Record<string, string>;

/** White space of E3: Unicode's White_Space and the separators U+001C to U+001F. */
export const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // inside a set of a pattern
const SPACE = new RegExp(`[${SPACES}]+`, "gu");
const BLANK = new RegExp(`^[${SPACES}]$`, "u");

/** Without white space at the ends. A pattern for the last run would look at every run of the text. */
export function stripped(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && BLANK.test(text[from] as string)) from++;
  while (from < to && BLANK.test(text[to - 1] as string)) to--;
  return text.slice(from, to);
}

/** What runs of white space part; empty ones are none. */
export const words = (text: string): string[] => text.split(SPACE).filter(Boolean);

const caseFolded = (text: string): string => {
  let found = "";
  for (const sign of text) found += Object.hasOwn(FOLD, sign) ? FOLD[sign] : sign;
  return found;
};

/** NFC, full case folding, NFC, and one space for each run of white space. */
export const folded = (text: string): string => words(caseFolded(text.normalize("NFC")).normalize("NFC")).join(" ");

/** The form in which `exact` compares. */
export const normalised = (text: string): string => {
  const whole = folded(text);
  return whole.endsWith(".") ? stripped(whole.slice(0, -1)) : whole;
};

const AFTER = new Set(`)]}>"'\u2019\u201d\u201c\u00bb\u203a.,;:!?\u2026`);
const BEFORE = new Set(`([{<"'\u2018\u201c\u201a\u201e\u00ab\u2039\u00bf\u00a1`);

/** The words of `contains`: without signs at their ends, then at their beginnings. */
export const bareWords = (text: string): string[] =>
  normalised(text).split(" ").map((word) => {
    const signs = [...word];
    while (signs.length && AFTER.has(signs.at(-1) as string)) signs.pop();
    while (signs.length && BEFORE.has(signs[0] as string)) signs.shift();
    return signs.join("");
  }).filter(Boolean);

/** Whether a list of words stands in another one, side by side and in its order. */
export const standsIn = (part: readonly string[], whole: readonly string[]): boolean =>
  part.length > 0 && whole.some((_, at) => part.every((word, i) => whole[at + i] === word));

/** Runs of letters and digits of the folded text, with the marks that letters carry. */
export const letterWords = (text: string): string[] => folded(text).match(/[\p{L}\p{N}]\p{M}*(?:[\p{L}\p{N}]\p{M}*)*/gu) ?? [];
