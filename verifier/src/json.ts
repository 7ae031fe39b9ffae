/** JSON as documents of a bundle may write it, and its canonical bytes (RFC 8785). */

import { equal, text, utf8 } from "./bytes.ts";
import { rounded, stated } from "./rational.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export const DEEPEST = 32;
export const LARGEST_DOCUMENT = 2_097_152;

export class JsonError extends Error {}

export interface Reading {
  /** Numbers with a fraction or an exponent are taken (adapter_config.json alone has them). */
  fractions?: boolean;
  /** "text": numbers come as their decimal without an exponent; whole ones as they are written, others as the shortest of a binary fraction. */
  numbers?: "text";
  deepest?: number;
}

/** Strict: no key twice, no fraction, no number of 2^53 or more, nothing but whole Unicode. */
export function parse(bytes: Uint8Array, how: Reading = {}): Json {
  const written = text(bytes);
  if (written === null) throw new JsonError("not UTF-8");
  return parseText(written, how);
}

export function parseText(written: string, how: Reading = {}): Json {
  const reader = new Reader(written, how);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  private at = 0;
  private readonly deepest: number;

  constructor(
    private readonly written: string,
    private readonly how: Reading,
  ) {
    this.deepest = how.deepest ?? DEEPEST;
  }

  value(depth: number): Json {
    this.space();
    const sign = this.written[this.at];
    if (sign === "{") return this.object(depth + 1);
    if (sign === "[") return this.list(depth + 1);
    if (sign === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.written.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  end(): void {
    this.space();
    if (this.at !== this.written.length) throw new JsonError(`something after its end, at ${this.at}`);
  }

  private space(): void {
    while (" \t\n\r".includes(this.written[this.at] ?? "x")) this.at++;
  }

  private enter(depth: number): void {
    if (depth > this.deepest) throw new JsonError(`nested deeper than ${this.deepest} levels`);
    this.at++;
    this.space();
  }

  private object(depth: number): JsonObject {
    this.enter(depth);
    const found = Object.create(null) as JsonObject;
    if (this.skip("}")) return found;
    for (;;) {
      this.space();
      if (this.written[this.at] !== '"') throw new JsonError(`no key at ${this.at}`);
      const key = this.string();
      if (key in found) throw new JsonError(`the key ${JSON.stringify(key)} twice`);
      this.space();
      if (!this.skip(":")) throw new JsonError(`no colon at ${this.at}`);
      found[key] = this.value(depth);
      this.space();
      if (this.skip("}")) return found;
      if (!this.skip(",")) throw new JsonError(`no comma at ${this.at}`);
    }
  }

  private list(depth: number): Json[] {
    this.enter(depth);
    const found: Json[] = [];
    if (this.skip("]")) return found;
    for (;;) {
      found.push(this.value(depth));
      this.space();
      if (this.skip("]")) return found;
      if (!this.skip(",")) throw new JsonError(`no comma at ${this.at}`);
    }
  }

  private skip(sign: string): boolean {
    if (this.written[this.at] !== sign) return false;
    this.at++;
    return true;
  }

  private string(): string {
    const start = this.at++;
    for (; ; this.at++) {
      const sign = this.written[this.at];
      if (sign === undefined) throw new JsonError(`a text without an end, at ${start}`);
      if (sign === "\\") this.at++;
      else if (sign === '"') break;
      else if (sign < " ") throw new JsonError(`a control character in a text, at ${this.at}`);
    }
    this.at++;
    let value: string;
    try {
      value = JSON.parse(this.written.slice(start, this.at)) as string;
    } catch {
      throw new JsonError(`a text with a wrong escape, at ${start}`);
    }
    if (!wellFormed(value)) throw new JsonError(`half of a surrogate pair in a text, at ${start}`);
    return value;
  }

  private number(): Json {
    const found = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
    found.lastIndex = this.at;
    const match = found.exec(this.written);
    if (match === null) throw new JsonError(`no value at ${this.at}`);
    this.at = found.lastIndex;
    const value = Number(match[0]);
    const whole = match[1] === undefined && match[2] === undefined;
    if (this.how.numbers === "text") {
      if (whole ? match[0].length > MOST_DIGITS : !Number.isFinite(value)) throw new JsonError("a number that is too large");
      return whole ? BigInt(match[0]).toString() : shortest(value);
    }
    if (!whole && !this.how.fractions) throw new JsonError(`a number with a fraction: ${match[0].slice(0, 40)}`);
    if (whole ? !Number.isSafeInteger(value) : !Number.isFinite(value)) {
      throw new JsonError(`a number that is too large: ${match[0].slice(0, 40)}`);
    }
    return value;
  }
}

const MOST_DIGITS = 4300;

/** The shortest decimal of a binary fraction, without an exponent; the smallest has 324 places and at most 16 digits more. */
function shortest(value: number): string {
  const written = String(value);
  return written.includes("e") ? rounded(stated(written), 340) : written;
}

const wellFormed = (value: string): boolean =>
  !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value);

/** The one spelling of a value: keys in the order of UTF-16 code units, numbers as ECMAScript writes them. */
export function canonicalText(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  const rows = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonicalText(value[key] as Json)}`);
  return `{${rows.join(",")}}`;
}

export const canonical = (value: Json): Uint8Array => utf8(canonicalText(value));

export const isCanonical = (bytes: Uint8Array, value: Json): boolean => equal(bytes, canonical(value));

export const same = (a: Json | undefined, b: Json | undefined): boolean =>
  a === undefined || b === undefined ? a === b : canonicalText(a) === canonicalText(b);

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The lines of a JSON Lines member without their newlines; null where the last one has none. */
export function lines(bytes: Uint8Array): Uint8Array[] | null {
  const found: Uint8Array[] = [];
  let start = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, start)) {
    found.push(bytes.subarray(start, at));
    start = at + 1;
  }
  return start === bytes.length ? found : null;
}
