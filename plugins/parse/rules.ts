/**
 * What all parsers share: where the time comes from, which values count as nothing, and what types they get.
 * @see https://docs.fluentd.org/configuration/parse-section
 */
import type { EventTime } from '../../engine/events/batch.ts';
import { encodeKey, type EntryWriter } from '../../engine/events/entry-writer.ts';
import { EventTimeValue } from '../../engine/events/msgpack.ts';
import { rubyFloat, rubyInteger, rubySplit, rubyText } from '../../engine/ruby-values.ts';
import { MillraceError } from '../../engine/errors.ts';
import {
  TIME_TYPES,
  byteTimeParser,
  isTimezone,
  timeParser,
  timeProblem,
  type TimeOptions,
  type TimeParser,
  type TimeType,
} from '../../engine/time-format.ts';
import { bool, duration, hash, list, oneOf, regexp, text } from '../../engine/units.ts';

/** Parameters of every parser; a parser overrides the defaults that differ. */
export const ruleFields = {
  time_key: text().optional().describe('Field that holds the time; it is taken out of the record'),
  time_type: oneOf(TIME_TYPES).default('string').describe('Kind of the time: text, or seconds as a number'),
  time_format: text()
    .optional()
    .describe('Format of the time, as in strptime; without it the usual forms are recognised')
    .meta({ examples: ['%Y-%m-%dT%H:%M:%S.%N%z'] }),
  time_format_fallbacks: list().default([]).describe('Formats tried one after another when time_type is mixed'),
  localtime: bool().default(true).describe('Zone of times that name none: that of this machine'),
  utc: bool().default(false).describe('Zone of times that name none: UTC'),
  timezone: text()
    .optional()
    .describe('Zone of times that name none')
    .meta({ examples: ['Asia/Shanghai', '+08:00'] }),
  keep_time_key: bool().default(false).describe('Whether the field of the time stays in the record'),
  estimate_current_event: bool().default(true).describe('Whether an event without a time gets the current one'),
  types: hash(text())
    .optional()
    .describe('Types of fields: string, integer, float, bool, time or array')
    .meta({
      examples: ['code:integer,size:integer,ok:bool'],
    }),
  null_value_pattern: regexp()
    .optional()
    .describe('Text that stands for nothing; such a field becomes null')
    .meta({
      examples: ['/^-$/'],
    }),
  null_empty_string: bool().default(false).describe('Whether empty text becomes null'),
  timeout: duration().optional().describe('Time limit of one line; accepted for compatibility, the expressions here need none'),
};

export interface RuleConfig {
  readonly time_key?: string | undefined;
  readonly time_type: TimeType;
  readonly time_format?: string | undefined;
  readonly time_format_fallbacks: readonly string[];
  readonly localtime: boolean;
  readonly utc: boolean;
  readonly timezone?: string | undefined;
  readonly keep_time_key: boolean;
  readonly types?: Readonly<Record<string, string>> | undefined;
  readonly null_value_pattern?: RegExp | undefined;
  readonly null_empty_string: boolean;
}

/** Reasons of failure; few, because they label counts. */
export const FAILURE = {
  pattern: 'pattern not matched',
  time: 'invalid time',
  json: 'invalid JSON',
  record: 'not a map',
} as const;

/** Problems of a parser's parameters that only show together. */
export function checkRules(config: RuleConfig): string[] {
  const problems: string[] = [];
  for (const [key, type] of Object.entries(config.types ?? {})) {
    const name = type.split(':', 1)[0] as string;
    if (!(VALUE_TYPES as readonly string[]).includes(name))
      problems.push(`types: unknown type ${name} for ${key}; expected ${VALUE_TYPES.join(', ')}`);
  }
  if (config.timezone !== undefined && !isTimezone(config.timezone)) problems.push(`timezone: unknown zone ${config.timezone}`);
  const problem = timeProblem(timeOptions(config));
  if (problem !== undefined) problems.push(problem);
  return problems;
}

function timeOptions(config: RuleConfig): TimeOptions {
  const { time_type: type, time_format: format, time_format_fallbacks: fallbacks, localtime, utc, timezone } = config;
  return { type, format, fallbacks, localtime, utc, timezone };
}

const VALUE_TYPES = ['string', 'integer', 'float', 'bool', 'time', 'array'] as const;

type Convert = (into: EntryWriter, value: unknown) => void;

export interface Rules {
  readonly timeKey: string | undefined;
  readonly keepTimeKey: boolean;
  /** False when values are written as they are found. */
  readonly hasConversions: boolean;
  time(value: unknown): EventTime | undefined;
  /** Reads the time from the bytes of a line into the entry that is open. False: it is none. */
  readonly readTime: (into: EntryWriter, bytes: Uint8Array, start: number, end: number) => boolean;
  /** Whether values of this field are written as they are found. */
  isPlain(key: string): boolean;
  /** Writes key and value under the rules for nothing and the types. */
  write(into: EntryWriter, key: string, value: unknown): void;
}

/**
 * @param now  milliseconds; what times without a year or a date are counted from
 * @throws MR_CONFIG for what `checkRules` finds: a parser inside of another component is not checked by itself
 */
export function makeRules(config: RuleConfig, now?: () => number): Rules {
  const [problem] = checkRules(config);
  if (problem !== undefined) throw new MillraceError('MR_CONFIG', problem);
  const converters = new Map<string, Convert>();
  for (const [key, type] of Object.entries(config.types ?? {})) converters.set(key, converter(type, config));
  const { null_value_pattern: nothing, null_empty_string: isEmptyNothing } = config;
  const options = { ...timeOptions(config), now };
  const parseTime = timeParser(options);
  const hasNothing = nothing !== undefined || isEmptyNothing;
  return {
    timeKey: config.time_key,
    keepTimeKey: config.keep_time_key,
    hasConversions: converters.size > 0 || hasNothing,
    time: parseTime,
    readTime: byteReader(options, parseTime),
    isPlain: (key) => !hasNothing && !converters.has(key),
    write(into, key, value) {
      into.keyName(key);
      if (typeof value === 'string' && ((isEmptyNothing && value === '') || nothing?.test(value) === true)) return into.nil();
      const convert = value === null || value === false ? undefined : converters.get(key);
      if (convert !== undefined) convert(into, value);
      else if (typeof value === 'string') into.text(value);
      else into.value(value);
    },
  };
}

function byteReader(options: TimeOptions, parseTime: TimeParser): Rules['readTime'] {
  const { type, format } = options;
  if (type === 'string' && format !== undefined && !NAMED_FORMATS.has(format)) {
    const parser = byteTimeParser({ ...options, format });
    const target = { seconds: 0, nanoseconds: 0 };
    return (into, bytes, start, end) => {
      if (!parser.parse(bytes, start, end, target)) return false;
      into.time(target.seconds, target.nanoseconds);
      return true;
    };
  }
  return (into, bytes, start, end) => {
    const time = parseTime(textOf(bytes, start, end));
    if (time !== undefined) into.time(time.seconds, time.nanoseconds);
    return time !== undefined;
  };
}
const NAMED_FORMATS = new Set(['%iso8601']);

/** The text of a piece of a line. */
export const textOf = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);

/** Writes one field of a line: as it is where it may be, otherwise by the rules. */
export function writeBytes(into: EntryWriter, rules: Rules, column: Column, bytes: Uint8Array, start: number, end: number): void {
  if (column.isPlain) {
    into.key(column.key);
    into.utf8(bytes, start, end);
  } else rules.write(into, column.name, textOf(bytes, start, end));
}

/** A field with a known name. */
export interface Column {
  readonly name: string;
  readonly key: Uint8Array;
  readonly isPlain: boolean;
  readonly isTime: boolean;
}

export const columnsOf = (names: readonly string[], rules: Rules): Column[] =>
  names.map((name) => ({ name, key: encodeKey(name), isPlain: rules.isPlain(name), isTime: name === rules.timeKey }));

const TRUE_TEXTS = new Set(['true', 'yes', '1']);

/** @param type  `name[:option]`: a delimiter for array, `[timezone:]format` for time */
function converter(type: string, config: RuleConfig): Convert {
  const colon = type.indexOf(':');
  const name = colon < 0 ? type : type.slice(0, colon);
  const option = colon < 0 ? undefined : type.slice(colon + 1);
  switch (name) {
    case 'integer':
      return (into, value) => into.value(rubyInteger(value));
    case 'float':
      return (into, value) => into.float(rubyFloat(value));
    case 'bool':
      return (into, value) => into.bool(TRUE_TEXTS.has(rubyText(value).toLowerCase()));
    case 'time': {
      const parse = timeOfType(option, config);
      return (into, value) => {
        const time = parse(value);
        into.value(time === undefined ? null : new EventTimeValue(time.seconds, time.nanoseconds));
      };
    }
    case 'array':
      return (into, value) => into.value(rubySplit(rubyText(value), option ?? ','));
    default:
      return (into, value) => into.text(rubyText(value));
  }
}

function timeOfType(option: string | undefined, { localtime, utc }: RuleConfig): TimeParser {
  const make = (type: TimeType, format: string | undefined, timezone: string | undefined): TimeParser =>
    timeParser({ type, format, fallbacks: [], localtime, utc, timezone });
  if (option === undefined) return make('string', undefined, undefined);
  const colon = option.indexOf(':');
  const first = colon < 0 ? option : option.slice(0, colon);
  const timezone = colon >= 0 && isTimezone(first) ? first : undefined;
  const format = timezone === undefined ? option : option.slice(colon + 1);
  return (TIME_TYPES as readonly string[]).includes(format)
    ? make(format as TimeType, undefined, timezone)
    : make('string', format, timezone);
}
