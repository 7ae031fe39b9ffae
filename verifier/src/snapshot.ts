/** Sides of a snapshot, drawn again: docs/format/snapshot.md, S1 to S9. */

import { joined, merkleRoot, raw, sha256, unhex } from "./bytes.ts";
import type { Side, SnapshotHeader, SnapshotRow } from "./documents.ts";
import { collect } from "./collect.ts";
import { canonical } from "./json.ts";
import { type Rational, less, mul, ratio, stated } from "./rational.ts";

/** R2: the root of the bundle's own cases, whatever near twins they have. */
export const packRoot = (snapshot: readonly SnapshotRow[]): string =>
  merkleRoot(snapshot.filter((row) => row.split === "eval").map((row) => canonical(row)));

const LARGEST_JOIN = 8;

/** Groups of rows that share pictures; a union of sets over the places of the rows. */
class Groups {
  private readonly parent: number[];
  private readonly size: number[];
  private readonly seen = new Map<string, number>();

  constructor(private readonly rows: readonly SnapshotRow[]) {
    this.parent = rows.map((_, i) => i);
    this.size = rows.map(() => 1);
  }

  find(i: number): number {
    while (this.parent[i] !== i) i = this.parent[i] = this.parent[this.parent[i] as number] as number;
    return i;
  }

  private names(i: number): string[] {
    return (this.rows[i] as SnapshotRow).images.flatMap((image) => [
      `file ${image.file}`, `pixels ${image.pixels}`, ...(image.twins === undefined ? [] : [`twins ${image.twins}`]),
    ]);
  }

  /** The groups that a row's pictures belong to so far. */
  touched(i: number): number[] {
    return [...new Set(this.names(i).flatMap((name) => (this.seen.has(name) ? [this.find(this.seen.get(name) as number)] : [])))];
  }

  together(groups: readonly number[]): number {
    return groups.reduce((n, group) => n + (this.size[group] as number), 0);
  }

  join(i: number): void {
    for (const other of this.touched(i)) {
      const [a, b] = [this.find(other), this.find(i)];
      if (a === b) continue;
      const [low, high] = a < b ? [a, b] : [b, a];
      this.parent[high] = low; // rows are ascending by id: the smallest place is the smallest id
      this.size[low] = (this.size[low] as number) + (this.size[high] as number);
    }
    for (const name of this.names(i)) if (!this.seen.has(name)) this.seen.set(name, i);
  }
}

/** The groups as lists of places, and the rows that join nothing (S4). */
function grouped(rows: readonly SnapshotRow[], bounded: boolean): { groups: number[][]; apart: Set<number> } {
  const groups = new Groups(rows);
  const apart = new Set<number>();
  const few = rows.flatMap((row, i) => (row.images.length <= 1 ? [i] : []));
  const many = rows.flatMap((row, i) => (row.images.length > 1 ? [i] : []));
  for (const i of [...few, ...many]) {
    const touched = groups.touched(i);
    if (bounded && touched.length > 1 && groups.together(touched) + 1 > LARGEST_JOIN) apart.add(i);
    else groups.join(i);
  }
  const found = new Map<number, number[]>();
  rows.forEach((_, i) => {
    if (apart.has(i)) return;
    const own = groups.find(i);
    collect(found, own, i);
  });
  return { groups: [...found.values()], apart };
}

/** S5 and S6: groups in ascending rank. */
function ranked(header: SnapshotHeader, rows: readonly SnapshotRow[], groups: number[][]): number[][] {
  const seed = sha256(joined(rows.map((row) => raw(row.capture))), unhex(header.rule.nonce ?? ""));
  const rank = (group: number[]): string => {
    const id = group.map((i) => (rows[i] as SnapshotRow).capture).sort()[0] as string;
    return Array.from(sha256(seed, raw(id)), (byte) => String.fromCharCode(byte)).join("");
  };
  const ranks = new Map(groups.map((group) => [group, rank(group)]));
  return [...groups].sort((a, b) => ((ranks.get(a) as string) < (ranks.get(b) as string) ? -1 : 1));
}

const reached = (count: number, share: Rational, of: number): boolean => !less(ratio(count), mul(share, ratio(of)));

/** S7: the side of each row under the rule `hash`. */
export function drawn(header: SnapshotHeader, rows: readonly SnapshotRow[]): Side[] {
  const { groups, apart } = grouped(rows, true);
  const order = ranked(header, rows, groups);
  const all = rows.length - apart.size;
  const sides: Side[] = rows.map((_, i) => (apart.has(i) ? "none" : "train"));
  let at = 0;
  for (const side of ["eval", "validation"] as const) {
    const share = stated(header.rule[side]);
    let held = 0;
    while (at < order.length - 1 && !reached(held, share, all)) {
      const group = order[at++] as number[];
      held += group.length;
      for (const i of group) sides[i] = side;
    }
  }
  return sides;
}

/** S8: where validation was carved out of an official split, the rows that it is due to hold. */
export function carved(header: SnapshotHeader, rows: readonly SnapshotRow[]): Set<number> {
  const share = stated(header.rule.validation);
  const stated_train = rows.map((row) => row.split === "train" || row.split === "validation");
  const count = stated_train.filter(Boolean).length;
  const { groups } = grouped(rows, false);
  const order = ranked(header, rows, groups).filter((group) => group.every((i) => stated_train[i]));
  const found = new Set<number>();
  for (const group of order.slice(0, -1)) {
    if (reached(found.size, share, count)) break;
    for (const i of group) found.add(i);
  }
  return found;
}
