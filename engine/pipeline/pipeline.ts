import type { Consumer, Definition, Output } from '../component.ts';
import type { Section } from '../config/model.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, LogReader } from '../log/entrance-log.ts';
import { Account, type ComponentStatus } from '../telemetry/accounts.ts';
import { childLog } from '../telemetry/log.ts';
import { Builder, type Built, type Publish } from './build.ts';
import { Maker, statusOf, type Surroundings } from './make.ts';
import { Router, type Hook, type Tap } from './router.ts';

/** Events routed in one turn of the loop before sockets get theirs. */
const EVENTS_PER_TURN = 20_000;

/** A consumer that hangs on the ends of all chains (rules); made once the context is there. */
export interface TapSpec {
  readonly id: string;
  readonly matches: (tag: string) => boolean;
  create(publish: (intervalMs: number, data: unknown) => void): Consumer;
}

export interface PipelineOptions extends Surroundings {
  readonly root: Section;
  readonly entranceLog: EntranceLog;
  readonly publish: Publish;
  readonly taps: readonly TapSpec[];
}

/**
 * One worker's pipeline: sources -> entrance log -> filters -> outputs. Built inert; `start` opens outputs, then filters,
 * then sources. `quiesce` stops the sources and lets what they took flow through; `finish` delivers it.
 */
export class Pipeline {
  readonly #o: PipelineOptions;
  readonly #built: Built;
  readonly #router: Router;
  readonly #reader: LogReader;
  readonly #routerAccount = new Account();
  readonly #logAccount = new Account();
  readonly #tapStatus: { readonly id: string; readonly account: Account; readonly consumer: Consumer }[] = [];
  #scheduled = false;
  #stopped = false;
  #quiet: (() => void)[] = [];

  private constructor(options: PipelineOptions, built: Built) {
    this.#o = options;
    this.#built = built;
    const taps = options.taps.map((spec) => this.#tap(spec));
    this.#router = new Router({
      routes: built.routes,
      taps,
      account: this.#routerAccount,
      clock: options.clock,
      log: childLog(options.log, { component: 'router' }),
    });
    this.#reader = options.entranceLog.reader('pipeline', () => this.#schedule());
  }

  /** @throws MillraceError when a part cannot be put together */
  static async build(options: PipelineOptions): Promise<Pipeline> {
    const maker = await Maker.load(options);
    const built = await new Builder(maker, options.entranceLog, options.publish).build(options.root);
    return new Pipeline(options, built);
  }

  #tap(spec: TapSpec): Tap {
    const account = new Account();
    const consumer = spec.create((intervalMs, data) => this.#o.publish(spec.id, intervalMs, data));
    this.#tapStatus.push({ id: spec.id, account, consumer });
    return {
      matches: spec.matches,
      node: { id: spec.id, consumer, account, log: childLog(this.#o.log, { component: spec.id }) },
    };
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
      for (const { component } of sources) await component.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** A server that does not answer is reported at once; the pipeline runs and keeps trying. */
  async #probe(output: Output, log: Surroundings['log']): Promise<void> {
    try {
      await output.probe?.(this.#o.signal);
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the server cannot be used yet; events wait and are sent when it can');
    }
  }

  set hook(hook: Hook | undefined) {
    this.#router.hook = hook;
  }

  /** Lets events in that the engine made itself (metrics of all workers). */
  inject(batch: Batch): void {
    this.#logAccount.created += batch.count;
    this.#o.entranceLog.append(batch, 'memory', '');
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    let left = EVENTS_PER_TURN;
    while (left > 0) {
      const frame = this.#reader.next();
      if (frame === undefined) break;
      left -= frame.batch.count;
      this.#router.route(frame, () => this.#reader.release(frame));
    }
    for (const { runner } of this.#built.outputs) runner.caughtUp();
    if (left <= 0) return this.#schedule();
    for (const wake of this.#quiet.splice(0)) wake();
  }

  /** Everything in the log has been routed. */
  #routed(): Promise<void> {
    return new Promise((resolve) => {
      this.#quiet.push(resolve);
      this.#schedule();
    });
  }

  /** Stops the sources, routes what they took, and has the consumers publish what they hold. */
  async quiesce(): Promise<void> {
    for (const { component, log } of this.#built.sources) {
      try {
        await component.drain?.();
        await component.stop();
      } catch (error) {
        log.error({ reason: messageOf(error) }, 'source did not stop cleanly');
      }
    }
    await this.#routed();
    for (const { component } of this.#built.consumers) await component.drain?.();
    for (const { consumer } of this.#tapStatus) await consumer.drain?.();
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
    await Promise.all(outputs.map(({ runner }) => runner.stop()));
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
      ...outputs.map(({ made, runner }) => statusOf(made, worker, runner.state)),
    ];
  }

  #plain(id: string, kind: string, account: Account, worker: number): ComponentStatus {
    const { in: taken, created, out, pending, bytesIn, bytesOut, errors } = account;
    const books = { in: taken, created, out, pending, bytesIn, bytesOut, errors };
    return { ...books, dropped: { ...account.dropped }, id, kind, type: kind, worker, state: 'ok', metrics: {} };
  }

  /** The log's `out` is what every output is done with. */
  #logStatus(worker: number): ComponentStatus {
    const { pending } = this.#o.entranceLog;
    const taken = this.#built.sources.reduce((sum, { account }) => sum + account.out, 0);
    const account = this.#logAccount;
    account.in = taken;
    account.pending = pending.events;
    account.out = taken + account.created - pending.events;
    return { ...this.#plain('entrance-log', 'log', account, worker), metrics: { bytes: pending.bytes, frames: pending.frames } };
  }
}
