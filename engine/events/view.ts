import type { EventView } from '../component.ts';
import type { Batch, Fields } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import type { EncodedPair, Field, Fragment } from './field.ts';
import {
  MsgpackReader,
  headerBytes,
  mapCount,
  readNumber,
  skipValue,
  stringStart,
  writeEventTime,
  writeMapHeader,
  writeString,
  writeValue,
} from './msgpack.ts';

/** An event that a filter made beside the one it was looking at. */
export interface Created {
  readonly tag: string;
  readonly label: string | undefined;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly record: Fields;
  /** Index of the event it came from in its frame. */
  readonly index: number;
}

const EMPTY = new Uint8Array();

/**
 * The one view that walks over batches. An event is a table of its top-level pairs; each pair points into the batch
 * or, once edited, into a scratch buffer. An event that nobody edits is never taken apart.
 */
export class EventCursor implements EventView {
  tag = '';
  bytes: Uint8Array = EMPTY;
  from = 0;
  to = 0;
  /** Why the current event was dropped; undefined while it is alive. */
  dropReason: string | undefined;
  readonly created: Created[] = [];

  #seconds = 0;
  #nanoseconds = 0;
  #source: Buffer = Buffer.alloc(0);
  #entryStart = 0;
  #entryEnd = 0;
  #recordAt = 0;
  #index = 0;
  #edited = false;
  #scanned = false;
  // Pairs of the current event: where key and value stand, and in which buffer (0 batch, 1 scratch, -1 deleted).
  #pairs = 0;
  #keyAt = new Uint32Array(32);
  #keyEnd = new Uint32Array(32);
  #valueAt = new Uint32Array(32);
  #valueEnd = new Uint32Array(32);
  #where = new Int8Array(32);
  readonly #scratch = new ByteWriter(4096);

  get seconds(): number {
    return this.#seconds;
  }
  get nanoseconds(): number {
    return this.#nanoseconds;
  }
  get edited(): boolean {
    return this.#edited;
  }
  /** Offset after the current entry. */
  get entryEnd(): number {
    return this.#entryEnd;
  }
  get entryStart(): number {
    return this.#entryStart;
  }

  /** Points the cursor at a batch; `next` then steps over its entries. */
  open(batch: Batch): void {
    const { bytes } = batch;
    if (
      this.#source.buffer !== bytes.buffer ||
      this.#source.byteOffset !== bytes.byteOffset ||
      this.#source.length !== bytes.length
    ) {
      this.#source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.tag = batch.tag;
    this.#entryEnd = batch.start;
  }

  /**
   * Steps to the next entry. Entries were checked at the entrance: an array of two, a time, a map.
   *
   * @param index  the event's index in its frame
   */
  next(index: number): void {
    const b = this.#source;
    const start = this.#entryEnd;
    this.#entryStart = start;
    this.#index = index;
    this.#edited = false;
    this.#scanned = false;
    this.dropReason = undefined;
    this.#scratch.length = 0;
    // The usual entry: 92 d7 00 seconds nanoseconds map.
    let at = start + headerBytes(b, start);
    const head = b[at] as number;
    if (head === 0xd7 || head === 0xc7) {
      const timeAt = at + (head === 0xd7 ? 2 : 3);
      this.#seconds = b.readUInt32BE(timeAt);
      this.#nanoseconds = b.readUInt32BE(timeAt + 4);
      at = timeAt + 8;
    } else {
      this.#seconds = Number(readNumber(b, at) ?? 0);
      this.#nanoseconds = 0;
      at = skipValue(b, at, b.length);
    }
    this.#recordAt = at;
    this.#entryEnd = skipValue(b, at, b.length);
  }

  #scan(): void {
    if (this.#scanned) return;
    this.#scanned = true;
    const b = this.#source;
    const count = mapCount(b, this.#recordAt, this.#entryEnd);
    let at = this.#recordAt + headerBytes(b, this.#recordAt);
    this.#pairs = 0;
    for (let n = 0; n < count; n++) {
      const keyAt = at;
      const valueAt = skipValue(b, at, this.#entryEnd);
      at = skipValue(b, valueAt, this.#entryEnd);
      this.#push(keyAt, valueAt, valueAt, at, 0);
    }
  }

  #push(keyAt: number, keyEnd: number, valueAt: number, valueEnd: number, where: number): void {
    const n = this.#pairs;
    if (n === this.#keyAt.length) this.#grow();
    this.#keyAt[n] = keyAt;
    this.#keyEnd[n] = keyEnd;
    this.#valueAt[n] = valueAt;
    this.#valueEnd[n] = valueEnd;
    this.#where[n] = where;
    this.#pairs = n + 1;
  }

  #grow(): void {
    const size = this.#keyAt.length * 2;
    const larger = (old: Uint32Array): Uint32Array<ArrayBuffer> => {
      const grown = new Uint32Array(size);
      grown.set(old);
      return grown;
    };
    this.#keyAt = larger(this.#keyAt);
    this.#keyEnd = larger(this.#keyEnd);
    this.#valueAt = larger(this.#valueAt);
    this.#valueEnd = larger(this.#valueEnd);
    const where = new Int8Array(size);
    where.set(this.#where);
    this.#where = where;
  }

  // `where` packs the buffer of the value (bit 0) and of the key (bit 1): a value may be replaced under an old key.
  #valueBuffer(pair: number): Buffer {
    return ((this.#where[pair] as number) & 1) === 0 ? this.#source : this.#scratch.bytes;
  }
  #keyBuffer(pair: number): Buffer {
    return ((this.#where[pair] as number) & 2) === 0 ? this.#source : this.#scratch.bytes;
  }

  #findPair(name: Uint8Array): number {
    this.#scan();
    for (let pair = 0; pair < this.#pairs; pair++) {
      if ((this.#where[pair] as number) < 0) continue;
      if (keyEquals(this.#keyBuffer(pair), this.#keyAt[pair] as number, this.#keyEnd[pair] as number, name)) return pair;
    }
    return -1;
  }

  // Where the last `#find` saw the value.
  #foundIn: Buffer = this.#source;
  #foundAt = 0;
  #foundEnd = 0;

  #find(field: Field): boolean {
    if (field.literal !== undefined) {
      const pair = this.#findPair(field.literal);
      if (pair >= 0) return this.#found(pair);
    }
    const pair = this.#findPair(field.keys[0] as Uint8Array);
    if (pair < 0 || typeof field.path[0] !== 'string') return false;
    this.#found(pair);
    for (let step = 1; step < field.path.length; step++) if (!this.#descend(field, step)) return false;
    return true;
  }

  #found(pair: number): true {
    this.#foundIn = this.#valueBuffer(pair);
    this.#foundAt = this.#valueAt[pair] as number;
    this.#foundEnd = this.#valueEnd[pair] as number;
    return true;
  }

  /** From a map or list to its child. */
  #descend(field: Field, step: number): boolean {
    const b = this.#foundIn;
    const key = field.path[step] as string | number;
    const isList = typeof key === 'number';
    const head = b[this.#foundAt] as number;
    const count = isList ? listCount(b, this.#foundAt, head) : mapCount(b, this.#foundAt, this.#foundEnd);
    if (count < 0) return false;
    const wanted = isList ? (key < 0 ? key + count : key) : -1;
    let at = this.#foundAt + headerBytes(b, this.#foundAt);
    for (let n = 0; n < count; n++) {
      const valueAt = isList ? at : skipValue(b, at, this.#foundEnd);
      const end = skipValue(b, valueAt, this.#foundEnd);
      if (isList ? n === wanted : keyEquals(b, at, valueAt, field.keys[step] as Uint8Array)) {
        this.#foundAt = valueAt;
        this.#foundEnd = end;
        return true;
      }
      at = end;
    }
    return false;
  }

  has(field: Field): boolean {
    return this.#find(field);
  }

  locate(field: Field): boolean {
    if (!this.#find(field)) return false;
    const from = stringStart(this.#foundIn, this.#foundAt);
    if (from < 0) return false;
    this.bytes = this.#foundIn;
    this.from = from;
    this.to = this.#foundEnd;
    return true;
  }

  str(field: Field): string | undefined {
    if (!this.#find(field)) return undefined;
    const b = this.#foundIn;
    const from = stringStart(b, this.#foundAt);
    if (from >= 0) return b.toString('utf8', from, this.#foundEnd);
    const head = b[this.#foundAt] as number;
    if (head === 0xc2) return 'false';
    if (head === 0xc3) return 'true';
    const number = readNumber(b, this.#foundAt);
    return number === undefined ? undefined : String(number);
  }

  num(field: Field): number | undefined {
    if (!this.#find(field)) return undefined;
    const number = readNumber(this.#foundIn, this.#foundAt);
    if (number !== undefined) return Number(number);
    const from = stringStart(this.#foundIn, this.#foundAt);
    if (from < 0 || from === this.#foundEnd) return undefined;
    const text = this.#foundIn.toString('latin1', from, this.#foundEnd).trim();
    const value = text === '' ? Number.NaN : Number(text);
    return Number.isNaN(value) ? undefined : value;
  }

  value(field: Field): unknown {
    if (!this.#find(field)) return undefined;
    return new MsgpackReader(this.#foundIn, this.#foundAt, this.#foundEnd).read();
  }

  // ---- edits ------------------------------------------------------------------------------------

  set(field: Field, value: unknown): void {
    this.#edited = true;
    const top = this.#topLevel(field);
    if (top !== undefined) return this.#setPair(top, value);
    const first = field.keys[0] as Uint8Array;
    const holder = this.#nested(first, true) as Fields;
    let inner: Fields = holder;
    for (let step = 1; step < field.path.length - 1; step++) {
      const key = field.path[step] as string;
      const next = Object.hasOwn(inner, key) ? inner[key] : undefined;
      if (typeof next === 'object' && next !== null) inner = next as Fields;
      else {
        const made: Fields = {};
        put(inner, key, made);
        inner = made;
      }
    }
    put(inner, field.path.at(-1) as string, value);
    this.#setPair(first, holder);
  }

  delete(field: Field): void {
    const top = this.#topLevel(field);
    if (top !== undefined) {
      const pair = this.#findPair(top);
      if (pair < 0) return;
      this.#where[pair] = -1;
      this.#edited = true;
      return;
    }
    if (!this.#find(field)) return;
    const first = field.keys[0] as Uint8Array;
    const holder = this.#nested(first, false);
    if (holder === undefined) return;
    let inner: unknown = holder;
    for (let step = 1; step < field.path.length - 1; step++) inner = (inner as Fields)[field.path[step] as string];
    const last = field.path.at(-1) as string | number;
    if (Array.isArray(inner)) inner.splice(Number(last), 1);
    else delete (inner as Fields)[last];
    this.#edited = true;
    this.#setPair(first, holder);
  }

  /** The key when the field lies at the top level: one step, or a dotted name that is there as a key. */
  #topLevel(field: Field): Uint8Array | undefined {
    if (field.path.length === 1) return field.keys[0];
    return field.literal !== undefined && this.#findPair(field.literal) >= 0 ? field.literal : undefined;
  }

  #nested(name: Uint8Array, make: boolean): Fields | undefined {
    const pair = this.#findPair(name);
    const value =
      pair < 0 ? undefined : new MsgpackReader(this.#valueBuffer(pair), this.#valueAt[pair], this.#valueEnd[pair]).read();
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) return value as Fields;
    return make ? {} : undefined;
  }

  #setPair(name: Uint8Array, value: unknown): void {
    const scratch = this.#scratch;
    const pair = this.#findPair(name);
    if (pair < 0) {
      const keyAt = scratch.length;
      writeString(scratch, Buffer.from(name.buffer, name.byteOffset, name.length).toString('utf8'));
      const valueAt = scratch.length;
      writeValue(scratch, value);
      this.#push(keyAt, valueAt, valueAt, scratch.length, 3);
      return;
    }
    const valueAt = scratch.length;
    writeValue(scratch, value);
    this.#replaceValue(pair, valueAt);
  }

  #replaceValue(pair: number, valueAt: number): void {
    this.#valueAt[pair] = valueAt;
    this.#valueEnd[pair] = this.#scratch.length;
    this.#where[pair] = (this.#where[pair] as number) | 1;
  }

  append(fragment: Fragment): void {
    this.#edited = true;
    const { under } = fragment;
    if (under === undefined) {
      for (const pair of fragment.pairs) this.#appendPair(pair);
      return;
    }
    const scratch = this.#scratch;
    const pair = this.#findPair(under);
    const count =
      pair < 0 ? -1 : mapCount(this.#valueBuffer(pair), this.#valueAt[pair] as number, this.#valueEnd[pair] as number);
    if (pair < 0) {
      const keyAt = scratch.length;
      writeString(scratch, fragment.underName as string);
      const valueAt = scratch.length;
      writeMapHeader(scratch, fragment.pairs.length);
      for (const { bytes } of fragment.pairs) scratch.raw(bytes);
      this.#push(keyAt, valueAt, valueAt, scratch.length, 3);
      return;
    }
    this.#merge(pair, Math.max(0, count), count < 0, fragment);
  }

  /** Writes the map of `pair` anew: its own pairs but for those that the fragment brings, then the fragment's. */
  #merge(pair: number, count: number, replaces: boolean, fragment: Fragment): void {
    const scratch = this.#scratch;
    const valueAt = scratch.length;
    // The count is patched afterwards: a map16 header holds any count that can occur.
    scratch.u8(0xde);
    scratch.u16(0);
    let kept = fragment.pairs.length;
    const end = this.#valueEnd[pair] as number;
    let at =
      (this.#valueAt[pair] as number) + (replaces ? 0 : headerBytes(this.#valueBuffer(pair), this.#valueAt[pair] as number));
    for (let n = 0; n < count; n++) {
      // Looked up anew each time: writing to the scratch may replace its buffer.
      const b = this.#valueBuffer(pair);
      const innerValueAt = skipValue(b, at, end);
      const innerEnd = skipValue(b, innerValueAt, end);
      if (!brings(fragment, b, at, innerValueAt)) {
        scratch.ensure(innerEnd - at);
        scratch.raw(this.#valueBuffer(pair), at, innerEnd);
        kept++;
      }
      at = innerEnd;
    }
    for (const { bytes } of fragment.pairs) scratch.raw(bytes);
    scratch.bytes.writeUInt16BE(Math.min(kept, 65_535), valueAt + 1);
    this.#replaceValue(pair, valueAt);
  }

  #appendPair(encoded: EncodedPair): void {
    const scratch = this.#scratch;
    const keyAt = scratch.length;
    scratch.raw(encoded.bytes);
    const pair = this.#findPair(encoded.name);
    if (pair >= 0) this.#replaceValue(pair, keyAt + encoded.valueAt);
    else this.#push(keyAt, keyAt + encoded.valueAt, keyAt + encoded.valueAt, scratch.length, 3);
  }

  replace(record: Fields): void {
    this.#edited = true;
    this.#scanned = true;
    this.#pairs = 0;
    const scratch = this.#scratch;
    for (const key of Object.keys(record)) {
      const keyAt = scratch.length;
      writeString(scratch, key);
      const valueAt = scratch.length;
      writeValue(scratch, record[key]);
      this.#push(keyAt, valueAt, valueAt, scratch.length, 3);
    }
  }

  setTime(seconds: number, nanoseconds: number): void {
    this.#scan();
    this.#edited = true;
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
  }

  emit(tag: string, record: Fields, label?: string): void {
    this.created.push({ tag, label, seconds: this.#seconds, nanoseconds: this.#nanoseconds, record, index: this.#index });
  }

  drop(reason: string): void {
    this.dropReason = reason;
  }

  toObject(): Fields {
    this.#scan();
    const record: Fields = {};
    for (let pair = 0; pair < this.#pairs; pair++) {
      if ((this.#where[pair] as number) < 0) continue;
      const keyFrom = stringStart(this.#keyBuffer(pair), this.#keyAt[pair] as number);
      const key =
        keyFrom < 0
          ? String(new MsgpackReader(this.#keyBuffer(pair), this.#keyAt[pair], this.#keyEnd[pair]).read())
          : this.#keyBuffer(pair).toString('utf8', keyFrom, this.#keyEnd[pair]);
      put(record, key, new MsgpackReader(this.#valueBuffer(pair), this.#valueAt[pair], this.#valueEnd[pair]).read());
    }
    return record;
  }

  /** Writes the entry as it stands now, edited or not. */
  write(into: ByteWriter): void {
    if (!this.#edited) return into.raw(this.#source, this.#entryStart, this.#entryEnd);
    this.#scan();
    let count = 0;
    for (let pair = 0; pair < this.#pairs; pair++) if ((this.#where[pair] as number) >= 0) count++;
    into.u8(0x92);
    writeEventTime(into, this.#seconds, this.#nanoseconds);
    writeMapHeader(into, count);
    this.#writePairs(into);
  }

  /** Pairs that follow each other untouched in the batch are copied as one run. */
  #writePairs(into: ByteWriter): void {
    let runAt = -1;
    let runEnd = -1;
    for (let pair = 0; pair < this.#pairs; pair++) {
      const where = this.#where[pair] as number;
      if (where === 0) {
        if (runEnd === this.#keyAt[pair]) runEnd = this.#valueEnd[pair] as number;
        else {
          if (runAt >= 0) into.raw(this.#source, runAt, runEnd);
          runAt = this.#keyAt[pair] as number;
          runEnd = this.#valueEnd[pair] as number;
        }
        continue;
      }
      if (runAt >= 0) into.raw(this.#source, runAt, runEnd);
      runAt = -1;
      runEnd = -1;
      if (where < 0) continue;
      into.raw(this.#keyBuffer(pair), this.#keyAt[pair], this.#keyEnd[pair]);
      into.raw(this.#valueBuffer(pair), this.#valueAt[pair], this.#valueEnd[pair]);
    }
    if (runAt >= 0) into.raw(this.#source, runAt, runEnd);
  }
}

function listCount(b: Uint8Array, at: number, head: number): number {
  if (head >= 0x90 && head < 0xa0) return head & 15;
  if (head === 0xdc) return ((b[at + 1] as number) << 8) | (b[at + 2] as number);
  if (head === 0xdd) return Buffer.from(b.buffer, b.byteOffset + at + 1, 4).readUInt32BE(0);
  return -1;
}

function keyEquals(b: Uint8Array, keyAt: number, keyEnd: number, name: Uint8Array): boolean {
  const from = keyEnd - name.length;
  // The header takes 1, 2, 3 or 5 bytes; the contents end where the key ends.
  if (from <= keyAt) return false;
  for (let n = name.length - 1; n >= 0; n--) if (b[from + n] !== name[n]) return false;
  return stringStart(b, keyAt) === from;
}

function brings(fragment: Fragment, b: Uint8Array, keyAt: number, keyEnd: number): boolean {
  for (const { name } of fragment.pairs) if (keyEquals(b, keyAt, keyEnd, name)) return true;
  return false;
}

function put(record: Fields, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true });
  else record[key] = value;
}
