import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { encodeKey, type EntryWriter } from '../../engine/events/entry-writer.ts';
import { rubyInteger } from '../../engine/ruby-values.ts';
import { bool } from '../../engine/units.ts';
import { AccessTime, GROUP, makeGroups, scanAccessLine, type Group } from './access-line.ts';
import { FAILURE, makeRules, ruleFields } from './rules.ts';

/**
 * Fluentd's expression, without its two ways to read a backslash, which cost exponential time on hostile lines: a quote
 * belongs to the text when a backslash stands before it. The earliest end that fits is taken, as there.
 */
export const APACHE2 =
  /(?<![^\n])(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>[^ \t\r\n\f\v]+)(?: +(?<path>(?:[^"]|(?<=\\)")*?)(?: +[^ \t\r\n\f\v]*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>(?:[^"]|(?<=\\)")*?)" "(?<agent>(?:[^"]|(?<=\\)")*?)")?(?![^\n])/;

/**
 * A line that was cut off inside of its last quoted field, as full disks and syslog relays leave them: Fluentd refuses
 * it, but address, time, path and status are all there.
 */
const CUT =
  /(?<![^\n])(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>[^ \t\r\n\f\v]+)(?: +(?<path>(?:[^"]|(?<=\\)")*?)(?: +[^ \t\r\n\f\v]*)?)?" (?<code>[^ ]*) (?<size>[^ ]*) "(?:(?<referer>(?:[^"]|(?<=\\)")*?)" "(?<agent>(?:[^"]|(?<=\\)")*)|(?<referer>(?:[^"]|(?<=\\)")*))(?![^\n])/;

const TIME_FORMAT = '%d/%b/%Y:%H:%M:%S %z';
const FIELDS = ['host', 'user', 'method', 'path', 'code', 'size', 'referer', 'agent'] as const;
const KEYS = FIELDS.map(encodeKey);
const GROUPS: readonly Group[] = ['remote', 'user', 'method', 'path', 'code', 'size', 'referer', 'agent'];
const TIME_KEY = encodeKey('time');

export const apache2Parser = defineParser({
  name: 'apache2',
  summary: "Reads the access log of Apache in its 'common' or 'combined' format.",
  config: z.object({
    ...ruleFields,
    accept_cut_lines: bool()
      .default(true)
      .describe('Whether a line that was cut off inside of its last quoted field is taken; Fluentd refuses it'),
  }),
  examples: [{ title: 'Access log', config: '<parse>\n  @type apache2\n</parse>' }],
  create(config) {
    const rules = makeRules({ ...config, time_type: 'string', time_format: TIME_FORMAT });
    const clock = new AccessTime();
    const groups = makeGroups();
    return {
      parse(bytes, start, end, into) {
        if (!scanAccessLine(bytes, start, end, groups, true)) return parseOdd(bytes, start, end, into);
        const [timeFrom, timeTo] = [groups[GROUP.time * 2] as number, groups[GROUP.time * 2 + 1] as number];
        const seconds = clock.read(bytes, timeFrom, timeTo);
        if (Number.isNaN(seconds)) return parseOdd(bytes, start, end, into);
        into.begin();
        into.time(seconds, 0);
        for (let n = 0; n < GROUPS.length; n++) {
          into.key(KEYS[n] as Uint8Array);
          const group = GROUP[GROUPS[n] as Group] * 2;
          writeField(into, FIELDS[n] as string, bytes, groups[group] as number, groups[group + 1] as number);
        }
        if (config.keep_time_key) {
          into.key(TIME_KEY);
          into.utf8(bytes, timeFrom, timeTo);
        }
        into.commit();
        return undefined;
      },
    };

    function parseOdd(bytes: Uint8Array, start: number, end: number, into: EntryWriter): string | undefined {
      const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);
      const found = (APACHE2.exec(line) ?? (config.accept_cut_lines ? CUT.exec(line) : null))?.groups;
      if (found === undefined) return FAILURE.pattern;
      const time = rules.time(found['time']);
      if (time === undefined) return FAILURE.time;
      into.begin();
      into.time(time.seconds, time.nanoseconds);
      for (let n = 0; n < FIELDS.length; n++) {
        const name = FIELDS[n] as string;
        into.key(KEYS[n] as Uint8Array);
        const value = found[name];
        if (value === undefined || (value === '-' && name !== 'method' && name !== 'path')) into.nil();
        else if (name === 'size') into.value(rubyInteger(value));
        else if (name === 'code') into.value(rubyInteger(value) || null);
        else into.text(value);
      }
      if (config.keep_time_key) {
        into.key(TIME_KEY);
        into.text(found['time'] as string);
      }
      into.commit();
      return undefined;
    }
  },
});

function writeField(into: EntryWriter, name: string, b: Uint8Array, from: number, to: number): void {
  if (from < 0) return into.nil();
  const isDash = to - from === 1 && b[from] === 0x2d;
  if (name === 'code' || name === 'size') {
    const number = isDash ? null : integerOf(b, from, to);
    into.value(name === 'code' && number === 0 ? null : number);
  } else if (isDash && name !== 'method' && name !== 'path') into.nil();
  else into.utf8(b, from, to);
}

function integerOf(b: Uint8Array, from: number, to: number): number | bigint {
  let number = 0;
  for (let at = from; at < to; at++) {
    const digit = (b[at] as number) - 48;
    if (digit < 0 || digit > 9 || to - from > 15) return rubyInteger(Buffer.from(b.subarray(from, to)).toString('utf8'));
    number = number * 10 + digit;
  }
  return number;
}
