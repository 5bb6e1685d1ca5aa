import assert from 'node:assert/strict';
import { httpUrl, withoutSecrets } from './endpoint.ts';
import { compilePattern } from './pipeline/match-pattern.ts';
import { compilePlaceholders, parseChunkKeys, placeholderProblems } from './placeholders.ts';
import { rubyFloat, rubyInteger, rubySplit, rubyText } from './ruby-values.ts';
import type { FuzzTarget } from './testing/fuzz.ts';
import { guessTime, parseIso8601 } from './time/guess.ts';
import { compileStrftime } from './time/strftime.ts';
import { compileStrptime } from './time/strptime.ts';
import { isTimezone, parseOffset, UTC } from './time/zone.ts';
import { parseDuration, parseFloating, parseInteger, parseRegexp, parseSize } from './units.ts';

const now = (): number => 1_700_000_000_000;
const TAGS = ['', 'a', 'a.b', 'a.b.c', 'app.web.access', `${'a.'.repeat(60)}b`, '中.文'];
const DIRECTIVES = [
  '%Y',
  '%m',
  '%d',
  '%H',
  '%M',
  '%S',
  '%z',
  '%Z',
  '%b',
  '%a',
  '%L',
  '%N',
  '%3N',
  '%s',
  '%j',
  '%y',
  '%p',
  '%I',
  '%e',
  '%:z',
  '%-d',
  '%^b',
  '%010Y',
  '%%',
  '%E',
  '%c',
  '%T',
  '%F',
];
/** First line: what is compiled; the rest: what it is used on. */
const split = (bytes: Buffer): readonly [string, Buffer] => {
  const at = bytes.indexOf(10);
  return at < 0 ? [bytes.toString('utf8'), Buffer.alloc(0)] : [bytes.toString('utf8', 0, at), bytes.subarray(at + 1)];
};
const isTime = (time: { seconds: number; nanoseconds: number }): boolean =>
  Number.isSafeInteger(time.seconds) && Number.isInteger(time.nanoseconds) && time.nanoseconds >= 0 && time.nanoseconds < 1e9;

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'time/strptime',
    seeds: [
      '%d/%b/%Y:%H:%M:%S %z\n17/May/2015:10:05:03 +0000',
      '%Y-%m-%dT%H:%M:%S.%N%z\n2015-05-17T10:05:03.123456789+08:00',
      '%s.%L\n1431857103.5',
      '%a %b %e %I:%M:%S %p %Y %Z\nSun May 17 10:05:03 AM 2015 JST',
      '%j %y %T %F\n137 15 10:05:03 2015-05-17',
    ],
    words: [...DIRECTIVES, '2015', 'May', '+0800', '-99:99', 'Z', '999999999999999999', 'AM', '\n'],
    maxBytes: 512,
    run(bytes) {
      const [format, text] = split(bytes);
      const parser = compileStrptime(format, UTC, now);
      if (typeof parser === 'string') return parser.slice(0, 20);
      const into = { seconds: 0, nanoseconds: 0 };
      if (!parser.parse(text, 0, text.length, into)) return 'no';
      assert.ok(isTime(into), `${into.seconds} ${into.nanoseconds}`);
      return `time ${32 - Math.clz32(into.seconds)}`;
    },
  },
  {
    name: 'time/strftime',
    seeds: ['%Y-%m-%dT%H:%M:%S.%N%:z\n1431857103', '%10N %-d %^a %C %G %V %u %s\n-1', `${DIRECTIVES.join(' ')}\n0`],
    words: [...DIRECTIVES, '%999999999Y', '%+', '\n', '8640000000000', '-8640000000000'],
    maxBytes: 256,
    run(bytes) {
      const [format, text] = split(bytes);
      const seconds = Number(text.toString('latin1', 0, 14));
      const printed = compileStrftime(format, UTC)(Number.isSafeInteger(seconds) ? seconds : 0, 123_456_789);
      assert.ok(printed.length < 100_000, `${printed.length} characters`);
      return Math.min(printed.length, 200);
    },
  },
  {
    name: 'time/guess',
    seeds: [
      '2015-05-17T10:05:03.123+08:00',
      'May 17 2015 10:05 PM',
      '17/May/2015:10:05:03 +0000',
      'Sun, 17 May 2015 10:05:03 GMT',
      '12:00',
      '1431857103',
      '+08:00',
      'Asia/Shanghai',
    ],
    words: ['2015', 'May', 'T', 'Z', '+08:00', 'PM', '.999999999999', ' ', '31', '24:00:00', ':60'],
    maxBytes: 200,
    run(bytes) {
      const text = bytes.toString('utf8');
      isTimezone(text);
      parseOffset(text);
      const times = [guessTime(text, UTC, now), parseIso8601(text, UTC, now)];
      for (const time of times) if (time !== undefined) assert.ok(isTime(time), JSON.stringify(time));
      return times.map((time) => (time === undefined ? 'no' : 'time')).join();
    },
  },
  {
    name: 'pipeline/match-pattern',
    seeds: ['a.** b.*', '{a,b{c,d}}.**.e', '/a\\.(b|c)/', '**', 'a.{b', '\\*.\\{', '中.**'],
    words: ['**', '*', '{', '}', ',', '.', '\\', '/', ' ', 'a'],
    maxBytes: 256,
    run(bytes) {
      const text = bytes.toString('utf8');
      const matches = compilePattern(text);
      if (typeof matches !== 'function') return matches.error.replace(/^.*: /s, '').slice(0, 40);
      // An expression between slashes is its user's own; a glob must be quick for any tag.
      if (text.includes('/')) return 'expression';
      // So is a pattern that wanders through a tag in more ways than anybody writes.
      if (text.split(/\*+/).length > 5) return 'stars';
      return TAGS.map((tag) => (matches(tag) ? 1 : 0)).join('');
    },
  },
  {
    name: 'engine/placeholders',
    seeds: ['tag,time,host\n/var/log/${tag[1]}/${host}-%Y%m%d.${chunk_id}', '$.a.b\n${$.a.b}/${tag}', 'time\n%Y/%m'],
    words: ['${', '}', '${tag}', '${tag[-1]}', '${chunk_id}', '$.a', '%Y', '..', '/', '\n', ',', '[]'],
    maxBytes: 512,
    run(bytes) {
      const [keysText, template] = split(bytes);
      const keys = parseChunkKeys(keysText);
      if ('error' in keys) return keys.error.replace(/^.*: /s, '');
      const text = template.toString('utf8');
      const problems = placeholderProblems('path', text, keys, 3600);
      const variables = Object.fromEntries(keys.fields.map((name) => [name, keysText]));
      const expanded = compilePlaceholders(text, keys, UTC)({ tag: 'a/../b', timekey: 1_700_000_000, variables }, 'aa');
      if (typeof expanded === 'string') assert.ok(climbs(expanded) <= climbs(text), 'values do not lead out of the directory');
      return `${problems.length} ${typeof expanded}`;
    },
  },
  {
    name: 'engine/units',
    seeds: ['10s', '1.5h', '8m', '0x10', '1_000', '/a(?<b>c)/i', 'http://user:pass@host:80/p?q', '-1e5', '512k', 'true'],
    words: ['s', 'm', 'h', 'd', 'k', 'g', 't', '/', '_', '0x', 'e', '.', '-', '://', '@', '[::1]', '%'],
    maxBytes: 256,
    run(bytes) {
      const text = bytes.toString('utf8');
      const numbers = [parseInteger(text), parseFloating(text), parseDuration(text), parseSize(text)];
      for (const number of numbers) assert.ok(number === undefined || !Number.isNaN(number), `${number}`);
      const url = httpUrl().safeParse(text);
      if (url.success) withoutSecrets(text);
      return `${numbers.map((number) => typeof number).join()} ${typeof parseRegexp(text)} ${url.success}`;
    },
  },
  {
    name: 'engine/ruby-values',
    seeds: ['12abc', ' -0x1f', '1_000.5e3', '0b101', '1e400', 'a,b,,', '٣'],
    words: ['_', '0x', '0b', '0o', 'e', '.', '-', ' ', ','],
    maxBytes: 512,
    run(bytes) {
      const text = bytes.toString('utf8');
      rubyText({ [text]: [text, 1.5, null] });
      const parts = rubySplit(text, text.slice(0, 1));
      return `${typeof rubyInteger(text)} ${Number.isFinite(rubyFloat(text))} ${Math.min(parts.length, 20)}`;
    },
  },
];

const climbs = (text: string): number => text.split(/[/\\]/).filter((part) => part === '..').length;
