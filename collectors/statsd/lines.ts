import { ByteWriter } from '../../engine/events/byte-writer.ts';

const LF = 0x0a;

/**
 * Whole lines out of a stream, all that have come at once. A byte is copied a bounded number of times, whatever the
 * pieces. Of a line beyond the limit one piece is handed over, for the parser to count as bad, and the rest is passed over.
 */
export class Lines {
  // The line that has begun.
  #rest: ByteWriter | undefined;
  #isSkipping = false;
  readonly #maxLine: number;
  readonly #onPacket: (packet: Buffer) => void;

  constructor(maxLine: number, onPacket: (packet: Buffer) => void) {
    this.#maxLine = maxLine;
    this.#onPacket = onPacket;
  }

  /** Memory that a line which has begun takes. */
  get keptBytes(): number {
    return this.#rest?.bytes.length ?? 0;
  }

  push(chunk: Buffer): void {
    let from = 0;
    if (this.#isSkipping) {
      const lf = chunk.indexOf(LF);
      if (lf < 0) return;
      this.#isSkipping = false;
      from = lf + 1;
    }
    const last = chunk.lastIndexOf(LF);
    if (last >= from) {
      if (this.#rest === undefined) this.#onPacket(chunk.subarray(from, last + 1));
      else {
        this.#rest.raw(chunk, from, last + 1);
        this.end();
      }
      from = last + 1;
    }
    if (from === chunk.length) return;
    // A copy: the chunk may be a small part of a large buffer.
    this.#rest ??= new ByteWriter(chunk.length - from);
    this.#rest.raw(chunk, from, chunk.length);
    if (this.#rest.length > this.#maxLine) {
      this.end();
      this.#isSkipping = true;
    }
  }

  /** The stream is over: a last line without its end counts. */
  end(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.#onPacket(rest.bytes.subarray(0, rest.length));
  }
}
