/**
 * Reads the data files of the npm package geoip-lite (GeoLite2 of about 2019), without loading the package, which would take
 * 115 MB of memory in every process. All integers are big-endian:
 *
 *     geoip-city.dat        24 bytes: u32 start  u32 end  u32 place  i32 latitude  i32 longitude (1/10,000 degree)  u32 radius
 *     geoip-city6.dat       48 bytes: 16 start  16 end  u32 place  i32 latitude  i32 longitude  u32 radius
 *     geoip-city-names.dat  88 bytes: 2 country  3 region  i32 metro  1 "in the EU"  32 time zone  46 city, NUL-padded
 *
 * Place 0xffffffff is none. Of an IPv6 address only the upper 64 bits count.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';

export const V4_ROW_BYTES = 24;
export const V6_ROW_BYTES = 48;
const NAME_BYTES = 88;
/** Rows read at a time when a file is walked: 3 MiB, so that walking 79 MB takes no more memory than that. */
const ROWS_PER_BLOCK = 65_536;

export interface GeoipLitePlace {
  readonly country: string;
  readonly region: string;
  readonly metro: number;
  readonly eu: string;
  readonly timezone: string;
  readonly city: string;
}

/** The shape of geoip-lite's own answers. */
export interface GeoipLiteResult extends Partial<GeoipLitePlace> {
  readonly range: readonly [start: number, end: number] | '';
  readonly ll: readonly [lat: number | null, lon: number | null];
  readonly area?: number;
}

export class GeoipLitePlaces {
  readonly #bytes: Buffer;
  readonly count: number;

  /** @throws MillraceError MR_GEO_DATABASE */
  constructor(bytes: Buffer, path: string) {
    if (bytes.length === 0 || bytes.length % NAME_BYTES !== 0) {
      throw new MillraceError(
        'MR_GEO_DATABASE',
        `${path} is damaged: its ${bytes.length} bytes are no multiple of ${NAME_BYTES}`,
      );
    }
    this.#bytes = bytes;
    this.count = bytes.length / NAME_BYTES;
  }

  /** @returns undefined for a number that is no place */
  place(id: number): GeoipLitePlace | undefined {
    if (id >= this.count) return undefined;
    const at = id * NAME_BYTES;
    return {
      country: this.#text(at, 2),
      region: this.#text(at + 2, 3),
      metro: this.#bytes.readInt32BE(at + 5),
      eu: this.#text(at + 9, 1),
      timezone: this.#text(at + 10, 32),
      city: this.#text(at + 42, 46),
    };
  }

  #text(at: number, length: number): string {
    const nul = this.#bytes.indexOf(0, at);
    return this.#bytes.toString('utf8', at, nul >= 0 && nul < at + length ? nul : at + length);
  }
}

/** All three files in memory: as slow and as large as they are. For comparisons and tests; the pipeline uses the compacted form. */
export class GeoipLiteReader {
  readonly #v4: Buffer;
  readonly #v6: Buffer;
  readonly #places: GeoipLitePlaces;

  /** @param directory  `data/` of the package */
  constructor(directory: string) {
    const path = (name: string): string => join(directory, name);
    this.#places = new GeoipLitePlaces(readWhole(path('geoip-city-names.dat')), path('geoip-city-names.dat'));
    this.#v4 = wholeRows(readWhole(path('geoip-city.dat')), V4_ROW_BYTES, path('geoip-city.dat'));
    this.#v6 = wholeRows(readWhole(path('geoip-city6.dat')), V6_ROW_BYTES, path('geoip-city6.dat'));
  }

  /** @returns what geoip-lite answers, null where nothing is known (special ranges are the caller's) */
  lookup(address: Address): GeoipLiteResult | null {
    if (address.family === 4) return this.#lookupV4(address.v4);
    return address.family === 6 ? this.#lookupV6(address.groups) : null;
  }

  #lookupV4(v4: number): GeoipLiteResult | null {
    const rows = this.#v4.length / V4_ROW_BYTES;
    const row = lastRow(rows, (at) => this.#v4.readUInt32BE(at * V4_ROW_BYTES) <= v4);
    if (row < 0) return null;
    const at = row * V4_ROW_BYTES;
    const start = this.#v4.readUInt32BE(at);
    const end = this.#v4.readUInt32BE(at + 4);
    return end < v4 ? null : this.#result(this.#v4, at + 8, [start, end]);
  }

  #lookupV6(groups: Uint16Array): GeoipLiteResult | null {
    const high = groups[0]! * 65_536 + groups[1]!;
    const low = groups[2]! * 65_536 + groups[3]!;
    const compare = (at: number): number => this.#v6.readUInt32BE(at) - high || this.#v6.readUInt32BE(at + 4) - low;
    const row = lastRow(this.#v6.length / V6_ROW_BYTES, (at) => compare(at * V6_ROW_BYTES) <= 0);
    if (row < 0 || compare(row * V6_ROW_BYTES + 16) < 0) return null;
    return this.#result(this.#v6, row * V6_ROW_BYTES + 32, '');
  }

  #result(bytes: Buffer, at: number, range: GeoipLiteResult['range']): GeoipLiteResult {
    const place = this.#places.place(bytes.readUInt32BE(at));
    if (!place)
      return { range, country: '', region: '', eu: '', timezone: '', city: '', ll: range === '' ? [0, 0] : [null, null] };
    return {
      range,
      ...place,
      ll: [bytes.readInt32BE(at + 4) / 10_000, bytes.readInt32BE(at + 8) / 10_000],
      area: bytes.readUInt32BE(at + 12),
    };
  }
}

/**
 * Hands the rows of a file to `each`, in order, in blocks.
 *
 * @param each  gets a buffer that is used again, and the number of whole rows in it
 * @throws MillraceError MR_GEO_DATABASE when the file cannot be read or ends within a row
 */
export function walkRows(path: string, rowBytes: number, each: (bytes: Buffer, rows: number) => void): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new MillraceError('MR_GEO_DATABASE', `cannot read ${path}`, { cause: error });
  }
  try {
    const block = Buffer.allocUnsafe(ROWS_PER_BLOCK * rowBytes);
    let filled = 0;
    for (;;) {
      const read = readSync(file, block, filled, block.length - filled, null);
      filled += read;
      if (read === 0 && filled % rowBytes !== 0)
        throw new MillraceError('MR_GEO_DATABASE', `${path} is damaged: it ends within a row`);
      if (filled === block.length || read === 0) {
        each(block, filled / rowBytes);
        filled = 0;
      }
      if (read === 0) return;
    }
  } finally {
    closeSync(file);
  }
}

function lastRow(rows: number, isBelow: (row: number) => boolean): number {
  let from = 0;
  let to = rows;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (isBelow(middle)) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}

function readWhole(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new MillraceError('MR_GEO_DATABASE', `cannot read ${path}`, { cause: error });
  }
}

function wholeRows(bytes: Buffer, rowBytes: number, path: string): Buffer {
  if (bytes.length % rowBytes === 0) return bytes;
  throw new MillraceError('MR_GEO_DATABASE', `${path} is damaged: it ends within a row`);
}
