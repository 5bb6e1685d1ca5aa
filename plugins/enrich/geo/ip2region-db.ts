/**
 * Reads ip2region.db (version 1, IPv4; all integers little-endian), the form inside the npm package ip2region:
 *
 *     0   u32 offset of the first index entry    u32 offset of the last one
 *     index entry   u32 start   u32 end   u32 = length << 24 | offset
 *     data          u32 city id   `国家|区域|省份|城市|运营商` in UTF-8, "0" for unknown; length counts both
 *
 * Everything is checked when the file is opened; a text is decoded at its first hit.
 */
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';
import type { GeoDatabase } from './database.ts';
import type { Place } from './place.ts';
import { NO_ENTRY, RangeIndexBuilder, valueAt } from './range-index.ts';
import type { RangeIndex } from './range-index.ts';
import { placeFromIp2region } from './texts.ts';

const HEADER_BYTES = 8;
const ENTRY_BYTES = 12;
const ID_BYTES = 4;

export class Ip2regionDb implements GeoDatabase {
  readonly format = 'ip2region-db';
  readonly path: string;
  readonly version = '';
  readonly records: number;
  readonly hasIpv6 = false;
  readonly credits = ['IP data of China by ip2region, https://github.com/lionsoul2014/ip2region (Apache-2.0)'];
  readonly #bytes: Buffer;
  readonly #index: RangeIndex;
  // At most one entry per distinct text of the file (14,000 in the packaged one).
  readonly #regions = new Map<number, string>();
  readonly #places = new Map<number, Place | null>();

  /** @throws MillraceError MR_GEO_DATABASE */
  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.path = path;
    const { first, count } = checkHeader(bytes, path);
    this.records = count;
    this.#index = readIndex(bytes, path, first, count);
  }

  /** @returns `国家|区域|省份|城市|运营商`, or undefined when no range holds the address */
  region(v4: number): string | undefined {
    const pointer = valueAt(this.#index, v4);
    return pointer === NO_ENTRY ? undefined : this.#text(pointer);
  }

  lookup(address: Address): Place | undefined {
    if (address.family !== 4) return undefined;
    const pointer = valueAt(this.#index, address.v4);
    if (pointer === NO_ENTRY) return undefined;
    let place = this.#places.get(pointer);
    if (place === undefined) {
      place = placeFromIp2region(this.#text(pointer)) ?? null;
      this.#places.set(pointer, place);
    }
    return place ?? undefined;
  }

  /** All ranges in ascending order, for the compacted default data. */
  ranges(): { readonly index: RangeIndex; readonly text: (value: number) => string } {
    return { index: this.#index, text: (value) => this.#text(value) };
  }

  #text(pointer: number): string {
    let region = this.#regions.get(pointer);
    if (region === undefined) {
      const at = pointer & 0xffffff;
      region = this.#bytes.toString('utf8', at + ID_BYTES, at + (pointer >>> 24));
      this.#regions.set(pointer, region);
    }
    return region;
  }
}

export function looksLikeIp2regionDb(bytes: Buffer): boolean {
  if (bytes.length < HEADER_BYTES + ENTRY_BYTES) return false;
  const first = bytes.readUInt32LE(0);
  const last = bytes.readUInt32LE(4);
  if (first < HEADER_BYTES || last < first || (last - first) % ENTRY_BYTES !== 0 || last + ENTRY_BYTES > bytes.length)
    return false;
  // qqwry.dat may fit the same sums; its second word is no end address above the first.
  const pointer = bytes.readUInt32LE(first + 8);
  return bytes.readUInt32LE(first) <= bytes.readUInt32LE(first + 4) && isInside(pointer, bytes.length);
}

function checkHeader(bytes: Buffer, path: string): { readonly first: number; readonly count: number } {
  if (bytes.length < HEADER_BYTES + ENTRY_BYTES) throw damaged(path, `too short: ${bytes.length} bytes`);
  const first = bytes.readUInt32LE(0);
  const last = bytes.readUInt32LE(4);
  if (first < HEADER_BYTES || last < first)
    throw damaged(path, `bad header: the index is said to reach from ${first} to ${last}`);
  if ((last - first) % ENTRY_BYTES !== 0)
    throw damaged(path, `bad header: the index length ${last - first} is no multiple of 12`);
  if (last + ENTRY_BYTES > bytes.length) {
    throw damaged(path, `truncated: the index ends at ${last + ENTRY_BYTES}, the file has ${bytes.length} bytes`);
  }
  return { first, count: (last - first) / ENTRY_BYTES + 1 };
}

function readIndex(bytes: Buffer, path: string, first: number, count: number): RangeIndex {
  const builder = new RangeIndexBuilder(count);
  let previousEnd = -1;
  for (let entry = 0; entry < count; entry++) {
    const at = first + entry * ENTRY_BYTES;
    const start = bytes.readUInt32LE(at);
    const end = bytes.readUInt32LE(at + 4);
    const pointer = bytes.readUInt32LE(at + 8);
    if (start <= previousEnd) throw damaged(path, `unsorted: index entry ${entry} does not start above the one before`);
    if (end < start) throw damaged(path, `bad range: index entry ${entry} ends before it starts`);
    if (!isInside(pointer, bytes.length))
      throw damaged(path, `bad offset: the data of index entry ${entry} are outside of the file`);
    previousEnd = end;
    builder.add(start, end, pointer);
  }
  return builder.build();
}

function isInside(pointer: number, size: number): boolean {
  const at = pointer & 0xffffff;
  const length = pointer >>> 24;
  return at >= HEADER_BYTES && length >= ID_BYTES && at + length <= size;
}

const damaged = (path: string, what: string): MillraceError =>
  new MillraceError('MR_GEO_DATABASE', `${path} is no usable ip2region.db: ${what}`);
