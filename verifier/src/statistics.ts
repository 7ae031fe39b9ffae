/** The statistics of docs/format/evaluation.md, E4 to E6 and E14, in exact arithmetic until one root. */

import { collect } from "./collect.ts";
import type { JsonObject } from "./json.ts";
import { type Rational, ONE, ZERO, add, clamp, compare, div, exp, less, mul, pi, ratio, root, rounded, stated, sub, sum } from "./rational.ts";

const Z = stated("1.959963984540054");
const ZZ = mul(Z, Z);

/** E5: Wilson's interval of the mean k / n, not rounded. */
function wilson(k: Rational, n: Rational): [Rational, Rational] {
  const inner = add(ZZ, div(mul(mul(ratio(4), k), sub(n, k)), n));
  const half = mul(Z, root(inner));
  const middle = add(mul(ratio(2), k), ZZ);
  const below = mul(ratio(2), add(n, ZZ));
  return [clamp(div(sub(middle, half), below), ZERO, ONE), clamp(div(add(middle, half), below), ZERO, ONE)];
}

export function interval(k: Rational, n: Rational): { low: string; high: string } {
  const [low, high] = wilson(k, n);
  return { low: rounded(low, 6), high: rounded(high, 6) };
}

/** E4 and E5: a mean with its interval. */
export function mean(points: readonly Rational[]): JsonObject & { accuracy: string } {
  const k = sum(points);
  const n = ratio(points.length);
  return { accuracy: rounded(div(k, n), 6), interval: { level: "0.95", method: "wilson", ...interval(k, n) } };
}

/** E6: the exact two-sided sign test of b against c. */
export function signTest(b: number, c: number): string {
  const n = b + c;
  if (n > 2000) return longSignTest(n, Math.abs(b - c));
  let term = 1n;
  let tail = 1n;
  for (let i = 1; i <= Math.min(b, c); i++) {
    term = (term * BigInt(n - i + 1)) / BigInt(i);
    tail += term;
  }
  const p = ratio(2n * tail, 1n << BigInt(n));
  return rounded(less(ONE, p) ? ONE : p, 6);
}

/**
 * The same where the sum would take seconds: 1 less the terms around the middle, to 60 places. A billionth of a billionth
 * beside the edge of a rounding, which no counts come near to, would still be right.
 */
function longSignTest(n: number, apart: number): string {
  if (apart * apart >= 31 * n) return "0"; // Hoeffding: 2·exp(−apart² / 2n) is below half a millionth
  const half = Math.floor(n / 2);
  let term = middleTerm(BigInt(half));
  if (n % 2) term = (term * BigInt(n)) / BigInt(2 * half + 2);
  let middle = 0n;
  for (let i = half; i > (n - apart) / 2; i--) {
    middle += 2 * i === n ? term : 2n * term;
    term = (term * BigInt(i)) / BigInt(n - i + 1);
  }
  return rounded(ratio(PLACES - middle, PLACES), 6);
}

const PLACES = 10n ** 60n;

/** C(2k, k) / 4^k in units of 10^-60 by Stirling's series (DLMF 5.11.1), which ends below 10^-28 for a k of 1000. */
function middleTerm(k: bigint): bigint {
  const series = sum([ratio(-1n, 8n * k), ratio(1n, 192n * k ** 3n), ratio(-1n, 640n * k ** 5n), ratio(17n, 14336n * k ** 7n)]);
  const value = mul(exp(series), root(div(ONE, mul(pi, ratio(k)))));
  return (value.n * PLACES) / value.d;
}

/** E14: the clusters of cases that a chain of equal pictures connects, as lists of places. */
export function clusters(pictures: readonly (readonly string[])[]): number[][] {
  const parent = pictures.map((_, i) => i);
  const find = (i: number): number => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i] as number] as number;
    return i;
  };
  const first = new Map<string, number>();
  pictures.forEach((of, i) => {
    for (const picture of of) {
      const other = first.get(picture);
      if (other === undefined) first.set(picture, i);
      else parent[find(i)] = find(other);
    }
  });
  const found = new Map<number, number[]>();
  pictures.forEach((_, i) => {
    const own = find(i);
    collect(found, own, i);
  });
  return [...found.values()];
}

/** E14: the design effect and the interval of a mean when clusters are drawn together. */
export function clustered(points: readonly Rational[], groups: readonly number[][]): JsonObject {
  const n = ratio(points.length);
  const m = div(sum(points), n);
  const effect = designEffect(points, groups, n, m);
  const worth = div(n, effect);
  return { design_effect: rounded(effect, 6), ...interval(mul(worth, m), worth) };
}

function designEffect(points: readonly Rational[], groups: readonly number[][], n: Rational, m: Rational): Rational {
  const size = div(sum(groups.map((group) => ratio(group.length * group.length))), n);
  if (groups.length === 1 || compare(m, ZERO) === 0 || compare(m, ONE) === 0) return size;
  const square = (x: Rational): Rational => mul(x, x);
  const apart = groups.map((group) => {
    const own = group.map((i) => points[i] as Rational);
    const middle = div(sum(own), ratio(own.length));
    return sum(own.map((x) => square(sub(x, middle))));
  });
  const k = groups.length;
  const w = k === points.length ? ZERO : div(sum(apart), ratio(points.length - k));
  const v = div(sum(points.map((x) => square(sub(x, m)))), n);
  const c = div(n, size);
  const variance = mul(div(c, sub(c, ONE)), div(add(w, mul(size, sub(v, w))), n));
  const wide = add(ONE, div(add(ZZ, ONE), mul(ratio(4), sub(c, ONE))));
  const effect = mul(div(mul(variance, n), mul(m, sub(ONE, m))), square(wide));
  return clamp(effect, ONE, n);
}
