import { MsgpackReader, headerBytes, mapCount, skipValue, stringStart } from './msgpack.ts';
import { writeMapHeader, writeString, writeValue } from './msgpack-write.ts';
import type { Fields } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import type { EncodedPair, Fragment } from './field.ts';

/**
 * The top-level pairs of one event: where key and value stand, and in which buffer. What is edited goes into a scratch
 * buffer; the batch itself is never written to. Used again for every event.
 */
export class PairTable {
  source: Buffer = Buffer.alloc(0);
  readonly #scratch = new ByteWriter(4096);
  #count = 0;
  #keyAt = new Uint32Array(32);
  #keyEnd = new Uint32Array(32);
  #valueAt = new Uint32Array(32);
  #valueEnd = new Uint32Array(32);
  // Which buffer holds the value (bit 0) and the key (bit 1), 0 the batch, 1 the scratch: a value may be replaced under an
  // old key. -1: deleted.
  #where = new Int8Array(32);

  /** To be called for each event, before `scan`. */
  reset(): void {
    this.#count = 0;
    this.#scratch.length = 0;
  }

  /** Removes all pairs. What was written stays where it is: bytes that were read from it may be in use. */
  empty(): void {
    this.#count = 0;
  }

  /** Reads the pairs of the map at `at`, which was checked at the entrance. */
  scan(at: number, end: number): void {
    const b = this.source;
    const count = mapCount(b, at, end);
    let next = at + headerBytes(b, at);
    this.#count = 0;
    for (let n = 0; n < count; n++) {
      const keyAt = next;
      const valueAt = skipValue(b, next, end);
      next = skipValue(b, valueAt, end);
      this.#push(keyAt, valueAt, valueAt, next, 0);
    }
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

  bufferOf(pair: number): Buffer {
    return ((this.#where[pair] as number) & 1) === 0 ? this.source : this.#scratch.bytes;
  }
  valueAt(pair: number): number {
    return this.#valueAt[pair] as number;
  }
  valueEnd(pair: number): number {
    return this.#valueEnd[pair] as number;
  }
  #keyBuffer(pair: number): Buffer {
    return ((this.#where[pair] as number) & 2) === 0 ? this.source : this.#scratch.bytes;
  }

  /** @returns -1 when no pair has that key */
  find(name: Uint8Array): number {
    for (let pair = 0; pair < this.#count; pair++) {
      if ((this.#where[pair] as number) < 0) continue;
      if (keyEquals(this.#keyBuffer(pair), this.#keyAt[pair] as number, this.#keyEnd[pair] as number, name)) return pair;
    }
    return -1;
  }

  /** The decoded value. */
  read(pair: number): unknown {
    return new MsgpackReader(this.bufferOf(pair), this.#valueAt[pair], this.#valueEnd[pair]).read();
  }

  remove(pair: number): void {
    this.#where[pair] = -1;
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
    this.#push(keyAt, valueAt, valueAt, scratch.length, 3);
  }

  #replaceValue(pair: number, valueAt: number): void {
    this.#valueAt[pair] = valueAt;
    this.#valueEnd[pair] = this.#scratch.length;
    this.#where[pair] = (this.#where[pair] as number) | 1;
  }

  /** Adds a group of fields that was encoded once; a key that is there already is replaced. */
  append(fragment: Fragment): void {
    const { under } = fragment;
    if (under === undefined) {
      for (const pair of fragment.pairs) this.#appendPair(pair);
      return;
    }
    const scratch = this.#scratch;
    const pair = this.find(under);
    const count = pair < 0 ? -1 : mapCount(this.bufferOf(pair), this.#valueAt[pair] as number, this.#valueEnd[pair] as number);
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
    scratch.bytes.writeUInt16BE(Math.min(kept, 65_535), valueAt + 1);
    this.#replaceValue(pair, valueAt);
  }

  #appendPair(encoded: EncodedPair): void {
    const scratch = this.#scratch;
    const keyAt = scratch.length;
    scratch.raw(encoded.bytes);
    const pair = this.find(encoded.name);
    if (pair >= 0) this.#replaceValue(pair, keyAt + encoded.valueAt);
    else this.#push(keyAt, keyAt + encoded.valueAt, keyAt + encoded.valueAt, scratch.length, 3);
  }

  toObject(): Fields {
    const record: Fields = {};
    for (let pair = 0; pair < this.#count; pair++) {
      if ((this.#where[pair] as number) < 0) continue;
      const keyFrom = stringStart(this.#keyBuffer(pair), this.#keyAt[pair] as number);
      const key =
        keyFrom < 0
          ? String(new MsgpackReader(this.#keyBuffer(pair), this.#keyAt[pair], this.#keyEnd[pair]).read())
          : this.#keyBuffer(pair).toString('utf8', keyFrom, this.#keyEnd[pair]);
      put(record, key, this.read(pair));
    }
    return record;
  }

  /** Writes the record as it stands now, as one map. */
  write(into: ByteWriter): void {
    let count = 0;
    for (let pair = 0; pair < this.#count; pair++) if ((this.#where[pair] as number) >= 0) count++;
    writeMapHeader(into, count);
    this.#writePairs(into);
  }

  /** Pairs that follow each other untouched in the batch are copied as one run. */
  #writePairs(into: ByteWriter): void {
    let runAt = -1;
    let runEnd = -1;
    for (let pair = 0; pair < this.#count; pair++) {
      const where = this.#where[pair] as number;
      if (where === 0) {
        if (runEnd === this.#keyAt[pair]) runEnd = this.#valueEnd[pair] as number;
        else {
          if (runAt >= 0) into.raw(this.source, runAt, runEnd);
          runAt = this.#keyAt[pair] as number;
          runEnd = this.#valueEnd[pair] as number;
        }
        continue;
      }
      if (runAt >= 0) into.raw(this.source, runAt, runEnd);
      runAt = -1;
      runEnd = -1;
      if (where < 0) continue;
      into.raw(this.#keyBuffer(pair), this.#keyAt[pair], this.#keyEnd[pair]);
      into.raw(this.bufferOf(pair), this.#valueAt[pair], this.#valueEnd[pair]);
    }
    if (runAt >= 0) into.raw(this.source, runAt, runEnd);
  }
}

/** Whether the text at `keyAt`, which ends at `keyEnd`, is `name`. */
export function keyEquals(b: Uint8Array, keyAt: number, keyEnd: number, name: Uint8Array): boolean {
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

/** Sets an own property, whatever its name. */
export function put(record: Fields, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true });
  else record[key] = value;
}
