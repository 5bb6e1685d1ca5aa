import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Definition, Source } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, testContext, type TestContext } from '../../engine/testing/driver.ts';
import { sampleSource } from './sample.ts';

const definition = sampleSource as unknown as Definition;
async function run(config: Fields, ms: number, ctx: TestContext = testContext(definition)): Promise<TestContext> {
  const source = create<Source>(definition, { tag: 's', ...config }, ctx);
  await source.start();
  ctx.clock.advance(ms);
  await source.drain?.();
  ctx.clock.advance(1000);
  await source.stop();
  await source.stop();
  return ctx;
}

describe('sample', () => {
  for (const [config, ms, want] of [
    [{}, 3000, [{ message: 'sample' }, { message: 'sample' }, { message: 'sample' }]],
    [{ sample: '[{"a":1},{"a":"中"}]', rate: 3 }, 1000, [{ a: 1 }, { a: '中' }, { a: 1 }]],
    [
      { sample: { a: 1 }, auto_increment_key: 'n', rate: 2 },
      1000,
      [
        { a: 1, n: 0 },
        { a: 1, n: 1 },
      ],
    ],
    [{ dummy: '{"b":1}' }, 1000, [{ b: 1 }]],
    [{ sample: '{"a":1}', size: 2 }, 1000, [{ a: 1 }, { a: 1 }]],
    [{ sample: '{"a":1}', rate: 1000, count: 3 }, 5000, [{ a: 1 }, { a: 1 }, { a: 1 }]],
  ] as const) {
    test(JSON.stringify(config), async () => {
      const events = (await run(config, ms)).events();
      assert.deepEqual(
        events.map(({ record }) => record),
        want,
      );
      assert.ok(events.every(({ tag, seconds }) => tag === 's' && seconds >= 1_700_000_000));
    });
  }

  test('a rate is met', async () => {
    assert.equal((await run({ rate: 333 }, 10_000)).events().length, 3330);
  });

  test('when the pipeline is full it waits, and does not make up for it', async () => {
    const ready = Promise.withResolvers<void>();
    const ctx = { ...testContext(definition, { emit: () => false }), ready: () => ready.promise };
    const source = create<Source>(definition, { tag: 's', rate: 10 }, ctx);
    await source.start();
    ctx.clock.advance(5000);
    assert.equal(ctx.emitted.length, 1);
    ready.resolve();
    await ready.promise;
    await Promise.resolve();
    ctx.clock.advance(100);
    assert.equal(ctx.emitted.length, 2);
    await source.stop();
  });

  for (const sample of ['{', '5', '[]', '[1]']) {
    test(`refuses ${sample}`, () => assert.ok(!sampleSource.config.safeParse({ tag: 's', sample }).success));
  }
});
