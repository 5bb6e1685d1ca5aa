import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MillraceError } from '../errors.ts';
import { makeBatch } from '../testing/driver.ts';
import { Supervisor, type PublishedPart, type SupervisorOptions } from './supervisor.ts';

/**
 * A worker as short as can be: `on` says what it does beside answering every question. Runs in a thread of its own, so
 * it is a text.
 */
const entry = (on: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
    import { parentPort, workerData } from 'node:worker_threads';
    const id = workerData.worker.id;
    const say = (message) => parentPort.postMessage(message);
    const component = (n) => ({ id: 'c', kind: 'output', type: 't', worker: id, in: n, created: 0, out: n, pending: 0, dropped: {}, bytesIn: 0, bytesOut: 0, errors: 0, state: 'ok', metrics: {} });
    let injected = 0;
    const answers = {
      start: () => say({ type: 'started' }),
      status: ({ request }) => say({ type: 'status', request, components: [component(injected)] }),
      inject: ({ batch, origin }) => { injected += batch.count; say({ type: 'injected', origin }); },
      confirm: () => undefined,
      quiesce: () => say({ type: 'quiesced' }),
      finish: () => say({ type: 'finished' }),
      stop: () => { say({ type: 'stopped', components: [component(injected)] }); parentPort.close(); },
    };
    const on = { ...answers, ...(${on}) };
    parentPort.on('message', (message) => on[message.type](message));
    if (on.built) on.built(); else say({ type: 'built' });
  `)}`,
  );

interface Seen {
  readonly crashes: string[];
  readonly parts: PublishedPart[];
  ends: number;
}

function supervise(on: string, workers = 2, more: Partial<SupervisorOptions> = {}): { supervisor: Supervisor; seen: Seen } {
  const seen: Seen = { crashes: [], parts: [], ends: 0 };
  const supervisor = new Supervisor({
    entry: entry(on),
    workers,
    // The workers of this test read none of it.
    setup: {} as SupervisorOptions['setup'],
    onPart: (part) => void seen.parts.push(part),
    onCrash: (error) => void seen.crashes.push(error.message),
    onEnded: () => void seen.ends++,
    ...more,
  });
  return { supervisor, seen };
}

const nothing = (): void => undefined;
const took = (since: number): number => performance.now() - since;

describe('workers', () => {
  test('start, tell their books, take events of the main thread, and end with closing books', async () => {
    const { supervisor, seen } = supervise(
      `{ quiesce: () => { say({ type: 'partial', consumer: 'm', intervalMs: 5, data: id }); say({ type: 'quiesced' }); } }`,
    );
    await supervisor.start();
    assert.deepEqual(
      (await supervisor.status()).map(({ worker }) => worker),
      [0, 1],
    );
    let isBetween = false;
    const closing = await supervisor.shutDown(5000, false, () => {
      assert.deepEqual(
        seen.parts.map(({ worker, data }) => [worker, data]).toSorted(([a = 0], [b = 0]) => Number(a) - Number(b)),
        [
          [0, 0],
          [1, 1],
        ],
        'what they published is there',
      );
      isBetween = true;
      supervisor.inject(makeBatch([{ record: { n: 1 } }, { record: { n: 2 } }]), { consumer: 'm', intervalMs: 5 });
    });
    assert.ok(isBetween);
    assert.deepEqual(
      closing.map((status) => [status.worker, status.in]),
      [
        [0, 2],
        [1, 0],
      ],
    );
    assert.deepEqual(await supervisor.status(), closing);
    assert.deepEqual(seen.crashes, []);
  });

  for (const [name, on] of [
    [
      'while it is built',
      `{ built: () => say(id === 1 ? { type: 'failed', code: 'MR_CONFIG', message: 'no' } : { type: 'built' }) }`,
    ],
    [
      'while it is started',
      `{ start: () => say(id === 1 ? { type: 'failed', code: 'MR_CONFIG', message: 'no' } : { type: 'started' }) }`,
    ],
  ] as const)
    test(`one fails ${name}: its reason is given and none is left`, async () => {
      const { supervisor, seen } = supervise(on);
      await assert.rejects(
        supervisor.start(),
        (error) => error instanceof MillraceError && error.code === 'MR_CONFIG' && error.message === 'no',
      );
      assert.deepEqual(await supervisor.shutDown(1000, false, nothing), []);
      assert.deepEqual(seen.crashes, []);
    });

  test('one throws before it is built', async () => {
    const { supervisor } = supervise(`{ built: () => { if (id === 1) throw new Error('broken'); say({ type: 'built' }); } }`);
    await assert.rejects(supervisor.start(), /broken/);
  });

  test('the last one that ends by itself is told, once', async () => {
    const { supervisor, seen } = supervise(`{ start: () => { say({ type: 'started' }); say({ type: 'ended' }); } }`);
    await supervisor.start();
    await supervisor.status();
    assert.equal(seen.ends, 1);
    await supervisor.shutDown(1000, false, nothing);
  });
});

describe('a worker that crashes', () => {
  const crash = `{ inject: () => { throw new Error('boom'); } }`;

  test('is told once, is left out of the books, and is not waited for at the end', async () => {
    const crashed = Promise.withResolvers<string>();
    let crashes = 0;
    const { supervisor } = supervise(crash, 2, {
      onCrash: (error) => {
        crashes++;
        crashed.resolve(error.message);
      },
    });
    await supervisor.start();
    supervisor.inject(makeBatch([{ record: {} }]), { consumer: 'm', intervalMs: 5 });
    assert.match(await crashed.promise, /boom/);
    assert.deepEqual(
      (await supervisor.status()).map(({ worker }) => worker),
      [1],
    );
    const since = performance.now();
    const closing = await supervisor.shutDown(20_000, false, nothing);
    assert.ok(took(since) < 5000);
    assert.deepEqual(
      closing.map(({ worker }) => worker),
      [1],
    );
    assert.equal(crashes, 1);
  });

  test('in the middle of a question, or of the end, holds nobody up', async () => {
    const { supervisor, seen } = supervise(
      `{ status: (m) => { if (id === 0) process.exit(3); answers.status(m); }, finish: () => { throw new Error('late'); } }`,
    );
    await supervisor.start();
    assert.deepEqual(
      (await supervisor.status()).map(({ worker }) => worker),
      [1],
    );
    const since = performance.now();
    await supervisor.shutDown(20_000, false, nothing);
    assert.ok(took(since) < 5000);
    assert.deepEqual(seen.crashes, ['worker 0 ended with code 3', 'late']);
  });
});

test('a worker that does not come to its end is ended soon after the deadline', async () => {
  const { supervisor } = supervise(`{ finish: () => undefined }`, 1);
  await supervisor.start();
  const since = performance.now();
  const closing = await supervisor.shutDown(50, false, nothing);
  assert.ok(took(since) < 5000);
  assert.equal(closing.length, 1);
});
