/** The part of JSON Schema 2020-12 that the schemas of the format use; an unknown keyword is an error. */

import { type Json, type JsonObject, canonicalText, isObject, same } from "./json.ts";
import { SCHEMAS } from "./tables.ts";

const SAID = new Set(["$schema", "$id", "title", "description", "$defs", "default"]);

/** What of a document does not fit the schema of this name, in words; empty where all fits. */
export function misfits(name: string, document: Json): string[] {
  const schema = SCHEMAS[name];
  if (schema === undefined) throw new Error(`no schema ${name}`);
  const found: string[] = [];
  new Fitting(schema, found).fits(schema, document, "");
  return found;
}

class Fitting {
  constructor(
    private readonly whole: JsonObject,
    private readonly found: string[],
  ) {}

  fits(schema: Json, value: Json, where: string): boolean {
    const before = this.found.length;
    if (schema === false) this.say(where, "is not known here");
    if (!isObject(schema)) return this.found.length === before;
    for (const [keyword, asked] of Object.entries(schema)) {
      if (!SAID.has(keyword)) this.keyword(keyword, asked, schema, value, where);
      if (this.found.length > 32) break;
    }
    return this.found.length === before;
  }

  private say(where: string, what: string): void {
    this.found.push(`${where || "the document"} ${what}`);
  }

  private keyword(keyword: string, asked: Json, schema: JsonObject, value: Json, where: string): void {
    const fails = (what: string): void => this.say(where, what);
    const number = typeof value === "number" ? value : undefined;
    const characters = typeof value === "string" ? value : undefined;
    switch (keyword) {
      case "$ref":
        return this.reference(String(asked), value, where);
      case "type": {
        const kinds = Array.isArray(asked) ? asked : [asked];
        if (!kinds.some((kind) => isOf(String(kind), value))) fails(`is no ${kinds.join(" or ")}`);
        return;
      }
      case "const":
        if (!same(asked, value)) fails(`is not ${canonicalText(asked)}`);
        return;
      case "enum":
        if (!(asked as Json[]).some((one) => same(one, value))) fails(`is none of ${canonicalText(asked)}`);
        return;
      case "anyOf":
        return this.anyOf(asked as Json[], value, where);
      case "pattern":
        if (characters !== undefined && !pattern(String(asked)).test(characters)) fails(`does not match ${asked}`);
        return;
      case "minLength":
        if (characters !== undefined && [...characters].length < Number(asked)) fails("is too short");
        return;
      case "maxLength":
        if (characters !== undefined && [...characters].length > Number(asked)) fails("is too long");
        return;
      case "minimum":
        if (number !== undefined && number < Number(asked)) fails(`is below ${asked}`);
        return;
      case "maximum":
        if (number !== undefined && number > Number(asked)) fails(`is above ${asked}`);
        return;
      case "exclusiveMinimum":
        if (number !== undefined && number <= Number(asked)) fails(`is not above ${asked}`);
        return;
      case "minItems":
        if (Array.isArray(value) && value.length < Number(asked)) fails("has too few items");
        return;
      case "maxItems":
        if (Array.isArray(value) && value.length > Number(asked)) fails("has too many items");
        return;
      case "uniqueItems":
        if (Array.isArray(value) && new Set(value.map(canonicalText)).size < value.length) fails("has an item twice");
        return;
      case "items":
        if (Array.isArray(value)) value.forEach((item, i) => this.fits(asked, item, `${where}[${i}]`));
        return;
      case "required":
        if (!isObject(value)) return;
        for (const key of asked as string[]) if (!(key in value)) fails(`has no ${key}`);
        return;
      case "properties":
        return this.properties(asked as JsonObject, value, where);
      case "additionalProperties": {
        const known = (schema.properties ?? {}) as JsonObject;
        if (!isObject(value)) return;
        for (const key of Object.keys(value)) {
          if (!Object.hasOwn(known, key)) this.fits(asked, value[key] as Json, `${where}.${key}`);
        }
        return;
      }
      default:
        throw new Error(`the schemas use ${keyword}, which is not known here`);
    }
  }

  private properties(asked: JsonObject, value: Json, where: string): void {
    if (!isObject(value)) return;
    for (const key of Object.keys(asked)) {
      if (key in value) this.fits(asked[key] as Json, value[key] as Json, `${where}.${key}`);
    }
  }

  private anyOf(asked: Json[], value: Json, where: string): void {
    const tries = asked.map((one) => {
      const said: string[] = [];
      new Fitting(this.whole, said).fits(one, value, where);
      return said;
    });
    if (!tries.some((said) => said.length === 0)) {
      tries.sort((a, b) => a.length - b.length);
      this.say(where, `fits no form: ${(tries[0] ?? []).slice(0, 3).join("; ")}`);
    }
  }

  private reference(target: string, value: Json, where: string): void {
    const [id = "", path = ""] = target.split("#");
    const whole = id === "" ? this.whole : SCHEMAS[id.replace("urn:kolm:schema:", "").replace(/:v1$/, "")];
    if (whole === undefined) throw new Error(`no schema ${id}`);
    let part: Json = whole;
    for (const step of path.split("/").filter(Boolean)) part = (part as JsonObject)[step] as Json;
    const other = new Fitting(whole, this.found);
    other.fits(part, value, where);
  }
}

const PATTERNS = new Map<string, RegExp>();

function pattern(written: string): RegExp {
  let found = PATTERNS.get(written);
  if (found === undefined) PATTERNS.set(written, (found = new RegExp(written, "u")));
  return found;
}

function isOf(kind: string, value: Json): boolean {
  switch (kind) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isObject(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === kind;
  }
}
