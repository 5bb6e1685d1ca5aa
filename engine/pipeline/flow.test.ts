import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Chunk, Verdict } from '../component.ts';
import { openBench, type Bench } from '../testing/bench.ts';

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const numbersOf = (bench: Bench, output: string): unknown[] => bench.kept(output).map(({ record }) => record['n']);

/** Two outputs behind one filter; `slow` waits until it is let go. */
const TWO = `
<source>
  @type feed
  @id in
</source>
<filter **>
  @type mark
  @id marks
</filter>
<match **>
  @type copy
  <store>
    @type keep
    @id fast
  </store>
  <store>
    @type keep
    @id slow
  </store>
</match>`;
const ONE = `
<source>
  @type feed
  @id in
</source>
<match **>
  @type keep
  @id slow
</match>`;

/** Writes to `slow` wait for `letGo`; later ones go through. */
function gate(): { write: (id: string, chunk: Chunk) => Promise<Verdict>; letGo: () => void } {
  const { promise, resolve } = Promise.withResolvers<Verdict>();
  return { write: (id) => (id === 'slow' ? promise : Promise.resolve('delivered')), letGo: () => resolve('delivered') };
}

const FILL = 'x'.repeat(100);
const feed = (bench: Bench, from: number, to: number): boolean[] =>
  range(from, to).map((n) => bench.feed('t', [{ n, fill: FILL }]));
/** Waits until an output has so many events, then for what follows from that. */
const settle = async (bench: Bench, output = 'slow', count = 0): Promise<void> => {
  const end = performance.now() + 5000;
  while (bench.kept(output).length < count && performance.now() < end) await bench.settle();
  for (let n = 0; n < 5; n++) await bench.settle();
};

describe('an output that is slow', () => {
  test('holds nobody up, gets everything in the end, and nothing is counted twice', async () => {
    const { write, letGo } = gate();
    const mark = (): void => undefined;
    const bench = await openBench(TWO, { write, filters: { mark }, lagDetachBytes: 2000 });
    feed(bench, 0, 200);
    await settle(bench, 'fast', 200);
    assert.deepEqual(numbersOf(bench, 'fast'), range(0, 200), 'the other one has everything');
    assert.ok(bench.status('slow').pending < 60, 'what waits in memory is bounded');
    assert.ok((bench.status('entrance-log').metrics['detachments'] ?? 0) >= 1);
    letGo();
    await settle(bench, 'slow', 200);
    feed(bench, 200, 220);
    await settle(bench, 'slow', 220);
    assert.deepEqual(numbersOf(bench, 'slow'), range(0, 220));
    assert.deepEqual(numbersOf(bench, 'fast'), range(0, 220));
    assert.equal(bench.status('marks').in, 220, 'the filters ran again, their books did not');
    assert.equal(bench.status('router').in, 220);
    assert.equal(bench.status('entrance-log').metrics['bytes'], 0, 'the log is empty');
    assert.deepEqual(bench.imbalances(), []);
    await bench.pipeline.stop();
  });

  test('alone: the pipeline stops reading, the log fills, the sources are held back, and go on', async () => {
    const { write, letGo } = gate();
    const bench = await openBench(ONE, { write, lagDetachBytes: 2000, logLimitBytes: 8000 });
    const taken: boolean[] = [];
    for (let n = 0; n < 100; n++) {
      taken.push(...feed(bench, n, n + 1));
      await bench.settle();
    }
    assert.equal(taken[0], true);
    assert.equal(taken.at(-1), false, 'the log is full');
    const { state, reason, metrics } = bench.status('entrance-log');
    assert.deepEqual([state, reason], ['stalled', 'log_limit_size reached']);
    assert.equal(metrics['detachments'], 0, 'there is nobody to be held up');
    letGo();
    await settle(bench, 'slow', 100);
    assert.deepEqual(numbersOf(bench, 'slow'), range(0, 100));
    assert.equal(bench.status('entrance-log').state, 'ok');
    assert.deepEqual(bench.imbalances(), []);
    await bench.pipeline.stop();
  });

  test('does not keep consumers from counting', async () => {
    const { write, letGo } = gate();
    let seen = 0;
    const conf = ONE.replace('<match', '<filter **>\n  @type count\n</filter>\n<match');
    const bench = await openBench(conf, { write, lagDetachBytes: 2000, consumers: { count: () => void seen++ } });
    feed(bench, 0, 100);
    await settle(bench);
    assert.equal(seen, 100);
    letGo();
    await settle(bench, 'slow', 100);
    assert.deepEqual(numbersOf(bench, 'slow'), range(0, 100));
    assert.equal(seen, 100, 'none is counted twice');
    await bench.pipeline.stop();
  });
});

test('spool false: the source is told when the outputs have its events', async () => {
  const { write, letGo } = gate();
  const bench = await openBench(ONE.replace('@id in', '@id in\n  spool false'), { write });
  const acks: unknown[] = [];
  bench.feed('t', [{ n: 1 }], 'in', (failure) => acks.push(failure));
  await settle(bench);
  assert.deepEqual(acks, []);
  letGo();
  await settle(bench);
  assert.deepEqual(acks, [undefined]);
  await bench.pipeline.stop();
});

test('<inject>: one output gets the fields, the other does not', async () => {
  const conf = TWO.replace('@id slow', '@id slow\n    <inject>\n      tag_key tag\n      worker_id_key worker\n    </inject>');
  const bench = await openBench(conf, { filters: { mark: () => undefined } });
  bench.feed('t', [{ n: 1 }]);
  await settle(bench, 'slow', 1);
  assert.deepEqual(
    [bench.kept('fast'), bench.kept('slow')].map((events) => events.map(({ record }) => record)),
    [[{ n: 1 }], [{ n: 1, tag: 't', worker: 0 }]],
  );
  assert.deepEqual(
    bench.kept('fast').map(({ id }) => id),
    bench.kept('slow').map(({ id }) => id),
    'it is the same event',
  );
  assert.deepEqual(bench.imbalances(), []);
  await bench.pipeline.stop();
});
