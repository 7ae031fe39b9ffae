/** The metric `choice`: docs/format/evaluation.md. */

import { bareWords, standsIn, words } from "../text.ts";
import { type Make, right, single } from "./metric.ts";

const SIGNS = /[.()[\],:;!*#{}]/g;

/** The letter of the option that a text picks, or null. */
export function picked(text: string, choices: readonly string[]): string | null {
  const letters = choices.map((_, i) => String.fromCharCode(65 + i));
  const all = words(text.replace(SIGNS, " "));
  const among = letters.filter((letter) => all.includes(letter));
  const [only] = among;
  if (among.length === 1 && only !== undefined && all.indexOf(only) >= all.length - 4) return only;
  const stated = /answer is\s*\**\s*([A-Z])(?![A-Za-z0-9_])/.exec(text)?.[1];
  if (stated !== undefined && letters.includes(stated)) return stated;
  const length = choices.reduce((n, one) => n + [...one].length, 0);
  if ([...text].length > 2 * length) return null;
  const whole = bareWords(text);
  const standing = letters.filter((_, i) => standsIn(bareWords(choices[i] ?? ""), whole));
  return standing.length === 1 ? (standing[0] ?? null) : null;
}

export const choice: Make = (options) => {
  const choices = options.choices as string[];
  return single((output, reference) => {
    const said = picked(output, choices);
    return { score: right(said !== null && said === picked(reference, choices)), parsed: said !== null };
  });
};
