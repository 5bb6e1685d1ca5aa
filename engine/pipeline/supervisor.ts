/** The main thread's side: starts the workers, asks them, gathers what they publish, and ends them in order. */
import { Worker } from 'node:worker_threads';
import { MillraceError, type Code } from '../errors.ts';
import type { Letter } from '../delivery/dead-letters-format.ts';
import type { Outcome } from '../delivery/dead-letters-replay.ts';
import type { ComponentStatus } from '../telemetry/accounts.ts';
import type { Batch } from '../events/batch.ts';
import type { Origin } from '../log/entrance-log.ts';
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts';

export interface PublishedPart {
  readonly consumer: string;
  readonly worker: number;
  readonly intervalMs: number;
  readonly data: unknown;
  /** It was published before a restart already. */
  readonly again: boolean;
}

export interface SupervisorOptions {
  /** Module that a worker runs; it calls `runWorker`. */
  readonly entry: URL;
  readonly setup: Omit<WorkerSetup, 'worker' | 'isOrphan'>;
  readonly workers: number;
  /** Workers of earlier runs whose logs are drained beside: numbers from `workers` on. */
  readonly orphans?: readonly number[];
  readonly onPart: (part: PublishedPart) => void;
  /** A worker has published every interval that ended by then. */
  readonly onClosed?: (worker: number, untilMs: number) => void;
  /** What was injected is safe. */
  readonly onInjected?: (origin: Origin) => void;
  /** The log of an orphan is empty. */
  readonly onDrained?: (worker: number) => void;
  /** A worker ended although nobody asked it to. */
  readonly onCrash: (error: Error) => void;
  /** Every source of every worker has come to its end. */
  readonly onEnded?: () => void;
}

/** Batches make few objects: V8's usual 48 MB for young ones are 30 MB more in memory and no less CPU time. */
const YOUNG_MB_MAX = 12;
const STATUS_TIMEOUT_MS = 5000;
/** Longer than the time limits of outputs for one request. */
const REPLAY_TIMEOUT_MS = 120_000;

interface Seat {
  readonly id: number;
  readonly isOrphan: boolean;
  readonly thread: Worker;
  ended: boolean;
  /** It ended although nobody asked it to; it is not waited for any more. */
  isDead: boolean;
  last: readonly ComponentStatus[];
}

export class Supervisor {
  readonly #o: SupervisorOptions;
  readonly #seats: Seat[] = [];
  readonly #waiting = new Map<string, (message: FromWorker) => void>();
  #built: Promise<void> | undefined;
  #requests = 0;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#o = options;
  }

  /** Makes the workers, which load and build while the caller does other things. `start` does it too. */
  open(): void {
    if (this.#built !== undefined) return;
    for (let id = 0; id < this.#o.workers; id++) this.#seats.push(this.#seat(id, false));
    for (const id of this.#o.orphans ?? []) this.#seats.push(this.#seat(id, true));
    this.#built = this.#all('built');
    // `start` hears of it.
    this.#built.catch(() => undefined);
  }

  /** @throws MillraceError what kept a worker from starting; the others are stopped then */
  async start(): Promise<void> {
    this.open();
    try {
      await this.#built;
      for (const seat of this.#seats) this.#send(seat, { type: 'start' });
      await this.#all('started');
    } catch (error) {
      await this.abandon();
      throw error;
    }
  }

  /** Ends workers that were never started. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#seats.map((seat) => seat.thread.terminate()));
  }

  #seat(id: number, isOrphan: boolean): Seat {
    const { entry, setup, workers } = this.#o;
    const workerData: WorkerSetup = { ...setup, worker: { id, count: workers }, isOrphan };
    const thread = new Worker(entry, {
      workerData,
      name: `pipeline-${id}`,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB_MAX },
    });
    const seat: Seat = { id, isOrphan, thread, ended: false, isDead: false, last: [] };
    thread.on('message', (message: FromWorker) => this.#hear(seat, message));
    thread.on('error', (error) => this.#crashed(seat, error instanceof Error ? error : new Error(String(error))));
    thread.on('exit', (code) => {
      if (!this.#stopping && code !== 0) this.#crashed(seat, new Error(`worker ${id} ended with code ${code}`));
    });
    return seat;
  }

  #crashed(seat: Seat, error: Error): void {
    if (seat.isDead) return;
    seat.isDead = true;
    const failed: FromWorker = { type: 'failed', code: 'MR_INTERNAL', message: error.message };
    const waiters = [...this.#waiting.entries()].filter(([key]) => key.startsWith(`${seat.id}:`));
    for (const [key, waiter] of waiters) {
      this.#waiting.delete(key);
      waiter(failed);
    }
    if (!this.#stopping) this.#o.onCrash(error);
  }

  #hear(seat: Seat, message: FromWorker): void {
    switch (message.type) {
      case 'partial':
        return this.#o.onPart({
          consumer: message.consumer,
          worker: seat.id,
          intervalMs: message.intervalMs,
          data: message.data,
          again: message.again,
        });
      case 'closed':
        return this.#o.onClosed?.(seat.id, message.untilMs);
      case 'injected':
        return this.#o.onInjected?.(message.origin);
      case 'ended':
        seat.ended = true;
        if (seat.isOrphan) this.#o.onDrained?.(seat.id);
        else if (this.#seats.every(({ ended, isOrphan }) => ended || isOrphan)) this.#o.onEnded?.();
        return;
      case 'failed': {
        for (const type of ['built', 'started']) this.#answer(`${seat.id}:${type}`, message);
        return;
      }
      case 'status':
        return this.#answer(`${seat.id}:status:${message.request}`, message);
      case 'replayed':
        return this.#answer(`${seat.id}:replayed:${message.request}`, message);
      case 'stopped':
        seat.last = message.components;
        return this.#answer(`${seat.id}:stopped`, message);
      default:
        return this.#answer(`${seat.id}:${message.type}`, message);
    }
  }

  #answer(key: string, message: FromWorker): void {
    const waiter = this.#waiting.get(key);
    this.#waiting.delete(key);
    waiter?.(message);
  }

  #send(seat: Seat, message: ToWorker): void {
    seat.thread.postMessage(message);
  }

  #heard(key: string): Promise<FromWorker> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(key, (message) => {
        if (message.type === 'failed') reject(new MillraceError(message.code as Code, message.message));
        else resolve(message);
      });
    });
  }

  async #all(type: FromWorker['type']): Promise<void> {
    await Promise.all(this.#seats.map((seat) => this.#heard(`${seat.id}:${type}`)));
  }

  /** Sends to every worker that lives and waits for its answer, at most until the deadline. One that dies is not waited for. */
  async #askLiving(message: ToWorker, answer: FromWorker['type'], deadlineMs: number): Promise<void> {
    const living = this.#seats.filter(({ isDead }) => !isDead);
    const answers = Promise.allSettled(living.map((seat) => this.#heard(`${seat.id}:${answer}`)));
    for (const seat of living) this.#send(seat, message);
    await withDeadline(answers, deadlineMs);
  }

  /** Books of all components of all workers; a worker that does not answer is left out. */
  async status(): Promise<ComponentStatus[]> {
    if (this.#stopping) return this.#seats.flatMap((seat) => [...seat.last]);
    const request = ++this.#requests;
    const living = this.#seats.filter(({ isDead }) => !isDead);
    const answers = living.map((seat) => {
      const key = `${seat.id}:status:${request}`;
      const heard = this.#heard(key);
      this.#send(seat, { type: 'status', request });
      const timer = setTimeout(() => this.#answer(key, { type: 'status', request, components: [] }), STATUS_TIMEOUT_MS);
      const none: FromWorker = { type: 'status', request, components: [] };
      return heard.catch(() => none).finally(() => clearTimeout(timer));
    });
    return (await Promise.all(answers)).flatMap((answer) => (answer.type === 'status' ? answer.components : []));
  }

  /**
   * Has the first worker in which the output runs send the letters.
   *
   * @returns undefined when it runs in none
   */
  async replay(output: string, letters: readonly Letter[]): Promise<readonly Outcome[] | undefined> {
    for (const seat of this.#seats) {
      if (seat.isDead || seat.isOrphan || this.#stopping) continue;
      const request = ++this.#requests;
      const key = `${seat.id}:replayed:${request}`;
      const late = letters.map((): Outcome => ({ kind: 'waiting', reason: 'the output has not answered in time' }));
      const none: FromWorker = { type: 'replayed', request, outcomes: late };
      const heard = this.#heard(key);
      this.#send(seat, { type: 'replay', request, output, letters });
      const timer = setTimeout(() => this.#answer(key, none), REPLAY_TIMEOUT_MS);
      const answer = await heard.catch(() => none).finally(() => clearTimeout(timer));
      if (answer.type === 'replayed' && answer.outcomes !== undefined) return answer.outcomes;
    }
    return undefined;
  }

  /** Lets events of the main thread in at worker 0, which answers with `onInjected`. */
  inject(batch: Batch, origin: Origin): void {
    const [seat] = this.#seats;
    if (seat === undefined || this.#stopping) return;
    const bytes = Uint8Array.from(batch.bytes.subarray(batch.start, batch.end));
    this.#send(seat, { type: 'inject', batch: { tag: batch.tag, bytes, count: batch.count }, origin });
  }

  /** Tells every worker that what was made of an interval's parts is safe. */
  confirm({ consumer, intervalMs }: Origin): void {
    for (const seat of this.#seats) if (!seat.isDead) this.#send(seat, { type: 'confirm', consumer, intervalMs });
  }

  /** Ends a worker that has drained an orphan's log. */
  async dismiss(worker: number): Promise<void> {
    const seat = this.#seats.find(({ id, isOrphan }) => id === worker && isOrphan);
    if (seat === undefined || seat.isDead || this.#stopping) return;
    const stopped = this.#heard(`${seat.id}:stopped`).catch(() => undefined);
    this.#send(seat, { type: 'stop' });
    await withDeadline(stopped, 3000);
    seat.isDead = true;
    await seat.thread.terminate();
  }

  /**
   * Ends the run: sources stop, what they took is routed, consumers publish; then `between` may inject the last metrics;
   * then outputs deliver, at most until the deadline.
   *
   * @param isEnd  intervals that have not ended are published too: nothing will go on from here
   * @returns the closing books
   */
  async shutDown(deadlineMs: number, isEnd: boolean, between: () => void): Promise<ComponentStatus[]> {
    // It never ran, or has been ended before.
    if (this.#stopping) return this.#seats.flatMap((seat) => [...seat.last]);
    const end = performance.now() + deadlineMs;
    const leftMs = (): number => Math.max(0, Math.ceil(end - performance.now()));
    await this.#askLiving({ type: 'quiesce', isEnd }, 'quiesced', leftMs());
    between();
    const finishMs = leftMs();
    await this.#askLiving({ type: 'finish', deadlineMs: finishMs }, 'finished', finishMs + 1000);
    await this.#askLiving({ type: 'stop' }, 'stopped', 3000);
    this.#stopping = true;
    await Promise.all(this.#seats.map((seat) => seat.thread.terminate()));
    return this.#seats.flatMap((seat) => [...seat.last]);
  }
}

/** Waits for `done`, but not longer; what comes later is of no interest. */
async function withDeadline(done: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([done, deadline]);
  clearTimeout(timer);
}
