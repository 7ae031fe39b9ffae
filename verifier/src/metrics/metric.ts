/** What a metric is: docs/format/evaluation.md, E2, E3 and E15. */

import type { Metric } from "../documents.ts";
import { ONE, type Rational, ZERO, compare } from "../rational.ts";

export interface Judged {
  score: Rational;
  parsed: boolean;
}

export interface Figures {
  names: string[];
  /** For all covered outputs (null for one that is not): a share as two counts, by name. */
  of(outputs: readonly (string | null)[], references: readonly (readonly string[])[]): Record<string, [number, number]>;
}

export interface Judge {
  /** The references are the response and then the further ones. */
  judge(output: string, references: readonly string[]): Judged;
  /** E10: the least score above 0. */
  least: Rational;
  figures?: Figures;
}

export type Make = (options: Metric, references: readonly (readonly string[])[]) => Judge;

/** A metric against one reference: of several the one that gives most counts, and among these one by which it is parsed. */
export function single(judge: (output: string, reference: string) => Judged, least: Rational = ONE): Judge {
  return {
    least,
    judge: (output, references) =>
      references
        .map((reference) => judge(output, reference))
        .reduce((best, one) => {
          const by = compare(one.score, best.score);
          return by > 0 || (by === 0 && one.parsed && !best.parsed) ? one : best;
        }),
  };
}

export const right = (holds: boolean): Rational => (holds ? ONE : ZERO);
