/** What `millrace geo` says, as values; the commands only print them. */
import type { Clock } from '../engine/component.ts';
import { ERROR_CODES, MillraceError } from '../engine/errors.ts';
import { Address } from '../plugins/enrich/geo/address.ts';
import { Chain } from '../plugins/enrich/geo/chain.ts';
import { openDefault, type Sources } from '../plugins/enrich/geo/default-data.ts';
import { FIELD_NAMES, geoFields } from '../plugins/enrich/geo/enricher.ts';
import { openDatabase } from '../plugins/enrich/geo/open.ts';
import { nameIn } from '../plugins/enrich/geo/place.ts';
import { specialRange } from '../plugins/enrich/geo/special.ts';
import { table } from './output.ts';

export type Language = 'zh' | 'en';

export interface LookupOptions {
  /** A file in place of the packaged data. */
  readonly database?: string | undefined;
  /** Where the packaged data are kept in their compacted form; undefined: nowhere. */
  readonly dataDir?: string | undefined;
  readonly language: Language;
  readonly clock: Pick<Clock, 'now'>;
  /** For tests. */
  readonly sources?: Sources;
}

export interface Lookup {
  readonly address: string;
  /** `public`, a special kind, or `malformed`. */
  readonly kind: string;
  readonly isFound: boolean;
  /** The range that a special address lies in, and what it is for. */
  readonly range?: string;
  readonly meaning?: string;
  /** By the names of ECS. */
  readonly geo?: Readonly<Record<string, unknown>>;
  readonly as?: { readonly number?: number; readonly name?: string };
  /** The two texts of qqwry.dat. */
  readonly texts?: { readonly country: string; readonly area: string };
  /** Format of the database that answered, and its path or packages. */
  readonly database?: string;
  readonly path?: string;
}

/** @throws MillraceError MR_NO_INPUT, MR_GEO_DATABASE */
export async function lookupAddresses(addresses: readonly string[], options: LookupOptions): Promise<Lookup[]> {
  const { database, dataDir, clock, sources } = options;
  const opened =
    database === undefined ? openDefault({ dataDir, clock, ...(sources && { sources }) }) : await openDatabase(database);
  const chain = new Chain([opened]);
  return addresses.map((text) => lookupOne(chain, text, options.language));
}

function lookupOne(chain: Chain, text: string, language: Language): Lookup {
  const address = new Address();
  if (!address.parse(text)) return { address: text, kind: 'malformed', isFound: false };
  const special = specialRange(address);
  if (special) return { address: text, kind: special.kind, isFound: false, range: special.cidr, meaning: special.meaning };
  const place = chain.lookup(address);
  if (place === undefined) return { address: text, kind: 'public', isFound: false };
  const name = nameIn(place.organization, language);
  const from = chain.origin(address);
  return {
    address: text,
    kind: 'public',
    isFound: true,
    geo: geoFields(place, { language, policy: 'iso', fields: FIELD_NAMES }),
    ...((name !== undefined || place.asNumber !== undefined) && {
      as: { ...(place.asNumber !== undefined && { number: place.asNumber }), ...(name !== undefined && { name }) },
    }),
    ...(place.texts && { texts: place.texts }),
    ...(from && { database: from.origin, path: from.database.path }),
  };
}

/** A table for people; lines below it explain what is not in it. */
export function renderLookups(lookups: readonly Lookup[]): string {
  const rows = lookups.map(({ address, kind, isFound, geo = {}, as, database }) => {
    if (!isFound) return [address, kind === 'public' ? 'not found' : kind, '', '', '', '', ''];
    const location = geo['location'] as { readonly lat: number; readonly lon: number } | undefined;
    return [
      address,
      shown(geo['country_iso_code'], geo['country_name']),
      shown(geo['region_iso_code'], geo['region_name']),
      shown(geo['city_name']),
      location ? `${location.lat.toFixed(2)} ${location.lon.toFixed(2)}` : '',
      shown(as?.number === undefined ? undefined : `AS${as.number}`, as?.name),
      database ?? '',
    ];
  });
  const notes = lookups.flatMap(({ address, kind, range, meaning }) => {
    if (range !== undefined) return [`${address} lies in ${range}: ${meaning ?? kind}`];
    return kind === 'malformed' ? [`${address} is no IP address`] : [];
  });
  const text = table(['ADDRESS', 'COUNTRY', 'REGION', 'CITY', 'LAT LON', 'NETWORK', 'FROM'], rows);
  return notes.length === 0 ? text : `${text}\n${notes.join('\n')}\n`;
}

function shown(...parts: readonly unknown[]): string {
  return parts.filter((part) => typeof part === 'string').join(' ');
}

export interface Check {
  readonly path: string;
  readonly ok: boolean;
  readonly format?: string;
  readonly version?: string;
  readonly records?: number | undefined;
  readonly ipv6?: boolean;
  readonly credits?: readonly string[];
  /** What is wrong. */
  readonly error?: string;
  /** 0, or the exit code that belongs to the error: 65 damaged, 66 not there. */
  readonly exit: number;
}

/** Opens the file, which checks every record of it. Never throws for what is wrong with it. */
export async function checkDatabase(path: string): Promise<Check> {
  try {
    const { format, version, records, hasIpv6, credits } = await openDatabase(path);
    return { path, ok: true, format, version, records, ipv6: hasIpv6, credits, exit: 0 };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return { path, ok: false, error: error.message, exit: ERROR_CODES[error.code].exit };
  }
}

export function renderCheck({ path, ok, format, version, records, ipv6, credits = [], error }: Check): string {
  if (!ok) return `${error ?? path}\n`;
  const unit = format === 'mmdb' ? 'nodes' : 'ranges';
  const lines = [
    `${path}: in order`,
    `  format   ${format ?? ''}`,
    `  version  ${version === '' ? 'not told' : (version ?? '')}`,
    `  ${unit.padEnd(7)}  ${records ?? 'not told'}`,
    `  IPv6     ${ipv6 === true ? 'yes' : 'no'}`,
    ...credits.map((credit, index) => `  ${index === 0 ? 'credit ' : '       '}  ${credit}`),
  ];
  return `${lines.join('\n')}\n`;
}
