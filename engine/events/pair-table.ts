import { brings, keyEquals, put } from './keys.ts';
import { MsgpackReader, headerBytes, knownKey, mapCount, skipValue, stringStart } from './msgpack.ts';
import { writeMapHeader, writeString, writeValue } from './msgpack-write.ts';
import type { Fields } from './batch.ts';
import { ByteWriter, viewOf } from './byte-writer.ts';
import type { EncodedPair, EncodedWhole, Fragment } from './field.ts';
import { ROW_COUNT, ROW_END, ROW_HEAD, ROW_PAIR, ROW_TOTAL, type FieldIndex } from './kernel/field-index.ts';

/** Pairs that the table keeps room for from one batch to the next; a larger record costs an allocation. */
const MAX_KEPT = 4096;
const NO_BYTES = Buffer.alloc(0);

// Where a key or a value stands: in the batch, in the scratch buffer, in a fragment. A pair has both in one number,
// `key << 2 | value`, since a value may be replaced under an old key. DELETED: the pair is gone.
const BATCH = 0;
const SCRATCH = 1;
const LENT = 2;
const DELETED = -1;
const BOTH = 0b101;

/**
 * The top-level pairs of one event: where key and value stand, and in which buffer. What is edited goes into a scratch
 * buffer; the batch itself is never written to. Used again for every event.
 */
export class PairTable {
  source: Buffer = NO_BYTES;
  #sourceView = viewOf(NO_BYTES);
  readonly #scratch = new ByteWriter(4096);
  // The first group appended to an event is not copied: its bytes never change.
  #lent: EncodedWhole | undefined;
  #count = 0;
  readonly #index: FieldIndex;
  // Offset of the event's row in the index while only the pairs in it are in the table; -1: all pairs are.
  #row = -1;
  #keyAt = new Uint32Array(32);
  #keyEnd = new Uint32Array(32);
  #valueAt = new Uint32Array(32);
  #valueEnd = new Uint32Array(32);
  #where = new Int8Array(32);

  constructor(index: FieldIndex) {
    this.#index = index;
  }

  /** To be called for each batch. */
  open(source: Buffer): void {
    this.source = source;
    this.#sourceView = viewOf(source);
    // One odd event shall not hold memory for ever.
    if (this.#keyAt.length > MAX_KEPT) this.#allocate(32);
  }

  /** To be called for each event, before `scan`. */
  reset(): void {
    this.empty();
    this.#scratch.length = 0;
    this.#lent = undefined;
  }

  /** Removes all pairs. What was written stays where it is: bytes that were read from it may be in use. */
  empty(): void {
    this.#count = 0;
    this.#row = -1;
  }

  /** Takes the pairs of a row of the index; the others are read when one of them is asked for. */
  takeRow(row: number): void {
    const { rows } = this.#index;
    const count = rows[row + ROW_COUNT] as number;
    let at = row + ROW_HEAD;
    for (let n = 0; n < count; n++, at += ROW_PAIR) {
      const valueAt = rows[at + 1] as number;
      this.#keyAt[n] = rows[at] as number;
      this.#keyEnd[n] = valueAt;
      this.#valueAt[n] = valueAt;
      this.#valueEnd[n] = rows[at + 2] as number;
      this.#where[n] = BATCH;
    }
    this.#count = count;
    this.#row = row;
  }

  /** Reads all pairs; what was done to those of the row is done to them again. */
  #readAll(): void {
    const { rows } = this.#index;
    const ofRow = rows[this.#row + ROW_COUNT] as number;
    const count = this.#count;
    const [keyAt, keyEnd, valueAt, valueEnd, where] = [
      this.#keyAt.slice(0, count),
      this.#keyEnd.slice(0, count),
      this.#valueAt.slice(0, count),
      this.#valueEnd.slice(0, count),
      this.#where.slice(0, count),
    ];
    this.scan(rows[this.#row] as number);
    this.#row = -1;
    let pair = 0;
    for (let n = 0; n < ofRow; n++) {
      while (this.#keyAt[pair] !== keyAt[n]) pair++;
      this.#valueAt[pair] = valueAt[n] as number;
      this.#valueEnd[pair] = valueEnd[n] as number;
      this.#where[pair] = where[n] as number;
    }
    for (let n = ofRow; n < count; n++)
      this.#push(keyAt[n] as number, keyEnd[n] as number, valueAt[n] as number, valueEnd[n] as number, where[n] as number);
  }

  /**
   * Reads the pairs of the map at `at`, which was checked at the entrance.
   *
   * @returns the offset after the map
   */
  scan(at: number): number {
    const b = this.source;
    const end = b.length;
    const count = mapCount(b, at, end);
    while (count > this.#keyAt.length) this.#grow();
    const keyAts = this.#keyAt;
    const keyEnds = this.#keyEnd;
    const valueAts = this.#valueAt;
    const valueEnds = this.#valueEnd;
    const wheres = this.#where;
    let next = at + headerBytes(b, at);
    for (let n = 0; n < count; n++) {
      keyAts[n] = next;
      next = skipValue(b, next, end);
      keyEnds[n] = next;
      valueAts[n] = next;
      next = skipValue(b, next, end);
      valueEnds[n] = next;
      wheres[n] = BATCH;
    }
    this.#count = Math.max(0, count);
    return next;
  }

  #push(keyAt: number, keyEnd: number, valueAt: number, valueEnd: number, where: number): void {
    const n = this.#count;
    if (n === this.#keyAt.length) this.#grow();
    this.#keyAt[n] = keyAt;
    this.#keyEnd[n] = keyEnd;
    this.#valueAt[n] = valueAt;
    this.#valueEnd[n] = valueEnd;
    this.#where[n] = where;
    this.#count = n + 1;
  }

  #grow(): void {
    const old = [this.#keyAt, this.#keyEnd, this.#valueAt, this.#valueEnd, this.#where] as const;
    this.#allocate(this.#keyAt.length * 2);
    const grown = [this.#keyAt, this.#keyEnd, this.#valueAt, this.#valueEnd, this.#where] as const;
    for (const [n, array] of grown.entries()) array.set(old[n] as Uint32Array);
  }

  #allocate(size: number): void {
    this.#keyAt = new Uint32Array(size);
    this.#keyEnd = new Uint32Array(size);
    this.#valueAt = new Uint32Array(size);
    this.#valueEnd = new Uint32Array(size);
    this.#where = new Int8Array(size);
  }

  bufferOf(pair: number): Buffer {
    return this.#buffer((this.#where[pair] as number) & 3);
  }
  valueAt(pair: number): number {
    return this.#valueAt[pair] as number;
  }
  valueEnd(pair: number): number {
    return this.#valueEnd[pair] as number;
  }
  #keyBuffer(pair: number): Buffer {
    return this.#buffer((this.#where[pair] as number) >> 2);
  }
  #buffer(code: number): Buffer {
    return code === BATCH ? this.source : code === SCRATCH ? this.#scratch.bytes : (this.#lent as EncodedWhole).bytes;
  }
  #view(code: number): DataView {
    return code === BATCH ? this.#sourceView : code === SCRATCH ? this.#scratch.view : (this.#lent as EncodedWhole).view;
  }

  /** @returns -1 when no pair has that key */
  find(name: Uint8Array): number {
    if (!this.#index.knows(name) && this.#row >= 0) this.#readAll();
    const usualHead = name.length < 32 ? 0xa0 | name.length : -1;
    const { source } = this;
    const wheres = this.#where;
    const keyAts = this.#keyAt;
    const count = this.#count;
    for (let pair = 0; pair < count; pair++) {
      const where = wheres[pair] as number;
      if (where < 0) continue;
      const b = where === BATCH ? source : this.#buffer(where >> 2);
      const keyAt = keyAts[pair] as number;
      const head = b[keyAt] as number;
      // Nearly all keys are told apart by their length, which stands in their first byte.
      if (head !== usualHead && head >= 0xa0 && head < 0xc0) continue;
      if (keyEquals(b, keyAt, this.#keyEnd[pair] as number, name)) return pair;
    }
    return -1;
  }

  /** The decoded value. */
  read(pair: number): unknown {
    return new MsgpackReader(this.bufferOf(pair), this.#valueAt[pair], this.#valueEnd[pair]).read();
  }

  remove(pair: number): void {
    this.#where[pair] = DELETED;
  }

  set(name: Uint8Array, value: unknown): void {
    const pair = this.find(name);
    if (pair < 0) {
      this.add(Buffer.from(name.buffer, name.byteOffset, name.length).toString('utf8'), value);
      return;
    }
    const valueAt = this.#scratch.length;
    writeValue(this.#scratch, value);
    this.#replaceValue(pair, valueAt);
  }

  /** Adds a pair whose key is not there yet. */
  add(name: string, value: unknown): void {
    const scratch = this.#scratch;
    const keyAt = scratch.length;
    writeString(scratch, name);
    const valueAt = scratch.length;
    writeValue(scratch, value);
    this.#push(keyAt, valueAt, valueAt, scratch.length, BOTH);
  }

  #replaceValue(pair: number, valueAt: number): void {
    this.#valueAt[pair] = valueAt;
    this.#valueEnd[pair] = this.#scratch.length;
    this.#where[pair] = ((this.#where[pair] as number) & ~3) | SCRATCH;
  }

  /** Adds a group of fields that was encoded once; a key that is there already is replaced. */
  append(fragment: Fragment): void {
    const { under } = fragment;
    if (under === undefined) {
      for (const pair of fragment.pairs) this.#appendPair(pair);
      return;
    }
    const pair = this.find(under);
    if (pair < 0) return this.#appendWhole(fragment.whole as EncodedWhole);
    const count = mapCount(this.bufferOf(pair), this.#valueAt[pair] as number, this.#valueEnd[pair] as number);
    this.#merge(pair, Math.max(0, count), count < 0, fragment);
  }

  #appendWhole(whole: EncodedWhole): void {
    if (this.#lent === undefined) {
      this.#lent = whole;
      this.#push(0, whole.valueAt, whole.valueAt, whole.bytes.length, (LENT << 2) | LENT);
      return;
    }
    const scratch = this.#scratch;
    const keyAt = scratch.length;
    scratch.raw(whole.bytes);
    this.#push(keyAt, keyAt + whole.valueAt, keyAt + whole.valueAt, scratch.length, BOTH);
  }

  /** Writes the map of `pair` anew: its own pairs but for those that the fragment brings, then the fragment's. */
  #merge(pair: number, count: number, replaces: boolean, fragment: Fragment): void {
    const scratch = this.#scratch;
    const valueAt = scratch.length;
    // The count is patched afterwards: a map32 header holds any count.
    scratch.u8(0xdf);
    scratch.u32(0);
    let kept = fragment.pairs.length;
    const end = this.#valueEnd[pair] as number;
    let at = (this.#valueAt[pair] as number) + (replaces ? 0 : headerBytes(this.bufferOf(pair), this.#valueAt[pair] as number));
    for (let n = 0; n < count; n++) {
      // Looked up anew each time: writing to the scratch may replace its buffer.
      const b = this.bufferOf(pair);
      const innerValueAt = skipValue(b, at, end);
      const innerEnd = skipValue(b, innerValueAt, end);
      if (!brings(fragment, b, at, innerValueAt)) {
        scratch.ensure(innerEnd - at);
        scratch.raw(this.bufferOf(pair), at, innerEnd);
        kept++;
      }
      at = innerEnd;
    }
    for (const { bytes } of fragment.pairs) scratch.raw(bytes);
    scratch.bytes.writeUInt32BE(kept, valueAt + 1);
    this.#replaceValue(pair, valueAt);
  }

  #appendPair(encoded: EncodedPair): void {
    const scratch = this.#scratch;
    const keyAt = scratch.length;
    scratch.raw(encoded.bytes);
    const pair = this.find(encoded.name);
    if (pair >= 0) this.#replaceValue(pair, keyAt + encoded.valueAt);
    else this.#push(keyAt, keyAt + encoded.valueAt, keyAt + encoded.valueAt, scratch.length, BOTH);
  }

  toObject(): Fields {
    if (this.#row >= 0) this.#readAll();
    const record: Fields = {};
    for (let pair = 0; pair < this.#count; pair++) {
      if ((this.#where[pair] as number) < 0) continue;
      put(record, this.#keyText(pair), this.read(pair));
    }
    return record;
  }

  #keyText(pair: number): string {
    const b = this.#keyBuffer(pair);
    const at = this.#keyAt[pair] as number;
    const end = this.#keyEnd[pair] as number;
    const from = stringStart(b, at);
    if (from < 0) return String(new MsgpackReader(b, at, end).read());
    return from === at + 1 ? knownKey(b, from, end) : b.toString('utf8', from, end);
  }

  /** Writes the record as it stands now, as one map. */
  write(into: ByteWriter): void {
    if (this.#row >= 0) return this.#writeRow(into, this.#row);
    let count = 0;
    for (let pair = 0; pair < this.#count; pair++) if ((this.#where[pair] as number) >= 0) count++;
    writeMapHeader(into, count);
    this.#writePairs(into);
  }

  /** Pairs that follow each other untouched in the batch are copied as one run. */
  #writePairs(into: ByteWriter): void {
    const { source } = this;
    const view = this.#sourceView;
    let runAt = 0;
    let runEnd = 0;
    for (let pair = 0; pair < this.#count; pair++) {
      const where = this.#where[pair] as number;
      if (where < 0) continue;
      const keyAt = this.#keyAt[pair] as number;
      if (where === BATCH && keyAt === runEnd) {
        runEnd = this.#valueEnd[pair] as number;
        continue;
      }
      if (runEnd > runAt) into.span(source, view, runAt, runEnd);
      runAt = 0;
      runEnd = 0;
      if (where === BATCH) {
        runAt = keyAt;
        runEnd = this.#valueEnd[pair] as number;
      } else this.#writePair(into, pair, where);
    }
    if (runEnd > runAt) into.span(source, view, runAt, runEnd);
  }

  /** What lies between the pairs of the row is copied unread. */
  #writeRow(into: ByteWriter, row: number): void {
    const { rows } = this.#index;
    const { source } = this;
    const view = this.#sourceView;
    const ofRow = rows[row + ROW_COUNT] as number;
    const record = rows[row] as number;
    let total = rows[row + ROW_TOTAL] as number;
    for (let pair = 0; pair < this.#count; pair++)
      if (pair < ofRow === (this.#where[pair] as number) < 0) total += pair < ofRow ? -1 : 1;
    writeMapHeader(into, total);
    let runAt = record + headerBytes(source, record);
    let inRow = row + ROW_HEAD;
    for (let pair = 0; pair < ofRow; pair++, inRow += ROW_PAIR) {
      const where = this.#where[pair] as number;
      if (where === BATCH) continue;
      const keyAt = this.#keyAt[pair] as number;
      if (keyAt > runAt) into.span(source, view, runAt, keyAt);
      if (where >= 0) this.#writePair(into, pair, where);
      runAt = rows[inRow + 2] as number;
    }
    const end = rows[row + ROW_END] as number;
    if (end > runAt) into.span(source, view, runAt, end);
    for (let pair = ofRow; pair < this.#count; pair++) {
      const where = this.#where[pair] as number;
      if (where >= 0) this.#writePair(into, pair, where);
    }
  }

  #writePair(into: ByteWriter, pair: number, where: number): void {
    const keyAt = this.#keyAt[pair] as number;
    const valueEnd = this.#valueEnd[pair] as number;
    const key = where >> 2;
    const value = where & 3;
    if (key === value && this.#keyEnd[pair] === this.#valueAt[pair])
      return into.span(this.#buffer(key), this.#view(key), keyAt, valueEnd);
    into.span(this.#buffer(key), this.#view(key), keyAt, this.#keyEnd[pair] as number);
    into.span(this.#buffer(value), this.#view(value), this.#valueAt[pair] as number, valueEnd);
  }
}
