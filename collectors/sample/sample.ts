import * as z from 'zod';
import { defineSource, type Source, type SourceContext } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { EntryWriter } from '../../engine/events/entry-writer.ts';
import { bool, integer, text } from '../../engine/units.ts';

/** Batches leave ten times a second; a rate is met over each second. */
const TICK_MS = 100;
/** A clock that jumped (a sleeping machine) does not make up for more than this. */
const MAX_BEHIND_MS = 1000;

const samples = z
  .preprocess(
    (value, ctx) => {
      if (typeof value !== 'string') return value;
      try {
        return JSON.parse(value) as unknown;
      } catch {
        ctx.addIssue('expected JSON: a map or a list of maps');
        return z.NEVER;
      }
    },
    z.union([z.record(z.string(), z.unknown()), z.array(z.record(z.string(), z.unknown())).min(1)], {
      error: 'expected a map or a list of maps',
    }),
  )
  .transform((value): Fields[] => (Array.isArray(value) ? value : [value]))
  .meta({ kind: 'hash' });

const config = z.object({
  tag: text().describe('Tag of the events'),
  sample: samples
    .default([{ message: 'sample' }])
    .describe('Record of each event, or a list of records taken in turn')
    .meta({ examples: ['{"message":"hello"}', '[{"n":1},{"n":2}]'] }),
  dummy: samples.optional().describe('Older name of sample'),
  rate: integer({ min: 1, max: 1_000_000 })
    .default(1)
    .describe('Events per second, or batches per second when size is more than 1'),
  size: integer({ min: 1, max: 10_000 }).default(1).describe('Events of one batch'),
  auto_increment_key: text().optional().describe('Field that counts the events from 0'),
  reuse_record: bool().default(false).describe('Whether Ruby may share records; accepted for compatibility'),
  count: integer({ min: 1 }).optional().describe('Events after which the source is silent'),
});

export const sampleSource = defineSource({
  name: 'sample',
  aliases: ['dummy'],
  summary: 'Makes events at a steady rate, to try things out.',
  config,
  workers: 'one',
  examples: [
    {
      title: 'Ten log-ins a second',
      config:
        '<source>\n  @type sample\n  tag demo.login\n  rate 10\n  sample {"user":"li","result":"ok"}\n  auto_increment_key n\n</source>',
    },
  ],
  create: (parsed, ctx) => makeSamples(parsed, ctx),
});

function makeSamples(parsed: z.output<typeof config>, ctx: SourceContext): Source {
  const records = parsed.dummy ?? parsed.sample;
  const writer = new EntryWriter(4096);
  const perMs = (parsed.rate * parsed.size) / 1000;
  let timer: Disposable | undefined;
  let lastMs = 0;
  let owed = 0;
  let made = 0;
  let isFull = false;

  const stop = (): Promise<void> => {
    timer?.[Symbol.dispose]();
    timer = undefined;
    return Promise.resolve();
  };
  const emit = (count: number): void => {
    writer.defaultTimeMs(ctx.clock.now());
    for (let n = 0; n < count; n++, made++) {
      writer.begin();
      writer.record(records[made % records.length] as Fields);
      if (parsed.auto_increment_key !== undefined) {
        writer.keyName(parsed.auto_increment_key);
        writer.integer(made);
      }
      writer.commit();
    }
    const batch = writer.take(parsed.tag);
    if (batch === undefined || ctx.emit(batch)) return;
    isFull = true;
    // Nothing is owed for the time in which nobody took anything.
    void ctx.ready().then(() => {
      isFull = false;
      lastMs = ctx.clock.now();
    });
  };
  const tick = (): void => {
    if (isFull) return;
    const now = ctx.clock.now();
    owed += Math.min(Math.max(0, now - lastMs), MAX_BEHIND_MS) * perMs;
    lastMs = now;
    for (let left = wholeBatches(owed, parsed.size, (parsed.count ?? Infinity) - made); left > 0;) {
      // At a high rate one batch holds several rounds.
      const count = Math.min(left, Math.max(parsed.size, 1000));
      emit(count);
      owed -= count;
      left -= count;
    }
    if (made >= (parsed.count ?? Infinity)) void stop();
  };
  return {
    start() {
      lastMs = ctx.clock.now();
      timer = ctx.clock.every(TICK_MS, tick);
      return Promise.resolve();
    },
    drain: stop,
    stop,
  };
}

/** Events that are due now: a multiple of `size`, but for the last ones. */
function wholeBatches(owed: number, size: number, left: number): number {
  // The sum of tenths of a second may lie a hair below the whole.
  const due = Math.floor((owed + 1e-6) / size) * size;
  return Math.min(due, left);
}
