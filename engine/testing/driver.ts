/**
 * Runs one component without a pipeline, for its own tests: records in, records out, time at a word.
 * The view is spoilt after every callback, so that a component that keeps it fails here.
 */
import type {
  Chunk,
  Clock,
  ConsumerContext,
  Context,
  Definition,
  EventView,
  Filter,
  Kv,
  Log,
  Metrics,
  MetricSpecs,
  Parser,
  Formatter,
  SourceContext,
  Ack,
} from '../component.ts';
import type { Batch, EventTime, Fields } from '../events/batch.ts';
import { ByteWriter } from '../events/byte-writer.ts';
import { EntryWriter } from '../events/entry-writer.ts';
import { EventCursor } from '../events/view.ts';
import { MillraceError } from '../errors.ts';
import type { Section } from '../config/model.ts';

export interface TestEvent {
  readonly tag?: string;
  readonly time?: number | EventTime;
  readonly record: Fields;
}

export interface SeenEvent extends EventTime {
  readonly tag: string;
  readonly record: Fields;
}

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  #now: number;
  #timers = new Set<{ at: number; every: number | undefined; fn: () => void }>();
  constructor(now = 1_700_000_000_000) {
    this.#now = now;
  }
  now(): number {
    return this.#now;
  }
  every(ms: number, fn: () => void): Disposable {
    return this.#add(ms, ms, fn);
  }
  after(ms: number, fn: () => void): Disposable {
    return this.#add(ms, undefined, fn);
  }
  #add(ms: number, every: number | undefined, fn: () => void): Disposable {
    const timer = { at: this.#now + ms, every, fn };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }
  /** The clock is set, as by a person: timers run on as if nothing had happened. */
  set(ms: number): void {
    for (const timer of this.#timers) timer.at += ms - this.#now;
    this.#now = ms;
  }
  /** Moves on and calls what falls due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      if (due.every === undefined) this.#timers.delete(due);
      else due.at += due.every;
      due.fn();
    }
    this.#now = end;
  }
}

export function makeBatch(events: readonly TestEvent[], tag = 'test'): Batch {
  const writer = new EntryWriter(1024);
  for (const event of events) {
    writer.begin();
    const time = event.time ?? 1_700_000_000;
    if (typeof time === 'number') writer.time(Math.floor(time), Math.round((time - Math.floor(time)) * 1e9));
    else writer.time(time.seconds, time.nanoseconds);
    writer.record(event.record);
    writer.commit();
  }
  return writer.take(tag) ?? { tag, bytes: new Uint8Array(), start: 0, end: 0, count: 0 };
}

/** The events of a batch as plain objects. */
export function readBatch(batch: Batch): SeenEvent[] {
  const cursor = new EventCursor();
  cursor.open(batch);
  const seen: SeenEvent[] = [];
  for (let n = 0; n < batch.count; n++) {
    cursor.next(n);
    seen.push({ tag: batch.tag, seconds: cursor.seconds, nanoseconds: cursor.nanoseconds, record: cursor.toObject() });
  }
  return seen;
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Fields;
  readonly message: string;
}

export interface TestContext<M extends MetricSpecs = MetricSpecs> extends SourceContext<M>, ConsumerContext<M> {
  readonly clock: FakeClock;
  readonly lines: LogLine[];
  /** Values of the component's own metrics. */
  readonly values: Record<string, number>;
  /** Counts of `dropped` by reason. */
  readonly drops: Record<string, number>;
  readonly emitted: Batch[];
  readonly published: { intervalMs: number; data: unknown }[];
  /** Events of everything emitted so far. */
  events(): SeenEvent[];
  /** Resolves when at least `count` events were emitted; rejects after 5 s. */
  waitForEvents(count: number): Promise<SeenEvent[]>;
}

export interface TestContextOptions {
  readonly id?: string;
  readonly baseDir?: string;
  readonly dataDir?: string;
  readonly clock?: FakeClock;
  readonly parser?: (section: Section | undefined, fallbackType?: string) => Parser;
  readonly formatter?: (section: Section | undefined, fallbackType?: string) => Formatter;
  /** Called for every batch instead of the default, which acknowledges at once. */
  readonly emit?: (batch: Batch, ack: Ack | undefined) => boolean;
}

export function testContext<M extends MetricSpecs>(
  definition: { readonly metrics: M },
  options: TestContextOptions = {},
): TestContext<M> {
  const lines: LogLine[] = [];
  const values: Record<string, number> = {};
  const drops: Record<string, number> = {};
  const emitted: Batch[] = [];
  const published: { intervalMs: number; data: unknown }[] = [];
  const waiters = new Set<() => void>();
  const clock = options.clock ?? new FakeClock();
  const at =
    (level: LogLine['level']) =>
    (fields: Fields, message: string): void =>
      void lines.push({ level, fields, message });
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const kvValues = new Map<string, Uint8Array>();
  const kv: Kv = {
    get: (key) => Promise.resolve(kvValues.get(key)),
    put: (key, value) => Promise.resolve(void kvValues.set(key, Uint8Array.from(value))),
  };
  const metrics: Record<string, unknown> = {};
  for (const name of Object.keys(definition.metrics)) {
    values[name] = 0;
    metrics[name] = {
      add: (count: number) => void (values[name] = (values[name] ?? 0) + count),
      set: (value: number) => void (values[name] = value),
    };
  }
  const take = (batch: Batch): void => {
    // As the log does: a source may use its bytes again.
    const { tag, bytes, start, end, count } = batch;
    emitted.push({ tag, bytes: Uint8Array.from(bytes.subarray(start, end)), start: 0, end: end - start, count });
    for (const wake of waiters) wake();
  };
  const events = (): SeenEvent[] => emitted.flatMap(readBatch);
  const missing = (what: string) => (): never => {
    throw new MillraceError('MR_INTERNAL', `this test context was made without a ${what}`);
  };
  return {
    id: options.id ?? 'test',
    log,
    metrics: metrics as unknown as Metrics<M>,
    clock,
    kv,
    signal: new AbortController().signal,
    baseDir: options.baseDir ?? process.cwd(),
    dataDir: options.dataDir,
    worker: { id: 0, count: 1 },
    dropped: (reason, count) => void (drops[reason] = (drops[reason] ?? 0) + count),
    parser: options.parser ?? missing('parser'),
    formatter: options.formatter ?? missing('formatter'),
    emit(batch, ack) {
      if (options.emit !== undefined) {
        take(batch);
        return options.emit(batch, ack);
      }
      take(batch);
      ack?.();
      return true;
    },
    tryEmit(batch) {
      take(batch);
      return true;
    },
    ready: () => Promise.resolve(),
    publish: (intervalMs, data) => void published.push({ intervalMs, data }),
    lines,
    values,
    drops,
    emitted,
    published,
    events,
    async waitForEvents(count) {
      const deadline = AbortSignal.timeout(5000);
      for (let seen = events(); ; seen = events()) {
        if (seen.length >= count) return seen;
        await new Promise<void>((resolve, reject) => {
          const wake = (): void => {
            waiters.delete(wake);
            resolve();
          };
          waiters.add(wake);
          deadline.addEventListener('abort', () => reject(new Error(`waited 5 s for ${count} events, saw ${events().length}`)), {
            once: true,
          });
        });
      }
    },
  };
}

export interface FilterRun {
  readonly events: SeenEvent[];
  readonly created: (SeenEvent & { readonly label: string | undefined })[];
  readonly dropped: string[];
}

/** Sends events through a filter and gives what is left. */
export function runFilter(filter: Filter, events: readonly TestEvent[], tag = 'test'): FilterRun {
  const result: FilterRun = { events: [], created: [], dropped: [] };
  const cursor = new EventCursor();
  const out = new ByteWriter();
  for (const event of events) {
    cursor.open(makeBatch([event], event.tag ?? tag));
    cursor.next(0);
    let view: EventView | undefined = cursor;
    const guarded = new Proxy(cursor, {
      get(target, key) {
        if (view === undefined) throw new Error(`the event was used after process() had returned: ${String(key)}`);
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    filter.process(guarded);
    view = undefined;
    for (const made of cursor.created.splice(0)) {
      const { seconds, nanoseconds, record, label } = made;
      result.created.push({ tag: made.tag, seconds, nanoseconds, record, label });
    }
    if (cursor.dropReason !== undefined) {
      result.dropped.push(cursor.dropReason);
      continue;
    }
    out.reset();
    cursor.write(out);
    result.events.push(...readBatch({ tag: cursor.tag, bytes: out.copy(), start: 0, end: out.length, count: 1 }));
  }
  return result;
}

/** One parser over one line: the events, or the reason of the failure. */
export function runParser(
  parser: Parser,
  line: string | Uint8Array,
  nowSeconds = 1_700_000_000,
): { events: SeenEvent[]; failure: string | undefined } {
  const into = new EntryWriter(1024);
  into.defaultTime(nowSeconds, 0);
  const bytes = typeof line === 'string' ? Buffer.from(line, 'utf8') : line;
  const failure = parser.parse(bytes, 0, bytes.length, into);
  const batch = into.take('test');
  return { events: batch === undefined ? [] : readBatch(batch), failure };
}

export function runFormatter(formatter: Formatter, event: TestEvent): Buffer {
  const cursor = new EventCursor();
  cursor.open(makeBatch([event], event.tag ?? 'test'));
  cursor.next(0);
  const into = new ByteWriter();
  formatter.format(cursor, into);
  return into.copy();
}

export function makeChunk(batches: readonly Batch[], attempt = 0): Chunk {
  const tags = new Set(batches.map((batch) => batch.tag));
  return {
    id: '00112233445566778899aabbccddeeff',
    metadata: tags.size === 1 ? { tag: [...tags][0] as string } : {},
    batches,
    count: batches.reduce((sum, batch) => sum + batch.count, 0),
    bytes: batches.reduce((sum, batch) => sum + batch.end - batch.start, 0),
    attempt,
  };
}

/** Validates plain values against a definition's schema, as the loader would, and creates the component. */
export function create<T>(definition: Definition, config: Fields, ctx: Context): T {
  const parsed = definition.config.parse(config);
  return definition.create(parsed, ctx as never) as T;
}
