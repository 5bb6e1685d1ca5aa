/** Times as text and as numbers: what `time_type`, `time_format`, `localtime`, `utc` and `timezone` mean in every section. */
import { MillraceError } from './errors.ts';
import type { EventTime } from './events/batch.ts';
import { guessTime, parseIso8601 } from './time/guess.ts';
import { compileStrftime, type TimePrinter } from './time/strftime.ts';
import { compileStrptime, type ByteTimeParser, type TimeTarget } from './time/strptime.ts';
import { zoneOf, type ZoneOptions } from './time/zone.ts';

export { isTimezone } from './time/zone.ts';
export type { ByteTimeParser, TimeTarget } from './time/strptime.ts';

export const TIME_TYPES = ['string', 'unixtime', 'float', 'mixed'] as const;
export type TimeType = (typeof TIME_TYPES)[number];

export interface TimeOptions extends ZoneOptions {
  readonly type: TimeType;
  /** As in strptime, or `%iso8601`. Absent: the usual forms are recognised, ISO 8601 is printed. */
  readonly format?: string | undefined;
  /** For `mixed`, after `format`: formats, `%iso8601`, `unixtime`, `float`. */
  readonly fallbacks?: readonly string[] | undefined;
  /** Milliseconds; used where a text has no year or no date. Default: the clock. */
  readonly now?: (() => number) | undefined;
}

/** @returns undefined when the value is no such time. A value that is an EventTime already is given back. */
export type TimeParser = (value: unknown) => EventTime | undefined;

/** What is wrong with options that came from a configuration; undefined: nothing. For `check`. */
export function timeProblem(options: TimeOptions): string | undefined {
  if (options.type === 'mixed' && options.format === undefined && (options.fallbacks ?? []).length === 0)
    return 'time_type mixed needs time_format or time_format_fallbacks';
  // Fluentd refuses this too: the guessed forms would silently ignore the zone.
  if (
    options.type === 'string' &&
    options.format === undefined &&
    (options.timezone !== undefined || (options.localtime === false && options.utc !== true))
  )
    return 'timezone, or localtime false, needs time_format';
  const formats = [options.format, ...(options.type === 'mixed' ? (options.fallbacks ?? []) : [])];
  for (const format of formats) {
    const parser = format === undefined || isNamed(format) ? undefined : compileStrptime(format, zoneOf(options), options.now);
    if (typeof parser === 'string') return parser;
  }
  return undefined;
}

/**
 * Makes a parser of times.
 *
 * @throws MR_CONFIG for a directive that is not known (`timeProblem` says so before)
 */
export function timeParser(options: TimeOptions): TimeParser {
  const parsers = parsersOf(options);
  const [only] = parsers;
  if (only !== undefined && parsers.length === 1) return (value) => asEventTime(value) ?? only(value);
  return (value) => {
    const given = asEventTime(value);
    if (given !== undefined) return given;
    for (const parse of parsers) {
      const time = parse(value);
      if (time !== undefined) return time;
    }
    return undefined;
  };
}

/** The same for the bytes of a line, with a strptime format: no text and no object is made. */
export function byteTimeParser(
  options: ZoneOptions & { readonly format: string; readonly now?: (() => number) | undefined },
): ByteTimeParser {
  const parser = compileStrptime(options.format, zoneOf(options), options.now);
  if (typeof parser === 'string') throw new MillraceError('MR_CONFIG', parser);
  return parser;
}

/**
 * Prints times: by the format, as ISO 8601 without one (`Z` only when UTC was asked for), as seconds for `unixtime`,
 * and with all nine digits of the fraction for `float`.
 */
export function timeFormatter(options: TimeOptions): TimePrinter {
  if (options.type === 'unixtime') return (seconds) => String(seconds);
  // Fluentd loses leading zeros of the fraction here; that is not imitated.
  if (options.type === 'float')
    return (seconds, nanoseconds) => `${seconds}.${nanoseconds === 0 ? '0' : String(nanoseconds).padStart(9, '0')}`;
  const zone = zoneOf(options);
  const { format } = options;
  if (format !== undefined && format !== '%iso8601') return compileStrftime(format, zone);
  return compileStrftime(`%Y-%m-%dT%H:%M:%S${zone.isUtc ? 'Z' : '%:z'}`, zone);
}

function parsersOf(options: TimeOptions): TimeParser[] {
  const { type, format, fallbacks = [] } = options;
  if (type === 'unixtime') return [parseUnixtime];
  if (type === 'float') return [parseFloatTime];
  if (type === 'string') return [textParser(format, options)];
  return [...(format === undefined ? [] : [format]), ...fallbacks].map((each) => textParser(each, options));
}

/** Words that stand where a format may stand. */
const isNamed = (format: string): boolean => format === '%iso8601' || format === 'unixtime' || format === 'float';

function textParser(format: string | undefined, options: TimeOptions): TimeParser {
  const zone = zoneOf(options);
  const now = options.now ?? Date.now;
  if (options.type === 'mixed' && (format === 'unixtime' || format === 'float')) return parseStrictNumber;
  if (format === undefined) return (value) => (typeof value === 'string' ? guessTime(value, zone, now) : undefined);
  if (format === '%iso8601') return (value) => (typeof value === 'string' ? parseIso8601(value, zone, now) : undefined);
  const parser = compileStrptime(format, zone, options.now);
  if (typeof parser === 'string') throw new MillraceError('MR_CONFIG', parser);
  const encoder = new TextEncoder();
  const bytes = new Uint8Array(MAX_TEXT);
  const into: TimeTarget = { seconds: 0, nanoseconds: 0 };
  return (value) => {
    if (typeof value !== 'string') return undefined;
    // What stands behind the time is ignored, so a long text may be cut.
    const { written } = encoder.encodeInto(value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) : value, bytes);
    return parser.parse(bytes, 0, written, into) ? { seconds: into.seconds, nanoseconds: into.nanoseconds } : undefined;
  };
}

const MAX_TEXT = 512;

function asEventTime(value: unknown): EventTime | undefined {
  if (typeof value !== 'object' || value === null || !('seconds' in value) || !('nanoseconds' in value)) return undefined;
  const { seconds, nanoseconds } = value;
  return typeof seconds === 'number' && typeof nanoseconds === 'number' ? { seconds, nanoseconds } : undefined;
}

/** Whole seconds; what is no number at all is 0, as Ruby's to_i has it. */
function parseUnixtime(value: unknown): EventTime | undefined {
  const text = numberText(value);
  return text === undefined ? undefined : { seconds: Number(/^\s*[+-]?\d{1,15}/.exec(text)?.[0] ?? 0) + 0, nanoseconds: 0 };
}

/** Seconds with up to nine digits of fraction, read digit by digit: a double has only 16 of them. */
function parseFloatTime(value: unknown): EventTime | undefined {
  const text = numberText(value);
  if (text === undefined) return undefined;
  const found = /^\s*([+-]?\d{1,15})(?:\.(\d{1,9}))?/.exec(text);
  return { seconds: Number(found?.[1] ?? 0) + 0, nanoseconds: Number((found?.[2] ?? '').padEnd(9, '0')) };
}

function parseStrictNumber(value: unknown): EventTime | undefined {
  const text = numberText(value);
  return text !== undefined && /^\s*[+-]?\d{1,15}(?:\.\d+)?\s*$/.test(text) ? parseFloatTime(text) : undefined;
}

function numberText(value: unknown): string | undefined {
  if (typeof value === 'string' || typeof value === 'bigint') return String(value);
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}
