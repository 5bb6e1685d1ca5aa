/**
 * Reads MaxMind databases (.mmdb): the search tree by ourselves, from an address that is numbers already; records by mmdb-lib,
 * once per data pointer. What mmdb-lib would trust is checked before (`mmdb-check.ts`).
 *
 *     tree: node_count nodes of two records of 24, 28 or 32 bits      16 zero bytes      data      marker, metadata
 */
import { Reader } from 'mmdb-lib';
import { MillraceError } from '../../../engine/errors.ts';
import { formatIpv4, type Address } from './address.ts';
import { placeInChina, makePlace } from './place.ts';
import type { Names, Place } from './place.ts';
import type { GeoDatabase } from './database.ts';
import { china } from './china.ts';
import { wrongWithValue } from './mmdb-check.ts';

const MARKER = Buffer.from('abcdef4d61784d696e642e636f6d', 'hex');
/** The format promises the marker within the last 128 KiB. */
const METADATA_BYTES_MAX = 128 * 1024;
const SEPARATOR_BYTES = 16;
/** Places held at a time; a city database has about 100,000 distinct records. When full, all are forgotten. */
const CACHE_MAX = 50_000;
const NOTHING = 0;

type Raw = Readonly<Record<string, unknown>>;

export class MmdbDatabase implements GeoDatabase {
  readonly format = 'mmdb';
  readonly path: string;
  readonly version: string;
  /** Nodes of the tree; the number of networks is not told. */
  readonly records: number;
  readonly hasIpv6: boolean;
  readonly databaseType: string;
  readonly credits: readonly string[];
  readonly #bytes: Buffer;
  readonly #reader: Reader<never>;
  readonly #nodeBytes: number;
  readonly #v4Root: number;
  readonly #places = new Map<number, Place | null>();
  /** Records that turned out to be damaged; look-ups of them find nothing. */
  damaged = 0;

  /**
   * @param bytes  the whole file; kept
   * @throws MillraceError MR_GEO_DATABASE
   */
  constructor(bytes: Buffer, path: string) {
    this.path = path;
    this.#bytes = bytes;
    this.#reader = openReader(bytes, path);
    const { nodeCount, nodeByteSize, ipVersion, databaseType, buildEpoch } = this.#reader.metadata;
    this.records = nodeCount;
    this.#nodeBytes = nodeByteSize;
    this.hasIpv6 = ipVersion === 6;
    this.databaseType = databaseType;
    const builtMs = buildEpoch.getTime();
    this.version = `${this.databaseType} ${Number.isNaN(builtMs) ? '' : buildEpoch.toISOString().slice(0, 10)}`.trim();
    this.credits = creditsOf(this.databaseType);
    this.#v4Root = this.hasIpv6 ? this.#walkZeros(96) : 0;
  }

  lookup(address: Address): Place | undefined {
    const pointer = this.#pointerOf(address);
    if (pointer === NOTHING) return undefined;
    let place = this.#places.get(pointer);
    if (place === undefined) {
      const raw = this.#decode(address, pointer);
      place = (raw && placeFromMmdb(raw)) ?? null;
      if (this.#places.size >= CACHE_MAX) this.#places.clear();
      this.#places.set(pointer, place);
    }
    return place ?? undefined;
  }

  /** The record as it stands in the file, for `millrace geo lookup --json` and tests. */
  raw(address: Address): unknown {
    const pointer = this.#pointerOf(address);
    return pointer === NOTHING ? undefined : this.#decode(address, pointer);
  }

  /** @returns offset of the record in the file, `NOTHING` (where the tree is) when there is none */
  #pointerOf(address: Address): number {
    const count = this.records;
    let node = address.family === 4 ? this.#v4Root : 0;
    if (address.family === 4) {
      const { v4 } = address;
      for (let bit = 31; bit >= 0 && node < count; bit--) node = this.#child(node, (v4 >>> bit) & 1);
    } else if (address.family === 6 && this.hasIpv6) {
      const { groups } = address;
      for (let bit = 0; bit < 128 && node < count; bit++) node = this.#child(node, (groups[bit >> 4]! >>> (15 - (bit & 15))) & 1);
    }
    if (node <= count) return NOTHING;
    const at = node - count + count * this.#nodeBytes;
    return at < this.#bytes.length ? at : NOTHING;
  }

  #walkZeros(bits: number): number {
    let node = 0;
    for (let i = 0; i < bits && node < this.records; i++) node = this.#child(node, 0);
    return node;
  }

  #child(node: number, right: number): number {
    const b = this.#bytes;
    const at = node * this.#nodeBytes;
    if (this.#nodeBytes === 6) {
      const from = at + right * 3;
      return (b[from]! << 16) | (b[from + 1]! << 8) | b[from + 2]!;
    }
    if (this.#nodeBytes === 8) {
      const from = at + right * 4;
      return ((b[from]! << 24) | (b[from + 1]! << 16) | (b[from + 2]! << 8) | b[from + 3]!) >>> 0;
    }
    // 28 bits: the middle byte holds the upper four of both records.
    const from = at + right * 4;
    const upper = right === 1 ? b[at + 3]! & 15 : b[at + 3]! >>> 4;
    return (upper << 24) | (b[from]! << 16) | (b[from + 1]! << 8) | b[from + 2]!;
  }

  #decode(address: Address, pointer: number): Raw | undefined {
    const base = this.records * this.#nodeBytes + SEPARATOR_BYTES;
    if (pointer < base || wrongWithValue(this.#bytes, pointer, base) !== undefined) {
      this.damaged++;
      return undefined;
    }
    try {
      const raw: unknown = this.#reader.get(address.family === 4 ? formatIpv4(address.v4) : address.toString());
      return typeof raw === 'object' && raw !== null ? (raw as Raw) : undefined;
    } catch {
      // The check before should leave nothing to throw; if it did, one record is lost, not the pipeline.
      this.damaged++;
      return undefined;
    }
  }
}

export function looksLikeMmdb(bytes: Buffer): boolean {
  return bytes.subarray(-METADATA_BYTES_MAX).lastIndexOf(MARKER) >= 0;
}

function openReader(bytes: Buffer, path: string): Reader<never> {
  const fail = (what: string, cause?: unknown): MillraceError =>
    new MillraceError('MR_GEO_DATABASE', `${path} is no usable mmdb: ${what}`, { cause });
  const tail = Math.max(0, bytes.length - METADATA_BYTES_MAX);
  const markerAt = bytes.subarray(tail).lastIndexOf(MARKER);
  if (markerAt < 0) throw fail('the MaxMind.com marker is missing (truncated?)');
  const metadataAt = tail + markerAt + MARKER.length;
  const wrong = wrongWithValue(bytes, metadataAt, metadataAt);
  if (wrong !== undefined) throw fail(`bad metadata: ${wrong}`);
  // 7 << 5 is a map: mmdb-lib reads any other value's properties as undefined.
  if (bytes[metadataAt]! >> 5 !== 7) throw fail('bad metadata: not a map');
  let reader: Reader<never>;
  try {
    reader = new Reader<never>(bytes);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error), error);
  }
  const { nodeCount, recordSize, ipVersion } = reader.metadata;
  if (!Number.isSafeInteger(nodeCount) || nodeCount < 1) throw fail(`bad metadata: ${String(nodeCount)} nodes`);
  if (ipVersion !== 4 && ipVersion !== 6) throw fail(`bad metadata: IP version ${String(ipVersion)}`);
  if ((nodeCount * recordSize) / 4 + SEPARATOR_BYTES > metadataAt) {
    throw fail(`truncated: a tree of ${nodeCount} nodes does not fit into ${bytes.length} bytes`);
  }
  return reader;
}

function creditsOf(type: string): readonly string[] {
  if (/^(?:GeoLite2|GeoIP2)/.test(type))
    return ['This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com'];
  return /dbip/i.test(type) ? ['IP Geolocation by DB-IP, https://db-ip.com'] : [];
}

/** Knows the nested records of MaxMind (City, Country, ASN, ISP, Enterprise) and the flat ones of DB-IP, IPinfo and others. */
export function placeFromMmdb(raw: Raw): Place | undefined {
  const country = at(raw, 'country') ?? at(raw, 'registered_country');
  const code = text(country, 'iso_code') ?? text(raw, 'country_code') ?? text(raw, 'country');
  const subdivisions = Array.isArray(raw['subdivisions']) ? (raw['subdivisions'] as unknown[]) : [];
  // The first one is the largest: ISO 3166-2 knows states and provinces, not the counties below.
  const region = isRaw(subdivisions[0]) ? subdivisions[0] : undefined;
  const place = at(raw, 'location');
  const lat = number(place, 'latitude') ?? number(raw, 'latitude') ?? number(raw, 'lat');
  const lon = number(place, 'longitude') ?? number(raw, 'longitude') ?? number(raw, 'lng');
  const regionCode = text(region, 'iso_code') ?? text(raw, 'region_code');
  const parts = {
    location: lat === undefined || lon === undefined ? undefined : Object.freeze({ lat, lon }),
    timezone: text(place, 'time_zone') ?? text(raw, 'timezone'),
    postalCode: text(at(raw, 'postal'), 'code') ?? text(raw, 'postal_code') ?? text(raw, 'postcode'),
    organization: organizationOf(raw),
    asNumber:
      number(raw, 'autonomous_system_number') ??
      number(at(raw, 'traits'), 'autonomous_system_number') ??
      asNumberOf(text(raw, 'asn')),
  };
  const cityName = names(at(raw, 'city')) ?? plain(text(raw, 'city'));
  const regionName = names(region) ?? plain(text(raw, 'state1') ?? text(raw, 'region_name') ?? text(raw, 'region'));
  const province = provinceOf(code, regionCode, regionName?.en);
  if (province) return placeInChina(province.code, cityName?.zh ?? cityName?.en ?? '', defined(parts));
  return makePlace({
    country: code && /^[A-Z]{2}$/.test(code) ? code : undefined,
    continent: text(at(raw, 'continent'), 'code') ?? (text(raw, 'continent_code') || undefined),
    region: code && regionCode ? `${code}-${regionCode}` : undefined,
    regionName,
    cityName,
    ...parts,
  });
}

function provinceOf(country: string | undefined, regionCode: string | undefined, english: string | undefined) {
  if (country === 'HK' || country === 'MO' || country === 'TW') return china.province(country);
  if (country !== 'CN') return undefined;
  return china.province(regionCode ?? '') ?? china.provinceInEnglish(english ?? '');
}

function organizationOf(raw: Raw): Names | undefined {
  const traits = at(raw, 'traits');
  const found =
    text(raw, 'isp') ??
    text(traits, 'isp') ??
    text(raw, 'autonomous_system_organization') ??
    text(traits, 'autonomous_system_organization') ??
    text(raw, 'organization') ??
    text(raw, 'as_name') ??
    text(raw, 'as_organization');
  return plain(found);
}

function asNumberOf(asn: string | undefined): number | undefined {
  const digits = asn === undefined ? undefined : /^(?:AS)?(\d{1,10})$/.exec(asn)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function names(raw: Raw | undefined): Names | undefined {
  const all = at(raw, 'names');
  const zh = text(all, 'zh-CN') ?? text(all, 'zh');
  const en = text(all, 'en');
  return zh === undefined && en === undefined
    ? undefined
    : Object.freeze({ ...(zh !== undefined && { zh }), ...(en !== undefined && { en }) });
}

const plain = (value: string | undefined): Names | undefined => (value === undefined ? undefined : Object.freeze({ en: value }));
const isRaw = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);
function at(raw: Raw | undefined, key: string): Raw | undefined {
  const value = raw?.[key];
  return isRaw(value) ? value : undefined;
}
function text(raw: Raw | undefined, key: string): string | undefined {
  const value = raw?.[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
function number(raw: Raw | undefined, key: string): number | undefined {
  const value = raw?.[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
function defined<T extends object>(parts: T): T {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as T;
}
