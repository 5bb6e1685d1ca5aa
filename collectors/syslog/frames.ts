/**
 * Messages in a stream of bytes. Knows no socket.
 *
 *     traditional   <34>Oct 11 ...\n<34>Oct 11 ...\n
 *     octet_count   23 <34>Oct 11 ...7 <34>...
 *
 * @see https://www.rfc-editor.org/rfc/rfc6587
 */
export type FrameType = 'auto' | 'traditional' | 'octet_count';

export interface FrameOptions {
  readonly type: FrameType;
  readonly delimiter: string;
  readonly maxMessage: number;
  message(bytes: Buffer, from: number, to: number): void;
  /** A message beyond `maxMessage` was passed over. */
  tooLong(): void;
}

/** More digits than any length that could be meant. */
const MAX_DIGITS = 9;
const SPACE = 0x20;
const NONE = Buffer.alloc(0);
const MORE = -1;
const NOT_A_LENGTH = -2;

export class Frames {
  readonly #o: FrameOptions;
  readonly #delimiter: Buffer;
  #rest = NONE;
  /** Bytes of a counted message that are still to be passed over. */
  #passCount = 0;
  /** Everything up to the next delimiter is passed over. */
  #isPassing = false;
  // The head of the frame that begins at the last offset looked at.
  #length = 0;
  #bodyAt = 0;

  constructor(options: FrameOptions) {
    this.#o = options;
    this.#delimiter = Buffer.from(options.delimiter, 'utf8');
  }

  /** @returns false when the bytes are no such stream: the connection is to be closed */
  push(chunk: Buffer): boolean {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = NONE;
    let at = 0;
    while (at < bytes.length) {
      const next = this.#frame(bytes, at);
      if (next === NOT_A_LENGTH) return false;
      if (next === MORE) {
        // A copy: the chunk may be a small part of a large buffer.
        this.#rest = Buffer.from(bytes.subarray(at));
        return true;
      }
      at = next;
    }
    return true;
  }

  /** The stream is over: a last line without its end counts. */
  end(): void {
    const rest = this.#rest;
    this.#rest = NONE;
    if (rest.length === 0 || this.#isPassing || this.#isCounted(rest, 0) !== false) return;
    this.#o.message(rest, 0, rest.length);
  }

  /** @returns the offset behind the frame at `at`, MORE or NOT_A_LENGTH */
  #frame(bytes: Buffer, at: number): number {
    if (this.#passCount > 0) {
      const passed = Math.min(this.#passCount, bytes.length - at);
      this.#passCount -= passed;
      return at + passed;
    }
    const counted = this.#isPassing ? false : this.#isCounted(bytes, at);
    if (counted === undefined) return MORE;
    if (counted === 'invalid') return NOT_A_LENGTH;
    return counted ? this.#counted(bytes) : this.#line(bytes, at);
  }

  #counted(bytes: Buffer): number {
    const from = this.#bodyAt;
    const to = from + this.#length;
    if (this.#length > this.#o.maxMessage) {
      this.#o.tooLong();
      this.#passCount = this.#length;
      return from;
    }
    if (to > bytes.length) return MORE;
    if (to > from) this.#o.message(bytes, from, to);
    return to;
  }

  #line(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(this.#delimiter, at);
    if (end < 0) return this.#unfinished(bytes, at);
    const next = end + this.#delimiter.length;
    if (this.#isPassing) this.#isPassing = false;
    else if (end - at > this.#o.maxMessage) this.#o.tooLong();
    else if (end > at) this.#o.message(bytes, at, end);
    return next;
  }

  #unfinished(bytes: Buffer, at: number): number {
    const keep = this.#delimiter.length - 1;
    if (!this.#isPassing && bytes.length - at <= this.#o.maxMessage + keep) return MORE;
    if (!this.#isPassing) this.#o.tooLong();
    this.#isPassing = true;
    // The delimiter may have begun.
    return bytes.length - at <= keep ? MORE : bytes.length - keep;
  }

  /** Whether a length stands at `at`; undefined: not to be seen yet. Sets `#length` and `#bodyAt`. */
  #isCounted(bytes: Buffer, at: number): boolean | undefined | 'invalid' {
    const { type } = this.#o;
    if (type === 'traditional') return false;
    const isNone = type === 'auto' ? false : 'invalid';
    let length = 0;
    const from = at;
    for (; at < bytes.length && at - from < MAX_DIGITS; at++) {
      const digit = (bytes[at] as number) - 48;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
    }
    if (at === from || bytes[from] === 48) return at === bytes.length && at === from ? undefined : isNone;
    if (at === bytes.length && at - from < MAX_DIGITS) return undefined;
    if (bytes[at] !== SPACE) return isNone;
    this.#length = length;
    this.#bodyAt = at + 1;
    return true;
  }
}
