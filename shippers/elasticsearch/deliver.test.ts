import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deliver, type Reply, type Report } from './deliver.ts';
import type { Operation } from './decide.ts';
import { Pace } from './pace.ts';

/** Events of ten bytes each; event `n` is its own number. */
function bodyOf(count: number): { bytes: Buffer; ends: Uint32Array } {
  const bytes = Buffer.from(Array.from({ length: count }, (_, n) => String(n).padStart(9) + '\n').join(''));
  return { bytes, ends: Uint32Array.from({ length: count }, (_, n) => (n + 1) * 10) };
}
const numbersIn = (bytes: Buffer): number[] => bytes.toString().trim().split('\n').map(Number);
const ok = (numbers: readonly number[], status: (n: number) => number = () => 201): Reply => {
  const items = numbers.map((n) => ({ create: { status: status(n) } }));
  return { status: 200, text: JSON.stringify({ errors: true, items }), retryAfterMs: undefined, from: 'server' };
};
const refusal = (status: number, text = ''): Reply => ({ status, text, retryAfterMs: undefined, from: 'server' });
const MALFORMED = '{"error":{"type":"illegal_argument_exception","reason":"no"},"status":400}';

interface Ran {
  readonly report: Report;
  readonly sent: number[][];
  readonly mostAtOnce: number;
}

async function run(
  count: number,
  reply: (numbers: number[], request: number) => Reply,
  { operation = 'create' as Operation, requestBytes = 100, inFlight = 2 } = {},
): Promise<Ran> {
  const sent: number[][] = [];
  let atOnce = 0;
  let mostAtOnce = 0;
  const report = await deliver(bodyOf(count), {
    operation,
    pace: new Pace({ requestBytes, inFlight, onChange: () => undefined }),
    now: () => 0,
    signal: new AbortController().signal,
    async send(bytes) {
      const numbers = numbersIn(bytes);
      sent.push(numbers);
      mostAtOnce = Math.max(mostAtOnce, ++atOnce);
      const answer = reply(numbers, sent.length - 1);
      await new Promise((resolve) => void setImmediate(resolve));
      atOnce--;
      return answer;
    },
  });
  return { report, sent, mostAtOnce };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

describe('delivery of one body', () => {
  test('is cut at the size of a request, several are under way', async () => {
    const { report, sent, mostAtOnce } = await run(35, (numbers) => ok(numbers));
    assert.deepEqual(sent, [range(0, 10), range(10, 20), range(20, 30), range(30, 35)]);
    assert.equal(report.stored, 35);
    assert.equal(mostAtOnce, 2);
  });

  test('keeps the order when a later event may overwrite an earlier one', async () => {
    assert.equal((await run(35, (numbers) => ok(numbers), { operation: 'index' })).mostAtOnce, 1);
  });

  test('an overloaded server is left alone: what was not sent waits', async () => {
    const { report, sent } = await run(35, (numbers) => ok(numbers, (n) => (n < 5 ? 429 : 201)), { inFlight: 1 });
    assert.equal(sent.length, 1);
    assert.deepEqual(report.retry, [...range(0, 5), ...range(10, 35)]);
    assert.equal(report.stored, 5);
  });

  test('items that wait for a person do not hold up the others', async () => {
    const { report, sent } = await run(35, (numbers) => ok(numbers, (n) => (n === 3 ? 403 : 201)), { inFlight: 1 });
    assert.equal(sent.length, 4);
    assert.deepEqual([report.retry, report.stored, report.waiting], [[3], 34, 'privilege']);
  });

  test('no answer: what was sent and what was not waits, and its fate is unknown', async () => {
    const { report } = await run(35, (numbers, n) => (n === 1 ? { failure: 'reset' } : ok(numbers)), { inFlight: 1 });
    assert.deepEqual([report.retry, report.stored, report.isUnknown, report.reason], [range(10, 35), 10, true, 'reset']);
  });

  test('one bad event is found, its neighbours are delivered', async () => {
    const { report } = await run(35, (numbers) => (numbers.includes(17) ? refusal(400, MALFORMED) : ok(numbers)));
    assert.deepEqual([report.refused.map(({ index }) => index), report.stored, report.retry], [[17], 34, []]);
  });

  test('a few events, every one of them refused: dead letters', async () => {
    const { report } = await run(8, () => refusal(400, MALFORMED));
    assert.equal(report.refused.length, 8);
  });

  test('many events, every one of them refused: it is not the events', async () => {
    const { report, sent } = await run(200, () => refusal(400, MALFORMED));
    assert.deepEqual([report.refused, report.retry, report.waiting], [[], range(0, 200), 'configuration']);
    assert.ok(sent.length < 50, String(sent.length));
  });

  test('events that alone are too large are refused, however many', async () => {
    const { report } = await run(20, () => refusal(413));
    assert.equal(report.refused.length, 20);
  });

  test('the longest of the pauses that a server asks for', async () => {
    const { report } = await run(30, (_, n) => ({ ...refusal(503), retryAfterMs: n === 0 ? 3000 : 9000 }));
    assert.equal(report.afterMs, 9000);
    assert.deepEqual(report.retry, range(0, 30));
  });

  test('nothing to send', async () => {
    const { report, sent } = await run(0, () => refusal(500));
    assert.deepEqual([sent, report.retry, report.stored], [[], [], 0]);
  });
});
