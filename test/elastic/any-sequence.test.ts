/** Whatever a server does and in which order: every event ends delivered or dead, and nothing is stored twice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { drive } from './drive.ts';
import { ScriptedServer, type Step } from './scripted-server.ts';

const some = (modulus: number) => (n: number) => n % modulus === 0;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>({ kind: 'well' }),
  fc.constantFrom<Step>(
    { kind: 'unread, closed' },
    { kind: 'stored, closed' },
    { kind: 'stored, torn' },
    { kind: 'stored, wrong length' },
    { kind: 'stored, one item less' },
    { kind: 'stored, garbage' },
    { kind: 'stored, page of a proxy' },
  ),
  fc.constantFrom(302, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504).map((status): Step => ({ kind: 'status', status })),
  fc
    .record({ status: fc.constantFrom(403, 404, 409, 429, 500, 503), modulus: fc.integer({ min: 1, max: 4 }) })
    .map(({ status, modulus }): Step => ({
      kind: 'items',
      answer: ({ source }) => (some(modulus)(source['n'] as number) ? { status, error: { type: 'x', reason: 'y' } } : undefined),
    })),
);

const plan = fc.record({
  steps: fc.array(step, { maxLength: 12 }),
  events: fc.integer({ min: 1, max: 60 }),
  misfit: fc.integer({ min: 0, max: 5 }),
  poison: fc.integer({ min: 0, max: 20 }),
  requestBytes: fc.constantFrom('200', '1k', '8m'),
  connections: fc.integer({ min: 1, max: 8 }),
  way: fc.constantFrom('create', 'index', 'id_key'),
});

const hit = (n: number, modulus: number): boolean => modulus > 1 && n % modulus === 1;

describe('any sequence of answers', () => {
  test('every event has one fate, what is delivered is there once', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ steps, events, misfit, poison, requestBytes, connections, way }) => {
        const server = new ScriptedServer([...steps, { kind: 'well' }], {
          misfit: ({ source }) => hit(source['n'] as number, misfit),
          poison: ({ source }) => hit(source['n'] as number, poison),
          target: way === 'index' ? 'index' : 'stream',
        });
        try {
          const { delivered, dead } = await drive({
            config: {
              hosts: await server.listen(),
              bulk_message_request_threshold: requestBytes,
              connections,
              ...(way === 'index' && { index_name: 'plain', write_operation: 'index' }),
              ...(way === 'id_key' && { id_key: 'key' }),
            },
            events,
            record: (n) => ({ key: `k${n}` }),
          });
          const copies = server.copies();
          const fates = [...delivered, ...dead.keys()].toSorted((a, b) => a - b);
          assert.deepEqual(
            fates,
            Array.from({ length: events }, (_, n) => n),
          );
          for (const n of delivered) assert.equal(copies.get(n), 1, `event ${n}`);
          for (const n of dead.keys()) {
            const isAlone413 = steps.some((each) => each.kind === 'status' && each.status === 413);
            assert.ok(hit(n, misfit) || hit(n, poison) || isAlone413, `event ${n}: ${dead.get(n)}`);
          }
        } finally {
          await server.close();
        }
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });
});
