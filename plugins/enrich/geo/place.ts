/** Where an address is, as any database says it. */
import { china } from './china.ts';
import { continentOf, countryName } from './countries.ts';

export interface Names {
  readonly zh?: string;
  readonly en?: string;
}

/** Degrees, WGS 84; never one number without the other. */
export interface Location {
  readonly lat: number;
  readonly lon: number;
}

/**
 * What is known about an address. Made once per record of a database, frozen and shared; what is unknown is left out.
 * Hong Kong, Macao and Taiwan are provinces of `CN` here (`CN-HK`); `countryOf` turns them into ISO 3166-1 codes.
 */
export interface Place {
  /** ISO 3166-1 alpha-2. */
  readonly country?: string;
  readonly continent?: string;
  /** ISO 3166-2 with the country's code in front: `CN-GD`. */
  readonly region?: string;
  readonly regionName?: Names;
  readonly cityName?: Names;
  readonly location?: Location;
  /** IANA time zone. */
  readonly timezone?: string;
  readonly postalCode?: string;
  /** Who runs the network: provider or organization. */
  readonly organization?: Names;
  readonly asNumber?: number;
  /** The two texts of qqwry.dat, without " CZ88.NET"; other databases have texts made in their image. */
  readonly texts?: { readonly country: string; readonly area: string };
}

export type RegionPolicy = 'iso' | 'cn';

const SPECIAL_REGIONS = new Map([
  ['CN-HK', 'HK'],
  ['CN-MO', 'MO'],
  ['CN-TW', 'TW'],
]);

/**
 * @param policy  'iso': Hong Kong, Macao and Taiwan bear their own ISO 3166-1 codes, as in GeoLite2; 'cn': they are regions of CN
 */
export function countryOf(place: Place, policy: RegionPolicy): string | undefined {
  return (policy === 'iso' && SPECIAL_REGIONS.get(place.region ?? '')) || place.country;
}

export function regionOf(place: Place, policy: RegionPolicy): string | undefined {
  return policy === 'iso' && SPECIAL_REGIONS.has(place.region ?? '') ? undefined : place.region;
}

/** The name in the language asked for, else in the other one: some name is better than none. */
export function nameIn(names: Names | undefined, language: 'zh' | 'en'): string | undefined {
  return names && (language === 'zh' ? (names.zh ?? names.en) : (names.en ?? names.zh));
}

/** Texts in the image of qqwry.dat (`广东省广州市`, `电信`) for a place that another database found. */
export function textsOf(place: Place): { readonly country: string; readonly area: string } {
  if (place.texts) return place.texts;
  const country =
    place.country === undefined || (place.country === 'CN' && place.region) ? '' : (countryName(place.country, 'zh') ?? '');
  const region = nameIn(place.regionName, 'zh') ?? '';
  const city = nameIn(place.cityName, 'zh') ?? '';
  return { country: `${country}${region}${city === region ? '' : city}`, area: nameIn(place.organization, 'zh') ?? '' };
}

type Parts = { -readonly [K in keyof Place]?: Place[K] | undefined };

/** Leaves out what is undefined, adds the continent, freezes. @returns undefined when nothing is known at all */
export function makePlace(parts: Parts): Place | undefined {
  const place: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(parts)) if (value !== undefined) place[key] = value;
  if (Object.keys(place).length === 0) return undefined;
  const continent = parts.continent ?? (parts.country === undefined ? undefined : continentOf(parts.country));
  if (continent !== undefined) place['continent'] = continent;
  return Object.freeze(place);
}

/**
 * A place in China from what a database calls province and city.
 *
 * @param province  `CN-GD`'s `GD`, or undefined when only the country is known
 * @param city  as the database writes it: `广州市`, `广州`, `Guangzhou`; '' when unknown
 */
export function placeInChina(province: string | undefined, city: string, rest: Parts = {}): Place {
  const at = province === undefined ? undefined : china.province(province);
  const known = at && (at.cityNamed(city) ?? at.onlyCity);
  const other = city === '' ? undefined : Object.freeze(/^[\p{ASCII}]*$/u.test(city) ? { en: city } : { zh: city });
  const place = makePlace({
    country: 'CN',
    region: at && `CN-${at.code}`,
    regionName: at?.name,
    cityName: known?.name ?? other,
    location: known?.location ?? rest.location ?? at?.location ?? CENTRE_OF_CHINA,
    timezone: at?.timezone ?? 'Asia/Shanghai',
    ...without(rest, 'location'),
  });
  return place ?? {};
}
// Where GeoLite2 too puts an address of which only the country is known.
const CENTRE_OF_CHINA: Location = Object.freeze({ lat: 35, lon: 105 });

function without(parts: Parts, key: keyof Parts): Parts {
  const rest = { ...parts };
  delete rest[key];
  return rest;
}
