/** Exact numbers: rationals over BigInt, decimals as documents write them, and the few functions that are not rational. */

export interface Rational {
  n: bigint;
  d: bigint; // above 0
}

export const ZERO: Rational = { n: 0n, d: 1n };
export const ONE: Rational = { n: 1n, d: 1n };

const gcd = (a: bigint, b: bigint): bigint => {
  while (b) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
};

export function ratio(n: bigint | number, d: bigint | number = 1n): Rational {
  let [above, below] = [BigInt(n), BigInt(d)];
  if (below < 0n) [above, below] = [-above, -below];
  const common = gcd(above, below) || 1n;
  return { n: above / common, d: below / common };
}

export const add = (a: Rational, b: Rational): Rational => ratio(a.n * b.d + b.n * a.d, a.d * b.d);
export const sub = (a: Rational, b: Rational): Rational => ratio(a.n * b.d - b.n * a.d, a.d * b.d);
export const mul = (a: Rational, b: Rational): Rational => ratio(a.n * b.n, a.d * b.d);
export const div = (a: Rational, b: Rational): Rational => ratio(a.n * b.d, a.d * b.n);
export const abs = (a: Rational): Rational => (a.n < 0n ? { n: -a.n, d: a.d } : a);
export const sum = (all: Iterable<Rational>): Rational => {
  let whole = ZERO;
  for (const one of all) whole = add(whole, one);
  return whole;
};

/** Below 0, 0 or above 0, as a is less than, equal to or more than b. */
export const compare = (a: Rational, b: Rational): number => {
  const by = a.n * b.d - b.n * a.d;
  return by < 0n ? -1 : by > 0n ? 1 : 0;
};
export const less = (a: Rational, b: Rational): boolean => compare(a, b) < 0;
export const clamp = (a: Rational, low: Rational, high: Rational): Rational =>
  less(a, low) ? low : less(high, a) ? high : a;

/** The value of a decimal such as "-0.25" or "1e-3"; null for what is none. */
export function decimal(written: string): Rational | null {
  const match = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?$/.exec(written);
  if (match === null || !(match[2] || match[3])) return null;
  const digits = BigInt(`${match[2] ?? ""}${match[3] ?? ""}`) * (match[1] === "-" ? -1n : 1n);
  const shift = Number(match[4] ?? 0) - (match[3] ?? "").length;
  return shift < 0 ? ratio(digits, 10n ** BigInt(-shift)) : ratio(digits * 10n ** BigInt(shift));
}

/** The value of a decimal that a schema has let through. */
export function stated(written: string): Rational {
  const value = decimal(written);
  if (value === null) throw new Error(`${written} is no decimal`);
  return value;
}

/** The canonical decimal with at most so many places, rounded once, half to even. */
export function rounded(value: Rational, places: number): string {
  return written(toEven(value.n * 10n ** BigInt(places), value.d), places);
}

/** A whole number of units of 10^-places as a canonical decimal. */
function written(units: bigint, places: number): string {
  const digits = (units < 0n ? -units : units).toString().padStart(places + 1, "0");
  const whole = digits.slice(0, digits.length - places);
  const rest = places ? digits.slice(-places).replace(/0+$/, "") : "";
  const text = rest ? `${whole}.${rest}` : whole;
  return units < 0n ? `-${text}` : text;
}

/** n / d as a whole number, half to even; d is above 0. */
function toEven(n: bigint, d: bigint): bigint {
  let whole = n / d;
  let rest = n % d;
  if (rest < 0n) {
    whole -= 1n;
    rest += d;
  }
  const twice = 2n * rest;
  return twice > d || (twice === d && whole % 2n !== 0n) ? whole + 1n : whole;
}

// What is not rational is computed as a whole number of units of 10^-60, far below the places that
// the format writes.
const UNIT = 10n ** 60n;
const fixed = (value: Rational): bigint => toEven(value.n * UNIT, value.d);
const free = (units: bigint): Rational => ratio(units, UNIT);

export function root(value: Rational): Rational {
  const square = (value.n * UNIT * UNIT) / value.d;
  if (square === 0n) return ZERO;
  let guess = 1n << BigInt((square.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (guess + square / guess) >> 1n;
    if (next >= guess) return free(guess);
    guess = next;
  }
}

/** The logarithm to base e of a number above 0: 2 artanh((x − 1)/(x + 1)), the power of two apart. */
export function log(value: Rational): Rational {
  let [x, twos] = [value, 0n];
  while (compare(x, ratio(3, 2)) > 0) [x, twos] = [div(x, ratio(2)), twos + 1n];
  while (less(x, ratio(3, 4))) [x, twos] = [mul(x, ratio(2)), twos - 1n];
  return free(artanh2(x) + twos * artanh2(ratio(2)));
}

function artanh2(x: Rational): bigint {
  const t = fixed(div(sub(x, ONE), add(x, ONE)));
  const square = (t * t) / UNIT;
  let [term, total] = [t, 0n];
  for (let k = 1n; term !== 0n; k += 2n) {
    total += term / k;
    term = (term * square) / UNIT;
  }
  return 2n * total;
}

export const log2 = (value: Rational): Rational => div(log(value), log(ratio(2)));

/** e to the power of a number. */
export function exp(value: Rational): Rational {
  const halvings = 16n;
  const x = fixed(value) >> halvings;
  let [term, total] = [UNIT, 0n];
  for (let k = 1n; term !== 0n && k < 200n; k++) {
    total += term;
    term = (term * x) / (UNIT * k);
  }
  for (let i = 0n; i < halvings; i++) total = (total * total) / UNIT;
  return free(total);
}

/** cos(π x). */
export function cosPi(value: Rational): Rational {
  const x = (fixed(value) * PI) / UNIT;
  const square = (x * x) / UNIT;
  let [term, total] = [UNIT, 0n];
  for (let k = 1n; term !== 0n && k < 400n; k += 2n) {
    total += term;
    term = -(term * square) / (UNIT * k * (k + 1n));
  }
  return free(total);
}

const PI = 3141592653589793238462643383279502884197169399375105820974944n;
export const pi = free(PI);

/** The exact value of a finite binary number. */
export function ofFloat(value: number): Rational {
  let power = 0n;
  while (!Number.isInteger(value)) {
    value *= 2;
    power++;
  }
  return ratio(BigInt(value), 1n << power);
}
