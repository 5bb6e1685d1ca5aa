/** From the address in an event to the fields that are added to it, with one look-up per address and event. */
import type { EventView } from '../../../engine/component.ts';
import { fragment, type Field, type Fragment } from '../../../engine/events/field.ts';
import type { Address } from './address.ts';
import type { Chain } from './chain.ts';
import type { GeoDatabase } from './database.ts';
import { countryName } from './countries.ts';
import { countryOf, nameIn, regionOf, textsOf, type Place, type RegionPolicy } from './place.ts';
import { specialRange, type SpecialKind } from './special.ts';

export const FIELD_NAMES = [
  'continent_code',
  'country_iso_code',
  'country_name',
  'region_iso_code',
  'region_name',
  'city_name',
  'postal_code',
  'location',
  'timezone',
  'as_number',
  'as_organization',
] as const;
export type FieldName = (typeof FIELD_NAMES)[number];

export interface Rendering {
  readonly style: 'ecs' | 'qqwry';
  readonly language: 'zh' | 'en';
  readonly policy: RegionPolicy;
  readonly fields: readonly FieldName[];
  /** Steps to the map that takes the place; empty: the record itself. */
  readonly target: readonly string[];
  /** Steps to the map that takes the network. */
  readonly asTarget: readonly string[];
  /** Steps to the field that says what kind of address it was. */
  readonly classTarget: readonly string[] | undefined;
}

export type Outcome = 'hit' | 'not_found' | 'special' | 'malformed' | 'absent';

/** What one kind of answer adds. `fragments` are encoded once per place and shared by all events. */
export interface Answer {
  readonly outcome: Exclude<Outcome, 'absent'>;
  readonly fragments: readonly Fragment[];
  /** Values that lie too deep for a fragment. */
  readonly deep: readonly (readonly [path: readonly string[], value: unknown])[];
}

/** 16,384 addresses of the last while, each in the one slot that its hash names; a newcomer replaces. */
const SLOT_BITS = 14;
const SLOTS = 1 << SLOT_BITS;
/** Places whose answer is remembered: a pointer each. When full, all are forgotten. */
const PLACES_MAX = 100_000;
/** Answers encoded at a time; when full, all are forgotten. About 10 MB with long names. */
const ANSWERS_MAX = 20_000;
const V6 = 1 << 16;

type Numbered = GeoDatabase & Required<Pick<GeoDatabase, 'keyOf' | 'keys'>>;

export class Enricher {
  readonly #rendering: Rendering;
  #chain: Chain;
  readonly #answers = new Map<Place, Answer>();
  /** Many records of qqwry.dat differ only in texts that make no difference to the fields. */
  readonly #byContent = new Map<string, Answer>();
  readonly #special = new Map<SpecialKind, Answer>();
  readonly #notFound: Answer;
  readonly malformed: Answer;
  // Direct-mapped: four words of the address per slot, the answer beside it.
  readonly #keys = new Uint32Array(SLOTS * 4);
  readonly #cached: (Answer | undefined)[] = Array.from({ length: SLOTS });
  readonly #families = new Uint8Array(SLOTS);
  // A single database that numbers its records needs no cache of addresses: the answer lies under the number.
  #numbered: Numbered | undefined;
  #byKey: (Answer | undefined)[] = [];

  constructor(chain: Chain, rendering: Rendering) {
    this.#rendering = rendering;
    this.#chain = chain;
    this.#useKeys();
    this.#notFound = this.#plain('not_found', 'public');
    this.malformed = this.#plain('malformed', 'malformed');
  }

  /** Takes another set of databases; what was found in the old one is forgotten. */
  swap(chain: Chain): void {
    this.#chain = chain;
    this.#useKeys();
    this.#answers.clear();
    this.#cached.fill(undefined);
    this.#families.fill(0);
  }

  /** @param address  parsed; never one without a family */
  answer(address: Address): Answer {
    if (this.#numbered === undefined) return this.#answerBySlot(address);
    const special = specialRange(address);
    if (special) return this.#ofSpecial(special.kind);
    const key = this.#numbered.keyOf(address);
    if (key < 0) return this.#notFound;
    return this.#byKey[key] ?? (this.#byKey[key] = this.#find(address));
  }

  #useKeys(): void {
    const [database] = this.#chain.databases;
    const isNumbered = this.#chain.databases.length === 1 && database?.keyOf !== undefined && database.keys !== undefined;
    this.#numbered = isNumbered ? (database as Numbered) : undefined;
    this.#byKey = Array.from({ length: this.#numbered?.keys ?? 0 });
  }

  #answerBySlot(address: Address): Answer {
    const { family, v4, groups } = address;
    let a = v4;
    let b = 0;
    let c = 0;
    let d = 0;
    if (family === 6) {
      a = groups[0]! * V6 + groups[1]!;
      b = groups[2]! * V6 + groups[3]!;
      c = groups[4]! * V6 + groups[5]!;
      d = groups[6]! * V6 + groups[7]!;
    }
    // Fibonacci hashing: the upper bits of a product with 2^32 / golden ratio.
    const slot = Math.imul(a ^ Math.imul(b, 31) ^ Math.imul(c ^ d, 17), 0x9e3779b1) >>> (32 - SLOT_BITS);
    const key = slot * 4;
    const keys = this.#keys;
    if (this.#families[slot] === family && keys[key] === a && keys[key + 1] === b && keys[key + 2] === c && keys[key + 3] === d) {
      return this.#cached[slot]!;
    }
    const answer = this.#find(address);
    this.#families[slot] = family;
    keys[key] = a;
    keys[key + 1] = b;
    keys[key + 2] = c;
    keys[key + 3] = d;
    this.#cached[slot] = answer;
    return answer;
  }

  #find(address: Address): Answer {
    const special = specialRange(address);
    if (special) return this.#ofSpecial(special.kind);
    const place = this.#chain.lookup(address);
    if (place === undefined) return this.#notFound;
    let answer = this.#answers.get(place);
    if (answer === undefined) {
      answer = this.#encode('hit', place, 'public');
      if (this.#answers.size >= PLACES_MAX) this.#answers.clear();
      this.#answers.set(place, answer);
    }
    return answer;
  }

  #ofSpecial(kind: SpecialKind): Answer {
    let answer = this.#special.get(kind);
    if (answer === undefined) {
      answer = this.#plain('special', kind);
      this.#special.set(kind, answer);
    }
    return answer;
  }

  #plain(outcome: Answer['outcome'], kind: string): Answer {
    return this.#encode(outcome, undefined, kind);
  }

  #encode(outcome: Answer['outcome'], place: Place | undefined, kind: string): Answer {
    const { target, asTarget, classTarget, style, fields } = this.#rendering;
    const values: (readonly [path: readonly string[], value: unknown])[] = [];
    const add = (path: readonly string[], group: Record<string, unknown>): void => {
      if (Object.keys(group).length === 0) return;
      // Without a map of their own the fields stand beside those of the event.
      if (path.length === 0) for (const [key, value] of Object.entries(group)) values.push([[key], value]);
      else values.push([path, group]);
    };
    if (place && style === 'qqwry') add(target, qqwryFields(place));
    if (place && style === 'ecs') {
      add(target, geoFields(place, this.#rendering));
      add(asTarget, networkFields(place, fields, this.#rendering.language));
    }
    if (classTarget) values.push([classTarget, kind]);
    const key = `${outcome} ${JSON.stringify(values)}`;
    let answer = this.#byContent.get(key);
    if (answer === undefined) {
      answer = { outcome, ...split(values) };
      if (this.#byContent.size >= ANSWERS_MAX) this.#byContent.clear();
      this.#byContent.set(key, answer);
    }
    return answer;
  }
}

/** Adds what an answer holds to an event. */
export function addTo(event: EventView, answer: Answer, deepFields: ReadonlyMap<readonly string[], Field>): void {
  for (const group of answer.fragments) event.append(group);
  for (const [path, value] of answer.deep) {
    const at = deepFields.get(path);
    if (at) event.set(at, value);
  }
}

/** The place's fields by the names of ECS; what is unknown, or was not asked for, is left out. */
export function geoFields(
  place: Place,
  { language, policy, fields }: Pick<Rendering, 'language' | 'policy' | 'fields'>,
): Record<string, unknown> {
  const country = countryOf(place, policy);
  const region = regionOf(place, policy);
  const all: Record<string, unknown> = {
    continent_code: place.continent,
    country_iso_code: country,
    country_name: country && countryName(country, language),
    region_iso_code: region,
    region_name:
      region === undefined && policy === 'iso' && country !== place.country ? undefined : nameIn(place.regionName, language),
    city_name: nameIn(place.cityName, language),
    postal_code: place.postalCode,
    location: place.location,
    timezone: place.timezone,
  };
  return Object.fromEntries(fields.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])));
}

function networkFields(place: Place, fields: readonly FieldName[], language: 'zh' | 'en'): Record<string, unknown> {
  const organization = fields.includes('as_organization') ? nameIn(place.organization, language) : undefined;
  const number = fields.includes('as_number') ? place.asNumber : undefined;
  return {
    ...(number !== undefined && { number }),
    ...(organization !== undefined && { organization: { name: organization } }),
  };
}

/** The two fields of fluent-plugin-qqwry's README. */
function qqwryFields(place: Place): Record<string, unknown> {
  const { country, area } = textsOf(place);
  return { ...(country !== '' && { country }), ...(area !== '' && { area }) };
}

/** Puts values one or two steps down into one fragment per top-level key. */
function split(values: readonly (readonly [readonly string[], unknown])[]): Pick<Answer, 'fragments' | 'deep'> {
  const groups = new Map<string | undefined, Record<string, unknown>>();
  const deep: (readonly [readonly string[], unknown])[] = [];
  for (const [path, value] of values) {
    if (path.length > 2) {
      deep.push([path, value]);
      continue;
    }
    const under = path.length === 2 ? path[0] : undefined;
    let group = groups.get(under);
    if (group === undefined) {
      group = {};
      groups.set(under, group);
    }
    group[path.at(-1)!] = value;
  }
  return { fragments: [...groups].map(([under, fields]) => fragment(under, fields)), deep };
}

/** Fields for the paths that a fragment cannot reach, by the very arrays that answers name. */
export function deepFieldsOf(
  { target, asTarget, classTarget }: Rendering,
  make: (path: readonly string[]) => Field,
): ReadonlyMap<readonly string[], Field> {
  const paths = [target, asTarget, ...(classTarget ? [classTarget] : [])].filter((path) => path.length > 2);
  return new Map(paths.map((path) => [path, make(path)]));
}
