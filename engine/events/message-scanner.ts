/**
 * Finds where one MessagePack value of a stream ends, without having it whole: what was scanned is never looked at
 * again, whatever the size of the pieces.
 */
export class MessageScanner {
  #values = 1;
  #skip = 0;

  /** Starts on the next value. */
  reset(): void {
    this.#values = 1;
    this.#skip = 0;
  }

  /** Bytes that are known to be still missing; a lower bound. */
  get missing(): number {
    return this.#skip;
  }

  /**
   * Scans on.
   *
   * @returns `done`: the value ends before `at`; otherwise `at` is where to go on once there is more (a header that
   *   was cut off stands there). `invalid`: a byte that starts no value.
   */
  scan(bytes: Uint8Array, at: number, end: number): { readonly at: number; readonly state: 'done' | 'more' | 'invalid' } {
    if (this.#skip > 0) {
      const step = Math.min(this.#skip, end - at);
      this.#skip -= step;
      at += step;
      if (this.#skip > 0) return { at, state: 'more' };
    }
    while (this.#values > 0) {
      if (at >= end) return { at, state: 'more' };
      const next = this.#value(bytes, at, end);
      if (next < 0) return { at, state: next === -1 ? 'more' : 'invalid' };
      if (next > end) {
        this.#skip = next - end;
        return { at: end, state: 'more' };
      }
      at = next;
    }
    return { at, state: 'done' };
  }

  /** Steps over the head of a value; its children are added to what is left. -1: head cut off, -2: invalid. */
  #value(bytes: Uint8Array, at: number, end: number): number {
    const head = bytes[at] as number;
    let children = 0;
    let next: number;
    if (head < 0x80 || head >= 0xe0) next = at + 1;
    else if (head < 0x90) [children, next] = [(head & 15) * 2, at + 1];
    else if (head < 0xa0) [children, next] = [head & 15, at + 1];
    else if (head < 0xc0) next = at + 1 + (head & 31);
    else {
      const lengthBytes = LENGTH_BYTES[head - 0xc0] as number;
      if (head === 0xc1) return -2;
      if (at + 1 + lengthBytes > end) return -1;
      let length = 0;
      for (let n = 1; n <= lengthBytes; n++) length = length * 256 + (bytes[at + n] as number);
      next = at + 1 + lengthBytes + (EXTRA[head - 0xc0] as number);
      if (head >= 0xdc) children = head >= 0xde ? length * 2 : length;
      else next += length;
    }
    this.#values += children - 1;
    return next;
  }
}

// From 0xc0 on: bytes of the length field, and bytes of fixed contents (the type of an extension included).
const LENGTH_BYTES = Uint8Array.from([
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
]);
const EXTRA = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0]);
