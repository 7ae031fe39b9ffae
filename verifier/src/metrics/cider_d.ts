/** The metric `cider_d`: docs/format/evaluation.md. Weights come from the references of all cases. */

import { type Rational, ZERO, add, compare, div, exp, log, mul, ratio, root, rounded, stated } from "../rational.ts";
import { letterWords } from "../text.ts";
import type { Make } from "./metric.ts";
import { MILLIONTH } from "./texts.ts";

const LONGEST = 4;

/** How often each run of one to four words stands in a text, by the length of the run. */
function runs(words: readonly string[]): Map<string, number>[] {
  return Array.from({ length: LONGEST }, (_, n) => {
    const found = new Map<string, number>();
    for (let at = 0; at + n < words.length; at++) {
      const run = words.slice(at, at + n + 1).join(" ");
      found.set(run, (found.get(run) ?? 0) + 1);
    }
    return found;
  });
}

export const ciderD: Make = (_, references) => {
  const held = new Map<string, number>();
  for (const all of references) {
    const seen = new Set(all.flatMap((one) => runs(letterWords(one)).flatMap((found) => [...found.keys()])));
    for (const run of seen) held.set(run, (held.get(run) ?? 0) + 1);
  }
  const rare = new Map<number, Rational>();
  const weight = (run: string): Rational => {
    const count = Math.max(1, held.get(run) ?? 0);
    let found = rare.get(count);
    if (found === undefined) rare.set(count, (found = stated(rounded(log(ratio(references.length, count)), 12))));
    return found;
  };
  const weighed = (found: Map<string, number>): Map<string, Rational> => new Map([...found].map(([run, often]) => [run, mul(ratio(often), weight(run))]));
  const norm = (found: Map<string, Rational>): Rational => root([...found.values()].reduce((whole, one) => add(whole, mul(one, one)), ZERO));
  const likeness = (w: Map<string, Rational>, v: Map<string, Rational>): Rational => {
    const [a, b] = [norm(w), norm(v)];
    if (a.n === 0n || b.n === 0n) return ZERO;
    let whole = ZERO;
    for (const [run, one] of w) {
      const other = v.get(run);
      if (other !== undefined) whole = add(whole, mul(compare(one, other) < 0 ? one : other, other));
    }
    return div(whole, mul(a, b));
  };
  const pairs = (found: Map<string, number>): number => [...(found.values() ?? [])].reduce((a, b) => a + b, 0);
  return {
    least: MILLIONTH,
    judge: (output, all) => {
      const said = letterWords(output);
      const own = runs(said);
      const ownWeights = own.map(weighed);
      let whole = ZERO;
      for (const reference of all) {
        const theirs = runs(letterWords(reference));
        const d = pairs(own[1] as Map<string, number>) - pairs(theirs[1] as Map<string, number>);
        const damped = exp(ratio(-d * d, 72));
        theirs.forEach((found, n) => {
          whole = add(whole, mul(damped, likeness(ownWeights[n] as Map<string, Rational>, weighed(found))));
        });
      }
      return { score: div(whole, ratio(LONGEST * all.length)), parsed: said.length > 0 };
    },
  };
};
