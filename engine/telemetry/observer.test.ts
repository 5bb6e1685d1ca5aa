import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../testing/driver.ts';
import type { ComponentStatus } from './accounts.ts';
import { Observer } from './observer.ts';

const component = (kind: string, part: Partial<ComponentStatus> = {}): ComponentStatus => ({
  id: kind,
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

function bench(first: readonly ComponentStatus[], workers = 1) {
  const clock = new FakeClock();
  const lines: string[] = [];
  const say = (fields: Record<string, unknown>, message: string): void =>
    void lines.push(`${message}: ${String(fields['component'])}`);
  const log = { debug: say, info: say, warn: say, error: say };
  const at = { components: first, asked: 0 };
  const observer = new Observer({
    status: () => {
      at.asked++;
      return Promise.resolve(at.components);
    },
    workers,
    clock,
    log,
  });
  return { clock, lines, at, observer };
}

const waits = component('output', { pending: 4, state: 'retrying', reason: 'connect ECONNREFUSED' });

describe('the observer', () => {
  test('says once that something stalls, and once that it moves again', async () => {
    const { observer, clock, lines, at } = bench([waits]);
    for (let n = 0; n < 5; n++) {
      await observer.look();
      clock.advance(5000);
    }
    assert.deepEqual(lines, ['stalled: output']);
    assert.match(observer.stalls[0]?.sentence ?? '', /^output output has delivered nothing for 25 s/);
    at.components = [component('output', { out: 4 })];
    await observer.look();
    assert.deepEqual(lines, ['stalled: output', 'moves again: output']);
    assert.deepEqual(observer.stalls, []);
  });

  test('looks by itself until it is stopped, and once for those who ask together', async () => {
    const { observer, clock, at } = bench([waits]);
    observer.start();
    clock.advance(5000);
    await Promise.all([observer.look(), observer.look(), observer.look()]);
    assert.equal(at.asked, 1);
    observer.stop();
    clock.advance(60_000);
    assert.equal(at.asked, 1);
  });

  test('a look that fails is said and not thrown', async () => {
    const { clock } = bench([]);
    const lines: string[] = [];
    const log = { debug() {}, info() {}, warn() {}, error: (_fields: object, message: string) => void lines.push(message) };
    await new Observer({ status: () => Promise.reject(new Error('gone')), workers: 1, clock, log }).look();
    assert.deepEqual(lines, ['the books could not be looked at']);
  });

  const log = component('log', { id: 'entrance-log', pending: 2 });
  for (const [name, components, seconds, workers, want] of [
    ['all is well', [log], 0, 1, []],
    ['an output that is down does not keep events from being taken', [log, waits], 60, 1, []],
    ['a log that has just become full', [{ ...log, state: 'stalled', reason: 'log_limit_size reached' }], 1, 1, []],
    [
      'a log that stays full',
      [{ ...log, state: 'stalled', reason: 'log_limit_size reached' }],
      12,
      1,
      ['log entrance-log has taken nothing for 12 s while 2 events wait, because log_limit_size reached'],
    ],
    [
      'a disk that takes nothing: at once',
      [{ ...log, state: 'stalled', reason: 'disk full' }],
      0,
      1,
      ['the entrance log of worker 0 takes nothing: disk full'],
    ],
    ['a worker that has not answered yet', [log], 0, 2, ['worker 1 does not answer']],
  ] as const)
    test(`ready: ${name}`, async () => {
      const { observer, clock } = bench(components, workers);
      for (let second = 0; second < seconds; second++) {
        await observer.look();
        clock.advance(1000);
      }
      assert.deepEqual(await observer.readiness(), { ready: want.length === 0, reasons: want });
    });
});
