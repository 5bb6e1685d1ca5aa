import type { Frame, Position } from './entrance-log.ts';

/** Frames cut off the front of the list are let go of in runs of this length. */
const CUT_AT = 256;

/** The newest frames, as they stand in memory, for readers that have (nearly) caught up. Without gaps up to the head. */
export class Tail {
  #frames: (Frame | undefined)[] = [];
  #front = 0;
  /** Number of the first frame in the list, counted from the first ever. */
  #cut = 0;
  #bytes = 0;

  /** Number of the oldest frame here; frames are numbered in the order of their coming. */
  get first(): number {
    return this.#cut + this.#front;
  }

  /** Number of the next frame to come. */
  get next(): number {
    return this.#cut + this.#frames.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
    this.#bytes += frame.end - frame.position;
  }

  at(number: number): Frame | undefined {
    return this.#frames[number - this.#cut];
  }

  /** Number of the first frame at or behind a position. */
  seek(position: Position): number {
    let low = this.#front;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#frames[middle] as Frame).position < position) low = middle + 1;
      else high = middle;
    }
    return this.#cut + low;
  }

  /** Lets go of the oldest frame. */
  shift(): void {
    const frame = this.#frames[this.#front];
    if (frame === undefined) return;
    this.#bytes -= frame.end - frame.position;
    this.#frames[this.#front++] = undefined;
    if (this.#front < Math.max(CUT_AT, this.#frames.length / 2) && this.#front < this.#frames.length) return;
    this.#frames = this.#frames.slice(this.#front);
    this.#cut += this.#front;
    this.#front = 0;
  }
}
