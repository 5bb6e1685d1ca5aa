/** What every IP database offers, whatever its format. */
import type { Address } from './address.ts';
import type { Place } from './place.ts';

export interface GeoDatabase {
  /** `qqwry`, `mmdb`, `ip2region-db`, `ip2region-xdb`, `default`. */
  readonly format: string;
  /** Where it came from, for people: a path, or the names of packages. */
  readonly path: string;
  /** What the data say about their own age; '' when they say nothing. */
  readonly version: string;
  /** Ranges, or networks; undefined when the format does not tell without walking all of it. */
  readonly records: number | undefined;
  readonly hasIpv6: boolean;
  /** Credit lines that the licence of the data asks for. */
  readonly credits: readonly string[];
  /** The same object for the same record, frozen. Special ranges are the caller's business. Never throws. */
  lookup(address: Address): Place | undefined;
  /**
   * Number of the record that holds the address, below `keys`; -1 when there is none. Offered by databases whose records are
   * so few that an array of what was made of each is a good cache.
   */
  keyOf?(address: Address): number;
  readonly keys?: number;
  /** Name of the data set that holds a place that this database returned, when it joins several. */
  origin?(address: Address): string | undefined;
}
