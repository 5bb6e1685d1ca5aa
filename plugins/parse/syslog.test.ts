import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Definition, Parser } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { FakeClock, create, runParser, testContext } from '../../engine/testing/driver.ts';
import { syslogParser } from './syslog.ts';
import { PART, makeParts, readLegacy, readModern } from './syslog-scan.ts';

/** 2023-11-14T22:13:20Z */
const NOW = 1_700_000_000;
const definition = syslogParser as unknown as Definition;
const make = (config: Fields, now = NOW): Parser =>
  create<Parser>(
    definition,
    { utc: true, localtime: false, ...config },
    testContext(definition, { clock: new FakeClock(now * 1000) }),
  );

const modern = { message_format: 'rfc5424' };
const auto = { message_format: 'auto', with_priority: true };
const engine = { parser_engine: 'string' };

describe('syslog', () => {
  for (const [config, line, want, seconds] of [
    [{}, 'Nov 14 22:13:20 web1 nginx[12]: 订单: 完成', { host: 'web1', ident: 'nginx', pid: '12', message: '订单: 完成' }, NOW],
    [{}, 'Nov  4 22:13:20 web1 nginx:x', { host: 'web1', ident: 'nginx', message: 'x' }, NOW - 864_000],
    [{}, 'Nov 14 22:13:20 web1 su[a]: x', { host: 'web1', ident: 'su', message: 'x' }, NOW],
    [{}, 'Nov 14 22:13:20 web1 a b c', { host: 'web1', ident: 'a', message: 'b c' }, NOW],
    [{}, 'Nov 14 22:13:20 web1 a: one\ntwo', { host: 'web1', ident: 'a', message: 'one' }, NOW],
    [{ keep_time_key: true }, 'Nov 14 22:13:20 h a: m', { host: 'h', ident: 'a', message: 'm', time: 'Nov 14 22:13:20' }, NOW],
    [{ types: 'pid:integer' }, 'Nov 14 22:13:20 h a[7]: m', { host: 'h', ident: 'a', pid: 7, message: 'm' }, NOW],
    [{ time_format: '%Y-%m-%dT%H:%M:%S%z' }, '2023-11-14T22:13:20Z h a: m', { host: 'h', ident: 'a', message: 'm' }, NOW],
    [{ with_priority: true }, '<165>Nov 14 22:13:20 h a: m', { pri: 165, host: 'h', ident: 'a', message: 'm' }, NOW],
    [{ with_priority: true, keep_priority: false }, '<165>Nov 14 22:13:20 h a: m', { host: 'h', ident: 'a', message: 'm' }, NOW],
    [{ with_priority: true }, '<1650>Nov 14 22:13:20 h a: m', 'pattern not matched'],
    [{ with_priority: true }, '<>Nov 14 22:13:20 h a: m', 'pattern not matched'],
    [{}, 'Nov 14 22:13:20 host', 'pattern not matched'],
    [{}, 'Nov 14', 'pattern not matched'],
    [{}, 'Foo 14 22:13:20 h a: m', 'invalid time'],
    [engine, 'Nov 14 22:13:20 h a[1]: m: n\n', { host: 'h', ident: 'a', pid: '1', message: 'm: n' }, NOW],
    [engine, 'Nov 14 22:13:20 h alone', { host: 'h', message: 'alone' }, NOW],
    [engine, 'Nov 14 22:13:20 h a] x', { host: 'h', ident: 'a]', message: 'x' }, NOW],
    [{ ...engine, support_colonless_ident: false }, 'Nov 14 22:13:20 h two words', { host: 'h', message: 'two words' }, NOW],
    [{ ...engine, time_format: '%b %d %H:%M:%S.%N' }, 'Nov 14 22:13:20.5 h a: m', { host: 'h', ident: 'a', message: 'm' }, NOW],
    [engine, 'Nov 14 22:13:2 h a: m', 'pattern not matched'],
    [
      modern,
      '2023-11-14T22:13:20.003Z web1 app 7 ID1 [a@1 x="[1\\]"][b@2] 订单',
      { host: 'web1', ident: 'app', pid: '7', msgid: 'ID1', extradata: '[a@1 x="[1\\]"][b@2]', message: '订单' },
      NOW,
    ],
    [modern, '2023-11-14T22:13:20Z h a - - -', { host: 'h', ident: 'a', pid: '-', msgid: '-', extradata: '-' }, NOW],
    [modern, '2023-11-14T22:13:20Z h a - - - ', 'pattern not matched'],
    [modern, '2023-11-14T22:13:20Z h a - - [x', 'pattern not matched'],
    [modern, `2023-11-14T22:13:20Z ${'h'.repeat(256)} a - - -`, 'pattern not matched'],
    [modern, '- h a - - - m', 'invalid time'],
    [
      { ...modern, ...engine },
      '2023-11-14T22:13:20Z 主机 a - - [x y="\\""] m',
      { host: '主机', ident: 'a', pid: '-', msgid: '-', extradata: '[x y="""]', message: 'm' },
      NOW,
    ],
    [
      auto,
      '<34>1 2023-11-14T22:13:20Z h a - - - m',
      { pri: 34, host: 'h', ident: 'a', pid: '-', msgid: '-', extradata: '-', message: 'm' },
      NOW,
    ],
    [auto, '<34>Nov 14 22:13:20 h a: m', { pri: 34, host: 'h', ident: 'a', message: 'm' }, NOW],
  ] as const) {
    test(`${JSON.stringify(config)} ${JSON.stringify(line)}`, () => {
      const { events, failure } = runParser(make(config), line, 1);
      if (typeof want === 'string') return assert.deepEqual([failure, events], [want, []]);
      assert.equal(failure, undefined);
      assert.deepEqual(events[0]?.record, want);
      assert.equal(events[0]?.seconds, seconds);
    });
  }

  test('seconds of one minute, and texts that only look like one', () => {
    const parser = make({});
    for (const [text, want] of [
      ['22:13:20', NOW],
      ['22:13:59', NOW + 39],
      ['22:13:00', NOW - 20],
      ['22:13:60', NOW + 40],
      ['22:13:61', undefined],
      ['22:13:0x', NOW - 20],
      ['22:14:01', NOW + 41],
      ['22:14:01', NOW + 41],
    ] as const)
      assert.equal(runParser(parser, `Nov 14 ${text} h a: m`).events[0]?.seconds, want);
  });

  test("December's lines that come in January are of last year", () => {
    const january = Date.UTC(2024, 0, 1, 0, 5) / 1000;
    const parser = make({}, january);
    for (const [line, want] of [
      ['Dec 31 23:59:59 h a: m', january - 301],
      ['Dec 31 23:59:59 h a: again', january - 301],
      ['Jan  1 00:05:00 h a: m', january],
      ['Jan  1 00:06:00 h a: m', january + 60],
    ] as const)
      assert.equal(runParser(parser, line).events[0]?.seconds, want);
  });
});

/** Fluentd's expressions for what stands behind the time. */
const LEGACY = /^(?<host>[^ ]*) (?<ident>[^ :[]*)(?:\[(?<pid>[0-9]+)\])?(?:[^:]*:)? *(?<message>.*)$/m;
const MODERN =
  /^(?<host>[!-~]{1,255}) (?<ident>[!-~]{1,48}) (?<pid>[!-~]{1,128}) (?<msgid>[!-~]{1,32}) (?<extradata>(?:-|(?:\[[^]*?(?<!\\)\])+))(?: (?<message>[^]+))?$/;

describe('the scanners find the groups of the expressions', () => {
  const found = (read: typeof readLegacy, line: string, names: readonly (keyof typeof PART)[]): Fields | undefined => {
    const bytes = Buffer.from(line, 'utf8');
    const parts = makeParts();
    if (!read(bytes, bytes.length, parts)) return undefined;
    return Object.fromEntries(
      names.flatMap((name) => {
        const from = parts.offsets[PART[name]] as number;
        return from < 0 ? [] : [[name, bytes.toString('utf8', from, parts.offsets[PART[name] + 1])]];
      }),
    );
  };
  const groups = (expression: RegExp, line: string): Fields | undefined => {
    const match = expression.exec(line)?.groups;
    return match && Object.fromEntries(Object.entries(match).filter(([, value]) => value !== undefined));
  };
  const text = fc.string({ unit: fc.constantFrom('a', ':', ' ', '[', ']', '1', '中'), maxLength: 12 });
  const data = fc.string({ unit: fc.constantFrom('a', ' ', '[', ']', '\\', '"', '-'), maxLength: 14 });

  test('RFC 3164', () => {
    fc.assert(
      fc.property(text, (line) => {
        assert.deepEqual(found(readLegacy, line, ['host', 'ident', 'pid', 'message']), groups(LEGACY, line));
      }),
      { numRuns: 2000 },
    );
  });
  test('RFC 5424', () => {
    fc.assert(
      fc.property(fc.constantFrom('h a - - ', 'h a 1 x [', 'h a 1  '), data, (head, rest) => {
        const names = ['host', 'ident', 'pid', 'msgid', 'extradata', 'message'] as const;
        assert.deepEqual(found(readModern, head + rest, names), groups(MODERN, head + rest));
      }),
      { numRuns: 2000 },
    );
  });
});
