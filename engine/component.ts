/**
 * What every component is written against: what the engine hands in, what a component gives back,
 * and the one literal that declares it. See docs/ARCHITECTURE.md for the life of an event.
 */
import type * as z from 'zod';
import type { MillraceError } from './errors.ts';
import type { Batch, Fields } from './events/batch.ts';
import type { ByteWriter } from './events/byte-writer.ts';
import type { EntryWriter } from './events/entry-writer.ts';
import type { Field, Fragment } from './events/field.ts';
import type { Section } from './config/model.ts';
import type { Level } from './log/entrance-log.ts';

// ---- what the engine hands in -----------------------------------------------------------------

export interface Counter {
  add(count: number): void;
}
export interface Gauge {
  set(value: number): void;
}
export type MetricSpec = { readonly type: 'counter' | 'gauge'; readonly unit: string; readonly help: string };
export type MetricSpecs = Readonly<Record<string, MetricSpec>>;
type Handle = { counter: Counter; gauge: Gauge };
export type Metrics<M extends MetricSpecs> = { readonly [K in keyof M]: Handle[M[K]['type']] };

/** Fields first, then a constant message. error: data lost or a person is needed; warn: unexpected, recovered, nothing lost. */
export interface Log {
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` every `ms`; the timer never keeps the process alive. Dispose to end it. */
  every(ms: number, fn: () => void): Disposable;
  /** Calls `fn` once after `ms`. */
  after(ms: number, fn: () => void): Disposable;
}

/** Small durable values (tail positions, last sync), in the data directory; a put is atomic. */
export interface Kv {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, value: Uint8Array): Promise<void>;
}

export interface Context<M extends MetricSpecs = MetricSpecs> {
  /** `@id`, or `type-N` in the order of the configuration. */
  readonly id: string;
  readonly log: Log;
  readonly metrics: Metrics<M>;
  readonly clock: Clock;
  readonly kv: Kv;
  /** Aborted when the drain deadline has passed: give up on what is still pending. */
  readonly signal: AbortSignal;
  /** Directory of the configuration file; relative paths in a configuration start here. */
  readonly baseDir: string;
  /** Writable directory of this installation; `undefined` when nothing may be kept on disk. */
  readonly dataDir: string | undefined;
  readonly worker: { readonly id: number; readonly count: number };
  /** Counts a drop that the component decides on itself (a datagram that cannot be parsed, say). */
  dropped(reason: string, count: number): void;
  /** Built from a `<parse>` or `<format>` section, so that no component imports another one. */
  parser(section: Section | undefined, fallbackType?: string): Parser;
  formatter(section: Section | undefined, fallbackType?: string): Formatter;
}

/** Called exactly once per batch, when it is safe at the level the source asked for, or with the failure. */
export type Ack = (failure?: MillraceError) => void;

export interface SourceContext<M extends MetricSpecs = MetricSpecs> extends Context<M> {
  /**
   * Takes the batch in any case, and has copied its bytes when it returns: they may be used again.
   * False: full, stop reading until `ready()` resolves. No promise on the fast path.
   */
  emit(batch: Batch, ack?: Ack): boolean;
  /** For senders that cannot wait (UDP). False: nothing was taken and the engine has counted the drop. */
  tryEmit(batch: Batch): boolean;
  ready(): Promise<void>;
}

// ---- what a component gives back --------------------------------------------------------------

export interface Running {
  start(): Promise<void>;
  /** Stop taking and finish what is there. */
  drain?(): Promise<void>;
  /** Works twice, and without `start`. */
  stop(): Promise<void>;
}

export interface Source extends Running {
  /** Host and port listened on after `start`, for `status` and for tests on port 0. */
  addresses?(): readonly string[];
}

/** A flyweight over one event, valid only inside the callback that it is handed to. */
export interface EventView {
  readonly tag: string;
  readonly seconds: number;
  readonly nanoseconds: number;
  /** The field as text: strings as they are, numbers and booleans printed; undefined when absent, null, array or map. */
  str(field: Field): string | undefined;
  /** The field as a number: numbers as they are, numeric strings converted; undefined otherwise. */
  num(field: Field): number | undefined;
  /** The decoded value, undefined when absent. Slow: makes objects. */
  value(field: Field): unknown;
  has(field: Field): boolean;
  /**
   * Finds a text without making a string: true sets `bytes`, `from` and `to` to the UTF-8 of the value, until the next
   * call. False when the field is absent or no text.
   */
  locate(field: Field): boolean;
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  set(field: Field, value: unknown): void;
  delete(field: Field): void;
  /** Adds a group of fields that was encoded once (the geo of a city). A field that is there already is replaced. */
  append(fragment: Fragment): void;
  replace(record: Fields): void;
  setTime(seconds: number, nanoseconds: number): void;
  /** Makes a further event that is routed on from the start of the current label (or of the label named). */
  emit(tag: string, record: Fields, label?: string): void;
  /** Ends this event; `reason` labels the count. */
  drop(reason: string): void;
  toObject(): Fields;
}

/** Synchronous, a function of (event, configuration, data version). */
export interface Filter extends Partial<Running> {
  /** Fields that the engine shall find once for the whole batch. */
  readonly reads: readonly Field[];
  process(event: EventView): void;
}

/** Sees every event at its place in the filter chain and keeps state over them (counters, rules). */
export interface Consumer extends Partial<Running> {
  readonly reads: readonly Field[];
  /** Called once per event, in order. */
  observe(event: EventView, enteredMs: number): void;
  /**
   * Every event that entered before `untilMs` has been observed: intervals that ended by then are published, each once.
   * `Infinity` at the very end.
   */
  close?(untilMs: number): void;
  /** What is counted and not published, for `restore` to go on from. */
  snapshot?(): Uint8Array;
  restore?(state: Uint8Array | undefined): void;
}

/** A run of batches on its way to one output; immutable. */
export interface Chunk {
  /** 16 random bytes in hexadecimal; stays the same over retries of the same events. */
  readonly id: string;
  /** Values of the chunk keys that `<buffer>` names; `tag` is there when all events share it. */
  readonly metadata: { readonly tag?: string; readonly timekey?: number; readonly variables?: Readonly<Record<string, string>> };
  readonly batches: readonly Batch[];
  readonly count: number;
  readonly bytes: number;
  /** 0 at the first try. */
  readonly attempt: number;
}

/** Indices count over all batches of the chunk in order. What is named in neither list is delivered. */
export type Verdict =
  | 'delivered'
  | {
      readonly retry?: readonly number[] | 'all';
      /** Wait at least so long before the next try, whatever the back-off says. */
      readonly afterMs?: number;
      readonly refused?: readonly { readonly index: number; readonly reason: string }[];
      /** Why, for `status`, when something is to be tried again. */
      readonly reason?: string;
      /**
       * 'stalled': nothing moves until somebody acts (credentials, a block, a missing pipeline), and `status` says so. Such a
       * try does not count for retry_max_times, and the wait does not grow; retry_timeout bounds it.
       */
      readonly state?: 'stalled';
    };

/** A throw from `write` counts as `{ retry: 'all' }` with the message as its reason. */
export interface Output extends Partial<Running> {
  /** Tried at start and shown in `status`; a failure is reported, it does not keep the pipeline from starting. */
  probe?(signal: AbortSignal): Promise<void>;
  write(chunk: Chunk, signal: AbortSignal): Promise<Verdict>;
}

export interface Parser {
  /**
   * Reads `bytes[start, end)` and writes zero or more entries: `into.begin()`, fields, `into.commit()` for each.
   *
   * @returns the reason of a failure (nothing was written then), never a throw
   */
  parse(bytes: Uint8Array, start: number, end: number, into: EntryWriter): string | undefined;
}

export interface Formatter {
  /** Appends one event to `into`, with its line end if the format has one. */
  format(event: EventView, into: ByteWriter): void;
}

// ---- the one declaration ----------------------------------------------------------------------

type Kinds = { source: Source; filter: Filter; consumer: Consumer; output: Output; parser: Parser; formatter: Formatter };
export type Kind = keyof Kinds;

/** What a consumer gets beside the ordinary context. */
export interface ConsumerContext<M extends MetricSpecs = MetricSpecs> extends Context<M> {
  /**
   * Hands an interval's part to the main thread, which merges it with those of the other workers. It is kept with the state
   * until what was made of it is safe: the consumer may forget it.
   */
  publish(intervalMs: number, data: unknown): void;
}

export type ContextOf<K extends Kind, M extends MetricSpecs> = K extends 'source'
  ? SourceContext<M>
  : K extends 'consumer'
    ? ConsumerContext<M>
    : Context<M>;

export interface Definition<K extends Kind = Kind, C extends z.ZodType = z.ZodType, M extends MetricSpecs = MetricSpecs> {
  readonly kind: K;
  readonly api: 1;
  readonly name: string;
  /** Other `@type` names under which it is found (`copy_ex`, say). */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly config: C;
  readonly metrics: M;
  readonly examples: ReadonlyArray<{ readonly title: string; readonly config: string }>;
  /** 'one': runs in worker 0 only. */
  readonly workers: 'one' | 'all';
  /** Sources: how safe an event is made before it is acknowledged, when `durability` does not say. */
  readonly durability: Level;
  /** Outputs: when chunks leave if `<buffer>` does not say: at once (a terminal), or each second. */
  readonly flush: 'immediate' | 'interval';
  /** Pure cross-field rules; no I/O. Each text becomes an error of `check`. */
  check?(config: z.output<C>): readonly string[];
  /** Opens nothing, starts nothing. May throw a MillraceError for what only shows when it is put together. */
  create(config: z.output<C>, ctx: ContextOf<K, M>): Kinds[K];
  /**
   * Consumers only: merges what the workers published for one interval into metric events
   * (runs in the main thread, which emits them under `tag`).
   */
  merge?(config: z.output<C>, intervalMs: number, parts: readonly unknown[]): Merged;
}

/** Records to be emitted as events of the given tag with the time of the interval's end. */
export interface Merged {
  readonly tag: string;
  readonly timeMs: number;
  readonly records: readonly Fields[];
}

type Declared<K extends Kind, C extends z.ZodType, M extends MetricSpecs> = Omit<
  Definition<K, C, M>,
  'kind' | 'api' | 'metrics' | 'examples' | 'workers' | 'aliases' | 'flush' | 'durability'
> & {
  readonly metrics?: M;
  readonly examples?: Definition['examples'];
  readonly workers?: 'one' | 'all';
  readonly flush?: 'immediate' | 'interval';
  readonly durability?: Level;
  readonly aliases?: readonly string[];
};

const define =
  <K extends Kind>(kind: K) =>
  // The empty object is the right default for a component without metrics of its own.
  // oxlint-disable-next-line typescript/no-generated-empty-object-type
  <C extends z.ZodType, const M extends MetricSpecs = Record<never, MetricSpec>>(
    declared: Declared<K, C, M>,
  ): Definition<K, C, M> =>
    ({
      examples: [],
      workers: 'all',
      flush: 'interval',
      durability: 'os',
      aliases: [],
      ...declared,
      metrics: declared.metrics ?? {},
      kind,
      api: 1,
    }) as unknown as Definition<K, C, M>;

export const defineSource = define('source');
export const defineFilter = define('filter');
export const defineConsumer = define('consumer');
export const defineOutput = define('output');
export const defineParser = define('parser');
export const defineFormatter = define('formatter');

/** An entry of a generated registry: enough for help and completion without loading the component. */
export interface Registered {
  readonly kind: Kind;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  load(): Promise<Definition>;
}
