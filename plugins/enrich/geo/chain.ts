/** Asks several databases about one address and makes one answer of it. */
import type { Address } from './address.ts';
import type { GeoDatabase } from './database.ts';
import { makePlace, type Place } from './place.ts';

/** Joined answers held at a time; when full, all are forgotten. */
const JOINED_MAX = 50_000;

/**
 * The first database that knows a country gives the answer. Later ones add what it does not know: the network (a GeoLite2 ASN
 * file beside a City file), and region, city and coordinates when they speak of the same country.
 */
export class Chain {
  readonly databases: readonly GeoDatabase[];
  readonly #joined = new Map<Place, Map<Place, Place>>();
  #count = 0;

  constructor(databases: readonly GeoDatabase[]) {
    this.databases = databases;
  }

  /** @returns the same frozen object for the same records */
  lookup(address: Address): Place | undefined {
    let found: Place | undefined;
    for (const database of this.databases) {
      if (found !== undefined && isComplete(found)) return found;
      const next = database.lookup(address);
      if (next === undefined || next === found) continue;
      found = found === undefined ? next : this.#join(found, next);
    }
    return found;
  }

  /** The database that gave the country (or, without one, anything at all), and the data set in it. For people. */
  origin(address: Address): { readonly database: GeoDatabase; readonly origin: string } | undefined {
    let found: GeoDatabase | undefined;
    for (const database of this.databases) {
      const place = database.lookup(address);
      if (place === undefined) continue;
      found ??= database;
      if (place.country !== undefined) {
        found = database;
        break;
      }
    }
    return found && { database: found, origin: found.origin?.(address) ?? found.format };
  }

  #join(first: Place, second: Place): Place {
    let bySecond = this.#joined.get(first);
    let joined = bySecond?.get(second);
    if (joined !== undefined) return joined;
    joined = join(first, second);
    if (this.#count >= JOINED_MAX) {
      this.#joined.clear();
      this.#count = 0;
      bySecond = undefined;
    }
    if (bySecond === undefined) {
      bySecond = new Map();
      this.#joined.set(first, bySecond);
    }
    bySecond.set(second, joined);
    this.#count++;
    return joined;
  }
}

function isComplete(place: Place): boolean {
  return (
    place.country !== undefined &&
    place.location !== undefined &&
    place.cityName !== undefined &&
    place.organization !== undefined
  );
}

export function join(first: Place, second: Place): Place {
  const network = first.organization === undefined ? second : first;
  const parts = {
    ...first,
    organization: network.organization,
    asNumber: first.asNumber ?? second.asNumber,
  };
  if (first.country === undefined) {
    if (second.country === undefined) return makePlace(parts) ?? first;
    return makePlace({ ...second, ...parts, continent: second.continent }) ?? first;
  }
  const speaksOfSame = first.country === second.country && (first.region === undefined || first.region === second.region);
  if (!speaksOfSame) return makePlace(parts) ?? first;
  // A city is taken along with its coordinates: those of the first one may be the capital's, or the country's centre.
  const city = first.cityName === undefined && second.cityName !== undefined ? second : first;
  return (
    makePlace({
      ...parts,
      region: first.region ?? second.region,
      regionName: first.regionName ?? second.regionName,
      cityName: city.cityName,
      location: (first.region === undefined ? second.location : city.location) ?? first.location ?? second.location,
      timezone: first.timezone ?? second.timezone,
      postalCode: first.postalCode ?? second.postalCode,
    }) ?? first
  );
}
