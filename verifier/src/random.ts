/** Draws that follow from a digest: docs/format/randomness.md. */

import { sha256, utf8 } from "./bytes.ts";

/** Q1 and Q2: 32-bit words of SHA-256 over the seed and a counter. */
export class Stream {
  private block: DataView = new DataView(new ArrayBuffer(32));
  private used = 8;
  private blocks = 0n;

  constructor(private readonly seed: Uint8Array) {}

  word(): number {
    if (this.used === 8) {
      const counter = new DataView(new ArrayBuffer(8));
      counter.setBigUint64(0, this.blocks++, true);
      this.block = new DataView(sha256(this.seed, new Uint8Array(counter.buffer)).buffer);
      this.used = 0;
    }
    return this.block.getUint32(4 * this.used++, true);
  }

  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const word = this.word();
      if (word < limit) return word % n;
    }
  }

  /** Q3, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let k = items.length - 1; k > 0; k--) {
      const other = this.below(k + 1);
      [items[k], items[other]] = [items[other] as T, items[k] as T];
    }
    return items;
  }
}

/** Q4. */
export const derive = (label: string, ...parts: Uint8Array[]): Uint8Array =>
  sha256(utf8(label), Uint8Array.of(0), ...parts);
