/**
 * A whole pipeline around components that a test brings along: filters and consumers are functions, outputs keep what
 * they get. Events are fed into a source by name.
 *
 *     <source>            @type feed, @id NAME       what `feed(tag, records, NAME)` puts in
 *     <filter>, <match>   @type NAME of a function
 *     <match>             @type keep, @id NAME       what `kept(NAME)` gives
 */
import * as z from 'zod';
import { defineConsumer, defineFilter, defineOutput, defineSource } from '../component.ts';
import type { Ack, Chunk, Definition, EventView, Registered, SourceContext, Verdict } from '../component.ts';
import { loadConfigText } from '../config/load.ts';
import type { Fields } from '../events/batch.ts';
import type { EntranceLog } from '../log/entrance-log.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { Publish } from '../pipeline/consumer-book.ts';
import { Pipeline, type TapSpec } from '../pipeline/pipeline.ts';
import { Registry } from '../registry.ts';
import { imbalance, type ComponentStatus } from '../telemetry/accounts.ts';
import { FakeClock, makeBatch, readBatch, type LogLine, type SeenEvent } from './driver.ts';

export interface BenchOptions {
  readonly filters?: Readonly<Record<string, (event: EventView, config: Fields) => void>>;
  readonly consumers?: Readonly<Record<string, (event: EventView) => void>>;
  /** In place of the verdict `delivered`. */
  readonly write?: (id: string, chunk: Chunk) => Promise<Verdict>;
  readonly taps?: readonly TapSpec[];
  readonly logLimitBytes?: number;
  readonly lagDetachBytes?: number;
  /** In place of the ones of the bench, to go on from what an earlier one left. */
  readonly entranceLog?: EntranceLog;
  readonly stateDir?: string;
  readonly clock?: FakeClock;
  readonly publish?: Publish;
  readonly onClosed?: (untilMs: number) => void;
  /** Put in front of the components of the bench, which they shadow. */
  readonly more?: readonly Registered[];
}

export interface KeptEvent extends SeenEvent {
  /** `place/index << 8 | ordinal`: the same for the same event only. */
  readonly id: string;
}

export interface Bench {
  readonly pipeline: Pipeline;
  readonly clock: FakeClock;
  readonly lines: LogLine[];
  /** Puts records in as one batch; false when the log is full. */
  feed(tag: string, records: readonly Fields[], source?: string, ack?: Ack): boolean;
  /** Waits until everything has been routed and handed to the outputs. */
  settle(): Promise<void>;
  kept(output: string): readonly KeptEvent[];
  status(id: string): ComponentStatus;
  /** Sentences about books that do not balance. */
  imbalances(): string[];
}

/** @throws MillraceError what keeps it from being built or started */
export async function openBench(conf: string, options: BenchOptions = {}): Promise<Bench> {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine['level']) =>
    (fields: Fields, message: string): void =>
      void lines.push({ level, fields, message });
  const clock = options.clock ?? new FakeClock();
  const feeds = new Map<string, SourceContext>();
  const kept = new Map<string, KeptEvent[]>();
  const { root, isFluentd } = loadConfigText('bench.conf', conf, { type: 'v1' });
  const pipeline = await Pipeline.build({
    root,
    isFluentd,
    registry: new Registry(options.more ?? [], componentsOf(options, feeds, kept)),
    worker: { id: 0, count: 1 },
    baseDir: '/nowhere',
    dataDir: undefined,
    clock,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    random: () => 0.5,
    signal: new AbortController().signal,
    entranceLog: options.entranceLog ?? new MemoryLog(clock, options.logLimitBytes ?? 1 << 20, 1n),
    stateDir: options.stateDir,
    publish: options.publish ?? (() => undefined),
    onClosed: options.onClosed ?? (() => undefined),
    taps: options.taps ?? [],
    ...(options.lagDetachBytes === undefined ? {} : { lagDetachBytes: options.lagDetachBytes }),
  });
  await pipeline.start();
  return {
    pipeline,
    clock,
    lines,
    feed(tag, records, source = 'in', ack) {
      const ctx = feeds.get(source);
      if (ctx === undefined) throw new Error(`no source has the id ${source}`);
      return ctx.emit(
        makeBatch(
          records.map((record) => ({ record })),
          tag,
        ),
        ack,
      );
    },
    async settle() {
      // One turn to route, one for what the outputs answer.
      for (let n = 0; n < 4; n++) await new Promise((resolve) => setImmediate(resolve));
    },
    kept: (output) => kept.get(output) ?? [],
    status(id) {
      const found = pipeline.status().find((status) => status.id === id);
      if (found === undefined) throw new Error(`no component has the id ${id}`);
      return found;
    },
    imbalances: () => pipeline.status().flatMap((status) => imbalance(status) ?? []),
  };
}

function componentsOf(options: BenchOptions, feeds: Map<string, SourceContext>, kept: Map<string, KeptEvent[]>): Registered[] {
  const config = z.looseObject({});
  const feed = defineSource({
    name: 'feed',
    summary: '',
    config,
    create: (_, ctx) => {
      feeds.set(ctx.id, ctx);
      return { start: () => Promise.resolve(), stop: () => Promise.resolve() };
    },
  });
  const keep = defineOutput({
    name: 'keep',
    summary: '',
    config,
    flush: 'immediate',
    create: (_, { id }) => ({
      async write(chunk) {
        const verdict = (await options.write?.(id, chunk)) ?? 'delivered';
        const events = kept.get(id) ?? [];
        kept.set(id, events);
        if (verdict === 'delivered') for (const batch of chunk.batches) events.push(...identified(batch));
        return verdict;
      },
    }),
  });
  const filters = Object.entries(options.filters ?? {}).map(([name, process]) =>
    defineFilter({
      name,
      summary: '',
      config,
      create: (values) => ({ reads: [], process: (event) => process(event, values) }),
    }),
  );
  const consumers = Object.entries(options.consumers ?? {}).map(([name, observe]) =>
    defineConsumer({ name, summary: '', config, create: () => ({ reads: [], observe }) }),
  );
  const marker = (name: string): Definition =>
    defineOutput({
      name,
      summary: '',
      config,
      create: () => ({ write: () => Promise.resolve('delivered') }),
    }) as unknown as Definition;
  return [feed, keep, ...filters, ...consumers, marker('copy'), marker('relabel')].map((definition) => ({
    kind: definition.kind,
    name: definition.name,
    aliases: [],
    summary: '',
    load: () => Promise.resolve(definition as unknown as Definition),
  }));
}

function identified(batch: Chunk['batches'][number]): KeptEvent[] {
  const place = batch.place === undefined ? '' : `${batch.place.segment}.${batch.place.offset}`;
  return readBatch(batch).map((event, n) => ({ ...event, id: `${place}/${batch.ids?.[n] ?? n << 8}` }));
}
