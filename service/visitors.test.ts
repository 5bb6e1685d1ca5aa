import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { isIP, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openLedger } from './ledger.ts';
import { startService } from './start.ts';
import { dailyFactor, hourInChina, phaseAt, type Phase } from './traffic/rhythm.ts';
import { planGuessing, planSessions, type Session } from './traffic/sessions.ts';
import { startVisitors } from './visitors.ts';

const OPTIONS = { seed: 7, accounts: 50, password: 'demo' };

function take(sessions: Generator<Session, never>, count: number): Session[] {
  return Array.from({ length: count }, () => sessions.next().value);
}

describe('plans of visitors', () => {
  test('the same seed plans the same sessions, another seed others', () => {
    const first = take(planSessions(OPTIONS), 300);
    assert.deepEqual(take(planSessions(OPTIONS), 300), first);
    assert.notDeepEqual(take(planSessions({ ...OPTIONS, seed: 8 }), 300), first);
  });

  test('they come from all provinces and from abroad, in the shares that were set', () => {
    const sessions = take(planSessions({ ...OPTIONS, accounts: 5000 }), 6000);
    const regions = Map.groupBy(sessions, ({ region }) => region.code);
    assert.equal([...regions.keys()].filter((code) => code.startsWith('CN-')).length, 31);
    const abroad = sessions.filter(({ region }) => !region.code.startsWith('CN-')).length / sessions.length;
    assert.ok(abroad > 0.08 && abroad < 0.15, String(abroad));
    assert.ok((regions.get('CN-GD')?.length ?? 0) > (regions.get('CN-XZ')?.length ?? 0) * 5);
    assert.ok(sessions.every(({ address }) => isIP(address) > 0));
  });

  test('a customer keeps his region and browser, and mostly his address', () => {
    const customers = take(planSessions(OPTIONS), 2000).flatMap((session) => {
      const signIn = session.steps.findLast((step) => step.action === 'login');
      return signIn === undefined ? [] : [{ ...session, account: String(signIn.body?.['account']) }];
    });
    for (const visits of Map.groupBy(customers, ({ account }) => account).values()) {
      assert.equal(new Set(visits.map(({ region, agent }) => `${region.code} ${agent}`)).size, 1);
    }
    const [most = []] = [...Map.groupBy(customers, ({ account }) => account).values()].sort((a, b) => b.length - a.length);
    const homes = Math.max(...[...Map.groupBy(most, ({ address }) => address).values()].map((visits) => visits.length));
    assert.ok(homes / most.length > 0.5);
  });

  test('guessing comes from half a dozen addresses of one province', () => {
    const guesses = take(planGuessing(OPTIONS, 1), 100);
    assert.equal(new Set(guesses.map(({ region }) => region.code)).size, 1);
    assert.equal(new Set(guesses.map(({ address }) => address)).size, 6);
    assert.ok(guesses.every(({ steps }) => steps.length === 1 && steps[0]?.action === 'login'));
    assert.notEqual(take(planGuessing(OPTIONS, 2), 1)[0]?.address, guesses[0]?.address);
  });

  test('no two requests of a session share an idempotency key unless they are the same request', () => {
    for (const { steps } of take(planSessions(OPTIONS), 500)) {
      for (const same of Map.groupBy(
        steps.filter(({ key }) => key !== undefined),
        ({ key }) => key,
      ).values()) {
        assert.equal(new Set(same.map(({ path, body }) => JSON.stringify([path, body]))).size, 1);
      }
    }
  });
});

describe('rhythm', () => {
  test('a day has the mean 1, a quiet night and a busy evening, and no steps', () => {
    const minutes = Array.from({ length: 1440 }, (_, minute) => dailyFactor(minute / 60));
    const mean = minutes.reduce((sum, factor) => sum + factor, 0) / 1440;
    assert.ok(Math.abs(mean - 1) < 1e-9, String(mean));
    assert.ok(dailyFactor(4) < 0.25 && dailyFactor(21) > 1.4);
    for (const [minute, factor] of minutes.entries()) assert.ok(Math.abs(factor - dailyFactor((minute + 1) / 60)) < 0.02);
    assert.ok(Math.abs(dailyFactor(25.5) - dailyFactor(1.5)) < 1e-9);
  });

  test('the hour in China', () => assert.equal(hourInChina(Date.UTC(2025, 0, 1, 20, 30)), 4.5));

  const rhythm = { burstEvery: 10, incidentEvery: 30, incidentSeconds: 5 };
  for (const [seconds, phase] of [
    [0, 'calm'],
    [9.9, 'calm'],
    [10, 'burst'],
    [16, 'calm'],
    [30, 'bank'],
    [34.9, 'bank'],
    [35, 'burst'],
    [36, 'calm'],
    [65, 'guessing'],
    [100, 'bank'],
  ] as const satisfies readonly (readonly [number, Phase])[]) {
    test(`at ${seconds} s: ${phase}`, () => assert.equal(phaseAt(seconds, rhythm), phase));
  }
  test('0 means never', () => {
    for (let s = 0; s < 500; s += 1) assert.equal(phaseAt(s, { burstEvery: 0, incidentEvery: 0, incidentSeconds: 5 }), 'calm');
  });
});

/** A server that answers as told and keeps who came. */
async function openServer(answer: (server: Server, count: number) => number | undefined) {
  const seen: { url: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    seen.push({ url: request.url ?? '', headers: request.headers });
    request.resume();
    const status = answer(server, seen.length);
    if (status !== undefined) response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const CALM = { dayMinutes: 0, burstEvery: 0, incidentEvery: 0 } as const;

describe('visitors', () => {
  test('each carries its address and browser, and they stop', async () => {
    const enough = Promise.withResolvers<void>();
    const { server, seen, url } = await openServer((_, count) => {
      if (count >= 30) enough.resolve();
      return 200;
    });
    const visitors = startVisitors({ url, rate: 300, ...CALM });
    await enough.promise;
    await visitors.stop();
    server.close();
    const { requests, failed, open, byStatus } = visitors.stats();
    assert.deepEqual(
      { failed, open, byStatus, requests },
      { failed: 0, open: 0, byStatus: { 200: seen.length }, requests: seen.length },
    );
    for (const { headers } of seen) {
      assert.ok(isIP(String(headers['x-forwarded-for'])) > 0);
      assert.ok(String(headers['user-agent']).length > 5);
    }
  });

  test('no more requests are open than allowed; what is due on top is held back', async () => {
    const full = Promise.withResolvers<void>();
    const { server, seen, url } = await openServer(() => undefined);
    const visitors = startVisitors({ url, rate: 400, openMax: 3, ...CALM });
    const check = setInterval(() => visitors.stats().heldBack > 20 && full.resolve(), 10);
    await full.promise;
    clearInterval(check);
    assert.equal(visitors.stats().open, 3);
    assert.equal(seen.length, 3);
    const stopped = visitors.stop();
    server.closeAllConnections();
    server.close();
    await stopped;
    assert.deepEqual([visitors.stats().failed, visitors.stats().open], [3, 0]);
  });

  test('a service that is not there is a count, no failure', async () => {
    const { server, url } = await openServer(() => 200);
    await new Promise((resolve) => server.close(resolve));
    const visitors = startVisitors({ url, rate: 200, ...CALM });
    const failed = Promise.withResolvers<void>();
    const check = setInterval(() => visitors.stats().failed > 5 && failed.resolve(), 10);
    await failed.promise;
    clearInterval(check);
    await visitors.stop();
  });

  test('against the service: orders are paid, the bank incident brings 5xx, the money adds up', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'core-'));
    const service = await startService({ directory, fsync: false, latencyScale: 0, accounts: 50, faults: true });
    const phases: Phase[] = [];
    const rhythm = { dayMinutes: 0, burstEvery: 0, incidentEvery: 0.2, incidentSeconds: 60 };
    const url = `http://127.0.0.1:${service.port}`;
    const visitors = startVisitors({ url, seed: 3, rate: 150, accounts: 50, ...rhythm, onPhase: (phase) => phases.push(phase) });
    const done = Promise.withResolvers<void>();
    const check = setInterval(
      () => (visitors.stats().byStatus['502'] ?? 0) > 0 && (visitors.stats().byStatus['201'] ?? 0) > 5 && done.resolve(),
      20,
    );
    await done.promise;
    clearInterval(check);
    await visitors.stop();
    await service.stop();
    const { byStatus, failed } = visitors.stats();
    assert.equal(failed, 0);
    assert.equal(phases[0], 'bank');
    assert.ok((byStatus['200'] ?? 0) > 20, JSON.stringify(byStatus));
    assert.equal(byStatus['500'], undefined);
    const ledger = openLedger({ directory, fsync: false, now: Date.now });
    const { customers, merchant, bank, held } = ledger.totals();
    assert.deepEqual([customers + merchant + bank, held], [0, 0]);
    ledger.close();
    rmSync(directory, { recursive: true });
  });
});
