import type { Ack } from '../component.ts';
import type { MillraceError } from '../errors.ts';
import type { Position } from './entrance-log.ts';

/** Acknowledgements that wait for the log to be safe up to a position; they rise. No object for each. */
export class AckQueue {
  #acks: (Ack | undefined)[] = [];
  #ends: Position[] = [];
  #front = 0;

  get size(): number {
    return this.#acks.length - this.#front;
  }

  push(ack: Ack, end: Position): void {
    this.#acks.push(ack);
    this.#ends.push(end);
  }

  /** Calls those that wait for no more than `safe`, in order. */
  settle(safe: Position): void {
    while (this.#front < this.#acks.length && (this.#ends[this.#front] as Position) <= safe) this.#shift()?.();
  }

  fail(failure: MillraceError): void {
    while (this.#front < this.#acks.length) this.#shift()?.(failure);
  }

  #shift(): Ack | undefined {
    const ack = this.#acks[this.#front];
    this.#acks[this.#front++] = undefined;
    if (this.#front === this.#acks.length) {
      this.#acks.length = 0;
      this.#ends.length = 0;
      this.#front = 0;
    } else if (this.#front >= 1024 && this.#front * 2 >= this.#acks.length) {
      this.#acks = this.#acks.slice(this.#front);
      this.#ends = this.#ends.slice(this.#front);
      this.#front = 0;
    }
    return ack;
  }
}
