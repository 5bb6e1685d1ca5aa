/**
 * Reads qqwry.dat, the IPv4 database of CZ88 (all integers little-endian):
 *
 *     0    u32 offset of the first index entry    u32 offset of the last one
 *     8    records and strings
 *          record    u32 end address, country, area
 *          country   01 u24: country and area stand there (which may be a 02 in turn)
 *                    02 u24: the country's text stands there, the area follows these 4 bytes
 *                    else  : text up to a NUL
 *          area      01 or 02 u24: the text stands there, 0 = none      else text up to a NUL
 *     ...  index     u32 start address, u24 offset of the record; ascending
 *
 * Texts are GBK; gb18030 is a superset of it. Everything is checked when a file is opened (60 ms for half a million records),
 * so a look-up has nothing left to check; texts are decoded at their first hit.
 */
import { MillraceError } from '../../../engine/errors.ts';
import { parseIpv4, parseIpv4Bytes } from './address.ts';
import { findRange, NO_ENTRY, RangeIndexBuilder } from './range-index.ts';
import type { RangeIndex } from './range-index.ts';

/** Texts as they stand in the file: " CZ88.NET" (no information) keeps its blank. Shared by all who ask, and frozen. */
export interface QqwryRecord {
  readonly country: string;
  readonly area: string;
}

const HEADER_BYTES = 8;
const ENTRY_BYTES = 7;
const BOTH_ELSEWHERE = 1;
const TEXT_ELSEWHERE = 2;
// 2^24 is where u24 offsets end; the index may lie beyond it.
const FILE_BYTES_MAX = 256 * 2 ** 20;

export class QqwryReader {
  readonly format = 'qqwry';
  /** The text of the last record (`2024年01月17日IP数据`); '' when there is none. */
  readonly version: string;
  /** Entries of the index. */
  readonly records: number;
  readonly #bytes: Buffer;
  readonly #index: RangeIndex;
  readonly #found: (QqwryRecord | undefined)[];
  readonly #byTexts = new Map<number, QqwryRecord>();
  readonly #texts = new Map<number, string>();
  readonly #decoder = new TextDecoder('gb18030');

  /**
   * @param bytes  the whole file; kept, and must not change afterwards
   * @param path  for messages
   * @throws MillraceError MR_GEO_DATABASE, with what is wrong and where
   */
  constructor(bytes: Buffer, path: string) {
    const { first, count } = checkHeader(bytes, path);
    this.#bytes = bytes;
    this.records = count;
    this.#index = checkRecords(bytes, path, first, count);
    this.#found = Array.from({ length: this.#index.values.length });
    const last = this.find(0xffffffff);
    this.version = last?.country === '纯真网络' ? last.area : '';
  }

  /** @param v4  unsigned 32 bits */
  find(v4: number): QqwryRecord | undefined {
    const range = findRange(this.#index, v4);
    return this.#found[range] ?? this.#decode(range);
  }

  /** @returns the number of the range that holds the address; -1 below the first one */
  rangeOf(v4: number): number {
    return findRange(this.#index, v4);
  }

  /** Ranges, those between two records included. */
  get ranges(): number {
    return this.#found.length;
  }

  /** @returns undefined when the text is no IPv4 address, and when no record holds it */
  findText(text: string): QqwryRecord | undefined {
    const v4 = parseIpv4(text);
    return v4 < 0 ? undefined : this.find(v4);
  }

  findBytes(bytes: Uint8Array, start: number, end: number): QqwryRecord | undefined {
    const v4 = parseIpv4Bytes(bytes, start, end);
    return v4 < 0 ? undefined : this.find(v4);
  }

  #decode(range: number): QqwryRecord | undefined {
    const recordAt = this.#index.values[range] ?? NO_ENTRY;
    if (recordAt === NO_ENTRY) return undefined;
    const bytes = this.#bytes;
    let at = recordAt + 4;
    if (bytes[at] === BOTH_ELSEWHERE) at = u24(bytes, at + 1);
    const isElsewhere = bytes[at] === TEXT_ELSEWHERE;
    const countryAt = isElsewhere ? u24(bytes, at + 1) : at;
    const next = isElsewhere ? at + 4 : bytes.indexOf(0, at) + 1;
    const areaAt = bytes[next] === BOTH_ELSEWHERE || bytes[next] === TEXT_ELSEWHERE ? u24(bytes, next + 1) : next;
    // Half of the records share their two texts with another one; 2^24 offsets each fit into a double together.
    const key = countryAt * 2 ** 24 + areaAt;
    let record = this.#byTexts.get(key);
    if (record === undefined) {
      record = Object.freeze({ country: this.#text(countryAt), area: areaAt === 0 ? '' : this.#text(areaAt) });
      this.#byTexts.set(key, record);
    }
    this.#found[range] = record;
    return record;
  }

  #text(at: number): string {
    let text = this.#texts.get(at);
    if (text === undefined) {
      text = this.#decoder.decode(this.#bytes.subarray(at, this.#bytes.indexOf(0, at)));
      this.#texts.set(at, text);
    }
    return text;
  }
}

/** @returns '' for " CZ88.NET", which stands where nothing is known */
export function withoutMarker(text: string): string {
  return text.trim().toUpperCase() === 'CZ88.NET' ? '' : text;
}

/** Whether the first 8 bytes fit the layout; tells qqwry.dat from the other formats. */
export function looksLikeQqwry(bytes: Buffer): boolean {
  if (bytes.length < HEADER_BYTES + ENTRY_BYTES) return false;
  const first = bytes.readUInt32LE(0);
  const last = bytes.readUInt32LE(4);
  return first >= HEADER_BYTES && last >= first && (last - first) % ENTRY_BYTES === 0 && last + ENTRY_BYTES <= bytes.length;
}

function checkHeader(bytes: Buffer, path: string): { readonly first: number; readonly count: number } {
  const size = bytes.length;
  if (size < HEADER_BYTES + ENTRY_BYTES) throw damaged(path, `too short: ${size} bytes, at least 15 are needed`);
  if (size > FILE_BYTES_MAX) throw damaged(path, `too large: ${size} bytes`);
  const first = bytes.readUInt32LE(0);
  const last = bytes.readUInt32LE(4);
  if (first < HEADER_BYTES || last < first) {
    throw damaged(path, `bad header: the index is said to reach from ${first} to ${last}`);
  }
  if (first + ENTRY_BYTES > size)
    throw damaged(path, `bad header or truncated: the index should start at ${first}, the file has ${size} bytes`);
  if (last + ENTRY_BYTES > size)
    throw damaged(path, `truncated: the index ends at ${last + ENTRY_BYTES}, the file has ${size} bytes`);
  if ((last - first) % ENTRY_BYTES !== 0) throw damaged(path, `bad header: the index length ${last - first} is no multiple of 7`);
  return { first, count: (last - first) / ENTRY_BYTES + 1 };
}

function checkRecords(bytes: Buffer, path: string, first: number, count: number): RangeIndex {
  const builder = new RangeIndexBuilder(count);
  // A text that starts at or before the last NUL of the file ends within it.
  const lastNul = bytes.lastIndexOf(0);
  let previous = -1;
  for (let entry = 0; entry < count; entry++) {
    const at = first + entry * ENTRY_BYTES;
    const start = u32(bytes, at);
    if (start <= previous) throw damaged(path, `unsorted: index entry ${entry} does not start above the one before`);
    previous = start;
    const recordAt = u24(bytes, at + 4);
    if (recordAt < HEADER_BYTES || recordAt + 5 > bytes.length) {
      throw damaged(path, `bad offset: the record of index entry ${entry} is outside of the file`);
    }
    const end = u32(bytes, recordAt);
    if (end < start) throw damaged(path, `bad range: index entry ${entry} ends before it starts`);
    const wrong = checkRecord(bytes, recordAt + 4, lastNul);
    if (wrong !== undefined) throw damaged(path, `${wrong} (index entry ${entry})`);
    builder.add(start, end, recordAt);
  }
  return builder.build();
}

/** @returns what is wrong */
function checkRecord(bytes: Buffer, countryAt: number, lastNul: number): string | undefined {
  let at = countryAt;
  if (bytes[at] === BOTH_ELSEWHERE) {
    at = u24(bytes, at + 1);
    if (at < HEADER_BYTES || at >= bytes.length) return 'bad offset: a record points outside of the file';
    if (bytes[at] === BOTH_ELSEWHERE) return 'redirect loop: a record points at a record that points on';
  }
  if (bytes[at] === TEXT_ELSEWHERE) {
    const textAt = u24(bytes, at + 1);
    if (textAt < HEADER_BYTES || textAt >= bytes.length) return 'bad offset: a country points outside of the file';
    const kind = bytes[textAt];
    if (kind === BOTH_ELSEWHERE || kind === TEXT_ELSEWHERE) return 'redirect loop: a country points at a place that points on';
    if (textAt > lastNul) return NO_TERMINATOR;
    at += 4;
  } else {
    if (at > lastNul) return NO_TERMINATOR;
    while (bytes[at] !== 0) at++;
    at++;
  }
  if (at >= bytes.length) return 'truncated: a record has no area';
  const kind = bytes[at];
  if (kind !== BOTH_ELSEWHERE && kind !== TEXT_ELSEWHERE) return at > lastNul ? NO_TERMINATOR : undefined;
  if (at + 4 > bytes.length) return 'truncated: an area has no offset';
  const textAt = u24(bytes, at + 1);
  if (textAt === 0) return undefined;
  if (textAt < HEADER_BYTES || textAt >= bytes.length) return 'bad offset: an area points outside of the file';
  return textAt > lastNul ? NO_TERMINATOR : undefined;
}
const NO_TERMINATOR = 'no terminator: a text has no end';

const damaged = (path: string, what: string): MillraceError =>
  new MillraceError('MR_GEO_DATABASE', `${path} is no usable qqwry.dat: ${what}`);

const u24 = (b: Buffer, at: number): number => b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16);
const u32 = (b: Buffer, at: number): number => (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
