/** Zones of times: fixed offsets, IANA names, the zone of the machine. All offsets are seconds east of UTC. */

export interface Zone {
  /** True only when UTC was asked for: such times print as `Z`. */
  readonly isUtc: boolean;
  /** Offset in force at an instant. */
  offsetAt(utcSeconds: number): number;
  /** Instant of a wall clock reading that was computed as if it were UTC. A reading that happens twice is the first one. */
  instantOf(wallSeconds: number): number;
  /** Short name for `%Z`. */
  nameAt(utcSeconds: number): string;
}

export interface ZoneOptions {
  readonly localtime?: boolean | undefined;
  readonly utc?: boolean | undefined;
  readonly timezone?: string | undefined;
}

/** A `timezone` is `+09:00`, `+0900`, `+09` or an IANA name with a region; `UTC` and `JST` are refused as in Fluentd. */
export function isTimezone(text: string): boolean {
  return parseOffset(text) !== undefined || (text.includes('/') && isIanaName(text));
}

/** `timezone` comes before `utc`, `utc` before `localtime`; none of them is UTC. Unknown names count as UTC: check first. */
export function zoneOf({ localtime, utc, timezone }: ZoneOptions): Zone {
  if (timezone !== undefined && timezone !== '') {
    const offset = parseOffset(timezone);
    if (offset !== undefined) return fixedZone(offset, false);
    return isIanaName(timezone) ? namedZone(timezone) : UTC;
  }
  return utc !== true && localtime === true ? localZone : UTC;
}

/** @returns seconds, undefined when the text is no numeric offset */
export function parseOffset(text: string): number | undefined {
  const found = /^([+-])(\d\d)(?::?(\d\d))?$/.exec(text);
  if (!found) return undefined;
  const seconds = Number(found[2]) * 3600 + Number(found[3] ?? 0) * 60;
  return found[1] === '-' ? -seconds : seconds;
}

/** Zones that Ruby knows by their letters, in seconds. */
const LETTERS = new Map<string, number>(
  Object.entries({ UTC: 0, UT: 0, GMT: 0, Z: 0, EST: -5, EDT: -4, CST: -6, CDT: -5, MST: -7, MDT: -6, PST: -8, PDT: -7 }).map(
    ([name, hours]) => [name, hours * 3600],
  ),
);

/** Offset of a zone given by letters inside a time (`EST`); undefined: unknown, the configured zone holds. */
export const letterOffset = (name: string): number | undefined => LETTERS.get(name.toUpperCase());

function isIanaName(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) instanceof Intl.DateTimeFormat;
  } catch {
    // RangeError is how Intl says that it does not know the name.
    return false;
  }
}

function fixedZone(offset: number, isUtc: boolean): Zone {
  return {
    isUtc,
    offsetAt: () => offset,
    instantOf: (wall) => wall - offset,
    nameAt: () => (isUtc ? 'UTC' : ''),
  };
}

export const UTC: Zone = fixedZone(0, true);

/** Follows the process's zone, also when a test changes it between two calls. */
const localZone: Zone = {
  isUtc: false,
  offsetAt: localOffset,
  instantOf: (wall) => instantBy(wall, localOffset),
  nameAt: (utc) => shortName(undefined, utc),
};

function localOffset(utcSeconds: number): number {
  return Math.round(new Date(utcSeconds * 1000).getTimezoneOffset() * -60);
}

function namedZone(timeZone: string): Zone {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    era: 'short',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const ask = (utc: number): number => {
    const parts: Record<string, string> = {};
    for (const { type, value } of format.formatToParts(utc * 1000)) parts[type] = value;
    const part = (type: string): number => Number(parts[type] ?? 0);
    const year = parts['era'] === 'BC' ? 1 - part('year') : part('year');
    return Math.round(Date.UTC(year, part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) / 1000) - utc;
  };
  // Intl takes microseconds; offsets change at most at quarters of an hour.
  let cache = new Map<number, number>();
  const offsetAt = (utc: number): number => {
    const quarter = Math.floor(utc / 900);
    let offset = cache.get(quarter);
    if (offset === undefined) {
      if (cache.size >= 4096) cache = new Map();
      cache.set(quarter, (offset = ask(quarter * 900)));
    }
    return offset;
  };
  return { isUtc: false, offsetAt, instantOf: (wall) => instantBy(wall, offsetAt), nameAt: (utc) => shortName(timeZone, utc) };
}

function instantBy(wall: number, offsetAt: (utc: number) => number): number {
  // No zone changes twice within two days.
  const before = offsetAt(wall - 86_400);
  const after = offsetAt(wall + 86_400);
  if (before === after || offsetAt(wall - before) === before) return wall - before;
  // In the hour that is left out in spring neither fits: the clock before the change then runs on.
  return offsetAt(wall - after) === after ? wall - after : wall - before;
}

function shortName(timeZone: string | undefined, utc: number): string {
  const format = new Intl.DateTimeFormat('en-US', { ...(timeZone !== undefined && { timeZone }), timeZoneName: 'short' });
  return format.formatToParts(utc * 1000).find((part) => part.type === 'timeZoneName')?.value ?? '';
}
