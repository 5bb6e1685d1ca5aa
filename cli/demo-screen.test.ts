import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DemoBoard, renderPlain, renderScreen } from './demo-screen.ts';
import type { DaemonStatus } from './daemon.ts';
import { widthOf } from './output.ts';
import type { WatchSummary } from './watch.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);
const summary: WatchSummary = {
  events: 10,
  located: 9,
  places: [
    ['中国 广东省 深圳市', 6],
    ['美国', 3],
  ],
  statuses: [
    ['200', 8],
    ['503', 2],
  ],
  latest: [
    {
      time: 1,
      tag: 'core.access',
      method: 'GET',
      path: '/a\u001b[31m',
      status: '200',
      address: '1.2.4.8',
      place: '中国 北京市',
      isp: '电信',
    },
  ],
};
const stats = { sessions: 1, requests: 10, byStatus: {}, failed: 0, heldBack: 0, open: 0, phase: 'bank' as const };
const places = { service: 's', forward: 'f', statsd: 't', control: 'c', events: '/e', metrics: '/m' };
const status: DaemonStatus = {
  version: '1',
  pid: 1,
  startedMs: NOW - 5000,
  dataDir: '/d',
  control: 'c',
  components: [],
  imbalances: [],
  stalls: [],
  zabbix: undefined,
  rules: [
    {
      rule: 'error-ratio',
      summary: '',
      severity: 'high',
      group: '',
      status: 'firing',
      sinceMs: NOW,
      value: 0.2,
      shown: '20%',
      condition: '> 5%',
    },
  ],
};

const boardOf = (...summaries: readonly WatchSummary[]): DemoBoard => {
  const board = new DemoBoard();
  for (const each of summaries) board.add(each, NOW);
  return board;
};

describe('demo board', () => {
  test('adds up what several workers publish', () => {
    const board = boardOf(summary, summary);
    assert.equal(board.events, 20);
    assert.equal(board.serverErrors, 4);
    assert.deepEqual(board.topPlaces(1), [['中国 广东省 深圳市', 12]]);
    assert.equal(board.perSecond(NOW), 2);
    assert.equal(board.perSecond(NOW + 60_000), 0);
  });
});

describe('plain lines', () => {
  test('say how many events have a place, show one, and what rules said', () => {
    const text = renderPlain(
      boardOf(summary),
      [{ rule: 'error-ratio', group: '', at: NOW, from: 'ok', to: 'firing', value: 0.2 }],
      stats,
      NOW,
    );
    assert.match(text, /enriched 9 of 10 events/);
    assert.match(text, /5xx 20\.0 %/);
    assert.match(text, /source\.geo\.name="中国 北京市"/);
    assert.match(text, /PROBLEM\s+error-ratio/);
  });

  test('nothing from a log reaches the terminal as an escape sequence', () => {
    assert.doesNotMatch(renderPlain(boardOf(summary), [], stats, NOW), /\u001b/);
  });
});

describe('screen', () => {
  for (const columns of [40, 80, 200]) {
    test(`fits into ${columns} columns, with Chinese text`, () => {
      const text = renderScreen(boardOf(summary), places, stats, status, { rows: 24, columns }, NOW);
      const lines = text.split('\n');
      assert.ok(lines.length < 24);
      for (const line of lines) assert.ok(widthOf(line.replaceAll(/\u001b\[[0-9;]*m/g, '')) <= columns, line);
      assert.doesNotMatch(text, /\u001b\[31m\s*$/m);
    });
  }
});
