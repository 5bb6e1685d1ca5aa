/** Brings events through the elasticsearch output until each has a fate, as the runner does, and without its waits. */
import type { Output, Verdict } from '../../engine/component.ts';
import { selectEvents } from '../../engine/delivery/chunk.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { create, FakeClock, makeBatch, makeChunk, readBatch, testContext, type LogLine } from '../../engine/testing/driver.ts';
import { elasticsearch } from '../../shippers/elasticsearch/elasticsearch.ts';

export interface Run {
  /** Events by the fate of each, by their field `n`. */
  readonly delivered: readonly number[];
  readonly dead: ReadonlyMap<number, string>;
  /** Calls of `write`. */
  readonly tries: number;
  readonly verdicts: readonly Verdict[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly lines: readonly LogLine[];
}

export interface DriveOptions {
  readonly config: Fields;
  readonly events: number;
  /** What stands in event `n` beside `n` itself. */
  readonly record?: (n: number) => Fields;
  readonly triesMax?: number;
  /** The events entered the log so long before the output was started, as after a restart. */
  readonly olderMs?: number;
  /** In place of events made anew. */
  readonly batches?: readonly Batch[];
  /** Called between two tries, with what the last one said. */
  readonly between?: (verdict: Verdict) => void | Promise<void>;
}

/** Waits between tries are skipped, time limits of requests are real. */
class DriveClock extends FakeClock {
  override after(ms: number, fn: () => void): Disposable {
    const timer = setTimeout(fn, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
}

const STARTED_MS = Date.now();
let frames = 0;

export function eventsOf(count: number, record: (n: number) => Fields = () => ({}), olderMs = 0): Batch {
  const events = Array.from({ length: count }, (_, n) => ({ record: { n, ...record(n) } }));
  const place = { incarnation: 7n, segment: STARTED_MS, offset: frames++ * 100, enteredMs: Date.now() - olderMs };
  return { ...makeBatch(events), place };
}

/** @throws Error when events are left after `triesMax` tries */
export async function drive(options: DriveOptions): Promise<Run> {
  const ctx = testContext(elasticsearch, { clock: new DriveClock(Date.now()) });
  const output = create<Output>(elasticsearch, options.config, ctx);
  const { signal } = new AbortController();
  const delivered: number[] = [];
  const dead = new Map<number, string>();
  const verdicts: Verdict[] = [];
  const numberOf = (batch: Batch): number[] => readBatch(batch).map(({ record }) => record['n'] as number);
  let batches: readonly Batch[] = options.batches ?? [eventsOf(options.events, options.record, options.olderMs)];
  let tries = 0;
  await output.start?.();
  try {
    for (; batches.length > 0; tries++) {
      if (tries >= (options.triesMax ?? 50)) throw new Error(`events are left after ${tries} tries`);
      const before = verdicts.at(-1);
      if (before !== undefined) await options.between?.(before);
      const chunk = makeChunk(batches, tries);
      const verdict = await output.write(chunk, signal);
      verdicts.push(verdict);
      const numbers = batches.flatMap(numberOf);
      const { retry = [], refused = [] } = verdict === 'delivered' ? {} : verdict;
      const again = retry === 'all' ? numbers.map((_, n) => n) : retry;
      for (const { index, reason } of refused) dead.set(numbers[index] as number, reason);
      const open = new Set([...again, ...refused.map(({ index }) => index)]);
      delivered.push(...numbers.filter((_, n) => !open.has(n)));
      batches = selectEvents(batches, again);
      ctx.clock.advance(verdict === 'delivered' ? 0 : (verdict.afterMs ?? 1000));
    }
  } finally {
    await output.stop?.();
  }
  return { delivered, dead, tries, verdicts, metrics: ctx.values, lines: ctx.lines };
}
