import type { Batch } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { skipValue } from './msgpack.ts';
import { writeFloat, writeInteger, writeString, writeStringHeader, writeValue } from './msgpack-write.ts';

/** What the header that `begin` writes can count; a record of more gets a wider one at `commit`. */
const MAP16_MAX = 65_535;

/** A key as it stands in an entry, encoded once by a parser. */
export function encodeKey(name: string): Uint8Array {
  const into = new ByteWriter(name.length + 5);
  writeString(into, name);
  return into.copy();
}

/**
 * Writes msgpack entries `[EventTime, record]` one after another. Per entry: `begin`, any number of key/value pairs,
 * then `commit` or `abort`. Nothing is allocated per entry.
 *
 *     92 d7 00 SSSSSSSS NNNNNNNN de CCCC pairs...     array of 2, EventTime, map16 whose count is filled in by `commit`
 */
export class EntryWriter {
  readonly out: ByteWriter;
  /** Entries committed since the last `take`. */
  count = 0;
  #entryAt = 0;
  #fields = 0;
  #open = false;
  #seconds = 0;
  #nanoseconds = 0;
  #defaultSeconds = 0;
  #defaultNanoseconds = 0;

  constructor(capacity = 65_536) {
    this.out = new ByteWriter(capacity);
  }

  /** Time of the entries whose parser finds none: that of reading, say. */
  defaultTime(seconds: number, nanoseconds: number): void {
    this.#defaultSeconds = seconds;
    this.#defaultNanoseconds = nanoseconds;
  }

  defaultTimeMs(ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.defaultTime(seconds, Math.round((ms - seconds * 1000) * 1e6));
  }

  begin(): void {
    if (this.#open) this.abort();
    this.#open = true;
    this.#fields = 0;
    this.#seconds = this.#defaultSeconds;
    this.#nanoseconds = this.#defaultNanoseconds;
    const { out } = this;
    this.#entryAt = out.length;
    out.ensure(14);
    out.bytes[out.length] = 0x92;
    out.bytes[out.length + 1] = 0xd7;
    out.bytes[out.length + 2] = 0;
    out.bytes[out.length + 11] = 0xde;
    out.length += 14;
  }

  time(seconds: number, nanoseconds: number): void {
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
  }

  /** @param encoded  from `encodeKey` */
  key(encoded: Uint8Array): void {
    this.#fields++;
    this.out.raw(encoded);
  }

  keyName(name: string): void {
    this.#fields++;
    writeString(this.out, name);
  }

  /** A key from UTF-8 bytes. */
  keyBytes(bytes: Uint8Array, start: number, end: number): void {
    this.#fields++;
    this.utf8(bytes, start, end);
  }

  /** Pairs that are MessagePack already: keys and values, one after the other. */
  pairs(count: number, bytes: Uint8Array, start: number, end: number): void {
    this.#fields += count;
    this.out.raw(bytes, start, end);
  }

  /** A string value from UTF-8 bytes. */
  utf8(bytes: Uint8Array, start: number, end: number): void {
    writeStringHeader(this.out, end - start);
    this.out.raw(bytes, start, end);
  }

  text(value: string): void {
    writeString(this.out, value);
  }

  integer(value: number): void {
    writeInteger(this.out, value);
  }

  float(value: number): void {
    writeFloat(this.out, value);
  }

  bool(value: boolean): void {
    this.out.u8(value ? 0xc3 : 0xc2);
  }

  nil(): void {
    this.out.u8(0xc0);
  }

  /** Any plain value; slower than the typed ones. */
  value(value: unknown): void {
    writeValue(this.out, value);
  }

  /** A value that is MessagePack already. */
  raw(bytes: Uint8Array, start: number, end: number): void {
    this.out.raw(bytes, start, end);
  }

  /** A whole record at once. */
  record(fields: Readonly<Record<string, unknown>>): void {
    for (const key of Object.keys(fields)) {
      this.keyName(key);
      writeValue(this.out, fields[key]);
    }
  }

  commit(): void {
    if (this.#fields > MAP16_MAX) this.#widen();
    const { bytes } = this.out;
    const at = this.#entryAt;
    bytes.writeUInt32BE(this.#seconds >>> 0, at + 3);
    bytes.writeUInt32BE(this.#nanoseconds >>> 0, at + 7);
    if (this.#fields <= MAP16_MAX) bytes.writeUInt16BE(this.#fields, at + 12);
    this.#open = false;
    this.count++;
  }

  /** Makes the header a map32, `df CCCCCCCC`: the pairs move up by two bytes. */
  #widen(): void {
    const { out } = this;
    out.ensure(2);
    const at = this.#entryAt + 11;
    out.bytes.copyWithin(at + 5, at + 3, out.length);
    out.bytes[at] = 0xdf;
    out.bytes.writeUInt32BE(this.#fields, at + 1);
    out.length += 2;
  }

  /** Gives the committed entries from `from` (a length of `out`) on another time. */
  setTimes(from: number, seconds: number, nanoseconds: number): void {
    const { bytes, length } = this.out;
    for (let at = from; at < length; at = skipValue(bytes, at, length)) {
      bytes.writeUInt32BE(seconds >>> 0, at + 3);
      bytes.writeUInt32BE(nanoseconds >>> 0, at + 7);
    }
  }

  /** Forgets all entries that were not taken. */
  reset(): void {
    this.#open = false;
    this.count = 0;
    this.out.reset();
  }

  /** Takes back what was written since `begin`. */
  abort(): void {
    if (!this.#open) return;
    this.out.length = this.#entryAt;
    this.#open = false;
  }

  /** The committed entries as a batch that owns its bytes; undefined when there are none. */
  take(tag: string): Batch | undefined {
    if (this.count === 0) return undefined;
    const bytes = this.out.take();
    const batch = { tag, bytes, start: 0, end: bytes.length, count: this.count };
    this.count = 0;
    return batch;
  }
}
