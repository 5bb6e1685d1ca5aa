import type { EventView } from '../component.ts';
import type { Batch, Fields } from './batch.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { Field, Fragment } from './field.ts';
import {
  FieldIndex,
  NO_PAIRS,
  ROW_COUNT,
  ROW_END,
  ROW_HEAD,
  ROW_NANOSECONDS,
  ROW_PAIR,
  ROW_SECONDS,
} from './kernel/field-index.ts';
import { MsgpackReader, headerBytes, mapCount, readNumber, skipValue, stringStart, u32 } from './msgpack.ts';
import { writeEventTime } from './msgpack-write.ts';
import { keyEquals, put } from './keys.ts';
import { PairTable } from './pair-table.ts';

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
  readonly #fields = new FieldIndex();
  readonly #pairs = new PairTable(this.#fields);
  // Where the row of the next event begins in the index; and that of this one, -1 when it has none.
  #nextRow = 0;
  #row = -1;

  get seconds(): number {
    return this.#seconds;
  }
  get nanoseconds(): number {
    return this.#nanoseconds;
  }
  get edited(): boolean {
    return this.#edited;
  }
  /** Offset after the current entry. Found when it is asked for: a look at the pairs finds it anyway. */
  get entryEnd(): number {
    if (this.#entryEnd < 0) this.#entryEnd = skipValue(this.#source, this.#recordAt, this.#source.length);
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
      this.#pairs.open(this.#source);
    }
    this.tag = batch.tag;
    this.#entryEnd = batch.start;
    this.#fields.read(batch);
    this.#nextRow = 0;
  }

  /**
   * Steps to the next entry. Entries were checked at the entrance: an array of two, a time, a map.
   *
   * @param index  the event's index in its frame
   */
  next(index: number): void {
    const b = this.#source;
    const start = this.entryEnd;
    this.#entryStart = start;
    this.#index = index;
    this.#edited = false;
    this.#scanned = false;
    this.dropReason = undefined;
    this.#pairs.reset();
    if (this.#nextRow < this.#fields.end && this.#takeRow()) return;
    this.#row = -1;
    // The usual entry: 92 d7 00 seconds nanoseconds map.
    let at = start + headerBytes(b, start);
    const head = b[at] as number;
    if (head === 0xd7 || head === 0xc7) {
      const timeAt = at + (head === 0xd7 ? 2 : 3);
      this.#seconds = u32(b, timeAt);
      this.#nanoseconds = u32(b, timeAt + 4);
      at = timeAt + 8;
    } else {
      this.#seconds = Number(readNumber(b, at) ?? 0);
      this.#nanoseconds = 0;
      at = skipValue(b, at, b.length);
    }
    this.#recordAt = at;
    this.#entryEnd = -1;
  }

  /** @returns false when the event has a row without pairs: it has to be read */
  #takeRow(): boolean {
    const { rows } = this.#fields;
    const row = this.#nextRow;
    const count = rows[row + ROW_COUNT] as number;
    if (count === NO_PAIRS) {
      this.#nextRow = row + ROW_HEAD;
      return false;
    }
    this.#row = row;
    this.#nextRow = row + ROW_HEAD + count * ROW_PAIR;
    this.#recordAt = rows[row] as number;
    this.#entryEnd = rows[row + ROW_END] as number;
    this.#seconds = rows[row + ROW_SECONDS] as number;
    this.#nanoseconds = rows[row + ROW_NANOSECONDS] as number;
    return true;
  }

  #scan(): void {
    if (this.#scanned) return;
    this.#scanned = true;
    if (this.#row >= 0) this.#pairs.takeRow(this.#row);
    else this.#entryEnd = this.#pairs.scan(this.#recordAt);
  }

  #findPair(name: Uint8Array): number {
    this.#scan();
    return this.#pairs.find(name);
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
    this.#foundIn = this.#pairs.bufferOf(pair);
    this.#foundAt = this.#pairs.valueAt(pair);
    this.#foundEnd = this.#pairs.valueEnd(pair);
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
    this.#scan();
    const top = this.#topLevel(field);
    if (top !== undefined) return this.#pairs.set(top, value);
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
    this.#pairs.set(first, holder);
  }

  delete(field: Field): void {
    const top = this.#topLevel(field);
    if (top !== undefined) {
      const pair = this.#findPair(top);
      if (pair < 0) return;
      this.#pairs.remove(pair);
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
    this.#pairs.set(first, holder);
  }

  /** The key when the field lies at the top level: one step, or a dotted name that is there as a key. */
  #topLevel(field: Field): Uint8Array | undefined {
    if (field.path.length === 1) return field.keys[0];
    return field.literal !== undefined && this.#findPair(field.literal) >= 0 ? field.literal : undefined;
  }

  #nested(name: Uint8Array, make: boolean): Fields | undefined {
    const pair = this.#findPair(name);
    const value = pair < 0 ? undefined : this.#pairs.read(pair);
    if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) return value as Fields;
    return make ? {} : undefined;
  }

  append(fragment: Fragment): void {
    this.#edited = true;
    this.#scan();
    this.#pairs.append(fragment);
  }

  replace(record: Fields): void {
    this.#edited = true;
    this.#scanned = true;
    this.#pairs.empty();
    for (const key of Object.keys(record)) this.#pairs.add(key, record[key]);
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
    return this.#pairs.toObject();
  }

  /** Writes the entry as it stands now, edited or not. */
  write(into: ByteWriter): void {
    if (!this.#edited) return into.raw(this.#source, this.#entryStart, this.entryEnd);
    this.#scan();
    into.u8(0x92);
    writeEventTime(into, this.#seconds, this.#nanoseconds);
    this.#pairs.write(into);
  }
}

function listCount(b: Uint8Array, at: number, head: number): number {
  if (head >= 0x90 && head < 0xa0) return head & 15;
  if (head === 0xdc) return ((b[at + 1] as number) << 8) | (b[at + 2] as number);
  if (head === 0xdd) return Buffer.from(b.buffer, b.byteOffset + at + 1, 4).readUInt32BE(0);
  return -1;
}
