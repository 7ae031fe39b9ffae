/** The rules of a capture that a schema cannot say: docs/format/capture.md, C4 to C12 and C16. */

import type { Capture } from "./documents.ts";
import { SPACES, stripped } from "./text.ts";
import { response } from "./sameness.ts";

// One without its end is read over, so that a text full of them is read once.
const TEMPLATE = new RegExp(`\\[[${SPACES}]*(?:ANNOTATE|TODO|TBD|FILL[ _]?IN|PLACEHOLDER)(?![A-Za-z0-9_])[^\\]\\n]*(\\]?)`, "gu");
const unfilled = (text: string): boolean => [...text.matchAll(TEMPLATE)].some(([, end]) => end !== "");
const PIXELS: Record<string, number> = { "image/png": 67_108_864, "image/jpeg": 50_331_648, "image/webp": 10_485_760 };

/** The first rule that a capture breaks, or null. */
export function broken(capture: Capture): [string, string] | null {
  const sorted = (all: readonly string[], twice: boolean): boolean =>
    all.every((one, i) => i === 0 || (twice ? byPoint(all[i - 1] as string, one) <= 0 : byPoint(all[i - 1] as string, one) < 0));
  for (const image of capture.images) {
    if (image.width * image.height > (PIXELS[image.media_type] ?? 0)) return ["C4", "a picture with too many pixels"];
  }
  if (!sorted(capture.tags, false)) return ["C7", "tags are not sorted, or one stands twice"];
  const { messages } = capture;
  const first = messages[0]?.role === "system" ? 1 : 0;
  const turns = messages.slice(first);
  const alternate = turns.every((turn, i) => turn.role === (i % 2 ? "assistant" : "user"));
  if (!alternate || turns.length === 0 || turns.length % 2) return ["C8", "the turns do not alternate, or do not end with an answer"];
  const shown: number[] = [];
  for (const { role, content } of messages) {
    if (role !== "user" && (content.length !== 1 || content[0]?.type !== "text")) return ["C9", `a ${role} message is not one text`];
    content.forEach((part) => part.type === "image" && shown.push(part.image as number));
    if (content.some((part, i) => part.type === "text" && content[i + 1]?.type === "text")) return ["C9", "two texts stand side by side"];
  }
  if (shown.length !== capture.images.length || shown.some((image, i) => image !== i)) return ["C10", "the pictures are not shown in order, each once"];
  const empty = (text: string): boolean => stripped(text) === "" || unfilled(text);
  const answers = messages.filter((message) => message.role === "assistant").map((message) => String(message.content[0]?.text));
  if (answers.some(empty)) return ["C11", "an answer says nothing, or holds a template that was never filled"];
  if ((capture.references ?? []).some(empty)) return ["C16", "a reference says nothing, or holds a template that was never filled"];
  if (!sorted(capture.references ?? [], true)) return ["C16", "references are not sorted"];
  return rejected(capture, empty);
}

/** C12. */
function rejected(capture: Capture, empty: (text: string) => boolean): [string, string] | null {
  const text = capture.rejected;
  if (text === undefined) return capture.corrections === undefined ? null : ["C12", "corrections of nothing"];
  if (empty(text) || text === response(capture)) return ["C12", "the rejected answer says nothing, or is the right one"];
  const signs = [...text];
  let [at, corrected] = [0, ""];
  for (const { start, end, replacement } of capture.corrections ?? []) {
    if (start < at || end < start || end > signs.length) return ["C12", "corrections overlap, or lie outside of the answer"];
    corrected += signs.slice(at, start).join("") + replacement;
    at = end;
  }
  const whole = corrected + signs.slice(at).join("");
  return capture.corrections === undefined || whole === response(capture) ? null : ["C12", "the corrections give something else than the answer"];
}

/** The order of code points, which is not that of UTF-16 code units. */
export function byPoint(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const by = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (by) return by;
  }
  return left.length - right.length;
}
