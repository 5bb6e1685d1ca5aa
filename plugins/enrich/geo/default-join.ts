/**
 * Joins the two data sets that come with millrace into one: ip2region (and ZX for IPv6) where they know a place in China,
 * geoip-lite for the rest of the world, ip2region's country where geoip-lite knows nothing.
 *
 * Why: of the addresses that ip2region places in China it names the province for 95 %, geoip-lite for 68 %.
 */
import { join } from 'node:path';
import { china } from './china.ts';
import type { CompactPlace } from './compact.ts';
import { type GeoipLitePlaces, V4_ROW_BYTES, V6_ROW_BYTES, walkRows } from './geoip-lite-data.ts';
import type { Ip2regionDb } from './ip2region-db.ts';
import { nameIn } from './place.ts';
import type { Place } from './place.ts';
import { NO_ENTRY, RangeIndexBuilder, startsOf } from './range-index.ts';
import type { RangeIndex } from './range-index.ts';
import { placeFromIp2region, placeFromTexts } from './texts.ts';
import type { ZxIpv6 } from './zx-ipv6.ts';

export const ORIGINS = ['ip2region', 'geoip-lite', 'zx'] as const;
const IP2REGION = 0;
const GEOIP_LITE = 1;
const ZX = 2;

export interface World {
  /** `data/` of geoip-lite. */
  readonly directory: string;
  readonly places: GeoipLitePlaces;
  /** Rows of its IPv4 file. */
  readonly rows: number;
}

type Mutable = { -readonly [K in keyof CompactPlace]: CompactPlace[K] };

/** Collects the places of both sets under numbers; equal ones once. */
export class PlaceTable {
  readonly places: CompactPlace[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #world: GeoipLitePlaces | undefined;
  /** geoip-lite's place number to ours + 1. */
  readonly #ofWorld: Uint32Array;
  /** The coordinates that most addresses of a place have (majority vote, Boyer and Moore). */
  readonly #lat: Int32Array;
  readonly #lon: Int32Array;
  readonly #votes: Float64Array;

  constructor(world: GeoipLitePlaces | undefined) {
    this.#world = world;
    const count = world?.count ?? 0;
    this.#ofWorld = new Uint32Array(count);
    this.#lat = new Int32Array(count);
    this.#lon = new Int32Array(count);
    this.#votes = new Float64Array(count);
  }

  /** @param origin  index into ORIGINS */
  chinese(place: Place | undefined, origin: number): number {
    if (place?.country === undefined) return NO_ENTRY;
    return this.#intern({
      country: place.country,
      region: place.region?.slice(3) ?? '',
      city: nameIn(place.cityName, 'zh') ?? '',
      timezone: '',
      organization: nameIn(place.organization, 'zh') ?? '',
      origin,
      location: undefined,
    });
  }

  /** @param id  a place number of geoip-lite */
  ofWorld(id: number): number {
    const known = this.#ofWorld[id];
    if (known === undefined) return NO_ENTRY;
    if (known !== 0) return known - 1;
    const place = this.#world?.place(id);
    if (!place || place.country === '') return NO_ENTRY;
    // Its Chinese cities get our names and coordinates; some of its own are those of villages of the same name.
    const province =
      place.country === 'CN'
        ? china.province(place.region)
        : china.province(/^(?:HK|MO|TW)$/.test(place.country) ? place.country : '');
    const city = province ? (province.cityNamed(place.city)?.name.zh ?? place.city) : place.city;
    const number = this.places.length;
    this.places.push({
      country: province ? 'CN' : place.country,
      region: province ? province.code : place.region,
      city,
      timezone: place.timezone,
      organization: '',
      origin: GEOIP_LITE,
      location: undefined,
    });
    this.#ofWorld[id] = number + 1;
    return number;
  }

  vote(id: number, lat: number, lon: number, weight: number): void {
    if (id >= this.#votes.length || (lat === 0 && lon === 0)) return;
    if (this.#lat[id] === lat && this.#lon[id] === lon) {
      this.#votes[id]! += weight;
    } else if (this.#votes[id]! < weight) {
      this.#lat[id] = lat;
      this.#lon[id] = lon;
      this.#votes[id] = weight - this.#votes[id]!;
    } else {
      this.#votes[id]! -= weight;
    }
  }

  /** The Chinese place `chinese` with the city that geoip-lite knows, when both name the same province. */
  withCityOfWorld(chinese: number, id: number): number {
    const own = this.places[chinese];
    const other = this.places[this.ofWorld(id)];
    if (!own || !other || own.region !== other.region || other.city === '') return chinese;
    return this.#intern({ ...own, city: other.city });
  }

  finish(): readonly CompactPlace[] {
    for (const [id, number] of this.#ofWorld.entries()) {
      const place: Mutable | undefined = this.places[number - 1];
      if (place && this.#votes[id]! > 0) place.location = [this.#lat[id]!, this.#lon[id]!];
    }
    return this.places;
  }

  #intern(place: CompactPlace): number {
    const key = `${place.country}\n${place.region}\n${place.city}\n${place.organization}\n${place.origin}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.places.length;
      this.places.push(place);
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** Joins the IPv4 ranges; either side may be missing. */
export function joinV4(table: PlaceTable, china4: Ip2regionDb | undefined, world: World | undefined): RangeIndex {
  const builder = new RangeIndexBuilder(world ? world.rows : (china4?.records ?? 0));
  const ranges = china4?.ranges();
  const starts = ranges ? startsOf(ranges.index) : new Uint32Array(1);
  const choose = chooser(table, ranges);
  let own = 0;
  const span = (from: number, to: number, id: number): void => {
    for (let at = from; at <= to;) {
      while (own + 1 < starts.length && starts[own + 1]! <= at) own++;
      const end = own + 1 < starts.length ? Math.min(to, starts[own + 1]! - 1) : to;
      builder.add(at, end, choose(ranges?.index.values[own] ?? NO_ENTRY, id));
      at = end + 1;
    }
  };
  let next = 0;
  if (world) {
    walkRows(join(world.directory, 'geoip-city.dat'), V4_ROW_BYTES, (bytes, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = row * V4_ROW_BYTES;
        const start = bytes.readUInt32BE(at);
        const end = bytes.readUInt32BE(at + 4);
        if (start < next || end < start) continue;
        const id = bytes.readUInt32BE(at + 8);
        table.vote(id, bytes.readInt32BE(at + 12), bytes.readInt32BE(at + 16), end - start + 1);
        if (start > next) span(next, start - 1, NO_ENTRY);
        span(start, end, id);
        next = end + 1;
      }
    });
  }
  if (next <= 0xffffffff) span(next, 0xffffffff, NO_ENTRY);
  return builder.build();
}

function chooser(table: PlaceTable, ranges: ReturnType<Ip2regionDb['ranges']> | undefined) {
  interface Own {
    readonly number: number;
    readonly isChina: boolean;
    readonly hasRegion: boolean;
    readonly hasCity: boolean;
    readonly withCity: Map<number, number>;
  }
  const known = new Map<number, Own>();
  const ownOf = (pointer: number): Own | undefined => {
    if (pointer === NO_ENTRY || !ranges) return undefined;
    let own = known.get(pointer);
    if (own === undefined) {
      const place = placeFromIp2region(ranges.text(pointer));
      own = {
        number: table.chinese(place, IP2REGION),
        isChina: place?.country === 'CN',
        hasRegion: place?.region !== undefined,
        hasCity: place?.cityName !== undefined,
        withCity: new Map(),
      };
      known.set(pointer, own);
    }
    return own;
  };
  let lastPointer = NO_ENTRY;
  let last: Own | undefined;
  return (pointer: number, id: number): number => {
    // Neighbouring spans mostly share ip2region's side.
    if (pointer !== lastPointer) {
      last = ownOf(pointer);
      lastPointer = pointer;
    }
    const theirs = id === NO_ENTRY ? NO_ENTRY : table.ofWorld(id);
    if (last === undefined) return theirs;
    if (!last.isChina) return theirs === NO_ENTRY ? last.number : theirs;
    if (last.hasCity || theirs === NO_ENTRY) return last.number;
    if (!last.hasRegion)
      return table.places[theirs]!.country === 'CN' && table.places[theirs]!.region !== '' ? theirs : last.number;
    let joined = last.withCity.get(id);
    if (joined === undefined) {
      joined = table.withCityOfWorld(last.number, id);
      last.withCity.set(id, joined);
    }
    return joined;
  };
}

/** Joins the IPv6 ranges, by the upper halves of addresses. */
export function joinV6(table: PlaceTable, china6: ZxIpv6 | undefined, world: World | undefined) {
  const highs: number[] = [];
  const lows: number[] = [];
  const values: number[] = [];
  const push = (start: bigint, value: number): void => {
    if ((values.at(-1) ?? NO_ENTRY) === value) return;
    highs.push(Number(start >> 32n));
    lows.push(Number(start & 0xffffffffn));
    values.push(value);
  };
  const own = chineseV6(table, china6);
  // The entry of `own` that holds the current address; -1 before the first one.
  let at = -1;
  // What ip2region's side says from `from` on, with `theirs` where it says nothing.
  const span = (from: bigint, to: bigint, theirs: number): void => {
    while (at + 1 < own.length && own[at + 1]!.start <= from) at++;
    push(from, at >= 0 && own[at]!.value !== NO_ENTRY ? own[at]!.value : theirs);
    while (at + 1 < own.length && own[at + 1]!.start <= to) {
      at++;
      push(own[at]!.start, own[at]!.value === NO_ENTRY ? theirs : own[at]!.value);
    }
  };
  let next = 0n;
  if (world) {
    walkRows(join(world.directory, 'geoip-city6.dat'), V6_ROW_BYTES, (bytes, rows) => {
      for (let row = 0; row < rows; row++) {
        const offset = row * V6_ROW_BYTES;
        const start = bytes.readBigUInt64BE(offset);
        const end = bytes.readBigUInt64BE(offset + 16);
        // Networks longer than /64 share their upper half with the one before: the first one stands for all.
        if (start < next || end < start) continue;
        const id = bytes.readUInt32BE(offset + 32);
        table.vote(id, bytes.readInt32BE(offset + 36), bytes.readInt32BE(offset + 40), 1);
        if (start > next) span(next, start - 1n, NO_ENTRY);
        span(start, end, table.ofWorld(id));
        next = end + 1n;
      }
    });
  }
  if (next <= LAST_UPPER_HALF) span(next, LAST_UPPER_HALF, NO_ENTRY);
  return { highs: Uint32Array.from(highs), lows: Uint32Array.from(lows), values: Uint32Array.from(values) };
}
const LAST_UPPER_HALF = 2n ** 64n - 1n;

/** Only the places in China; everything else is a gap for geoip-lite to fill. */
function chineseV6(table: PlaceTable, china6: ZxIpv6 | undefined): { readonly start: bigint; readonly value: number }[] {
  const found: { start: bigint; value: number }[] = [];
  const numbers = new Map<number, number>();
  for (const { start, offset } of china6?.ranges() ?? []) {
    let value = numbers.get(offset);
    if (value === undefined) {
      const record = china6?.record(offset);
      const place = record && placeFromTexts(record.country, record.area);
      value = place?.country === 'CN' ? table.chinese(place, ZX) : NO_ENTRY;
      numbers.set(offset, value);
    }
    if (value !== (found.at(-1)?.value ?? NO_ENTRY)) found.push({ start, value });
  }
  return found;
}
