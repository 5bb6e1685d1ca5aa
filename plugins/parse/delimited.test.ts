import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Definition, Parser } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, runParser, testContext } from '../../engine/testing/driver.ts';
import { apacheErrorParser } from './apache-error.ts';
import { csvParser } from './csv.ts';
import { ltsvParser } from './ltsv.ts';
import { msgpackParser } from './msgpack.ts';
import { multilineParser } from './multiline.ts';
import { splitText } from './split.ts';
import { tsvParser } from './tsv.ts';

const NOW = 1_700_000_000;
const make = (definition: unknown, config: Fields = {}): Parser =>
  create<Parser>(definition as Definition, config, testContext(definition as Definition));

/** `[config, line, record or failure, seconds]`; without seconds: the time of reading. */
type Row = readonly [config: Fields, line: string | Uint8Array, want: Fields | string, seconds?: number];

function table(name: string, definition: unknown, rows: readonly Row[]): void {
  describe(name, () => {
    for (const [config, line, want, seconds] of rows) {
      test(`${JSON.stringify(config)} ${JSON.stringify(line)}`, () => {
        const { events, failure } = runParser(make(definition, config), line, NOW);
        if (typeof want === 'string') {
          assert.deepEqual([failure, events], [want, []]);
          return;
        }
        assert.equal(failure, undefined);
        assert.deepEqual(
          events.map(({ record }) => record),
          [want],
        );
        assert.equal(events[0]?.seconds, seconds ?? NOW);
      });
    }
  });
}

const keys = 'a,b,c';
const fast = { keys, parser_engine: 'fast' };
table('csv', csvParser, [
  [{ keys }, '基金,"a, b",', { a: '基金', b: 'a, b', c: null }],
  [{ keys }, '1', { a: '1', b: null, c: null }],
  [{ keys }, '1,2,3,4,"5"', { a: '1', b: '2', c: '3' }],
  [{ keys }, '"","""",""""""', { a: '', b: '"', c: '""' }],
  [{ keys }, '1,2,3\r\nnext,line,here', { a: '1', b: '2', c: '3' }],
  [{ keys, delimiter: '||' }, 'a|b||"c||d"||e', { a: 'a|b', b: 'c||d', c: 'e' }],
  [{ keys, types: 'a:integer', null_value_pattern: '/^-$/' }, '12x,-,"-"', { a: 12, b: null, c: null }],
  [{ keys, time_key: 'b', time_format: '%Y%m%d', utc: true }, 'x,20231114,y', { a: 'x', c: 'y' }, 1_699_920_000],
  [{ keys, time_key: 'b', keep_time_key: true, time_type: 'unixtime' }, 'x,12,y', { a: 'x', b: '12', c: 'y' }, 12],
  [{ keys, time_key: 'b' }, 'x,,y', 'invalid time'],
  [{ keys, time_key: 'c' }, 'x,y', 'invalid time'],
  [{ keys, time_key: 'a' }, '"nev""er",y', 'invalid time'],
  [{ keys }, '', 'empty line'],
  [{ keys }, 'a,b"c', 'malformed CSV'],
  [{ keys }, 'a,"b', 'malformed CSV'],
  [{ keys }, 'a,"b"c,d', 'malformed CSV'],
  [fast, 'a,b"c', { a: 'a', b: 'b"c' }],
  [fast, 'a,"b,c,d', { a: 'a', b: 'b,c,' }],
  [fast, '"a,b,c",d,"e ""f"""', { a: 'a,b,c', b: 'd', c: 'e "f"' }],
  [{ ...fast, time_key: 'a' }, 'never,1', 'invalid time'],
  [fast, '', {}],
]);

table('tsv', tsvParser, [
  [{ keys }, '基金\tx\ty\tz', { a: '基金', b: 'x', c: 'y\tz' }],
  [{ keys }, '\t', { a: '', b: '', c: null }],
  [{ keys: 'a' }, 'x\ty', { a: 'x\ty' }],
  [{ keys, delimiter: '::' }, '1::2:::3', { a: '1', b: '2', c: ':3' }],
  [{ keys, delimiter: ' ' }, '  1   2  3 4', { a: '1', b: '2', c: '3 4' }],
  [{ keys, time_key: 'a', time_type: 'float' }, '12.5\tx\ty', { b: 'x', c: 'y' }, 12],
  [{ keys, time_key: 'c' }, '1\t2', 'invalid time'],
  [{ keys, time_key: 'a' }, 'no\t2', 'invalid time'],
]);

table('ltsv', ltsvParser, [
  [{}, 'host:web1\t地:中文\tx', { host: 'web1', 地: '中文' }],
  [{}, 'a:1\tb:2\ta:3', { a: '3', b: '2' }],
  [{}, 'time:2023-11-14T22:13:21Z\ta:1', { a: '1' }, NOW + 1],
  [{ keep_time_key: true }, 'a:1\ttime:2023-11-14T22:13:21Z', { a: '1', time: '2023-11-14T22:13:21Z' }, NOW + 1],
  [{ types: 'a:integer', label_delimiter: '=', delimiter_pattern: '/[;,]/' }, 'a=1;b=2,c', { a: 1, b: '2' }],
  [{ delimiter: ' ', label_delimiter: '=' }, ' a=1  b=2', { a: '1', b: '2' }],
  [{}, 'a:1\ttime:never', 'invalid time'],
  [{ types: 'a:integer' }, 'a:1\ttime:never', 'invalid time'],
  [
    {},
    Array.from({ length: 70 }, (_, n) => `k${n}:${n}`).join('\t'),
    Object.fromEntries(Array.from({ length: 70 }, (_, n) => [`k${n}`, `${n}`])),
  ],
]);

table('apache_error', apacheErrorParser, [
  [
    {},
    '[Tue Nov 14 22:13:21 2023] [error] [pid 9:tid 3] [client 192.0.2.1:80] 文件不存在',
    { level: 'error', pid: '9:tid 3', client: '192.0.2.1:80', message: '文件不存在' },
    NOW + 1,
  ],
  [{}, 'hello', 'pattern not matched'],
]);

table('msgpack', msgpackParser, [
  [{}, Buffer.from('81a16101', 'hex'), { a: 1 }],
  [{}, Buffer.from('9281a1610105', 'hex'), { a: 1 }],
  [{ time_key: 't', time_type: 'unixtime' }, Buffer.from('82a16101a17405', 'hex'), { a: 1 }, 5],
  [{ types: 'a:string' }, Buffer.from('81a16101', 'hex'), { a: '1' }],
  [{ time_key: 't' }, Buffer.from('81a17405', 'hex'), 'invalid time'],
  [{}, Buffer.from('90', 'hex'), 'not a map'],
  [{}, Buffer.from('', 'hex'), 'not a map'],
  [{}, Buffer.from('c1', 'hex'), 'invalid MessagePack'],
  [{}, Buffer.from('82a16101', 'hex'), 'invalid MessagePack'],
]);

const trace = { format1: '/^(?<level>\\w+) (?<message>[^\\n]*)/', format2: '/(?<trace>(?:\\n\\s+at [^\\n]*)*)/' };
table('multiline', multilineParser, [
  [
    trace,
    'ERROR 支付失败\n  at a.b(C.java:1)\n  at d',
    { level: 'ERROR', message: '支付失败', trace: '\n  at a.b(C.java:1)\n  at d' },
  ],
  [trace, '--', 'pattern not matched'],
  [{ ...trace, time_key: 'level' }, 'ERROR x', 'invalid time'],
  [{ format1: '/(?<a>.*)/', time_key: 'x' }, 'one\ntwo', { a: 'one\ntwo' }],
]);

describe('multiline', () => {
  test('what is left of the text is an event of its own', () => {
    const parser = make(multilineParser, { format1: '/n=(?<n>\\d)/', unmatched_lines: true });
    const { events } = runParser(parser, 'n=1\nn=2\nrest', NOW);
    assert.deepEqual(
      events.map(({ record }) => record),
      [{ n: '1' }, { n: '2' }, { unmatched_line: 'rest' }],
    );
  });
  for (const [config, problem] of [
    [{}, /^format1: is required/],
    [{ format2: '/(?<a>b)/' }, /^format1: is missing, but there is a format2/],
    [{ format1: '(?<a>b)' }, /^format1: expected .* between slashes/],
    [{ format1: '/a/' }, /^format1: no named group/],
    [{ format1: '/(?<a>b/' }, /^format1: /],
    [{ format1: '/(?<a>b)/', format_firstline: 'x' }, /^format_firstline: expected/],
  ] as const) {
    test(JSON.stringify(config), () => {
      const parsed = multilineParser.config.parse(config);
      assert.match((multilineParser.check?.(parsed) ?? []).join('\n'), problem);
      assert.throws(() => make(multilineParser, config));
    });
  }
});

describe('properties', () => {
  test('csv gives back what was quoted', () => {
    const parser = make(csvParser, { keys });
    const value = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '中', ' ') });
    fc.assert(
      fc.property(value, value, value, (...values) => {
        const line = values.map((one) => `"${one.replaceAll('"', '""')}"`).join(',');
        const [a, b, c] = values;
        assert.deepEqual(runParser(parser, line).events[0]?.record, { a, b, c });
      }),
    );
  });

  test('ltsv and tsv from bytes give what Ruby would', () => {
    const ltsv = make(ltsvParser, { time_key: 'no such label' });
    const tsv = make(tsvParser, { keys });
    const line = fc.string({ unit: fc.constantFrom('a', 'b', ':', '\t', '中', ' ') });
    fc.assert(
      fc.property(line, (text) => {
        const pairs = splitText(text, '\t')
          .filter((piece) => piece.includes(':'))
          .map((piece): [string, string] => [piece.slice(0, piece.indexOf(':')), piece.slice(piece.indexOf(':') + 1)]);
        assert.deepEqual(runParser(ltsv, text).events[0]?.record, Object.fromEntries(pairs));
        const [a = null, b = null, c = null] = text === '' ? [] : splitText(text, '\t', 3);
        assert.deepEqual(runParser(tsv, text).events[0]?.record, { a, b, c });
      }),
      { numRuns: 500 },
    );
  });
});
