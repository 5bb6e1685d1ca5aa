/**
 * Reads ipv6wry.db, the IPv6 database of ZX inside the npm package ip2region (all integers little-endian):
 *
 *     0   `IPDB`  u16 version  u8 bytes of an offset  u8 bytes of an address (8: the upper half)  i64 count  i64 start of the index
 *     index entry   u64 upper half of the first address, u24 offset of the record; a range ends where the next one starts
 *     record        as in qqwry.dat without an end address (01: elsewhere, 02: first text elsewhere), UTF-8
 *
 * It shares its magic word with the name of IPIP's format, which is another one.
 */
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';
import type { GeoDatabase } from './database.ts';
import type { Place } from './place.ts';
import { placeFromTexts } from './texts.ts';

const HEADER_BYTES = 24;
const OFFSET_BYTES = 3;
const ENTRY_BYTES = 8 + OFFSET_BYTES;
const REDIRECTS_MAX = 4;
/** Records made into places at a time; when full, all are forgotten. */
const CACHE_MAX = 50_000;

export interface ZxRecord {
  readonly country: string;
  readonly area: string;
}

export class ZxIpv6 implements GeoDatabase {
  readonly format = 'zx-ipv6';
  readonly path: string;
  readonly version: string;
  readonly records: number;
  readonly hasIpv6 = true;
  readonly credits = ['IPv6 data of China by ZX, https://ip.zxinc.org'];
  readonly #bytes: Buffer;
  readonly #index: number;
  readonly #places = new Map<number, Place | null>();

  /** @throws MillraceError MR_GEO_DATABASE */
  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.path = path;
    const fail = (what: string): MillraceError =>
      new MillraceError('MR_GEO_DATABASE', `${path} is no usable ipv6wry.db: ${what}`);
    if (!looksLikeZxIpv6(bytes)) throw fail('bad header');
    const count = Number(bytes.readBigInt64LE(8));
    const index = Number(bytes.readBigInt64LE(16));
    if (count < 1 || index < HEADER_BYTES || !(index + count * ENTRY_BYTES <= bytes.length)) {
      throw fail(`truncated: ${count} entries from ${index} on do not fit into ${bytes.length} bytes`);
    }
    this.records = count;
    this.#index = index;
    for (let entry = 0; entry < count; entry++) {
      const at = index + entry * ENTRY_BYTES;
      if (entry > 0 && compare(bytes, at - ENTRY_BYTES, bytes.readUInt32LE(at + 4), bytes.readUInt32LE(at)) >= 0) {
        throw fail(`unsorted: index entry ${entry} does not start above the one before`);
      }
      if (bytes.readUIntLE(at + 8, OFFSET_BYTES) >= bytes.length)
        throw fail(`bad offset: the record of index entry ${entry} is outside of the file`);
    }
    const version = bytes.length >= 48 ? bytes.toString('latin1', 40, 48) : '';
    this.version = /^\d{8}$/.test(version) ? version : '';
  }

  lookup(address: Address): Place | undefined {
    if (address.family !== 6) return undefined;
    const entry = this.#find(address.groups);
    if (entry < 0) return undefined;
    const offset = this.#offsetOf(entry);
    let place = this.#places.get(offset);
    if (place === undefined) {
      const record = this.#record(offset);
      place = (record && placeFromTexts(record.country, record.area)) ?? null;
      if (this.#places.size >= CACHE_MAX) this.#places.clear();
      this.#places.set(offset, place);
    }
    return place ?? undefined;
  }

  /** All ranges: the upper halves of their first addresses, and their texts. */
  *ranges(): Generator<{ readonly start: bigint; readonly offset: number }> {
    for (let entry = 0; entry < this.records; entry++) {
      yield { start: this.#bytes.readBigUInt64LE(this.#index + entry * ENTRY_BYTES), offset: this.#offsetOf(entry) };
    }
  }

  /** @returns undefined where the file is damaged */
  record(offset: number): ZxRecord | undefined {
    return this.#record(offset);
  }

  #find(groups: Uint16Array): number {
    const high = groups[0]! * 65_536 + groups[1]!;
    const low = groups[2]! * 65_536 + groups[3]!;
    let from = 0;
    let to = this.records;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (compare(this.#bytes, this.#index + middle * ENTRY_BYTES, high, low) <= 0) from = middle + 1;
      else to = middle;
    }
    return from - 1;
  }

  #offsetOf(entry: number): number {
    return this.#bytes.readUIntLE(this.#index + entry * ENTRY_BYTES + 8, OFFSET_BYTES);
  }

  #record(start: number): ZxRecord | undefined {
    let at = start;
    for (let i = 0; this.#bytes[at] === 1; i++) {
      if (i === REDIRECTS_MAX) return undefined;
      at = this.#pointer(at + 1);
    }
    const country = this.#text(at);
    const next = this.#bytes[at] === 2 ? at + 1 + OFFSET_BYTES : this.#bytes.indexOf(0, at) + 1;
    const area = this.#text(next);
    // Levels are parted by tabs: `中国\t浙江省\t杭州市`.
    return country === undefined || area === undefined ? undefined : { country: country.replace(/\s/g, ''), area: area.trim() };
  }

  #text(start: number): string | undefined {
    let at = start;
    for (let i = 0; this.#bytes[at] === 1 || this.#bytes[at] === 2; i++) {
      if (i === REDIRECTS_MAX) return undefined;
      at = this.#pointer(at + 1);
    }
    const end = at < this.#bytes.length ? this.#bytes.indexOf(0, at) : -1;
    return end < 0 ? undefined : this.#bytes.toString('utf8', at, end);
  }

  #pointer(at: number): number {
    return at + OFFSET_BYTES <= this.#bytes.length ? this.#bytes.readUIntLE(at, OFFSET_BYTES) : this.#bytes.length;
  }
}

export function looksLikeZxIpv6(bytes: Buffer): boolean {
  return bytes.length > HEADER_BYTES && bytes.toString('latin1', 0, 4) === 'IPDB' && bytes[6] === OFFSET_BYTES && bytes[7] === 8;
}

function compare(bytes: Buffer, at: number, high: number, low: number): number {
  return bytes.readUInt32LE(at + 4) - high || bytes.readUInt32LE(at) - low;
}
