import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ControlServer } from '../../engine/server/control.ts';
import type { ComponentStatus } from '../../engine/telemetry/accounts.ts';
import { StallWatch } from '../../engine/telemetry/stalls.ts';
import type { DaemonStatus } from '../daemon.ts';
import { main } from '../main.ts';
import { widthOf } from '../output.ts';
import { renderStatus } from './status.ts';
import { renderWhy } from './why.ts';

const TOKEN = 'a-token-of-sufficient-length-for-this';
const component = (kind: string, id: string, part: Partial<ComponentStatus> = {}): ComponentStatus => ({
  id,
  kind,
  type: kind,
  worker: 0,
  in: 0,
  created: 0,
  out: 0,
  pending: 0,
  dropped: {},
  bytesIn: 0,
  bytesOut: 0,
  errors: 0,
  state: 'ok',
  metrics: {},
  ...part,
});

const es = component('output', 'es', {
  in: 12_000_000,
  out: 11_000_000,
  pending: 1_000_000,
  state: 'retrying',
  reason: 'connect ECONNREFUSED 127.0.0.1:9200 \u001b[31m中文',
  place: '/etc/millrace/millrace.yaml:12:3',
});
const filter = component('filter', 'only-errors', { in: 5, out: 2, dropped: { filtered: 3 } });
const router = component('router', 'router', { in: 9, out: 8, dropped: { 'no match': 1 } });
const graphite = component('output', 'gr', { in: 4, out: 4 });

function statusOf(components: readonly ComponentStatus[], seconds: number): DaemonStatus {
  const watch = new StallWatch();
  for (const ms of [0, seconds * 1000]) watch.observe(ms, components, 1);
  return {
    version: '1.2.3',
    pid: 42,
    startedMs: Date.now() - 65_000,
    dataDir: '/data',
    control: 'http://127.0.0.1:24230',
    components,
    imbalances: [],
    stalls: watch.stalls(seconds * 1000),
    rules: [],
    zabbix: undefined,
  };
}

describe('millrace why', () => {
  const folder = mkdtempSync(join(tmpdir(), 'why-'));
  after(() => rmSync(folder, { recursive: true }));

  async function ask(status: DaemonStatus, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const server = new ControlServer({
      bind: '127.0.0.1',
      port: 0,
      token: TOKEN,
      status: () => Promise.resolve(status),
      metrics: () => Promise.resolve(''),
      ready: () => Promise.resolve({ ready: true, reasons: [] }),
    });
    writeFileSync(join(folder, 'control.json'), JSON.stringify({ address: await server.start() }));
    writeFileSync(join(folder, 'token'), TOKEN);
    let out = '';
    let err = '';
    try {
      const streams = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), isTerminal: false };
      return { code: await main(['why', ...args, '--data', folder], streams), out, err };
    } finally {
      await server.stop();
    }
  }

  test('what stands still: since when, why, where, and the remedy', async () => {
    const { code, out } = await ask(statusOf([es, graphite], 42));
    assert.equal(code, 1);
    assert.equal(
      out,
      `✖ output es has delivered nothing for 42 s while 1000000 events wait, because connect ECONNREFUSED 127.0.0.1:9200 \\u{1b}[31m中文
    at   /etc/millrace/millrace.yaml:12:3
    fix  start the server, or check host, port and firewall; delivery is tried again by itself
`,
    );
  });

  test('trouble that is no stall yet, and why events were dropped', async () => {
    const { code, out } = await ask(statusOf([es, filter, router], 5));
    assert.equal(code, 0);
    assert.equal(
      out,
      `● everything moves: nothing has waited for long
▲ output es moves, but is retrying: connect ECONNREFUSED 127.0.0.1:9200 \\u{1b}[31m中文
    at   /etc/millrace/millrace.yaml:12:3
    fix  start the server, or check host, port and firewall; delivery is tried again by itself
- filter only-errors dropped 3 events: filtered, that is: a filter does not let them pass
▲ router router dropped 1 event: no match, that is: no <match> takes their tag
    fix  add a <match> for the tag, or a \`<match **>\` at the end
`,
    );
  });

  test('one component that moves', async () => {
    assert.deepEqual(await ask(statusOf([es, graphite], 42), 'gr'), {
      code: 0,
      out: '● output gr moves: 4 events passed on, 0 waiting\n',
      err: '',
    });
  });

  test('one that is not there', async () => {
    const { code, err } = await ask(statusOf([es], 42), 'se');
    assert.equal(code, 64);
    assert.match(err, /no component se runs; did you mean es\?/);
  });

  test('--json', async () => {
    const answer = JSON.parse((await ask(statusOf([es, filter], 42), '--json')).out) as Record<string, Record<string, unknown>[]>;
    assert.equal(answer['schema'], 'millrace/why@1');
    assert.equal(answer['stalls']?.[0]?.['component'], 'es');
    assert.deepEqual(answer['drops']?.[0], {
      component: 'only-errors',
      kind: 'filter',
      worker: 0,
      reason: 'filtered',
      events: 3,
      meaning: 'a filter does not let them pass',
      remedy: 'nothing, if the filter is meant so',
      intended: true,
    });
  });

  test('80 columns are enough', () => {
    const status = statusOf([es, filter, router], 42);
    const findings = { components: status.components, stalls: status.stalls, troubles: [], drops: [] };
    for (const text of [renderWhy(findings, 80), renderStatus(status, 80)])
      for (const line of text.split('\n')) assert.ok(widthOf(line) <= 80, line);
  });
});

describe('millrace status', () => {
  test('shows what stands still, below the books', () => {
    assert.equal(
      renderStatus(statusOf([es, graphite], 42), 80),
      `millrace 1.2.3, process 42, up 1 min 5 s, http://127.0.0.1:24230

KIND    ID        IN  CREATED       OUT  DROPPED  PENDING  STATE
output  es  12000000        0  11000000        0  1000000  stalled
output  gr         4        0         4        0        0  ok

✖ output es has delivered nothing for 42 s while 1000000 events wait, because
  connect ECONNREFUSED 127.0.0.1:9200 \\u{1b}[31m中文
  \`millrace why\` has the remedies

every event is accounted for: in + created = out + dropped + pending
`,
    );
  });

  test('of several workers says which', () => {
    const text = renderStatus(statusOf([graphite, { ...es, worker: 1 }], 0));
    assert.match(text, /\n▲ worker 1: output es is retrying: connect/);
  });
});
