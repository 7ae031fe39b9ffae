/** The schemas and tables of the format: data of docs/format and schemas/, put in when this is built. */

import schemas from "format:schemas";
import tables from "format:tables";
import type { JsonObject } from "./json.ts";

export const SCHEMAS = schemas as Record<string, JsonObject>;

export interface Stack {
  blocks: string;
  more: string[];
  leaves: Record<string, string[]>;
}

export interface Family {
  roles: Record<string, string[]>;
  language: Stack;
  vision: Stack | null;
  experts: string[];
  projector_modules: string[];
  bare: string[];
  spellings: Record<string, string[]>;
  aliases: Record<string, string>;
  parts: Record<string, string[]>;
  left_out: string[];
  templates: string[];
  papers: string[];
  branches: boolean;
}

export const FAMILIES = tables["families"] as unknown as Record<string, Family>;
export const SAMENESS = tables["sameness"] as unknown as {
  fold: Record<string, string>;
  classes: Record<string, number>;
  removed: [number, number][];
};
export const TABLES = tables as Record<string, JsonObject>;
