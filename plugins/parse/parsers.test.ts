import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Definition, Parser } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { EventTimeValue } from '../../engine/events/msgpack.ts';
import { create, runParser, testContext } from '../../engine/testing/driver.ts';
import { apacheParser } from './apache.ts';
import { apache2Parser } from './apache2.ts';
import { jsonParser } from './json.ts';
import { nginxParser } from './nginx.ts';
import { noneParser } from './none.ts';
import { regexpParser } from './regexp.ts';

const NOW = 1_700_000_000;
const make = (definition: unknown, config: Fields = {}): Parser =>
  create<Parser>(definition as Definition, config, testContext(definition as Definition));

/** `[config, line, record or failure, seconds]`; without seconds: the time of reading. */
type Row = readonly [config: Fields, line: string, want: Fields | string, seconds?: number];

function table(name: string, definition: unknown, rows: readonly Row[]): void {
  describe(name, () => {
    for (const [config, line, want, seconds] of rows) {
      test(`${JSON.stringify(config)} ${JSON.stringify(line)}`, () => {
        const { events, failure } = runParser(make(definition, config), line, NOW);
        if (typeof want === 'string') {
          assert.equal(failure, want);
          assert.deepEqual(events, []);
          return;
        }
        assert.equal(failure, undefined);
        assert.equal(events.length, 1);
        assert.deepEqual(events[0]?.record, want);
        assert.equal(events[0]?.seconds, seconds ?? NOW);
      });
    }
  });
}

table('none', noneParser, [
  [{}, '中文 line', { message: '中文 line' }],
  [{}, '', { message: '' }],
  [{ message_key: 'log' }, 'x', { log: 'x' }],
  [{ types: 'message:integer' }, '12 apples', { message: 12 }],
  [{ null_empty_string: true }, '', { message: null }],
]);

const DATED = '/^(?<time>\\S+ \\S+) (?<level>\\w+)(?: (?<rest>.*))?$/';
table('regexp', regexpParser, [
  [
    { expression: DATED, time_format: '%Y-%m-%d %H:%M:%S', utc: true, localtime: false },
    '2023-11-14 22:13:20 WARN 中',
    { level: 'WARN', rest: '中' },
    NOW,
  ],
  [
    { expression: DATED, time_format: '%Y-%m-%d %H:%M:%S', timezone: 'Asia/Shanghai' },
    '2023-11-15 06:13:20 WARN',
    { level: 'WARN' },
    NOW,
  ],
  [{ expression: DATED, time_format: '%Y-%m-%d %H:%M:%S' }, 'not a time WARN', 'invalid time'],
  [{ expression: DATED, time_format: '%s' }, 'nothing', 'pattern not matched'],
  [
    { expression: '/(?<a>\\d+)/', time_key: 'a', time_type: 'unixtime', keep_time_key: true },
    'at 1600000000 or so',
    { a: '1600000000' },
    1_600_000_000,
  ],
  [{ expression: '/^(?<a>\\S*) (?<b>\\S*)$/', types: 'a:integer,b:float' }, '007 1.5', { a: 7, b: 1.5 }],
  [{ expression: '/^(?<a>\\S*) (?<b>\\S*)$/', types: 'a:bool,b:array:|' }, 'Yes x|y||', { a: true, b: ['x', 'y'] }],
  [
    { expression: '/^(?<a>\\S*) (?<b>\\S*)$/', types: 'a:time:%s,b:time:%s' },
    '1600000000 never',
    { a: new EventTimeValue(1_600_000_000, 0), b: null },
  ],
  [{ expression: '/^(?<a>\\S*) (?<b>\\S*)$/', null_value_pattern: '/^-$/', null_empty_string: true }, '- ', { a: null, b: null }],
]);

test('a float stays a float when its value is whole', () => {
  const { events } = runParser(make(regexpParser, { expression: '/(?<a>.*)/', types: 'a:float' }), '200');
  assert.deepEqual(events[0]?.record, { a: 200 });
});

describe('what a parser refuses to be made of', () => {
  for (const [definition, config, text] of [
    [regexpParser, { expression: '/^x$/' }, /no named group/],
    [regexpParser, { expression: '/(?<a>x)/', types: 'a:int' }, /unknown type int for a/],
    [jsonParser, { timezone: 'Nowhere/City', time_format: '%s' }, /unknown zone/],
    [jsonParser, { time_type: 'mixed' }, /mixed/],
  ] as const) {
    test(JSON.stringify(config), () => assert.throws(() => make(definition, config), { code: 'MR_CONFIG', message: text }));
  }
});

table('json', jsonParser, [
  [{}, '{"a":1,"b":"中","c":[{"d":null}]}', { a: 1, b: '中', c: [{ d: null }] }],
  [{}, '{"time":1600000000.5,"a":1}', { a: 1 }, 1_600_000_000],
  [{}, '{"time":"2020-09-13T12:26:40Z","a":1}', { a: 1 }, 1_600_000_000],
  [
    { time_format: '%Y-%m-%dT%H:%M:%S%z', keep_time_key: true },
    '{"time":"2020-09-13T20:26:40+08:00"}',
    { time: '2020-09-13T20:26:40+08:00' },
    1_600_000_000,
  ],
  [{ timezone: '+08:00' }, '{"time":"2020-09-13 20:26:40"}', {}, 1_600_000_000],
  [{}, '{"time":null}', 'invalid time'],
  [{}, '{"time":{}}', 'invalid time'],
  [{ time_key: 't' }, '{"time":1,"t":1600000000}', { time: 1 }, 1_600_000_000],
  [
    {},
    '{"n":12345678901234567890,"m":-9007199254740993,"f":1.25}',
    { n: 12_345_678_901_234_567_890n, m: -9_007_199_254_740_993n, f: 1.25 },
  ],
  [{}, '{"__proto__":{"a":1}}', JSON.parse('{"__proto__":{"a":1}}') as Fields],
  [{}, '{"a":"NaN // no comment"} // a comment', { a: 'NaN // no comment' }],
  [{}, '{"a":-Infinity /* why */}', { a: -Infinity }],
  [{}, '{"a":1', 'invalid JSON'],
  [{}, '', 'invalid JSON'],
  [{}, '7', 'not a map'],
  [{}, '[]', 'not a map'],
  [{}, '[1,2]', 'not a map'],
  [{ types: 'a:string,b:integer' }, '{"a":[1,{"x":"y"}],"b":"3 mice"}', { a: '[1, {"x"=>"y"}]', b: 3 }],
]);

test('a list gives one event per map', () => {
  const { events, failure } = runParser(make(jsonParser), '[{"a":1},5,{"a":2,"time":1600000000}]', NOW);
  assert.equal(failure, undefined);
  assert.deepEqual(
    events.map(({ seconds, record }) => [seconds, record]),
    [
      [NOW, { a: 1 }],
      [1_600_000_000, { a: 2 }],
    ],
  );
});

const LINE = '192.0.2.1 - bob [14/Nov/2023:22:13:20 +0000] "GET /a?b=中 HTTP/1.1" 404 1234 "https://例.cn/" "curl/8"';
const ACCESS = { method: 'GET', path: '/a?b=中', referer: 'https://例.cn/', agent: 'curl/8' };
table('apache2', apache2Parser, [
  [{}, LINE, { host: '192.0.2.1', user: 'bob', ...ACCESS, code: 404, size: 1234 }, NOW],
  [
    { keep_time_key: true },
    LINE,
    { host: '192.0.2.1', user: 'bob', ...ACCESS, code: 404, size: 1234, time: '14/Nov/2023:22:13:20 +0000' },
    NOW,
  ],
  [
    {},
    '- - - [14/Nov/2023:22:13:20 +0000] "GET /\\"q HTTP/1.1" 0 - "-" "-"',
    { host: null, user: null, method: 'GET', path: '/\\"q', code: null, size: null, referer: null, agent: null },
    NOW,
  ],
  [
    {},
    'h - - [30/Feb/2023:22:13:20 +0000] "-" 408 12x',
    { host: 'h', user: null, method: '-', path: null, code: 408, size: 12, referer: null, agent: null },
    1_677_795_200,
  ],
  [
    {},
    'h - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1 "-" "Mozilla/5.0 (comp',
    { host: 'h', user: null, method: 'GET', path: '/', code: 200, size: 1, referer: null, agent: 'Mozilla/5.0 (comp' },
    NOW,
  ],
  [
    {},
    'h - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1 "http://exam',
    { host: 'h', user: null, method: 'GET', path: '/', code: 200, size: 1, referer: 'http://exam', agent: null },
    NOW,
  ],
  [
    { accept_cut_lines: false },
    'h - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1 "-" "Mozilla/5.0 (comp',
    'pattern not matched',
  ],
  [{}, 'h - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1 "-" "x" more', 'pattern not matched'],
  [{}, 'h - - [soon] "GET / HTTP/1.1" 200 1', 'invalid time'],
  [{}, 'hello', 'pattern not matched'],
]);

table('nginx', nginxParser, [
  [{}, LINE, { remote: '192.0.2.1', host: '-', user: 'bob', ...ACCESS, code: '404', size: '1234' }, NOW],
  [
    { types: 'code:integer,size:integer', null_value_pattern: '^-$' },
    LINE,
    { remote: '192.0.2.1', host: null, user: 'bob', ...ACCESS, code: 404, size: 1234 },
    NOW,
  ],
  [
    {},
    `${LINE} "10.0.0.1"`,
    { remote: '192.0.2.1', host: '-', user: 'bob', ...ACCESS, code: '404', size: '1234', http_x_forwarded_for: '10.0.0.1' },
    NOW,
  ],
  [
    {},
    'h - - [14/Nov/2023:22:13:20 +0000] "\\x16\\x03" 400 0',
    { remote: 'h', host: '-', user: '-', method: '\\x16\\x03', code: '400', size: '0' },
    NOW,
  ],
  [{ expression: '/^(?<who>\\S+) (?<time>\\d+)$/', time_format: '%s' }, 'me 1600000000', { who: 'me' }, 1_600_000_000],
  [{}, `${LINE} "-" 0.01`, 'pattern not matched'],
]);

table('apache', apacheParser, [
  [{}, LINE, { host: '192.0.2.1', user: 'bob', ...ACCESS, code: '404', size: '1234' }, NOW],
  [{}, '"', 'pattern not matched'],
]);

test('any bytes: no throw, and an event or a reason', () => {
  const parsers = [noneParser, jsonParser, apacheParser, apache2Parser, nginxParser].map((one) => make(one));
  parsers.push(make(regexpParser, { expression: DATED }));
  const start = fc.constantFrom('', '{"a":', LINE, `${LINE}\n`, '1.1.1.1 - - [');
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 40 }), (head, bytes) => {
      for (const parser of parsers) {
        const { events, failure } = runParser(parser, Buffer.concat([Buffer.from(head), bytes]));
        assert.equal(failure === undefined, events.length > 0);
      }
    }),
    { numRuns: 300 },
  );
});
