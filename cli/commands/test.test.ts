import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { main } from '../main.ts';

/** 2025-03-03T02:00:00Z, a multiple of every interval below. */
const START = Date.UTC(2025, 2, 3, 2);
const PROVINCES = { zhejiang: '36.16.0.1', guangdong: '14.112.0.1' };

/** One line per event at a second: Apache's combined format, in China's time. */
function line(second: number, status: number, request = 'GET /', address = PROVINCES.zhejiang): string {
  const iso = new Date(START + second * 1000 + 8 * 3_600_000).toISOString();
  return `${address} - - [03/Mar/2025:${iso.slice(11, 19)} +0800] "${request} HTTP/1.1" ${status} 5 "-" "test"`;
}

/** Five requests a second for the seconds given, the first `bad` of each five with status 500. */
function seconds(from: number, to: number, bad = 0): string[] {
  return Array.from({ length: (to - from) * 5 }, (_, n) => line(from + Math.floor(n / 5), n % 5 < bad ? 500 : 200));
}

const CONFIG = `
config:
  - source:
      $type: tail
      path: /var/log/nowhere.log
      tag: access.web
      parse: { $type: apache2 }
  - filter:
      $type: record_transformer
      $tag: access.**
      record: { status: '\${record["code"]}', place: '\${record["host"]}' }
  - match: { $type: elasticsearch, $tag: '**', hosts: 'http://127.0.0.1:1' }
alerts:
  - name: error-ratio
    from: access.**
    measure: { ratio: 'status >= 500' }
    every: 10s
    min_events: 20
    condition: '> 5%'
    recovery: '< 2%'
  - name: no-events
    from: access.**
    measure: count
    every: 10s
    condition: '== 0'
    for: 1m
  - name: refused
    from: access.**
    where: 'status: 401'
    measure: count
    by: place
    every: 10s
    over: 30s
    condition: '>= 3'
`;

describe('millrace test', () => {
  let folder = '';
  let log = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-test-'));
    log = join(folder, 'access.log');
    writeFileSync(join(folder, 'millrace.yaml'), CONFIG);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function replay(lines: readonly string[], ...more: string[]): Promise<{ code: number; out: string; err: string }> {
    writeFileSync(log, lines.map((text) => `${text}\n`).join(''));
    let out = '';
    let err = '';
    const streams = { out: (text: string) => (out += text), err: (text: string) => (err += text), isTerminal: false };
    const code = await main(['test', log, '-c', join(folder, 'millrace.yaml'), ...more], streams);
    return { code, out, err };
  }
  interface Result {
    readonly transitions: readonly { rule: string; group: string | null; at: string; to: string; value: number | null }[];
  }
  const transitions = (out: string): string[] =>
    (JSON.parse(out) as Result).transitions.map(
      ({ rule, group, at, to, value }) =>
        `${(Date.parse(at) - START) / 1000} ${rule}${group === null ? '' : ` ${group}`} ${to === 'firing' ? 'fires' : 'clears'} ${value}`,
    );

  for (const [what, lines, want] of [
    ['a quiet minute', seconds(0, 60), []],
    // A fifth of the lines from second 60 on: the interval from 60 to 70 decides, and that from 90 to 100 ends it (80 to 90 has 10 %).
    [
      'a burst of errors',
      [...seconds(0, 60), ...seconds(60, 85, 1), ...seconds(85, 120)],
      ['70 error-ratio fires 0.2', '100 error-ratio clears 0'],
    ],
    // 4 % is neither more than 5 % nor less than 2 %: a problem stays, and none begins.
    [
      'between the two conditions',
      [...seconds(0, 10), ...thin(10, 20), ...seconds(20, 30, 1), ...thin(30, 60)],
      ['30 error-ratio fires 0.2'],
    ],
    ['too few events for a ratio', [line(1, 500), line(2, 500)], []],
    // The last event lies in 0 to 10; the minute without events is over at 70; the event of 300 belongs to 300 to 310.
    ['nothing for minutes', [...seconds(0, 10), line(300, 200)], ['70 no-events fires 0', '310 no-events clears 1']],
    [
      'groups are watched alone, over three intervals',
      [
        ...[1, 12, 23].map((at) => line(at, 401, 'POST /login')),
        ...[2, 3].map((at) => line(at, 401, 'POST /login', PROVINCES.guangdong)),
        ...seconds(30, 50),
      ].sort((a, b) => a.slice(a.indexOf('[')).localeCompare(b.slice(b.indexOf('[')))),
      [`30 refused ${PROVINCES.zhejiang} fires 3`, `40 refused ${PROVINCES.zhejiang} clears 2`],
    ],
  ] as const) {
    test(what, async () => {
      const { code, out, err } = await replay(lines, '--json');
      assert.equal(`${code} ${err}`, '0 ');
      assert.deepEqual(transitions(out), want);
    });
  }

  /** One error in each 25. */
  function thin(from: number, to: number): string[] {
    return seconds(from, to).map((text, n) => (n % 25 === 0 ? text.replace('" 200 ', '" 500 ') : text));
  }

  test('a table for people', async () => {
    const { out } = await replay([...seconds(0, 10, 1), ...seconds(10, 20)]);
    assert.equal(
      out,
      'TIME                      WHAT    RULE         GROUP  VALUE  WHEN\n' +
        '2025-03-03T02:00:10.000Z  fires   error-ratio  -      20%    > 5%\n' +
        '2025-03-03T02:00:20.000Z  clears  error-ratio  -      0%     > 5%\n' +
        '3 rules over 100 events (2025-03-03T02:00:00.000Z to 2025-03-03T02:00:19.000Z): fired 1 times\n',
    );
  });

  test('an expected rule that does not fire is exit 1', async () => {
    const met = await replay(seconds(0, 10, 1), '--expect', 'error-ratio');
    assert.equal(met.code, 0, met.err);
    const missed = await replay(seconds(0, 10, 1), '--expect', 'error-ratio', '--expect', 'no-events');
    assert.deepEqual([missed.code, missed.err], [1, 'rule no-events did not fire\n']);
  });

  test('an expected rule that is not there is a mistake, not a rule that did not fire', async () => {
    const { code, err } = await replay(seconds(0, 10), '--expect', 'eror-ratio');
    assert.equal(code, 64);
    assert.match(err, /there is no rule "eror-ratio"; known are error-ratio, no-events, refused/);
  });

  test('lines that cannot be read are counted', async () => {
    const { code, err } = await replay([...seconds(0, 10), 'not a line of Apache'], '--json');
    assert.deepEqual([code, err], [0, '1 lines could not be parsed and were left out\n']);
  });
});
