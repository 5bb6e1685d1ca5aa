import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { APACHE2 } from './apache2.ts';
import { AccessTime, GROUP, makeGroups, scanAccessLine } from './access-line.ts';
import { NGINX } from './nginx.ts';

/** Fluentd's own text of the expression, with its two ways to read a backslash. */
const ORIGINAL_APACHE2 =
  /(?<![^\n])(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>[^ \t\r\n\f\v]+)(?: +(?<path>(?:[^"]|\\[^\n])*?)(?: +[^ \t\r\n\f\v]*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>(?:[^"]|\\[^\n])*)" "(?<agent>(?:[^"]|\\[^\n])*)")?(?![^\n])/;

const NAMES = {
  apache2: { host: GROUP.remote, user: GROUP.user },
  nginx: { remote: GROUP.remote, host: GROUP.second, user: GROUP.user, http_x_forwarded_for: GROUP.forwarded },
};
const SHARED = {
  time: GROUP.time,
  method: GROUP.method,
  path: GROUP.path,
  code: GROUP.code,
  size: GROUP.size,
  referer: GROUP.referer,
  agent: GROUP.agent,
};

function scanned(line: string, dialect: 'apache2' | 'nginx'): Record<string, string | undefined> | undefined {
  const bytes = Buffer.from(line, 'utf8');
  const groups = makeGroups();
  if (!scanAccessLine(bytes, 0, bytes.length, groups, dialect === 'apache2')) return undefined;
  const names = { ...SHARED, ...NAMES[dialect] };
  return Object.fromEntries(
    Object.entries(names).map(([name, group]) => {
      const from = groups[group * 2] as number;
      return [name, from < 0 ? undefined : bytes.toString('utf8', from, groups[group * 2 + 1])];
    }),
  );
}

const piece = (...chars: string[]): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...chars), { maxLength: 6 }).map((parts) => parts.join(''));
const word = piece('a', '-', '7', '中', '"', '\\', ' ', '[');
const quiet = piece('a', '-', '7', '.', '中');
const request = fc.oneof(
  fc.constantFrom('GET / HTTP/1.1', 'GET /old', '-', '', 'GET  /a b  HTTP/1.0', 'GET / ', 'GET', 'POST /x?q=1 HTTP/2.0'),
  piece('G', '/', ' ', ' ', '"', '\\', 'é', '\t', '\u00A0'),
);
const tail = fc.oneof(
  fc.constant(''),
  fc.tuple(word, word).map(([referer, agent]) => ` "${referer}" "${agent}"`),
  fc.tuple(quiet, word).map(([referer, agent]) => ` "${referer}" "${agent}"`),
  fc
    .tuple(quiet, quiet, fc.constantFrom('', ' ', ' "-"', ' 10.0.0.1', ' "1, 2"', ' "a', '  b"', ' "a"b', ' "a" "b"'))
    .map(([referer, agent, last]) => ` "${referer}" "${agent}"${last}`),
  word,
);
const nearly = fc
  .tuple(
    quiet,
    quiet,
    fc.oneof(quiet, word),
    fc.oneof(fc.constant('28/Feb/2013:12:00:00 +0900'), word),
    request,
    quiet,
    quiet,
    tail,
  )
  .map(([a, b, c, time, line, code, size, rest]) => `${a} ${b} ${c} [${time}] "${line}" ${code} ${size}${rest}`);

describe('the scanner accepts only what the expression accepts, with the same groups', () => {
  for (const [dialect, expression] of [
    ['apache2', APACHE2],
    ['nginx', NGINX],
  ] as const) {
    test(dialect, () => {
      let accepted = 0;
      fc.assert(
        fc.property(nearly, (line) => {
          const got = scanned(line, dialect);
          if (got === undefined) return;
          accepted++;
          assert.deepEqual(got, { ...expression.exec(line)?.groups });
        }),
        { numRuns: 3000 },
      );
      // About 550 of 3000: the property must not hold for want of lines.
      assert.ok(accepted > 300, `only ${accepted} lines were plain`);
    });
  }

  test("apache2's expression gives the groups of Fluentd's", () => {
    fc.assert(
      fc.property(nearly, (line) => {
        assert.deepEqual({ ...APACHE2.exec(line)?.groups }, { ...ORIGINAL_APACHE2.exec(line)?.groups });
      }),
      { numRuns: 3000 },
    );
  });

  test('a hostile line of backslashes takes no exponential time', () => {
    const line = `1.1.1.1 - - [28/Feb/2013:12:00:00 +0900] "GET / HTTP/1.1" 200 1 "${'\\a'.repeat(5000)}" "x" "y"`;
    assert.equal(APACHE2.exec(line), null);
  });
});

describe('plain lines are scanned, odd ones are not', () => {
  const head = '192.0.2.1 - bob [28/Feb/2013:12:00:00 +0900] ';
  for (const [rest, dialect, path] of [
    ['"GET / HTTP/1.1" 200 777', 'apache2', '/'],
    ['"GET /a b HTTP/1.1" 200 777 "-" "x"', 'apache2', '/a b'],
    ['"GET /中文 HTTP/1.1" 200 - "-" "say \\"hi\\""', 'apache2', '/中文'],
    ['"GET /\\"x HTTP/1.1" 200 1 "-" "x"', 'apache2', undefined],
    ['"-" 408 -', 'apache2', undefined],
    ['"GET /old" 200 12 "-" "x"', 'nginx', '/old'],
    ['"GET / HTTP/1.1" 200 1 "-" "x" "10.0.0.1, 10.0.0.2"', 'nginx', '/'],
    ['"GET / HTTP/1.1" 200 1 "-" "x" "-" 0.012', 'nginx', undefined],
    ['"GET /\tx HTTP/1.1" 200 1', 'nginx', undefined],
  ] as const) {
    test(rest, () => assert.equal(scanned(head + rest, dialect)?.path, path));
  }
});

describe('times', () => {
  const clock = new AccessTime();
  for (const [text, want] of [
    ['28/Feb/2013:12:00:00 +0900', 1_362_020_400],
    ['28/Feb/2013:12:00:00 +0900', 1_362_020_400],
    ['28/Feb/2013:12:00:01 +0900', 1_362_020_401],
    ['14/Nov/2023:22:13:20 -0830', 1_700_030_600],
    ['31/Dec/1999:23:59:59 +0000', 946_684_799],
    ['29/Feb/2024:00:00:00 +0000', Number.NaN],
    ['30/Feb/2013:12:00:00 +0900', Number.NaN],
    ['28/feb/2013:12:00:00 +0900', Number.NaN],
    ['28/Feb/2013:24:00:00 +0900', Number.NaN],
    ['28/Feb/2013:12:00:00 +09:0', Number.NaN],
    ['28/Feb/2013:12:00:02 +0800', 1_362_024_002],
    ['01/Mar/2013:00:00:00 +0800', 1_362_067_200],
    ['28/Feb/20x3:12:00:01 +0900', Number.NaN],
    ['28/Feb/2013:12:0a:01 +0900', Number.NaN],
    ['28/Feb/2013 12:00:01 +0900', Number.NaN],
    ['28/Feb/2013:12:00:01_+0900', Number.NaN],
    ['28/Feb/2013:12:00:60 +0900', Number.NaN],
    ['yesterday', Number.NaN],
    ['28/Feb/2013:12:00:01 +0900', 1_362_020_401],
  ] as const) {
    test(text, () => {
      const bytes = Buffer.from(`[${text}]`);
      assert.equal(clock.read(bytes, 1, bytes.length - 1), want);
    });
  }
});
