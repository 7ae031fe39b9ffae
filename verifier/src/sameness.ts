/** What two people would call the same: docs/format/snapshot.md, S13 and S14. */

import { digest, utf8 } from "./bytes.ts";
import type { Capture } from "./documents.ts";
import { canonical } from "./json.ts";
import { SAMENESS } from "./tables.ts";
import { words } from "./text.ts";

const END_MARKS = new Set(".,:;!?\u203d\u3001\u3002\u060c\u061b\u061f\u06d4\u0964\u0965");
const REMOVED = SAMENESS.removed;

const isRemoved = (point: number): boolean => {
  let [low, high] = [0, REMOVED.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = REMOVED[middle] as [number, number];
    if (point < first) high = middle - 1;
    else if (point > last) low = middle + 1;
    else return true;
  }
  return false;
};

/** S14: a text as a person would read it. */
export function fold(text: string): string {
  let decomposed = "";
  for (const sign of text) {
    const point = sign.codePointAt(0) as number;
    if (isRemoved(point)) continue;
    if (point >= 0xac00 && point < 0xd7a4) decomposed += sign.normalize("NFD");
    else decomposed += Object.hasOwn(SAMENESS.fold, sign) ? SAMENESS.fold[sign] : sign;
  }
  const folded = ordered(decomposed).replace(/ +/g, " ").trim();
  let end = [...folded];
  while (end.length && (END_MARKS.has(end.at(-1) as string) || end.at(-1) === " ")) end = end.slice(0, -1);
  return end.join("") || [...folded].slice(0, 1).join("");
}

/** Combining marks in the canonical order of Unicode: by class, equal ones as they stand. */
function ordered(text: string): string {
  const found: string[] = [];
  let marks: string[] = [];
  const flush = (): void => {
    found.push(...marks.sort((a, b) => classOf(a) - classOf(b)));
    marks = [];
  };
  for (const sign of text) {
    if (classOf(sign)) {
      marks.push(sign);
    } else {
      flush();
      found.push(sign);
    }
  }
  flush();
  return found.join("");
}

const classOf = (sign: string): number => (Object.hasOwn(SAMENESS.classes, sign) ? (SAMENESS.classes[sign] as number) : 0);

/** The turns before the last one as a person reads them; with `pictures`, whatever these show stands beside. */
function turns(capture: Capture, pictures: (image: number) => string): string[][] {
  return capture.messages.slice(0, -1).map((message) => {
    const parts = message.content.map((part) => {
      if (part.type === "image") return `image ${pictures(part.image as number)}`;
      const said = message.role === "assistant" ? answer(String(part.text)) : fold(String(part.text));
      return said === "" ? null : `text ${said}`;
    });
    return [message.role, ...parts.filter((part) => part !== null)];
  });
}

/** S13: of answers only case and runs of white space make no difference. */
const answer = (text: string): string => words(text).join(" ").toLowerCase();

/** What a capture asks, its pictures by their pixels. */
export const asked = (capture: Capture): string =>
  digest(canonical(turns(capture, (image) => capture.images[image]?.pixels ?? "")));

/** E12: what it asks, whatever its pictures show. */
export const question = (capture: Capture): string => digest(canonical(turns(capture, () => "")));

export const answered = (capture: Capture): string => digest(utf8(answer(response(capture))));

/** E1: the last message's text. */
export const response = (capture: Capture): string => String(capture.messages.at(-1)?.content[0]?.text ?? "");

export const references = (capture: Capture): string[] => [response(capture), ...(capture.references ?? [])];
