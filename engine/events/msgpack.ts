/**
 * MessagePack as Fluentd's forward protocol uses it: EventTime is extension type 0 with 8 bytes.
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { isUtf8 } from 'node:buffer';

/** The bytes end inside a value. */
export const TRUNCATED = -1;
/** No value can start or continue like this, or it is nested too deep. */
export const INVALID = -2;
/** Maps and arrays inside each other; deeper input is refused at the entrance. */
export const MAX_DEPTH = 100;

/** EventTime as a value inside a record. */
export class EventTimeValue {
  readonly seconds: number;
  readonly nanoseconds: number;
  constructor(seconds: number, nanoseconds: number) {
    this.seconds = seconds;
    this.nanoseconds = nanoseconds;
  }
}

/** An extension type that is not ours, carried through unchanged. */
export class Extension {
  readonly type: number;
  readonly data: Uint8Array;
  constructor(type: number, data: Uint8Array) {
    this.type = type;
    this.data = data;
  }
}

const u16 = (b: Uint8Array, at: number): number => ((b[at] as number) << 8) | (b[at + 1] as number);
export const u32 = (b: Uint8Array, at: number): number =>
  (((b[at] as number) << 24) | ((b[at + 1] as number) << 16) | ((b[at + 2] as number) << 8) | (b[at + 3] as number)) >>> 0;

/**
 * Steps over one value.
 *
 * @returns the offset after it, TRUNCATED, or INVALID
 */
export function skipValue(bytes: Uint8Array, at: number, end: number, depth = MAX_DEPTH): number {
  if (at >= end) return TRUNCATED;
  const size = SIZES[bytes[at] as number] as number;
  if (size === 0) return skipLong(bytes, at, end, depth);
  return at + size > end ? TRUNCATED : at + size;
}

/** A value whose size does not follow from its head alone. */
function skipLong(bytes: Uint8Array, at: number, end: number, depth: number): number {
  const head = bytes[at] as number;
  at++;
  if (head < 0xa0) return skipChildren(bytes, at, end, head < 0x90 ? (head & 15) * 2 : head & 15, depth);
  if (head === 0xc1) return INVALID;
  const lengthBytes = LENGTH_BYTES[head - 0xc0] as number;
  if (at + lengthBytes > end) return TRUNCATED;
  const length = lengthBytes === 1 ? (bytes[at] as number) : lengthBytes === 2 ? u16(bytes, at) : u32(bytes, at);
  at += lengthBytes;
  if (head >= 0xdc) {
    // array 16/32, map 16/32: a child takes at least one byte, so a count beyond what is there ends early.
    return skipChildren(bytes, at, end, head >= 0xde ? length * 2 : length, depth);
  }
  const extension = head >= 0xc7 && head <= 0xc9 ? 1 : 0;
  return at + length + extension > end ? TRUNCATED : at + length + extension;
}

function skipChildren(bytes: Uint8Array, at: number, end: number, count: number, depth: number): number {
  if (depth <= 0 && count > 0) return INVALID;
  for (let left = count; left > 0; left--) {
    if (at >= end) return TRUNCATED;
    const size = SIZES[bytes[at] as number] as number;
    if (size > 0) {
      at += size;
      continue;
    }
    at = skipLong(bytes, at, end, depth - 1);
    if (at < 0) return at;
  }
  // A child of known size may reach beyond the end; the next one has seen it, but for the last.
  return at > end ? TRUNCATED : at;
}

// From 0xc0 on: bytes of values of fixed width.
const FIXED_SIZES = [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0, 0];
/** Bytes of the value by its head, the head included; 0: the rest has to be looked at, or the head is invalid. */
const SIZES = Uint8Array.from({ length: 256 }, (_, head) => {
  if (head < 0x80 || head >= 0xe0 || head === 0x80 || head === 0x90) return 1;
  if (head >= 0xa0 && head < 0xc0) return 1 + (head & 31);
  return head >= 0xc0 ? (FIXED_SIZES[head - 0xc0] as number) : 0;
});
// From 0xc0 on: bytes of the length field.
const LENGTH_BYTES = Int8Array.from([
  0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
]);

/** Pairs of the map at `at`, TRUNCATED, or INVALID when the value there is no map. */
export function mapCount(bytes: Uint8Array, at: number, end: number): number {
  const head = bytes[at] as number;
  if (at >= end) return TRUNCATED;
  if (head >= 0x80 && head < 0x90) return head & 15;
  if (head === 0xde) return at + 3 > end ? TRUNCATED : u16(bytes, at + 1);
  if (head === 0xdf) return at + 5 > end ? TRUNCATED : u32(bytes, at + 1);
  return INVALID;
}

export function arrayCount(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return TRUNCATED;
  const head = bytes[at] as number;
  if (head >= 0x90 && head < 0xa0) return head & 15;
  if (head === 0xdc) return at + 3 > end ? TRUNCATED : u16(bytes, at + 1);
  if (head === 0xdd) return at + 5 > end ? TRUNCATED : u32(bytes, at + 1);
  return INVALID;
}

/** Bytes of the header of a map or array whose count was read at `at`. */
export function headerBytes(bytes: Uint8Array, at: number): number {
  const head = bytes[at] as number;
  if (head < 0xa0) return 1;
  return head === 0xdc || head === 0xde ? 3 : 5;
}

/** Offset of the contents of the str or bin at `at`, or INVALID when it is neither. Contents end where `skipValue` says. */
export function stringStart(bytes: Uint8Array, at: number): number {
  const head = bytes[at] as number;
  if (head >= 0xa0 && head < 0xc0) return at + 1;
  switch (head) {
    case 0xd9:
    case 0xc4:
      return at + 2;
    case 0xda:
    case 0xc5:
      return at + 3;
    case 0xdb:
    case 0xc6:
      return at + 5;
    default:
      return INVALID;
  }
}

const isBin = (head: number): boolean => head >= 0xc4 && head <= 0xc6;

/** Reads values one after another; `at` is the offset of the next one. */
export class MsgpackReader {
  at: number;
  readonly #bytes: Buffer;
  readonly #end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = start;
    this.#end = end;
  }

  get done(): boolean {
    return this.at >= this.#end;
  }

  /**
   * The next value: null, boolean, number, bigint (beyond 2^53), string, Uint8Array (bin), array, plain object,
   * EventTimeValue, Extension. A str that is not UTF-8 (GBK, say) comes as Uint8Array, so that its bytes survive.
   *
   * @throws RangeError when the bytes end early or are no MessagePack
   */
  read(): unknown {
    const end = skipValue(this.#bytes, this.at, this.#end);
    if (end < 0)
      throw new RangeError(
        end === TRUNCATED ? 'msgpack: the bytes end inside a value' : 'msgpack: invalid byte or nested too deep',
      );
    return this.#value();
  }

  // Lengths were checked by skipValue.
  #value(): unknown {
    const b = this.#bytes;
    const start = this.at;
    const head = b[start] as number;
    if (head < 0x80) return ((this.at = start + 1), head);
    if (head >= 0xe0) return ((this.at = start + 1), head - 256);
    const from = stringStart(b, start);
    if (from >= 0) {
      const to = skipValue(b, start, this.#end);
      this.at = to;
      return isBin(head) ? Uint8Array.from(b.subarray(from, to)) : textOrBytes(b, from, to);
    }
    if (head < 0x90 || head === 0xde || head === 0xdf) return this.#map(mapCount(b, start, this.#end));
    if (head < 0xa0 || head === 0xdc || head === 0xdd) return this.#array(arrayCount(b, start, this.#end));
    this.at = skipValue(b, start, this.#end);
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc7:
      case 0xc8:
      case 0xc9:
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(start, head);
      default:
        return readNumber(b, start);
    }
  }

  #extension(start: number, head: number): EventTimeValue | Extension {
    const b = this.#bytes;
    const typeAt = head >= 0xd4 ? start + 1 : start + 1 + (1 << (head - 0xc7));
    const data = b.subarray(typeAt + 1, this.at);
    const type = b.readInt8(typeAt);
    if (type === 0 && data.length === 8) return new EventTimeValue(data.readUInt32BE(0), data.readUInt32BE(4));
    return new Extension(type, Uint8Array.from(data));
  }

  #map(count: number): Record<string, unknown> {
    this.at += headerBytes(this.#bytes, this.at);
    const map: Record<string, unknown> = {};
    for (let left = count; left > 0; left--) {
      const key = this.#key();
      const value = this.#value();
      // An ordinary assignment to __proto__ would set the prototype.
      if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
      else map[key] = value;
    }
    return map;
  }

  #key(): string {
    const b = this.#bytes;
    const head = b[this.at] as number;
    if (head < 0xa0 || head >= 0xc0) return keyText(this.#value());
    const from = this.at + 1;
    const to = from + (head & 31);
    this.at = to;
    return knownKey(b, from, to);
  }

  #array(count: number): unknown[] {
    this.at += headerBytes(this.#bytes, this.at);
    const array: unknown[] = [];
    for (let left = count; left > 0; left--) array.push(this.#value());
    return array;
  }
}

function textOrBytes(b: Buffer, from: number, to: number): string | Uint8Array {
  const text = b.toString('utf8', from, to);
  // Only a text that shows the replacement character can have lost bytes.
  return text.includes('\ufffd') && !isUtf8(b.subarray(from, to)) ? Uint8Array.from(b.subarray(from, to)) : text;
}

// Short keys by what they look like: a stream has few of them, and finding one takes a tenth of making its string.
const KNOWN_KEYS = 1024;
const knownBytes: (Buffer | undefined)[] = Array.from({ length: KNOWN_KEYS }, () => undefined);
const knownTexts: string[] = Array.from({ length: KNOWN_KEYS }, () => '');

/** The text of a key; at most 31 bytes. */
export function knownKey(b: Buffer, from: number, to: number): string {
  if (from === to) return '';
  const mixed = Math.imul(
    (b[from] as number) | ((b[to - 1] as number) << 8) | ((b[(from + to) >> 1] as number) << 16),
    0x9e37_79b1,
  );
  const slot = ((mixed >>> 16) + (to - from)) & (KNOWN_KEYS - 1);
  const known = knownBytes[slot];
  if (known !== undefined && isSame(known, b, from, to)) return knownTexts[slot] as string;
  const text = keyText(textOrBytes(b, from, to));
  knownBytes[slot] = Buffer.from(b.subarray(from, to));
  knownTexts[slot] = text;
  return text;
}

function isSame(known: Buffer, b: Buffer, from: number, to: number): boolean {
  if (known.length !== to - from) return false;
  for (let n = 0; n < known.length; n++) if (known[n] !== b[from + n]) return false;
  return true;
}

/** Keys that are not text are named as they print; Fluentd's records have text keys. */
function keyText(key: unknown): string {
  if (typeof key === 'string') return key;
  if (key instanceof Uint8Array) return Buffer.from(key).toString('utf8');
  return typeof key === 'object' && key !== null ? '(non-string key)' : String(key);
}

/** The number at `at`; undefined when the value there is none. */
export function readNumber(b: Buffer, at: number): number | bigint | undefined {
  const head = b[at] as number;
  if (head < 0x80) return head;
  if (head >= 0xe0) return head - 256;
  switch (head) {
    case 0xca:
      return b.readFloatBE(at + 1);
    case 0xcb:
      return b.readDoubleBE(at + 1);
    case 0xcc:
      return b[at + 1];
    case 0xcd:
      return b.readUInt16BE(at + 1);
    case 0xce:
      return b.readUInt32BE(at + 1);
    case 0xcf:
      return safe(b.readBigUInt64BE(at + 1));
    case 0xd0:
      return b.readInt8(at + 1);
    case 0xd1:
      return b.readInt16BE(at + 1);
    case 0xd2:
      return b.readInt32BE(at + 1);
    case 0xd3:
      return safe(b.readBigInt64BE(at + 1));
    default:
      return undefined;
  }
}

const safe = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;

export function decode(bytes: Uint8Array, start = 0, end = bytes.length): unknown {
  return new MsgpackReader(bytes, start, end).read();
}
