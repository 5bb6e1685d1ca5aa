import { join } from 'node:path';
import type { Ack, Consumer, Definition, Output } from '../component.ts';
import type { Section } from '../config/model.ts';
import type { Letter } from '../delivery/dead-letters-format.ts';
import { replayLetters, type Outcome } from '../delivery/dead-letters-replay.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, Frame, Origin } from '../log/entrance-log.ts';
import { Account, type ComponentStatus } from '../telemetry/accounts.ts';
import { childLog } from '../telemetry/log.ts';
import { Builder, type Built } from './build.ts';
import { ConsumerBook, type Publish } from './consumer-book.ts';
import { Flow } from './flow.ts';
import { Maker, statusOf, type Surroundings } from './make.ts';
import { Router, type Hook, type Tap } from './router.ts';

/** A consumer that hangs on the ends of all chains (rules); made once the context is there. */
export interface TapSpec {
  readonly id: string;
  readonly matches: (tag: string) => boolean;
  /** False: what it publishes is only looked at, and nothing of it outlives the process. */
  readonly keeps: boolean;
  create(publish: (intervalMs: number, data: unknown) => void): Consumer;
}

export interface PipelineOptions extends Surroundings {
  readonly root: Section;
  readonly entranceLog: EntranceLog;
  /** Directory of this worker's progress and counts; undefined: nothing of them outlives the process. */
  readonly stateDir: string | undefined;
  readonly publish: Publish;
  /** This worker's consumers have published every interval that ended by then. */
  readonly onClosed: (untilMs: number) => void;
  readonly taps: readonly TapSpec[];
  /** Only what is in the log is delivered: no source is made. */
  readonly isOrphan?: boolean;
  /** Default 64 MiB; see `BuildOptions`. */
  readonly lagDetachBytes?: number;
}

const CONFIRMED_LOOK_MS = 100;
const LAG_DETACH_BYTES = 64 << 20;

/**
 * One worker's pipeline: sources -> entrance log -> filters -> outputs. Built inert; `start` opens outputs, then filters,
 * then sources. `quiesce` stops the sources and lets what they took flow through; `finish` delivers it.
 */
export class Pipeline {
  readonly #o: PipelineOptions;
  readonly #built: Built;
  readonly #router: Router;
  readonly #book: ConsumerBook;
  readonly #routerAccount = new Account();
  readonly #logAccount = new Account();
  readonly #tapStatus: { readonly id: string; readonly account: Account; readonly consumer: Consumer }[] = [];
  #flow: Flow | undefined;
  #stopped = false;

  private constructor(options: PipelineOptions, built: Built) {
    this.#o = options;
    this.#built = built;
    const booked = built.consumers.map(({ id, component }) => ({ id, consumer: component, keeps: true }));
    const taps = options.taps.map((spec) => {
      const tap = this.#tap(spec);
      booked.push({ id: spec.id, consumer: tap.node.consumer, keeps: spec.keeps });
      return tap;
    });
    this.#router = new Router({
      routes: built.routes,
      taps,
      account: this.#routerAccount,
      clock: options.clock,
      log: childLog(options.log, { component: 'router' }),
    });
    const path = options.stateDir === undefined ? undefined : join(options.stateDir, 'consumers');
    this.#book = new ConsumerBook(booked, path, childLog(options.log, { component: 'consumers' }), options.publish);
  }

  /** @throws MillraceError when a part cannot be put together */
  static async build(options: PipelineOptions): Promise<Pipeline> {
    const maker = await Maker.load(options);
    // Consumers publish through the book of the pipeline that they become a part of.
    const late: { pipeline?: Pipeline } = {};
    const built = await new Builder(maker, {
      entranceLog: options.entranceLog,
      stateDir: options.stateDir,
      lagDetachBytes: options.lagDetachBytes ?? LAG_DETACH_BYTES,
      isOrphan: options.isOrphan === true,
      publish: (id, intervalMs, data) => late.pipeline?.take(id, intervalMs, data),
      whenDelivered: (ack) => late.pipeline?.whenDelivered(ack),
      lagBytes: (runner) => options.entranceLog.bytesFrom(runner.lowWater),
    }).build(options.root);
    late.pipeline = new Pipeline(options, built);
    return late.pipeline;
  }

  #tap(spec: TapSpec): Tap {
    const account = new Account();
    const consumer = spec.create((intervalMs, data) => this.take(spec.id, intervalMs, data));
    this.#tapStatus.push({ id: spec.id, account, consumer });
    return {
      matches: spec.matches,
      node: { id: spec.id, consumer, account, log: childLog(this.#o.log, { component: spec.id }) },
    };
  }

  /** A consumer has a part of an interval for the main thread. */
  take(id: string, intervalMs: number, data: unknown): void {
    this.#book.take(id, intervalMs, data);
  }

  whenDelivered(ack: Ack): void {
    this.#flow?.whenDelivered(ack);
  }

  /** What the main thread made of the interval is safe. */
  confirm(consumer: string, intervalMs: number): void {
    this.#book.confirm(consumer, intervalMs);
  }

  /** @throws whatever keeps a component from starting; what was started is stopped again */
  async start(): Promise<void> {
    const { outputs, filters, consumers, sources } = this.#built;
    try {
      for (const { runner } of outputs) await runner.start();
      for (const { component } of filters) await component.start?.();
      // Behind the filters: one that prepares data for seconds would let the time limit of a probe pass.
      for (const { made } of outputs) void this.#probe(made.component, made.log);
      for (const { component } of consumers) await component.start?.();
      for (const { consumer } of this.#tapStatus) await consumer.start?.();
      this.#flow = this.#startFlow();
      for (const { component } of sources) await component.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  #startFlow(): Flow {
    const { entranceLog, clock, log, onClosed } = this.#o;
    const flow = new Flow({
      log: entranceLog,
      routes: this.#built.routes,
      router: this.#router,
      outputs: this.#built.outputs.map(({ runner }) => runner),
      book: this.#book,
      clock,
      say: childLog(log, { component: 'entrance-log' }),
      onClosed,
    });
    flow.start();
    return flow;
  }

  /** A server that does not answer is reported at once; the pipeline runs and keeps trying. */
  async #probe(output: Output, log: Surroundings['log']): Promise<void> {
    try {
      await output.probe?.(this.#o.signal);
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the server cannot be used yet; events wait and are sent when it can');
    }
  }

  /**
   * Takes one frame through the filters, in place of `start`: outputs and consumers are named and see nothing of it.
   *
   * @throws whatever keeps a filter from starting
   */
  async trace(frame: Frame, hook: Hook): Promise<void> {
    for (const { component } of this.#built.filters) await component.start?.();
    this.#router.hook = hook;
    this.#router.route(frame, new Map(), false);
  }

  /**
   * Lets events in that the engine made itself (metrics of all workers), each interval of a consumer once.
   *
   * @param ack  called when they are as safe as this log makes anything
   */
  inject(batch: Batch, origin: Origin, ack: Ack): void {
    this.#o.entranceLog.appendOnce(batch, this.#built.level, origin, ack);
  }

  /**
   * Sends dead letters to the output that has this id, past its queue. What it delivers enters and leaves its books at once.
   *
   * @returns undefined when there is no such output here
   */
  async replay(output: string, letters: readonly Letter[]): Promise<readonly Outcome[] | undefined> {
    const made = this.#built.outputs.find((one) => one.made.id === output)?.made;
    if (made === undefined || this.#stopped) return undefined;
    const outcomes = await replayLetters(made.component, letters, this.#o.signal);
    const delivered = outcomes.filter(({ kind }) => kind === 'delivered').length;
    made.account.created += delivered;
    made.account.out += delivered;
    return outcomes;
  }

  /** Everything in the log has been routed. */
  #routed(): Promise<void> {
    return this.#flow?.drained() ?? Promise.resolve();
  }

  /**
   * Stops the sources and routes what they took.
   *
   * @param isEnd  intervals that have not ended are published too: nothing will go on from here
   */
  async quiesce(isEnd: boolean): Promise<void> {
    for (const { component, log } of this.#built.sources) {
      try {
        await component.drain?.();
        await component.stop();
      } catch (error) {
        log.error({ reason: messageOf(error) }, 'source did not stop cleanly');
      }
    }
    await this.#o.entranceLog.flush();
    await this.#routed();
    if (isEnd || !this.#book.persists) this.#flow?.closeAll();
    for (const { component } of this.#built.consumers) await component.drain?.();
    for (const { consumer } of this.#tapStatus) await consumer.drain?.();
  }

  /** Everything in the log has been delivered, its intervals have been published, and what was made of them is safe. */
  async emptied(): Promise<void> {
    const flow = this.#flow;
    if (flow === undefined) return;
    await flow.drained();
    flow.closeAll();
    await new Promise<void>((resolve) => flow.whenDelivered(() => resolve()));
    const confirmed = Promise.withResolvers<void>();
    using _look = this.#o.clock.every(CONFIRMED_LOOK_MS, () => {
      if (this.#book.unconfirmed === 0) confirmed.resolve();
    });
    await confirmed.promise;
  }

  /** Delivers what is there, until `signal` aborts. */
  async finish(signal: AbortSignal): Promise<void> {
    await this.#routed();
    await Promise.all(this.#built.outputs.map(({ runner }) => runner.drain(signal)));
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    const { outputs, filters, consumers, sources } = this.#built;
    for (const { component } of sources) await component.stop();
    for (const { component } of filters) await component.stop?.();
    for (const { component } of consumers) await component.stop?.();
    for (const { consumer } of this.#tapStatus) await consumer.stop?.();
    this.#flow?.stop();
    await Promise.all(outputs.map(({ runner }) => runner.stop()));
    await this.#o.entranceLog.close();
  }

  /** Sources that end by themselves (files read to the end once); undefined when one of them never does. */
  finished(): Promise<void> | undefined {
    const ends: Promise<void>[] = [];
    for (const { component } of this.#built.sources) {
      const { finished } = component as { readonly finished?: Promise<void> };
      if (finished === undefined) return undefined;
      ends.push(finished);
    }
    return Promise.all(ends).then(() => undefined);
  }

  /** Consumers that publish, for the main thread to merge what they publish. */
  publishers(): { readonly id: string; readonly definition: Definition; readonly config: unknown }[] {
    return this.#built.consumers.map(({ id, definition, config }) => ({ id, definition, config }));
  }

  status(): ComponentStatus[] {
    const worker = this.#o.worker.id;
    const ok = { state: 'ok' };
    const { sources, filters, consumers, outputs } = this.#built;
    return [
      ...sources.map((made) => statusOf(made, worker, { state: 'ok', addresses: made.component.addresses?.() ?? [] })),
      this.#logStatus(worker),
      this.#plain('router', 'router', this.#routerAccount, worker),
      ...filters.map((made) => statusOf(made, worker, ok)),
      ...consumers.map((made) => statusOf(made, worker, ok)),
      ...this.#tapStatus.map(({ id, account }) => this.#plain(id, 'rules', account, worker)),
      ...outputs.map((output) => this.#outputStatus(output, worker)),
    ];
  }

  /** With what of the log it has not finished, and whether it reads at its own pace. */
  #outputStatus({ made, runner }: Built['outputs'][number], worker: number): ComponentStatus {
    const status = statusOf(made, worker, runner.state);
    const lagBytes = this.#o.entranceLog.bytesFrom(runner.lowWater);
    return {
      ...status,
      metrics: {
        ...status.metrics,
        ...runner.metrics,
        lag_bytes: lagBytes,
        detached: this.#flow?.isDetached(runner) === true ? 1 : 0,
      },
    };
  }

  #plain(id: string, kind: string, account: Account, worker: number): ComponentStatus {
    const { in: taken, created, out, pending, bytesIn, bytesOut, errors } = account;
    const books = { in: taken, created, out, pending, bytesIn, bytesOut, errors };
    return { ...books, dropped: { ...account.dropped }, id, kind, type: kind, worker, state: 'ok', metrics: {} };
  }

  /** The log's `out` is what has been routed; what was found at start is booked when it is read. */
  #logStatus(worker: number): ComponentStatus {
    const { appended, state, reason, keptBytes, limitBytes, segments, metrics } = this.#o.entranceLog.status;
    const flow = this.#flow;
    const routed = flow?.routed ?? { events: 0, recovered: 0 };
    const taken = this.#built.sources.reduce((sum, { account }) => sum + account.out, 0);
    const account = this.#logAccount;
    account.in = taken;
    account.created = appended.events - taken + routed.recovered;
    account.out = routed.events;
    account.pending = account.in + account.created - account.out;
    return {
      ...this.#plain('entrance-log', 'log', account, worker),
      state: state === 'ok' && flow?.isPaused === true ? 'waiting' : state,
      ...(reason !== undefined ? { reason } : flow?.isPaused === true ? { reason: 'every output holds as much as it may' } : {}),
      metrics: { ...metrics, bytes: keptBytes, limit_bytes: limitBytes, segments, detachments: flow?.detachments ?? 0 },
    };
  }
}
