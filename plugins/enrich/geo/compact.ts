/**
 * The compacted form of the default data: what `default-data.ts` joins out of two packages, in one file that needs no parsing.
 * Arrays lie in it as they are used, so opening it is reading it.
 *
 *     0    `MILLGEO1`   u32 length of the header   u32 CRC-32 of everything behind byte 16
 *     16   header: JSON, the names, offsets and lengths of the sections, padded with blanks to a multiple of 8
 *     ...  prefixes, lows, values      IPv4, see range-index.ts; a value is the number of a place
 *          highs6, lows6, values6      IPv6, upper halves: two u32 each, ascending
 *          places                      PLACE_WORDS u32 each: country-region, city, time zone, organization (numbers of texts),
 *                                      latitude, longitude (i32, 1/10,000 degree; NO_ENTRY both: none), origin
 *          ends, texts                 where each text ends in `texts` (UTF-8)
 *
 * Written and read on the same machine in its own byte order (little-endian wherever Node runs).
 */
import { crc32 } from 'node:zlib';
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';
import { china } from './china.ts';
import type { GeoDatabase } from './database.ts';
import { makePlace, placeInChina } from './place.ts';
import type { Names, Place } from './place.ts';
import { NO_ENTRY, valueAt } from './range-index.ts';
import type { RangeIndex } from './range-index.ts';

const MAGIC = 'MILLGEO1';
const HEAD_BYTES = 16;
const PLACE_WORDS = 7;
const SECTIONS = ['prefixes', 'lows', 'values', 'highs6', 'lows6', 'values6', 'places', 'ends', 'texts'] as const;
type SectionName = (typeof SECTIONS)[number];
/** Places made at a time; the packaged data have about 120,000. When full, all are forgotten. */
const CACHE_MAX = 50_000;

export interface CompactHeader {
  /** Says which data it was made from; another text means: make it anew. */
  readonly fingerprint: string;
  readonly version: string;
  readonly credits: readonly string[];
  readonly origins: readonly string[];
  readonly sections: Readonly<Record<SectionName, readonly [offset: number, bytes: number]>>;
}

export interface CompactPlace {
  /** ISO 3166-1 code, or '' with `city` as an organization only. */
  readonly country: string;
  /** Without the country in front. */
  readonly region: string;
  readonly city: string;
  readonly timezone: string;
  readonly organization: string;
  /** Index into `origins`. */
  readonly origin: number;
  /** 1/10,000 degree. */
  location: readonly [lat: number, lon: number] | undefined;
}

export interface CompactContent extends Pick<CompactHeader, 'fingerprint' | 'version' | 'credits' | 'origins'> {
  readonly v4: RangeIndex;
  readonly v6: { readonly highs: Uint32Array; readonly lows: Uint32Array; readonly values: Uint32Array };
  readonly places: readonly CompactPlace[];
}

export function encodeCompact(content: CompactContent): Buffer {
  const { places, ends, texts } = encodePlaces(content.places);
  const { v4, v6 } = content;
  const parts: Record<SectionName, ArrayBufferView> = {
    prefixes: v4.prefixes,
    lows: v4.lows,
    values: v4.values,
    highs6: v6.highs,
    lows6: v6.lows,
    values6: v6.values,
    places,
    ends,
    texts,
  };
  const sections = {} as Record<SectionName, readonly [number, number]>;
  let bytes = 0;
  for (const name of SECTIONS) {
    sections[name] = [bytes, parts[name].byteLength];
    bytes += Math.ceil(parts[name].byteLength / 8) * 8;
  }
  const { fingerprint, version, credits, origins } = content;
  const json = JSON.stringify({ fingerprint, version, credits, origins, sections } satisfies CompactHeader);
  const jsonBytes = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  const whole = Buffer.alloc(HEAD_BYTES + jsonBytes + bytes);
  whole.write(MAGIC, 'latin1');
  whole.writeUInt32LE(jsonBytes, 8);
  whole.fill(' ', HEAD_BYTES, HEAD_BYTES + jsonBytes);
  whole.write(json, HEAD_BYTES, 'utf8');
  for (const name of SECTIONS) {
    const part = parts[name];
    whole.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), HEAD_BYTES + jsonBytes + sections[name][0]);
  }
  whole.writeUInt32LE(crc32(whole.subarray(HEAD_BYTES)), 12);
  return whole;
}

export function looksLikeCompact(bytes: Buffer): boolean {
  return bytes.length > HEAD_BYTES && bytes.toString('latin1', 0, MAGIC.length) === MAGIC;
}

export class CompactDatabase implements GeoDatabase {
  readonly format = 'default';
  readonly path: string;
  readonly version: string;
  readonly records: number;
  readonly hasIpv6 = true;
  readonly credits: readonly string[];
  readonly fingerprint: string;
  readonly keys: number;
  readonly #origins: readonly string[];
  readonly #v4: RangeIndex;
  readonly #highs6: Uint32Array;
  readonly #lows6: Uint32Array;
  readonly #values6: Uint32Array;
  readonly #rows: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #texts: Buffer;
  readonly #places = new Map<number, Place | null>();

  /**
   * @param bytes  the whole file; kept
   * @throws MillraceError MR_GEO_DATABASE when it is damaged
   */
  constructor(bytes: Buffer, path: string) {
    const { header, section } = openSections(bytes, path);
    this.path = path;
    this.fingerprint = header.fingerprint;
    this.version = header.version;
    this.credits = header.credits;
    this.#origins = header.origins;
    this.#v4 = { prefixes: words(section('prefixes')), lows: halfWords(section('lows')), values: words(section('values')) };
    this.#highs6 = words(section('highs6'));
    this.#lows6 = words(section('lows6'));
    this.#values6 = words(section('values6'));
    this.#rows = words(section('places'));
    this.keys = this.#rows.length / PLACE_WORDS;
    this.#ends = words(section('ends'));
    this.#texts = section('texts');
    this.records = this.#v4.values.length + this.#values6.length;
    if (this.#v4.prefixes.length !== 65_537) throw damaged(path, 'a section is missing');
  }

  lookup(address: Address): Place | undefined {
    const id = this.#idOf(address);
    if (id === NO_ENTRY) return undefined;
    let place = this.#places.get(id);
    if (place === undefined) {
      place = this.#make(id) ?? null;
      if (this.#places.size >= CACHE_MAX) this.#places.clear();
      this.#places.set(id, place);
    }
    return place ?? undefined;
  }

  keyOf(address: Address): number {
    const id = this.#idOf(address);
    return id < this.keys ? id : -1;
  }

  origin(address: Address): string | undefined {
    const id = this.#idOf(address);
    return id === NO_ENTRY ? undefined : this.#origins[this.#rows[id * PLACE_WORDS + 6] ?? 0];
  }

  #idOf(address: Address): number {
    if (address.family === 4) return valueAt(this.#v4, address.v4);
    if (address.family !== 6) return NO_ENTRY;
    const { groups } = address;
    const high = groups[0]! * 65_536 + groups[1]!;
    const low = groups[2]! * 65_536 + groups[3]!;
    let from = 0;
    let to = this.#highs6.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const difference = this.#highs6[middle]! - high || this.#lows6[middle]! - low;
      if (difference <= 0) from = middle + 1;
      else to = middle;
    }
    return from === 0 ? NO_ENTRY : this.#values6[from - 1]!;
  }

  #make(id: number): Place | undefined {
    const row = id * PLACE_WORDS;
    const [country = '', region = ''] = this.#text(row).split('-');
    const city = this.#text(row + 1);
    const timezone = this.#text(row + 2) || undefined;
    const organization = this.#text(row + 3);
    const latitude = this.#rows[row + 4] ?? NO_ENTRY;
    const longitude = this.#rows[row + 5] ?? NO_ENTRY;
    const location =
      latitude === NO_ENTRY && longitude === NO_ENTRY
        ? undefined
        : Object.freeze({ lat: (latitude | 0) / 10_000, lon: (longitude | 0) / 10_000 });
    const rest = {
      ...(location && { location }),
      ...(organization && { organization: china.provider(organization) ?? named(organization) }),
    };
    if (country === 'CN') return placeInChina(region || undefined, city, rest);
    return makePlace({
      country: country || undefined,
      region: region === '' ? undefined : `${country}-${region}`,
      cityName: city === '' ? undefined : named(city),
      timezone,
      ...rest,
    });
  }

  #text(word: number): string {
    const number = this.#rows[word] ?? 0;
    return number === 0 ? '' : this.#texts.toString('utf8', this.#ends[number - 1], this.#ends[number]);
  }
}

function openSections(
  bytes: Buffer,
  path: string,
): { readonly header: CompactHeader; readonly section: (name: SectionName) => Buffer } {
  if (!looksLikeCompact(bytes)) throw damaged(path, 'bad header');
  if (crc32(bytes.subarray(HEAD_BYTES)) !== bytes.readUInt32LE(12)) throw damaged(path, 'the checksum does not fit');
  const dataAt = HEAD_BYTES + bytes.readUInt32LE(8);
  // The checksum has told that these are the bytes that were written, so the header can be trusted to have its form.
  const header = JSON.parse(bytes.toString('utf8', HEAD_BYTES, dataAt)) as CompactHeader;
  const section = (name: SectionName): Buffer => {
    const [offset, length] = header.sections[name];
    return bytes.subarray(dataAt + offset, dataAt + offset + length);
  };
  return { header, section };
}

function encodePlaces(places: readonly CompactPlace[]) {
  const numbers = new Map<string, number>([['', 0]]);
  const numberOf = (text: string): number => {
    const known = numbers.get(text);
    if (known !== undefined) return known;
    numbers.set(text, numbers.size);
    return numbers.size - 1;
  };
  const rows = new Uint32Array(places.length * PLACE_WORDS);
  for (const [id, place] of places.entries()) {
    const row = id * PLACE_WORDS;
    rows[row] = numberOf(place.region === '' ? place.country : `${place.country}-${place.region}`);
    rows[row + 1] = numberOf(place.city);
    rows[row + 2] = numberOf(place.timezone);
    rows[row + 3] = numberOf(place.organization);
    // -1, -1 is in the Gulf of Guinea, a tenth of a second of arc from where nobody is.
    rows[row + 4] = place.location ? place.location[0] : NO_ENTRY;
    rows[row + 5] = place.location ? place.location[1] : NO_ENTRY;
    rows[row + 6] = place.origin;
  }
  const texts = [...numbers.keys()];
  const ends = new Uint32Array(texts.length);
  let end = 0;
  for (const [index, text] of texts.entries()) {
    end += Buffer.byteLength(text);
    ends[index] = end;
  }
  return { places: rows, ends, texts: Buffer.from(texts.join('')) };
}

function named(text: string): Names {
  return Object.freeze(/^[\p{ASCII}]*$/u.test(text) ? { en: text } : { zh: text });
}

// A view needs an aligned start; a file read whole has one, a part of a larger buffer may not.
const aligned = (bytes: Buffer): Buffer => (bytes.byteOffset % 8 === 0 ? bytes : Buffer.from(Uint8Array.from(bytes).buffer));
function words(section: Buffer): Uint32Array {
  const bytes = aligned(section);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
}
function halfWords(section: Buffer): Uint16Array {
  const bytes = aligned(section);
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
}

const damaged = (path: string, what: string): MillraceError =>
  new MillraceError('MR_GEO_DATABASE', `${path} is damaged: ${what}`);
