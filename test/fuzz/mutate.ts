/** Makes bad inputs of good ones. */
import type { Seeded } from '../../engine/testing/seeded.ts';

/** Lengths and counts at which formats change their mind. */
const LENGTHS = [
  0, 1, 2, 15, 16, 31, 32, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 0x7f_ff_ff_ff, 0x80_00_00_00, 0xff_ff_ff_ff,
];
const NUMBERS = [
  '0',
  '-1',
  '1',
  '00',
  '1e999',
  '-0',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '1e-400',
  'NaN',
  '٣',
];
const TEXTS = [
  '\0',
  '\n',
  '\r\n',
  '"',
  "'",
  '\\',
  '\\u0000',
  '\ud83d\ude00',
  '中',
  '\u2028',
  '..',
  '/',
  '%',
  '${',
  '}',
  '[',
  ']',
  '{',
  '(',
  ')',
  ' ',
  '\t',
  ',',
  ':',
  ';',
  '=',
  '|',
  '#',
  '@',
  '__proto__',
];
/** No character of any encoding, cut-off characters, a byte order mark. */
const BYTES = [[0xff], [0xc0, 0x80], [0xe4, 0xb8], [0xed, 0xa0, 0x80], [0xf0, 0x9f], [0xef, 0xbb, 0xbf], [0xc1]];
const COMMON: readonly Buffer[] = [...NUMBERS, ...TEXTS]
  .map((text) => Buffer.from(text))
  .concat(BYTES.map((bytes) => Buffer.from(bytes)));

export class Mutator {
  readonly #random: Seeded;
  readonly #words: readonly Buffer[];
  readonly #maxBytes: number;

  constructor(random: Seeded, words: readonly Buffer[], maxBytes: number) {
    this.#random = random;
    this.#words = words;
    this.#maxBytes = maxBytes;
  }

  /** @returns a new buffer; usually one to four changes away from `from` */
  mutate(from: Buffer, corpus: readonly Buffer[]): Buffer {
    let bytes: Buffer = Buffer.from(from);
    for (let changes = 1 + this.#random.below(4); changes > 0; changes--) bytes = this.#change(bytes, corpus);
    return bytes.length > this.#maxBytes ? bytes.subarray(0, this.#maxBytes) : bytes;
  }

  #change(bytes: Buffer, corpus: readonly Buffer[]): Buffer {
    const random = this.#random;
    if (bytes.length === 0) return Buffer.from(this.#word());
    const at = random.below(bytes.length);
    switch (random.below(11)) {
      case 0:
        bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
        return bytes;
      case 1:
        bytes[at] = random.below(256);
        return bytes;
      case 2:
        return this.#length(bytes, at);
      case 3:
        return splice(bytes, at, random.between(1, Math.min(bytes.length - at, random.pick([1, 2, 8, 64]))), Buffer.alloc(0));
      case 4: {
        // Again, once or many times: depth and length.
        const part = bytes.subarray(at, at + random.between(1, random.pick([1, 2, 16])));
        const times = random.pick([1, 2, 16, 256]);
        return splice(bytes, at, 0, Buffer.concat(Array.from({ length: times }, () => part)));
      }
      case 5:
        return splice(bytes, at, 0, this.#word());
      case 6: {
        const word = this.#word();
        return splice(bytes, at, Math.min(word.length, bytes.length - at), word);
      }
      case 7: {
        // The start of one and the end of another.
        const other = random.pick(corpus);
        return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))]);
      }
      case 8:
        return bytes.subarray(0, at);
      case 9:
        return this.#number(bytes, at);
      default: {
        // Two parts change places.
        const other = random.below(bytes.length);
        const size = Math.min(random.between(1, 8), bytes.length - Math.max(at, other));
        const part = Buffer.from(bytes.subarray(at, at + size));
        bytes.copy(bytes, at, other, other + size);
        part.copy(bytes, other);
        return bytes;
      }
    }
  }

  #word(): Buffer {
    const random = this.#random;
    return this.#words.length > 0 && random.chance(0.7) ? random.pick(this.#words) : random.pick(COMMON);
  }

  /** Overwrites what may be a length: a limit value, or what stands there and a little more or less. */
  #length(bytes: Buffer, at: number): Buffer {
    const random = this.#random;
    const size = random.pick([1, 2, 3, 4]);
    if (at + size > bytes.length) return bytes;
    const isLittle = random.chance(0.4);
    const there = isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
    const wanted = random.chance(0.5) ? random.pick(LENGTHS) : there + random.between(-3, 3);
    const value = Math.abs(wanted) % 2 ** (8 * size);
    if (isLittle) bytes.writeUIntLE(value, at, size);
    else bytes.writeUIntBE(value, at, size);
    return bytes;
  }

  /** Replaces a number written in digits, the next one from `at` on. */
  #number(bytes: Buffer, at: number): Buffer {
    const isDigit = (index: number): boolean => (bytes[index] ?? 0) >= 0x30 && (bytes[index] ?? 0) <= 0x39;
    let from = at;
    while (from < bytes.length && !isDigit(from)) from++;
    let to = from;
    while (to < bytes.length && isDigit(to)) to++;
    return from === to ? bytes : splice(bytes, from, to - from, Buffer.from(this.#random.pick(NUMBERS)));
  }
}

function splice(bytes: Buffer, at: number, remove: number, insert: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
}

/**
 * Takes away what is not needed for `fails` to be true: halves, then smaller parts, then single bytes.
 *
 * @param tries  calls of `fails` at most
 */
export function minimise(bytes: Buffer, fails: (bytes: Buffer) => boolean, tries = 1000): Buffer {
  let best = bytes;
  for (let size = Math.max(1, best.length >> 1); size >= 1 && tries > 0; size >>= 1) {
    for (let at = 0; at < best.length && tries > 0;) {
      const shorter = splice(best, at, size, Buffer.alloc(0));
      tries--;
      if (shorter.length < best.length && fails(shorter)) best = shorter;
      else at += size;
    }
  }
  return best;
}
