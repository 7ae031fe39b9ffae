/** The metric `regex`: a matcher whose steps are bounded by instructions × characters. docs/format/evaluation.md. */

import { normalised, stripped } from "../text.ts";
import { type Make, right, single } from "./metric.ts";

type Instruction =
  | { op: "set"; holds: (point: number) => boolean }
  | { op: "split"; first: number; second: number }
  | { op: "jump"; to: number }
  | { op: "place"; holds: (before: number, after: number) => boolean }
  | { op: "save"; slot: number }
  | { op: "match" };

type Node =
  | { kind: "set"; holds: (point: number) => boolean }
  | { kind: "place"; holds: (before: number, after: number) => boolean }
  | { kind: "all"; parts: Node[] }
  | { kind: "any"; parts: Node[] }
  | { kind: "group"; inner: Node }
  | { kind: "repeat"; inner: Node; least: number; most: number; lazy: boolean };

export class BadPattern extends Error {}

const MOST_INSTRUCTIONS = 96;
const LONGEST_TEXT = 3072;
const END = -1;

const within = (ranges: readonly [number, number][]) => (point: number): boolean => ranges.some(([low, high]) => point >= low && point <= high);
const DIGIT = within([[48, 57]]);
const WORD = within([[48, 57], [65, 90], [95, 95], [97, 122]]);
const SPACE = within([[9, 13], [32, 32]]);
const CLASSES: Record<string, (point: number) => boolean> = {
  d: DIGIT, w: WORD, s: SPACE, D: (p) => !DIGIT(p), W: (p) => !WORD(p), S: (p) => !SPACE(p),
};
const CONTROLS: Record<string, number> = { n: 10, r: 13, t: 9 };
const isWord = (point: number): boolean => point !== END && WORD(point);

class Parser {
  private at = 0;
  groups = 0;
  private readonly signs: string[];

  constructor(pattern: string) {
    this.signs = [...pattern];
    if (this.signs.length === 0 || this.signs.length > 200) throw new BadPattern("too long");
  }

  parse(): Node {
    const found = this.any(true);
    if (this.at < this.signs.length) throw new BadPattern(`nothing opens ${this.signs[this.at]}`);
    return found;
  }

  private any(groupAllowed: boolean): Node {
    const parts = [this.all(groupAllowed)];
    while (this.take("|")) parts.push(this.all(groupAllowed));
    return parts.length === 1 ? (parts[0] as Node) : { kind: "any", parts };
  }

  private all(groupAllowed: boolean): Node {
    const parts: Node[] = [];
    while (this.at < this.signs.length && this.signs[this.at] !== "|" && this.signs[this.at] !== ")") parts.push(this.repeated(groupAllowed));
    return { kind: "all", parts };
  }

  private take(sign: string): boolean {
    if (this.signs[this.at] !== sign) return false;
    this.at++;
    return true;
  }

  private repeated(groupAllowed: boolean): Node {
    const inner = this.atom(groupAllowed);
    const times = this.times();
    if (times === null) return inner;
    const [least, most] = times;
    if (inner.kind === "place") throw new BadPattern("a place that is repeated");
    if (most > 1 && empty(inner)) throw new BadPattern("a repeat of what may be empty");
    if (inner.kind === "group" && !(least === 0 && most === 1)) throw new BadPattern("a group that is repeated");
    const lazy = this.take("?");
    if (this.times() !== null) throw new BadPattern("a repeat of a repeat");
    return { kind: "repeat", inner, least, most, lazy };
  }

  private times(): [number, number] | null {
    if (this.take("*")) return [0, Infinity];
    if (this.take("+")) return [1, Infinity];
    if (this.take("?")) return [0, 1];
    if (this.signs[this.at] !== "{") return null;
    const match = /^\{([0-9]{1,2})(,([0-9]{1,2})?)?\}/.exec(this.signs.slice(this.at).join(""));
    if (match === null) throw new BadPattern("a brace that counts nothing");
    this.at += match[0].length;
    const least = Number(match[1]);
    const most = match[2] === undefined ? least : match[3] === undefined ? Infinity : Number(match[3]);
    if (most === 0 || least > most || least > 32 || (most !== Infinity && most > 32)) throw new BadPattern("counts above 32");
    return [least, most];
  }

  private atom(groupAllowed: boolean): Node {
    const sign = this.signs[this.at++] as string;
    switch (sign) {
      case "(": {
        if (this.signs[this.at] === "?") {
          this.at++;
          if (!this.take(":")) throw new BadPattern("a group of another kind");
          const inner = this.any(groupAllowed);
          if (!this.take(")")) throw new BadPattern("a group without an end");
          return inner;
        }
        if (++this.groups > 1 || !groupAllowed) throw new BadPattern("more than one group");
        const inner = this.any(false);
        if (!this.take(")")) throw new BadPattern("a group without an end");
        return { kind: "group", inner };
      }
      case "[":
        return { kind: "set", holds: this.set() };
      case ".":
        return { kind: "set", holds: (point) => point !== 10 };
      case "^":
        return { kind: "place", holds: (before) => before === END };
      case "$":
        return { kind: "place", holds: (_, after) => after === END };
      case "\\":
        return this.escaped();
      case "*": case "+": case "?": case "{": case "}": case ")":
        throw new BadPattern(`${sign} stands for nothing here`);
      default:
        return one(sign.codePointAt(0) as number);
    }
  }

  private escaped(): Node {
    const sign = this.signs[this.at++] ?? "";
    if (sign === "b") return { kind: "place", holds: (before, after) => isWord(before) !== isWord(after) };
    if (sign === "B") return { kind: "place", holds: (before, after) => isWord(before) === isWord(after) };
    const known = CLASSES[sign];
    if (known !== undefined) return { kind: "set", holds: known };
    return one(this.plain(sign));
  }

  /** The character that a backslash and a sign stand for. */
  private plain(sign: string): number {
    if (sign in CONTROLS) return CONTROLS[sign] as number;
    if (sign === "" || /[A-Za-z0-9]/.test(sign) || sign > "\x7f") throw new BadPattern(`\\${sign} is not known`);
    return sign.codePointAt(0) as number;
  }

  private set(): (point: number) => boolean {
    const not = this.take("^");
    const holds: ((point: number) => boolean)[] = [];
    for (let first = true; ; first = false) {
      const sign = this.signs[this.at];
      if (sign === undefined) throw new BadPattern("a set without an end");
      if (sign === "]" && !first) {
        this.at++;
        break;
      }
      const from = this.member();
      if (typeof from === "function") {
        holds.push(from);
        continue;
      }
      if (this.signs[this.at] === "-" && this.signs[this.at + 1] !== "]" && this.signs[this.at + 1] !== undefined) {
        this.at++;
        const to = this.member();
        if (typeof to === "function" || to < from) throw new BadPattern("a range without an order");
        holds.push(within([[from, to]]));
      } else {
        holds.push((point) => point === from);
      }
    }
    const any = (point: number): boolean => holds.some((hold) => hold(point));
    return not ? (point) => !any(point) : any;
  }

  private member(): number | ((point: number) => boolean) {
    const sign = this.signs[this.at++] as string;
    if (sign === "[") throw new BadPattern("a set in a set");
    if (sign !== "\\") return sign.codePointAt(0) as number;
    const next = this.signs[this.at++] ?? "";
    return CLASSES[next] ?? this.plain(next);
  }
}

const one = (point: number): Node => ({ kind: "set", holds: (other) => other === point });

const empty = (node: Node): boolean => {
  switch (node.kind) {
    case "set":
      return false;
    case "place":
      return true;
    case "all":
      return node.parts.every(empty);
    case "any":
      return node.parts.some(empty);
    case "group":
      return empty(node.inner);
    case "repeat":
      return node.least === 0 || empty(node.inner);
  }
};

/** The program of a pattern; throws `BadPattern` where it is none of the part that the format knows. */
export function compile(pattern: string): { program: Instruction[]; group: boolean } {
  const parser = new Parser(pattern);
  const node = parser.parse();
  const program: Instruction[] = [];
  const put = (instruction: Instruction): number => {
    if (program.length >= 4 * MOST_INSTRUCTIONS) throw new BadPattern("too long a program");
    return program.push(instruction) - 1;
  };
  emit(node, program, put);
  put({ op: "match" });
  if (program.filter((one) => one.op !== "jump").length > MOST_INSTRUCTIONS) throw new BadPattern("too long a program");
  return { program, group: parser.groups > 0 };
}

function emit(node: Node, program: Instruction[], put: (instruction: Instruction) => number): void {
  switch (node.kind) {
    case "set":
      put({ op: "set", holds: node.holds });
      return;
    case "place":
      put({ op: "place", holds: node.holds });
      return;
    case "all":
      for (const part of node.parts) emit(part, program, put);
      return;
    case "group":
      put({ op: "save", slot: 0 });
      emit(node.inner, program, put);
      put({ op: "save", slot: 1 });
      return;
    case "any": {
      const jumps: number[] = [];
      node.parts.forEach((part, i) => {
        if (i === node.parts.length - 1) return emit(part, program, put);
        const split = put({ op: "split", first: 0, second: 0 });
        emit(part, program, put);
        jumps.push(put({ op: "jump", to: 0 }));
        program[split] = { op: "split", first: split + 1, second: program.length };
      });
      for (const jump of jumps) program[jump] = { op: "jump", to: program.length };
      return;
    }
    case "repeat": {
      const { inner, least, most, lazy } = node;
      const choose = (on: number, off: number): Instruction => (lazy ? { op: "split", first: off, second: on } : { op: "split", first: on, second: off });
      for (let i = 0; i < least; i++) emit(inner, program, put);
      if (most === Infinity) {
        const split = put({ op: "split", first: 0, second: 0 });
        emit(inner, program, put);
        put({ op: "jump", to: split });
        program[split] = choose(split + 1, program.length);
        return;
      }
      const splits: number[] = [];
      for (let i = least; i < most; i++) {
        splits.push(put({ op: "split", first: 0, second: 0 }));
        emit(inner, program, put);
      }
      for (const split of splits) program[split] = choose(split + 1, program.length);
    }
  }
}

interface Thread {
  at: number;
  start: number;
  saved: [number, number];
}

/** What is found first: where it begins and ends, and the group's ends (−1 where it took no part). */
export function find(pattern: { program: Instruction[] }, signs: readonly string[]): { start: number; end: number; group: [number, number] } | null {
  const { program } = pattern;
  const points = signs.map((sign) => sign.codePointAt(0) as number);
  let threads: Thread[] = [];
  let found: { start: number; end: number; group: [number, number] } | null = null;
  const seen = new Int32Array(program.length).fill(-1);
  const add = (list: Thread[], first: Thread, place: number): void => {
    const stack = [first];
    while (stack.length) {
      const thread = stack.pop() as Thread;
      if (seen[thread.at] === place) continue;
      seen[thread.at] = place;
      const step = program[thread.at] as Instruction;
      switch (step.op) {
        case "jump":
          stack.push({ ...thread, at: step.to });
          break;
        case "split":
          stack.push({ ...thread, at: step.second }, { ...thread, at: step.first });
          break;
        case "save": {
          const saved: [number, number] = [...thread.saved];
          saved[step.slot] = place;
          stack.push({ ...thread, at: thread.at + 1, saved });
          break;
        }
        case "place":
          if (step.holds(points[place - 1] ?? END, points[place] ?? END)) stack.push({ ...thread, at: thread.at + 1 });
          break;
        default:
          list.push(thread);
      }
    }
  };
  for (let place = 0; place <= points.length; place++) {
    const current: Thread[] = [];
    seen.fill(-1);
    for (const thread of threads) add(current, thread, place);
    if (found === null) add(current, { at: 0, start: place, saved: [-1, -1] }, place);
    const next: Thread[] = [];
    for (const thread of current) {
      const step = program[thread.at] as Instruction;
      if (step.op === "match") {
        found = { start: thread.start, end: place, group: thread.saved };
        break;
      }
      if (step.op === "set" && place < points.length && step.holds(points[place] as number)) next.push({ ...thread, at: thread.at + 1 });
    }
    threads = next;
    if (found !== null && threads.length === 0) break;
  }
  return found;
}

export const regex: Make = (options) => {
  const pattern = compile(String(options.pattern));
  const taken = (text: string): string | null => {
    const signs = [...stripped(text)];
    if (signs.length > LONGEST_TEXT) return null;
    const found = find(pattern, signs);
    if (found === null) return null;
    const [from, to] = pattern.group ? found.group : [found.start, found.end];
    return from < 0 || to < 0 ? null : signs.slice(from, to).join("");
  };
  return single((output, reference) => {
    const said = taken(output);
    const due = taken(reference);
    const form = said === null ? "" : normalised(said);
    return { score: right(form !== "" && due !== null && form === normalised(due)), parsed: form !== "" };
  });
};
