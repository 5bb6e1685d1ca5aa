import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { civilOf, daysFromCivil } from './time/calendar.ts';
import { byteTimeParser, isTimezone, timeFormatter, timeParser, timeProblem, type TimeOptions } from './time-format.ts';

const NOW = Date.UTC(2025, 5, 15, 8, 30);
const iso = (time: { seconds: number; nanoseconds: number } | undefined): string | undefined =>
  time &&
  new Date(time.seconds * 1000).toISOString().slice(0, 19) +
    (time.nanoseconds > 0 ? `.${String(time.nanoseconds).padStart(9, '0')}` : '');

describe('times by a format', () => {
  const CASES: ReadonlyArray<readonly [string | undefined, string, string | undefined, string?]> = [
    ['%Y-%m-%d %H:%M:%S', '2024-02-29 23:59:59', '2024-02-29T23:59:59'],
    ['%Y-%m-%d %H:%M:%S', '2023-02-30 00:00:00', '2023-03-02T00:00:00'],
    ['%Y-%m-%d %H:%M:%S', '2024-13-01 00:00:00', undefined],
    ['%Y-%m-%d %H:%M:%S', '2024-01-01 00:61:00', undefined],
    ['%Y-%m-%d %H:%M:%S', '2024-07-01 12:00:00', '2024-07-01T04:00:00', 'Asia/Shanghai'],
    ['%Y-%m-%d %H:%M:%S', '2024-07-01 12:00:00', '2024-07-01T10:00:00', 'Europe/Berlin'],
    ['%Y-%m-%d %H:%M:%S', '2024-01-01 12:00:00', '2024-01-01T11:00:00', 'Europe/Berlin'],
    ['%Y-%m-%d %H:%M:%S', '2024-10-27 02:30:00', '2024-10-27T00:30:00', 'Europe/Berlin'],
    ['%Y-%m-%d %H:%M:%S', '2024-01-01 12:00:00', '2024-01-01T15:30:00', '-03:30'],
    ['%Y-%m-%d %H:%M:%S %z', '2024-01-01 12:00:00 +0530', '2024-01-01T06:30:00', 'Asia/Shanghai'],
    ['%Y-%m-%d %H:%M:%S %z', '2024-01-01 12:00:00 +05:30', '2024-01-01T06:30:00'],
    ['%Y-%m-%d %H:%M:%S %z', '2024-01-01 12:00:00 *', undefined],
    ['%Y年%m月%d日 %H时', '2024年05月06日 07时', '2024-05-06T07:00:00'],
    ['%b %e %H:%M:%S', 'Nov  6 01:02:03', '2025-11-06T01:02:03'],
    ['%B %d %Y', 'september 3 2024', '2024-09-03T00:00:00'],
    ['%H:%M', '07:08', '2025-06-15T07:08:00'],
    ['%d/%b/%Y:%H:%M:%S %z', '10/Oct/2000:13:55:36 -0700', '2000-10-10T20:55:36'],
    ['%s', '-5', '1969-12-31T23:59:55'],
    ['%s.%N', '1700000000.000000001999', '2023-11-14T22:13:20.000000001'],
    ['%Q', '1700000000123', '2023-11-14T22:13:20.123000000'],
    ['%I:%M %p', '12:05 am', '2025-06-15T00:05:00'],
    ['%I:%M %p', '12:05 PM', '2025-06-15T12:05:00'],
    ['100%% %Y', '100% 2024', '2024-01-01T00:00:00'],
    ['%iso8601', '2024-01-01T00:00:00.25+08:00', '2023-12-31T16:00:00.250000000'],
    [undefined, '2024-01-02T03:04:05.678Z', '2024-01-02T03:04:05.678000000'],
    [undefined, 'Tue, 02 Jan 2024 03:04:05 +0100', '2024-01-02T02:04:05'],
    [undefined, 'Tue Jan  2 03:04:05 2024', '2024-01-02T03:04:05'],
    [undefined, 'Jan 2, 2024 3:04:05 PM', '2024-01-02T15:04:05'],
    [undefined, '20240102T030405Z', '2024-01-02T03:04:05'],
    [undefined, '2024-02-30', undefined],
    [undefined, 'yesterday', undefined],
  ];
  for (const [format, input, want, timezone] of CASES)
    test(`${format ?? 'guessed'} ${input} ${timezone ?? ''}`, () => {
      const parse = timeParser({ type: 'string', format, utc: true, timezone, now: () => NOW });
      assert.equal(iso(parse(input)), want);
      // Again: from the cache of the last text.
      assert.equal(iso(parse(input)), want);
    });

  test('a text without a year is read anew when the year has changed', () => {
    let now = Date.UTC(2024, 11, 31, 23);
    const parse = timeParser({ type: 'string', format: '%b %d', utc: true, now: () => now });
    assert.equal(iso(parse('Jan 02')), '2024-01-02T00:00:00');
    now = Date.UTC(2025, 0, 1);
    assert.equal(iso(parse('Jan 02')), '2025-01-02T00:00:00');
  });

  test('the byte parser leaves its target alone when it fails', () => {
    const parser = byteTimeParser({ format: '%Y-%m-%d', utc: true });
    const into = { seconds: 7, nanoseconds: 8 };
    assert.equal(parser.parse(Buffer.from('xx2024-01-0'), 2, 9, into), false);
    assert.deepEqual(into, { seconds: 7, nanoseconds: 8 });
    assert.equal(parser.parse(Buffer.from('xx2024-01-02yy'), 2, 12, into), true);
    assert.deepEqual(into, { seconds: 1_704_153_600, nanoseconds: 0 });
  });

  test('any bytes are answered without a throw', () => {
    const parsers = ['%d/%b/%Y:%H:%M:%S %z', '%a %B %j %y %I %p %Z', '%s%N', '%Q %L'].map((format) =>
      byteTimeParser({ format, utc: true }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.string(), (bytes, text) => {
        const into = { seconds: 0, nanoseconds: 0 };
        for (const parser of parsers)
          if (parser.parse(bytes, 0, bytes.length, into)) assert.ok(into.nanoseconds >= 0 && into.nanoseconds < 1e9);
        for (const format of [undefined, '%iso8601']) timeParser({ type: 'string', format, utc: true })(text);
      }),
    );
  });
});

describe('numbers as times', () => {
  const CASES: ReadonlyArray<readonly [TimeOptions, unknown, string | undefined]> = [
    [{ type: 'unixtime' }, '1700000000.9', '2023-11-14T22:13:20'],
    [{ type: 'unixtime' }, null, undefined],
    [{ type: 'float' }, '1700000000.000000001', '2023-11-14T22:13:20.000000001'],
    [{ type: 'float' }, 1_700_000_000.5, '2023-11-14T22:13:20.500000000'],
    [{ type: 'float' }, NaN, undefined],
    [{ type: 'float' }, { seconds: 1, nanoseconds: 2 }, '1970-01-01T00:00:01.000000002'],
    [{ type: 'mixed', fallbacks: ['unixtime', '%Y'], utc: true }, '2024 A.D.', '2024-01-01T00:00:00'],
    [{ type: 'mixed', fallbacks: ['%F', 'float'], utc: true }, '12.5', '1970-01-01T00:00:12.500000000'],
  ];
  for (const [options, input, want] of CASES)
    test(`${options.type} ${JSON.stringify(input)}`, () => assert.equal(iso(timeParser(options)(input)), want));
});

describe('printing times', () => {
  const SECONDS = Date.UTC(2024, 1, 9, 3, 4, 5) / 1000;
  const CASES: ReadonlyArray<readonly [string | undefined, string, string?]> = [
    [undefined, '2024-02-09T03:04:05Z'],
    [undefined, '2024-02-09T11:04:05+08:00', 'Asia/Shanghai'],
    ['%Y年%-m月%-d日 %k:%M', '2024年2月9日  3:04'],
    ['%a %^b %_d %j %y %C %I%p %P', 'Fri FEB  9 040 24 20 03AM am'],
    ['%G-W%V-%u %U %W', '2024-W06-5 05 06'],
    ['%3N %6N %L %N %12N', '000 000012 000 000012345 000012345000'],
    ['%z %:z %::z', '-0330 -03:30 -03:30:00', '-03:30'],
    ['%Z %s%% %E', 'UTC 1707447845% %E'],
    ['%c|%D|%R|%v', 'Fri Feb  9 03:04:05 2024|02/09/24|03:04| 9-FEB-2024'],
  ];
  for (const [format, want, timezone] of CASES)
    test(String(format), () => {
      const print = timeFormatter({ type: 'string', format, utc: true, timezone });
      assert.equal(print(SECONDS, 12_345), want);
      assert.equal(print(SECONDS, 12_345), want);
    });

  test('seconds with a fraction', () => {
    assert.equal(timeFormatter({ type: 'float' })(5, 12), '5.000000012');
    assert.equal(timeFormatter({ type: 'unixtime' })(5, 12), '5');
  });

  test('what is printed reads back, and the calendar agrees with Date', () => {
    const format = '%d/%b/%Y:%H:%M:%S.%N %z';
    for (const timezone of ['Asia/Shanghai', 'America/New_York', '-03:30', undefined]) {
      const print = timeFormatter({ type: 'string', format, utc: true, timezone });
      const parse = timeParser({ type: 'string', format, utc: true, timezone });
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 4_102_444_800 }), fc.nat(999_999_999), (seconds, nanoseconds) => {
          assert.deepEqual(parse(print(seconds, nanoseconds)), { seconds, nanoseconds });
        }),
      );
    }
    fc.assert(
      fc.property(fc.integer({ min: -60_000_000_000, max: 200_000_000_000 }), (seconds) => {
        const civil = civilOf(seconds);
        const date = new Date(seconds * 1000);
        assert.deepEqual(
          [civil.year, civil.month, civil.day, civil.hour, civil.weekDay],
          [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCDay()],
        );
        assert.equal(daysFromCivil(civil.year, civil.month, civil.day), Math.floor(seconds / 86_400));
      }),
    );
  });
});

describe('options of times', () => {
  test('problems', () => {
    assert.equal(timeProblem({ type: 'string', format: '%Y %%!' }), undefined);
    assert.match(timeProblem({ type: 'string', format: '%Y %G' }) ?? '', /%G/);
    assert.match(timeProblem({ type: 'string', format: '%Y %!' }) ?? '', /without a directive/);
    assert.match(timeProblem({ type: 'mixed' }) ?? '', /fallbacks/);
    assert.match(timeProblem({ type: 'string', timezone: '+08:00' }) ?? '', /time_format/);
    assert.equal(timeProblem({ type: 'mixed', format: 'unixtime', fallbacks: ['%iso8601'] }), undefined);
  });
  for (const [zone, want] of [
    ['+08', true],
    ['Asia/Shanghai', true],
    ['Nowhere/City', false],
    ['UTC', false],
    ['8', false],
  ] as const)
    test(zone, () => assert.equal(isTimezone(zone), want));
});
