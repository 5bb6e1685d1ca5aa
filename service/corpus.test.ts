import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import { DEFAULT_START, corpusFigures, corpusLines, type CorpusFigures } from './corpus.ts';

// Of Fluentd's parser apache2, written anew for JavaScript.
const LINE =
  /^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>(?:[^"]|\\.)*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)")?$/;

function read(options: Parameters<typeof corpusLines>[0]): { lines: string[]; figures: CorpusFigures } {
  const generator = corpusLines(options);
  const lines: string[] = [];
  for (;;) {
    const next = generator.next();
    if (next.done === true) return { lines, figures: next.value };
    lines.push(next.value);
  }
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function readTime(text: string): number {
  const [, day, month = '', year, time] = /^(\d\d)\/(\w{3})\/(\d{4}):(\S+) \+0800$/.exec(text) ?? [];
  return Date.parse(`${year}-${String(MONTHS.indexOf(month) + 1).padStart(2, '0')}-${day}T${time}+08:00`);
}

describe('corpus', () => {
  const options = { lines: 5000, seed: 7 };
  const { lines, figures } = read(options);

  test('the same seed writes the same bytes on every machine', () => {
    const digest = createHash('sha256').update(lines.join('\n')).digest('hex');
    assert.equal(digest, '7d5281127fa2df5625bbebf2dfbee41f29d55249ad6535edbcb3939c7c98eee5');
    assert.deepEqual(read(options).lines, lines);
    assert.notDeepEqual(read({ ...options, seed: 8 }).lines, lines);
  });

  test('the figures are what a reader of the lines counts', () => {
    const found = lines.map((line) => LINE.exec(line)?.groups ?? assert.fail(line));
    const count = (field: string) =>
      Object.fromEntries([...Map.groupBy(found, (line) => line[field] ?? '')].map(([key, group]) => [key, group.length]));
    const sizes = found.map((line) => line['size'] ?? '');
    assert.deepEqual(
      { ...figures },
      {
        lines: 5000,
        distinctAddresses: new Set(found.map((line) => line['host'])).size,
        byStatus: count('code'),
        byMethod: count('method'),
        bytes: sizes.reduce((sum, size) => sum + (size === '-' ? 0 : Number(size)), 0),
        withoutSize: sizes.filter((size) => size === '-').length,
        first: readTime(found[0]?.['time'] ?? ''),
        last: readTime(found.at(-1)?.['time'] ?? ''),
      },
    );
    assert.deepEqual(corpusFigures(options), figures);
  });

  test('every line is ASCII with a public address, times rise through two days', () => {
    let before = DEFAULT_START;
    for (const line of lines) {
      assert.match(line, /^[\x20-\x7e]+$/);
      assert.ok(isIP(line.slice(0, line.indexOf(' '))) > 0, line);
      const time = readTime(/\[([^\]]+)\]/.exec(line)?.[1] ?? '');
      assert.ok(time >= before, line);
      before = time;
    }
    assert.ok(figures.last < DEFAULT_START + 2 * 86_400_000 && figures.last > DEFAULT_START + 2 * 86_400_000 - 600_000);
  });

  test('the evening is busier than the night', () => {
    const hours = Map.groupBy(lines, (line) => /:(\d\d):\d\d:\d\d /.exec(line)?.[1] ?? '');
    assert.ok((hours.get('20')?.length ?? 0) > 5 * (hours.get('04')?.length ?? 0));
  });

  for (const [name, pattern] of [
    ['Chinese in UTF-8', /%E5%9F%BA%E9%87%91/],
    ['Chinese in GBK', /%BB%F9%BD%F0/],
    ['a quote in a browser name', /"curl\/8\.5\.0 \\"\\xe6/],
    ['no request at all', /"-" 408 - "-" "-"$/],
    ['TLS on a plain port', /"\\x16\\x03\\x01\\x02" 400 484/],
    ['IPv6', /^24[0-9a-f:]+ - /],
    ['a user', / - u0\d{3} \[/],
    ['an empty browser name', / ""$/],
    ['HTTP 0.9', /"GET \/" 200/],
  ] as const) {
    test(`there is ${name}`, () => assert.ok(lines.some((line) => pattern.test(line))));
  }

  for (const [count, days] of [
    [0, 1],
    [1, 1],
    [3, 30],
  ] as const) {
    test(`${count} lines over ${days} days`, () => {
      const { lines: some, figures: its } = read({ lines: count, seed: 1, days });
      assert.deepEqual([some.length, its.lines], [count, count]);
    });
  }

  test('a number of lines that is none is refused', () => {
    for (const wrong of [-1, 1.5, Number.NaN, 1e9]) assert.throws(() => corpusFigures({ lines: wrong, seed: 1 }), RangeError);
  });
});
