/**
 * Reads ip2region's .xdb (versions 2 and 3, IPv4 and IPv6):
 *
 *     0     u16 version  u16 policy  u32 created  u32 first entry  u32 last entry  (v3: u16 IP version  u16 pointer bytes)
 *     256   524,288 bytes of a table over the first two address bytes, which a sorted index makes needless
 *     IPv4 entry   u32 start  u32 end  u16 length  u32 offset          all little-endian
 *     IPv6 entry   16 bytes start  16 bytes end  u16 length  u32 offset     addresses big-endian
 *     data         `国家|区域|省份|城市|运营商` (newer files: `国家|省份|城市|运营商|CN`), UTF-8
 */
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';
import type { GeoDatabase } from './database.ts';
import type { Place } from './place.ts';
import { NO_ENTRY, RangeIndexBuilder, valueAt } from './range-index.ts';
import type { RangeIndex } from './range-index.ts';
import { placeFromIp2region } from './texts.ts';

const TABLE_END = 256 + 256 * 256 * 8;
const V4_ENTRY = 14;
const V6_ENTRY = 38;

interface Head {
  readonly first: number;
  readonly entryBytes: number;
  readonly count: number;
  readonly created: number;
}

export class Ip2regionXdb implements GeoDatabase {
  readonly format = 'ip2region-xdb';
  readonly path: string;
  readonly version: string;
  readonly records: number;
  readonly hasIpv6: boolean;
  readonly credits = ['IP data by ip2region, https://github.com/lionsoul2014/ip2region (Apache-2.0)'];
  readonly #bytes: Buffer;
  readonly #head: Head;
  /** Values are entry numbers; undefined in an IPv6 file. */
  readonly #index: RangeIndex | undefined;
  readonly #regions = new Map<number, string>();
  readonly #places = new Map<string, Place | null>();

  /** @throws MillraceError MR_GEO_DATABASE */
  constructor(bytes: Buffer, path: string) {
    this.#bytes = bytes;
    this.path = path;
    const head = readHead(bytes, path);
    this.#head = head;
    this.records = head.count;
    this.hasIpv6 = head.entryBytes === V6_ENTRY;
    this.version = new Date(head.created * 1000).toISOString().slice(0, 10);
    if (this.hasIpv6) checkV6(bytes, path, head);
    this.#index = this.hasIpv6 ? undefined : indexV4(bytes, path, head);
  }

  /** @returns the text, or undefined when no range holds the address or the file is of the other family */
  region(address: Address): string | undefined {
    const at = this.#entryAt(address);
    if (at < 0) return undefined;
    const { entryBytes } = this.#head;
    const offset = this.#bytes.readUInt32LE(at + entryBytes - 4);
    let region = this.#regions.get(offset);
    if (region === undefined) {
      region = this.#bytes.toString('utf8', offset, offset + this.#bytes.readUInt16LE(at + entryBytes - 6));
      this.#regions.set(offset, region);
    }
    return region;
  }

  lookup(address: Address): Place | undefined {
    const region = this.region(address);
    if (region === undefined) return undefined;
    let place = this.#places.get(region);
    if (place === undefined) {
      place = placeFromIp2region(region) ?? null;
      this.#places.set(region, place);
    }
    return place ?? undefined;
  }

  #entryAt(address: Address): number {
    const { first, entryBytes, count } = this.#head;
    if (this.#index) {
      const entry = address.family === 4 ? valueAt(this.#index, address.v4) : NO_ENTRY;
      return entry === NO_ENTRY ? -1 : first + entry * entryBytes;
    }
    if (address.family !== 6) return -1;
    let from = 0;
    let to = count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (compareV6(this.#bytes, first + middle * entryBytes, address.groups) <= 0) from = middle + 1;
      else to = middle;
    }
    const at = first + (from - 1) * entryBytes;
    return from > 0 && compareV6(this.#bytes, at + 16, address.groups) >= 0 ? at : -1;
  }
}

export function looksLikeIp2regionXdb(bytes: Buffer): boolean {
  if (bytes.length <= TABLE_END) return false;
  const version = bytes.readUInt16LE(0);
  return (version === 2 || version === 3) && bytes.readUInt16LE(2) <= 2 && bytes.readUInt32LE(8) >= TABLE_END;
}

function readHead(bytes: Buffer, path: string): Head {
  if (bytes.length < TABLE_END + V4_ENTRY) throw damaged(path, `too short: ${bytes.length} bytes`);
  const version = bytes.readUInt16LE(0);
  if (version !== 2 && version !== 3) throw damaged(path, `bad header: version ${version}, 2 and 3 are known`);
  const isV6 = version === 3 && bytes.readUInt16LE(16) === 6;
  if (version === 3 && ((!isV6 && bytes.readUInt16LE(16) !== 4) || bytes.readUInt16LE(18) !== 4)) {
    throw damaged(path, 'bad header: unknown IP version or size of pointers');
  }
  const entryBytes = isV6 ? V6_ENTRY : V4_ENTRY;
  const first = bytes.readUInt32LE(8);
  const last = bytes.readUInt32LE(12);
  if (first < TABLE_END || last < first || (last - first) % entryBytes !== 0) {
    throw damaged(path, `bad header: the index is said to reach from ${first} to ${last}`);
  }
  if (last + entryBytes > bytes.length) {
    throw damaged(path, `truncated: the index ends at ${last + entryBytes}, the file has ${bytes.length} bytes`);
  }
  return { first, entryBytes, count: (last - first) / entryBytes + 1, created: bytes.readUInt32LE(4) };
}

function indexV4(bytes: Buffer, path: string, head: Head): RangeIndex {
  const builder = new RangeIndexBuilder(head.count);
  let previousEnd = -1;
  for (let entry = 0; entry < head.count; entry++) {
    const at = head.first + entry * head.entryBytes;
    const start = bytes.readUInt32LE(at);
    const end = bytes.readUInt32LE(at + 4);
    if (start <= previousEnd) throw damaged(path, `unsorted: index entry ${entry} does not start above the one before`);
    if (end < start) throw damaged(path, `bad range: index entry ${entry} ends before it starts`);
    checkData(bytes, path, entry, at + 8);
    previousEnd = end;
    builder.add(start, end, entry);
  }
  return builder.build();
}

function checkV6(bytes: Buffer, path: string, head: Head): void {
  for (let entry = 0; entry < head.count; entry++) {
    const at = head.first + entry * head.entryBytes;
    // `compare` puts its own bytes (the last two numbers) against the target's (the first two).
    if (bytes.compare(bytes, at + 16, at + 32, at, at + 16) > 0)
      throw damaged(path, `bad range: index entry ${entry} ends before it starts`);
    if (entry > 0 && bytes.compare(bytes, at - head.entryBytes + 16, at - head.entryBytes + 32, at, at + 16) <= 0) {
      throw damaged(path, `unsorted: index entry ${entry} does not start above the one before`);
    }
    checkData(bytes, path, entry, at + 32);
  }
}

function checkData(bytes: Buffer, path: string, entry: number, at: number): void {
  if (bytes.readUInt32LE(at + 2) + bytes.readUInt16LE(at) > bytes.length) {
    throw damaged(path, `bad offset: the data of index entry ${entry} are outside of the file`);
  }
}

function compareV6(bytes: Buffer, at: number, groups: Uint16Array): number {
  for (let i = 0; i < 8; i++) {
    const difference = bytes.readUInt16BE(at + i * 2) - groups[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

const damaged = (path: string, what: string): MillraceError =>
  new MillraceError('MR_GEO_DATABASE', `${path} is no usable ip2region.xdb: ${what}`);
