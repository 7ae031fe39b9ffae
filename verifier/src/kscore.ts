/** K: docs/format/kscore.md, K1, K2 and K5. */

import type { JsonObject } from "./json.ts";
import { type Rational, ONE, ZERO, add, clamp, div, less, log2, mul, ratio, rounded, stated, sub } from "./rational.ts";

const WEIGHTS = { A: ratio(40, 100), S: ratio(15, 100), L: ratio(15, 100), C: ratio(15, 100), V: ratio(15, 100) };

/** K2: the axes and the composite as they are written, from the inputs of a claim. */
export function kscore(inputs: JsonObject): { axes: Record<string, string>; composite: string } {
  const kib = ratio(Number(inputs.size_bytes), 1024);
  const size = less(kib, ONE) ? ZERO : log2(kib);
  const over = (x: Rational): Rational => div(ONE, add(ONE, x));
  const exact: Record<keyof typeof WEIGHTS, Rational> = {
    A: clamp(stated(String(inputs.accuracy)), ZERO, ONE),
    S: clamp(sub(ONE, div(size, ratio(30))), ZERO, ONE),
    L: over(ratio(Number(inputs.p50_latency_us), 100000)),
    C: over(mul(ratio(1000), stated(String(inputs.cost_usd_per_call)))),
    V: clamp(stated(String(inputs.coverage)), ZERO, ONE),
  };
  let composite = ZERO;
  const axes: Record<string, string> = {};
  for (const name of Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[]) {
    composite = add(composite, mul(WEIGHTS[name], exact[name]));
    axes[name] = rounded(exact[name], 4);
  }
  return { axes, composite: rounded(composite, 4) };
}
