import type { ByteWriter } from './byte-writer.ts';
import { MsgpackReader, headerBytes, mapCount, arrayCount, readNumber, skipValue, stringStart } from './msgpack.ts';

const HEX = Buffer.from('0123456789abcdef');
// 0: copied as it is; 1: \u00XX; else the letter after the backslash.
const ESCAPE = new Uint8Array(256);
for (let code = 0; code < 32; code++) ESCAPE[code] = 1;
ESCAPE[8] = 0x62;
ESCAPE[9] = 0x74;
ESCAPE[10] = 0x6e;
ESCAPE[12] = 0x66;
ESCAPE[13] = 0x72;
ESCAPE[0x22] = 0x22;
ESCAPE[0x5c] = 0x5c;

/** Writes bytes of UTF-8 text as a JSON string. Bytes that are not UTF-8 are copied: see `repairUtf8`. */
export function writeJsonString(into: ByteWriter, b: Uint8Array, start: number, end: number): void {
  into.ensure((end - start) * 6 + 2);
  const target = into.bytes;
  let to = into.length;
  target[to++] = 0x22;
  for (let at = start; at < end; at++) {
    const byte = b[at] as number;
    const escape = ESCAPE[byte] as number;
    if (escape === 0) target[to++] = byte;
    else {
      target[to++] = 0x5c;
      if (escape === 1) {
        target[to++] = 0x75;
        target[to++] = 0x30;
        target[to++] = 0x30;
        target[to++] = HEX[byte >> 4] as number;
        target[to++] = HEX[byte & 15] as number;
      } else target[to++] = escape;
    }
  }
  target[to++] = 0x22;
  into.length = to;
}

/**
 * Turns MessagePack into JSON in one pass over the bytes: no object, and a string only for numbers that are no integers.
 *
 * Binary data is written as text, an EventTime as ISO 8601 text, NaN and infinities as null, other extensions as null.
 */
export class JsonWriter {
  // The 20 bytes `"YYYY-MM-DDTHH:MM:SS` of the second that was written last.
  readonly #prefix = Buffer.alloc(20);
  #prefixSecond = Number.NaN;

  /** Writes the value at `at` and returns the offset after it. Input was checked at the entrance. */
  value(into: ByteWriter, b: Buffer, at: number): number {
    const head = b[at] as number;
    if (head < 0x80 || head >= 0xe0) {
      writeInteger(into, head < 0x80 ? head : head - 256);
      return at + 1;
    }
    const from = stringStart(b, at);
    if (from >= 0) {
      const end = skipValue(b, at, b.length);
      writeJsonString(into, b, from, end);
      return end;
    }
    if (head < 0x90 || head === 0xde || head === 0xdf) return this.#map(into, b, at);
    if (head < 0xa0 || head === 0xdc || head === 0xdd) return this.#array(into, b, at);
    const end = skipValue(b, at, b.length);
    if (head === 0xc2) into.latin1('false');
    else if (head === 0xc3) into.latin1('true');
    else if ((head === 0xd7 && b[at + 1] === 0) || (head === 0xc7 && b[at + 1] === 8 && b[at + 2] === 0)) {
      this.time(into, b.readUInt32BE(end - 8), b.readUInt32BE(end - 4));
    } else this.#number(into, readNumber(b, at));
    return end;
  }

  #number(into: ByteWriter, value: number | bigint | undefined): void {
    if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) into.latin1('null');
    else if (typeof value === 'number' && Number.isInteger(value) && value < 1e15 && value > -1e15) writeInteger(into, value);
    else into.latin1(String(value));
  }

  #map(into: ByteWriter, b: Buffer, at: number): number {
    const count = mapCount(b, at, b.length);
    at += headerBytes(b, at);
    into.u8(0x7b);
    for (let n = 0; n < count; n++) {
      if (n > 0) into.u8(0x2c);
      at = this.#key(into, b, at);
      into.u8(0x3a);
      at = this.value(into, b, at);
    }
    into.u8(0x7d);
    return at;
  }

  #key(into: ByteWriter, b: Buffer, at: number): number {
    const from = stringStart(b, at);
    const end = skipValue(b, at, b.length);
    if (from >= 0) writeJsonString(into, b, from, end);
    else {
      // No text: rare enough to make a string of it.
      const key = Buffer.from(String(new MsgpackReader(b, at, end).read()));
      writeJsonString(into, key, 0, key.length);
    }
    return end;
  }

  #array(into: ByteWriter, b: Buffer, at: number): number {
    const count = arrayCount(b, at, b.length);
    at += headerBytes(b, at);
    into.u8(0x5b);
    for (let n = 0; n < count; n++) {
      if (n > 0) into.u8(0x2c);
      at = this.value(into, b, at);
    }
    into.u8(0x5d);
    return at;
  }

  /**
   * Writes the record at `at` as a JSON object.
   *
   * @param timeKey  when given and not a key of the record itself: a last member with the event's time
   */
  record(into: ByteWriter, b: Buffer, at: number, timeKey: Buffer | undefined, seconds: number, nanoseconds: number): number {
    const count = mapCount(b, at, b.length);
    at += headerBytes(b, at);
    into.u8(0x7b);
    let hasTime = timeKey === undefined;
    for (let n = 0; n < count; n++) {
      if (n > 0) into.u8(0x2c);
      if (!hasTime && isKey(b, at, timeKey as Buffer)) hasTime = true;
      at = this.#key(into, b, at);
      into.u8(0x3a);
      at = this.value(into, b, at);
    }
    if (!hasTime) {
      if (count > 0) into.u8(0x2c);
      writeJsonString(into, timeKey as Buffer, 0, (timeKey as Buffer).length);
      into.u8(0x3a);
      this.time(into, seconds, nanoseconds);
    }
    into.u8(0x7d);
    return at;
  }

  /** `"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ"`; times outside the years 0 to 9999 are written as null. */
  time(into: ByteWriter, seconds: number, nanoseconds: number): void {
    if (seconds !== this.#prefixSecond) {
      if (!(seconds >= -62_167_219_200 && seconds < 253_402_300_800)) return into.latin1('null');
      this.#prefix.write(`"${new Date(seconds * 1000).toISOString().slice(0, 19)}`, 'latin1');
      this.#prefixSecond = seconds;
    }
    into.ensure(32);
    const { bytes } = into;
    bytes.set(this.#prefix, into.length);
    let at = into.length + 20;
    bytes[at] = 0x2e;
    at += 9;
    for (let left = nanoseconds, n = 0; n < 9; n++, left = Math.floor(left / 10)) bytes[at--] = 48 + (left % 10);
    bytes[at + 10] = 0x5a;
    bytes[at + 11] = 0x22;
    into.length = at + 12;
  }
}

function isKey(b: Uint8Array, at: number, name: Uint8Array): boolean {
  const from = stringStart(b, at);
  if (from < 0) return false;
  const end = skipValue(b, at, b.length);
  if (end - from !== name.length) return false;
  for (let n = 0; n < name.length; n++) if (b[from + n] !== name[n]) return false;
  return true;
}

function writeInteger(into: ByteWriter, value: number): void {
  into.ensure(20);
  const { bytes } = into;
  let at = into.length;
  if (value < 0) {
    bytes[at++] = 0x2d;
    value = -value;
  }
  let digits = 1;
  for (let limit = 10; limit <= value; limit *= 10) digits++;
  at += digits;
  into.length = at;
  do {
    const rest = value < 0x7fff_ffff ? (value / 10) | 0 : Math.floor(value / 10);
    bytes[--at] = 48 + (value - rest * 10);
    value = rest;
  } while (value > 0);
}
