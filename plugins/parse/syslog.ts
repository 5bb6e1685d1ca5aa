import * as z from 'zod';
import { defineParser, type Parser } from '../../engine/component.ts';
import { encodeKey, type EntryWriter } from '../../engine/events/entry-writer.ts';
import { byteTimeParser, type ByteTimeParser } from '../../engine/time-format.ts';
import { bool, oneOf, text } from '../../engine/units.ts';
import { FAILURE, checkRules, columnsOf, makeRules, ruleFields, writeBytes, type Column, type Rules } from './rules.ts';
import * as scan from './syslog-scan.ts';

const LEGACY_TIME = '%b %d %H:%M:%S';
const MODERN_TIME = '%Y-%m-%dT%H:%M:%S.%L%z';
const MODERN_TIME_WHOLE = '%Y-%m-%dT%H:%M:%S%z';
/** A time without a year that lies further ahead than this is of last year: December's lines, read in January. */
const AHEAD_SECONDS = 183 * 86_400;

const config = z.object({
  ...ruleFields,
  time_key: text().default('time').describe('Name of the time, for keep_time_key'),
  time_format: text()
    .optional()
    .describe(`Format of the time, as in strptime; without it ${LEGACY_TIME}, and rfc5424_time_format for RFC 5424`),
  with_priority: bool().default(false).describe('Whether lines begin with a priority such as <34>'),
  keep_priority: bool().default(true).describe('Whether the priority becomes the field pri'),
  message_format: oneOf(['rfc3164', 'rfc5424', 'auto'])
    .default('rfc3164')
    .describe('Form of the lines; auto looks for the version number of RFC 5424 behind the priority'),
  rfc5424_time_format: text().default(MODERN_TIME).describe('Format of the time in RFC 5424'),
  parser_engine: oneOf(['regexp', 'string'])
    .optional()
    .describe("Name of Fluentd's reader, regexp when not given; they differ in lines that follow neither standard"),
  parser_type: oneOf(['regexp', 'string']).optional().describe('Older name of parser_engine'),
  support_colonless_ident: bool()
    .default(true)
    .describe('Whether the first word is the ident also without a colon behind it; string engine only'),
});
type Config = z.output<typeof config>;

export const syslogParser = defineParser({
  name: 'syslog',
  summary: 'Reads lines of syslog: RFC 3164, RFC 5424, or whichever it is.',
  config,
  examples: [
    { title: 'Files that rsyslog writes', config: '<parse>\n  @type syslog\n</parse>' },
    { title: 'Both forms', config: '<parse>\n  @type syslog\n  message_format auto\n  with_priority true\n</parse>' },
  ],
  check: (parsed) => [...checkRules(legacyRules(parsed)), ...checkRules(modernRules(parsed))],
  create(parsed, ctx): Parser {
    const now = (): number => ctx.clock.now();
    const isString = (parsed.parser_engine ?? parsed.parser_type) === 'string';
    const legacy = legacyReader(parsed, isString, now);
    const modern = modernReader(parsed, isString, now);
    const { message_format: format, with_priority: hasPriority } = parsed;
    const parts = scan.makeParts();
    return {
      parse(bytes, start, end, into) {
        parts.pri = -1;
        parts.at = start;
        // The string engine takes anything between < and >; what is no number there is no priority to anybody.
        if (hasPriority && !scan.readPri(bytes, start, end, parts)) return FAILURE.pattern;
        let isModern = format === 'rfc5424';
        if (format === 'auto')
          isModern = (hasPriority || scan.readPri(bytes, start, end, parts)) && scan.readVersion(bytes, end, parts, false);
        if (format === 'auto' && !hasPriority) {
          parts.pri = -1;
          parts.at = start;
        }
        return (isModern ? modern : legacy)(bytes, end, parts, into);
      },
    };
  },
});

const legacyRules = (parsed: Config): Config & { time_format: string } => ({
  ...parsed,
  time_format: parsed.time_format ?? LEGACY_TIME,
});
const modernRules = (parsed: Config): Config & { time_format: string } => ({
  ...parsed,
  time_format: (parsed.message_format === 'rfc5424' ? parsed.time_format : undefined) ?? parsed.rfc5424_time_format,
});

type Reader = (bytes: Uint8Array, end: number, parts: scan.SyslogParts, into: EntryWriter) => string | undefined;

function legacyReader(parsed: Config, isString: boolean, now: () => number): Reader {
  const config = legacyRules(parsed);
  const rules = makeRules(config, now);
  const words = wordsOf(config.time_format);
  const hasFixedTime = isString && (config.time_format === LEGACY_TIME || config.time_format === `${LEGACY_TIME}.%N`);
  const write = writer(parsed, rules, ['host', 'ident', 'pid', 'message']);
  const hasYear = config.time_type !== 'string' || /^%iso8601$|%[-_0^#]?\d*[YyCGsQcDFxv+]/.test(config.time_format);
  const readTime = hasYear
    ? rules.readTime
    : lastYears(byteTimeParser({ ...config, format: config.time_format, now }), config.time_format, now);
  return (bytes, end, parts, into) => {
    if (!(hasFixedTime ? scan.readTimeBytes(bytes, end, parts) : scan.readTimeWords(bytes, end, parts, words)))
      return FAILURE.pattern;
    const isRead = isString
      ? scan.readLegacyString(bytes, end, parts, parsed.support_colonless_ident)
      : scan.readLegacy(bytes, end, parts);
    return isRead ? write(bytes, parts, into, readTime) : FAILURE.pattern;
  };
}

function modernReader(parsed: Config, isString: boolean, now: () => number): Reader {
  const config = modernRules(parsed);
  const rules = makeRules(config, now);
  const words = wordsOf(config.time_format);
  const write = writer(parsed, rules, ['host', 'ident', 'pid', 'msgid', 'extradata', 'message'], isString);
  const whole = byteTimeParser({ ...config, format: MODERN_TIME_WHOLE });
  const target = { seconds: 0, nanoseconds: 0 };
  const readTime: Rules['readTime'] = (into, bytes, start, end) => {
    if (rules.readTime(into, bytes, start, end)) return true;
    if (!whole.parse(bytes, start, end, target)) return false;
    into.time(target.seconds, target.nanoseconds);
    return true;
  };
  return (bytes, end, parts, into) => {
    if (parsed.with_priority && !scan.readVersion(bytes, end, parts, true)) return FAILURE.pattern;
    if (!scan.readTimeWords(bytes, end, parts, words)) return FAILURE.pattern;
    const isRead = isString ? scan.readModernString(bytes, end, parts) : scan.readModern(bytes, end, parts);
    return isRead ? write(bytes, parts, into, readTime) : FAILURE.pattern;
  };
}

const wordsOf = (format: string): number => format.replaceAll(/ +/g, ' ').split(' ').length;

const PRI = encodeKey('pri');

type PartName = keyof typeof scan.PART;

function writer(
  parsed: Config,
  rules: Rules,
  names: readonly PartName[],
  isUnescaped = false,
): (bytes: Uint8Array, parts: scan.SyslogParts, into: EntryWriter, readTime: Rules['readTime']) => string | undefined {
  const columns = columnsOf(names, rules);
  const [timeColumn] = columnsOf(['time'], rules);
  const ats = names.map((name) => scan.PART[name]);
  return (bytes, { pri, offsets }, into, readTime) => {
    into.begin();
    const [timeFrom, timeTo] = [offsets[scan.PART.time] as number, offsets[scan.PART.time + 1] as number];
    if (!readTime(into, bytes, timeFrom, timeTo)) {
      into.abort();
      return FAILURE.time;
    }
    if (pri >= 0 && parsed.keep_priority) {
      into.key(PRI);
      into.integer(pri);
    }
    for (let n = 0; n < columns.length; n++) {
      const at = ats[n] as number;
      const from = offsets[at] as number;
      if (from < 0) continue;
      const to = offsets[at + 1] as number;
      if (isUnescaped && at === scan.PART.extradata) writeUnescaped(into, rules, columns[n] as Column, bytes, from, to);
      else writeBytes(into, rules, columns[n] as Column, bytes, from, to);
    }
    if (rules.keepTimeKey) writeBytes(into, rules, timeColumn as Column, bytes, timeFrom, timeTo);
    into.commit();
    return undefined;
  };
}

/** The string engine takes the backslashes out of the extradata. */
function writeUnescaped(into: EntryWriter, rules: Rules, column: Column, b: Uint8Array, from: number, to: number): void {
  if (!b.subarray(from, to).includes(0x5c)) return writeBytes(into, rules, column, b, from, to);
  const bytes = b.subarray(from, to).filter((byte) => byte !== 0x5c);
  return writeBytes(into, rules, column, bytes, 0, bytes.length);
}

const LONGEST_CACHED = 32;

/**
 * Times without a year: that of now, or the last one. Fluentd has the present year only, which dates the lines that
 * come late at New Year a year ahead. Lines of one second carry the same text, so the last one is kept.
 */
function lastYears(parser: ByteTimeParser, format: string, now: () => number): Rules['readTime'] {
  const last = new Uint8Array(LONGEST_CACHED);
  let length = -1;
  const time = { seconds: 0, nanoseconds: 0 };
  const endsInSeconds = format.endsWith(':%S');
  /** How many bytes at the end differ from the last text; 3 for more than two. */
  const differing = (b: Uint8Array, start: number): number => {
    for (let n = 0; n < length - 2; n++) if (b[start + n] !== last[n]) return 3;
    return b[start + length - 2] !== last[length - 2] ? 2 : b[start + length - 1] === last[length - 1] ? 0 : 1;
  };
  const isSecond = (b: Uint8Array, at: number): boolean => {
    const [tens, ones] = [b[at] as number, b[at + 1] as number];
    return tens >= 48 && tens < 54 && ones >= 48 && ones < 58;
  };
  const read = (b: Uint8Array, start: number, end: number): boolean => {
    length = -1;
    if (!parser.parse(b, start, end, time)) return false;
    if (time.seconds > now() / 1000 + AHEAD_SECONDS) {
      const date = new Date(time.seconds * 1000);
      time.seconds = date.setUTCFullYear(date.getUTCFullYear() - 1) / 1000;
    }
    if (end - start < 2 || end - start > LONGEST_CACHED) return true;
    length = end - start;
    for (let n = 0; n < length; n++) last[n] = b[start + n] as number;
    return true;
  };
  return (into, b, start, end) => {
    const differs = end - start === length ? differing(b, start) : 3;
    if (differs === 0) into.time(time.seconds, time.nanoseconds);
    else if (differs < 3 && endsInSeconds && isSecond(b, end - 2) && isSecond(last, length - 2)) {
      // Another second of the same minute.
      const [before, at] = [secondAt(last, length - 2), secondAt(b, end - 2)];
      time.seconds += at - before;
      last[length - 2] = b[end - 2] as number;
      last[length - 1] = b[end - 1] as number;
      into.time(time.seconds, time.nanoseconds);
    } else {
      if (!read(b, start, end)) return false;
      into.time(time.seconds, time.nanoseconds);
    }
    return true;
  };
}

const secondAt = (b: Uint8Array, at: number): number => (b[at] as number) * 10 + (b[at + 1] as number);
