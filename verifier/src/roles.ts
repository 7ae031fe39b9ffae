/** Roles from a family's table: docs/format/roles.md. */

import type { Role } from "./documents.ts";
import { FAMILIES, type Family, type Stack } from "./tables.ts";

export const familyOf = (name: string): Family | undefined => (Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined);

/** O2: whether a prefix covers a name. */
export const covers = (prefix: string, name: string): boolean => name === prefix || name.startsWith(`${prefix}.`);

export function roleOf(family: Family, name: string): Role {
  for (const [role, prefixes] of Object.entries(family.roles)) {
    if (prefixes.some((prefix) => covers(prefix, name))) return role as Role;
  }
  return "other";
}

/** O3: the common role of all that a module owns. */
export function roleOfModule(family: Family, module: string, owned: readonly string[]): Role {
  const found = new Set(owned.map((name) => roleOf(family, `${module}.${name}`)));
  return found.size === 1 ? ([...found][0] as Role) : "other";
}

/** O7: the name in memory of a checkpoint's key, by the longest prefix that covers it. */
export function inMemory(family: Family, key: string): string {
  let [longest, memory] = ["", ""];
  for (const [own, stored] of Object.entries(family.spellings)) {
    for (const prefix of [own, ...stored]) {
      if (covers(prefix, key) && prefix.length > longest.length) [longest, memory] = [prefix, own];
    }
  }
  return memory + key.slice(longest.length);
}

/** O13: the keys of the parts that a checkpoint may hold a parameter in; null where it may not. */
export function partKeys(family: Family, parameter: string, shape: readonly number[]): string[] | null {
  for (const [pattern, below] of Object.entries(family.parts)) {
    const match = new RegExp(`^(?:${pattern})$`).exec(parameter);
    if (match === null) continue;
    const count = shape[0] ?? 0;
    return Array.from({ length: count }, (_, n) => below.map((key) => `${match[1]}.${n}.${key}`)).flat();
  }
  return null;
}

/** Every literal escaped, O5: a backslash before each `.` and `-`. */
const escape = (name: string): string => name.replace(/[.-]/g, "\\$&");

/** O5: the expression for these leaves of a stack; null where one is no leaf of it. */
export function expression(stack: Stack, leaves: readonly string[]): string | null {
  const parents = new Map<string, string[]>();
  for (const leaf of [...new Set(leaves)].sort()) {
    if (!Object.hasOwn(stack.leaves, leaf)) return null;
    for (const parent of stack.leaves[leaf] ?? []) parents.set(parent, [...(parents.get(parent) ?? []), escape(leaf)]);
  }
  const inner = [...parents]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([parent, names]) => (parent ? `${escape(parent)}\\.(?:${names.join("|")})` : names.join("|")));
  const lists = [stack.blocks, ...stack.more].map(escape).join("|");
  return `${stack.more.length ? `(?:${lists})` : lists}\\.[0-9]+\\.(?:${inner.join("|")})`;
}

/** L5: the module that embeds tokens, beside the blocks. */
export const embedding = (family: Family): string => `${family.language.blocks.slice(0, family.language.blocks.lastIndexOf("."))}.embed_tokens`;

/** The expression for that module. */
export const embeddingExpression = (family: Family): string => escape(embedding(family));

/** The lock's target expression for these leaves of the language role, with an adapted tower those of it too. */
export function targetExpression(family: Family, leaves: readonly string[], tower: boolean): string | null {
  const language = expression(family.language, leaves);
  if (language === null || !tower) return language;
  if (family.vision === null) return null;
  return `(?:${language}|${expression(family.vision, Object.keys(family.vision.leaves))})`;
}

/** L18: the expression for the modules of experts. */
export function expertExpression(family: Family): string | null {
  const first = family.experts[0];
  return first === undefined ? null : `${escape(family.language.blocks)}\\.[0-9]+\\.${escape(first.slice(0, first.lastIndexOf(".")))}`;
}

/** Whether a module is one of these leaves of some block of a stack; without regular expressions from outside. */
export function isLeaf(stack: Stack, module: string, leaves: readonly string[] | null): boolean {
  const list = [stack.blocks, ...stack.more].find((name) => module.startsWith(`${name}.`));
  if (list === undefined) return false;
  const [block = "", ...rest] = module.slice(list.length + 1).split(".");
  const inside = rest.join(".");
  return /^[0-9]+$/.test(block) && Object.entries(stack.leaves).some(
    ([leaf, parents]) => (leaves?.includes(leaf) ?? true) && parents.some((parent) => inside === (parent ? `${parent}.${leaf}` : leaf)),
  );
}

/** Whether a module is that of a layer's experts. */
export function isExperts(family: Family, module: string): boolean {
  const first = family.experts[0];
  if (first === undefined || !module.startsWith(`${family.language.blocks}.`)) return false;
  const [block = "", ...rest] = module.slice(family.language.blocks.length + 1).split(".");
  return /^[0-9]+$/.test(block) && rest.join(".") === first.slice(0, first.lastIndexOf("."));
}
