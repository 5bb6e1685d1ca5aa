import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Consumer } from '../component.ts';
import { testContext } from '../testing/driver.ts';
import { ConsumerBook } from './consumer-book.ts';

/** Counts what it is told, in intervals of ten; publishes them when they are closed. */
class Counter implements Consumer {
  readonly reads = [];
  readonly open = new Map<number, number>();
  publish: (intervalMs: number, data: unknown) => void = () => undefined;
  observe(): void {}
  count(atMs: number): void {
    const interval = atMs - (atMs % 10);
    this.open.set(interval, (this.open.get(interval) ?? 0) + 1);
  }
  close(untilMs: number): void {
    for (const [interval, count] of [...this.open].sort(([a], [b]) => a - b)) {
      if (interval + 10 > untilMs) break;
      this.open.delete(interval);
      this.publish(interval, count);
    }
  }
  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify([...this.open]));
  }
  restore(state: Uint8Array | undefined): void {
    if (state === undefined) return;
    for (const [interval, count] of JSON.parse(Buffer.from(state).toString()) as [number, number][])
      this.open.set(interval, count);
  }
}

interface Published {
  readonly id: string;
  readonly intervalMs: number;
  readonly data: unknown;
  readonly again: boolean;
}

function open(path: string | undefined, ids: readonly string[] = ['c']) {
  const ctx = testContext({ metrics: {} });
  const published: Published[] = [];
  const counters = new Map(ids.map((id) => [id, new Counter()]));
  const booked = Array.from(counters, ([id, consumer]) => ({ id, consumer, keeps: id !== 'screen' }));
  const book = new ConsumerBook(booked, path, ctx.log, (id, intervalMs, data, again) =>
    published.push({ id, intervalMs, data, again }),
  );
  for (const [id, counter] of counters) counter.publish = (intervalMs, data) => book.take(id, intervalMs, data);
  return { book, published, lines: ctx.lines, counter: counters.get(ids[0] ?? '') as Counter };
}

describe('what consumers have counted', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-book-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let files = 0;
  const newPath = (): string => join(folder, `w${files++}`, 'consumers');

  test('comes back with its cursor', () => {
    const path = newPath();
    const first = open(path);
    assert.equal(first.book.restore(), undefined);
    first.counter.count(3);
    first.book.changed();
    first.book.commit(77);
    first.counter.count(4);
    const second = open(path);
    assert.equal(second.book.restore(), 77);
    assert.deepEqual(
      [...second.counter.open],
      [[0, 1]],
      'what was counted after the commit is counted again, from the cursor on',
    );
    assert.equal(second.book.committed, 77);
  });

  test('a part is published again until it is confirmed', () => {
    const path = newPath();
    const first = open(path);
    first.counter.count(3);
    first.counter.count(13);
    first.book.close(20);
    assert.equal(first.book.unconfirmed, 2);
    first.book.confirm('c', 0);
    first.book.commit(5);
    const second = open(path);
    second.book.restore();
    assert.deepEqual(second.published, [{ id: 'c', intervalMs: 10, data: 1, again: true }]);
    second.book.confirm('c', 10);
    second.book.commit(5);
    const third = open(path);
    third.book.restore();
    assert.deepEqual(third.published, []);
  });

  test('what is only looked at is not kept, and a consumer that is gone is forgotten', () => {
    const path = newPath();
    const first = open(path, ['screen', 'c']);
    first.counter.count(1);
    first.book.close(100);
    assert.deepEqual(first.published, [{ id: 'screen', intervalMs: 0, data: 1, again: false }]);
    assert.equal(first.book.unconfirmed, 0);
    first.book.take('c', 10, 'x');
    first.book.commit(1);
    const second = open(path, ['d']);
    assert.equal(second.book.restore(), 1);
    assert.deepEqual(second.published, []);
  });

  test('a damaged file is set aside and reported', () => {
    const path = newPath();
    const first = open(path);
    first.book.changed();
    first.book.commit(9);
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const second = open(path);
    assert.equal(second.book.restore(), undefined);
    assert.deepEqual(
      second.lines.map(({ level }) => level),
      ['error'],
    );
    assert.match(readdirSync(join(path, '..')).join(), /^consumers\.damaged-[0-9a-f]{8}$/);
  });

  test('without a file nothing is kept and nothing fails', () => {
    const { book } = open(undefined);
    book.changed();
    book.commit(5);
    assert.equal(book.restore(), undefined);
    assert.equal(book.persists, false);
  });

  test('wherever it is cut off: counted from the cursor on again, every event is in exactly one published interval', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('event' as const), ms: fc.nat(7) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('confirm' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const path = newPath();
        const events: number[] = [];
        // What the main thread made of each interval, once.
        const made = new Map<number, number>();
        let now = 0;
        let at = 0;
        let run = open(path);
        const observe = (): void => {
          for (; at < events.length; at++) {
            run.book.close(events[at] as number);
            run.counter.count(events[at] as number);
            run.book.changed();
          }
        };
        const hear = (): void => {
          for (const { intervalMs, data } of run.published.splice(0)) {
            if (made.has(intervalMs)) assert.equal(data, made.get(intervalMs), 'the same interval has the same count');
            made.set(intervalMs, data as number);
          }
        };
        for (const one of steps) {
          if (one.do === 'event') {
            now += one.ms;
            events.push(now);
            observe();
          } else if (one.do === 'close') run.book.close(now);
          else if (one.do === 'commit') run.book.commit(at);
          else if (one.do === 'confirm') {
            hear();
            for (const interval of made.keys()) run.book.confirm('c', interval);
          } else {
            hear();
            run = open(path);
            at = run.book.restore() ?? 0;
            observe();
          }
        }
        run.book.close(Infinity);
        hear();
        assert.equal(
          [...made.values()].reduce((sum, count) => sum + count, 0),
          events.length,
        );
      }),
      { numRuns: 60 },
    );
  });
});
