/** The main thread's side: starts the workers, asks them, gathers what they publish, and ends them in order. */
import { Worker } from 'node:worker_threads';
import { MillraceError, type Code } from '../errors.ts';
import type { ComponentStatus } from '../telemetry/accounts.ts';
import type { Batch } from '../events/batch.ts';
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts';

export interface PublishedPart {
  readonly consumer: string;
  readonly worker: number;
  readonly intervalMs: number;
  readonly data: unknown;
}

export interface SupervisorOptions {
  /** Module that a worker runs; it calls `runWorker`. */
  readonly entry: URL;
  readonly setup: Omit<WorkerSetup, 'worker'>;
  readonly workers: number;
  readonly onPart: (part: PublishedPart) => void;
  /** A worker ended although nobody asked it to. */
  readonly onCrash: (error: Error) => void;
  /** Every source of every worker has come to its end. */
  readonly onEnded?: () => void;
}

const STATUS_TIMEOUT_MS = 5000;

interface Seat {
  readonly id: number;
  readonly thread: Worker;
  ended: boolean;
  last: readonly ComponentStatus[];
}

export class Supervisor {
  readonly #o: SupervisorOptions;
  readonly #seats: Seat[] = [];
  readonly #waiting = new Map<string, (message: FromWorker) => void>();
  #requests = 0;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#o = options;
  }

  /** @throws MillraceError what kept a worker from starting; the others are stopped then */
  async start(): Promise<void> {
    for (let id = 0; id < this.#o.workers; id++) this.#seats.push(this.#seat(id));
    try {
      await this.#all('built');
      for (const seat of this.#seats) this.#send(seat, { type: 'start' });
      await this.#all('started');
    } catch (error) {
      this.#stopping = true;
      await Promise.all(this.#seats.map((seat) => seat.thread.terminate()));
      throw error;
    }
  }

  #seat(id: number): Seat {
    const { entry, setup, workers } = this.#o;
    const workerData: WorkerSetup = { ...setup, worker: { id, count: workers } };
    const thread = new Worker(entry, { workerData, name: `pipeline-${id}` });
    const seat: Seat = { id, thread, ended: false, last: [] };
    thread.on('message', (message: FromWorker) => this.#hear(seat, message));
    thread.on('error', (error) => this.#crashed(seat, error instanceof Error ? error : new Error(String(error))));
    thread.on('exit', (code) => {
      if (!this.#stopping && code !== 0) this.#crashed(seat, new Error(`worker ${id} ended with code ${code}`));
    });
    return seat;
  }

  #crashed(seat: Seat, error: Error): void {
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
        });
      case 'ended':
        seat.ended = true;
        if (this.#seats.every(({ ended }) => ended)) this.#o.onEnded?.();
        return;
      case 'failed': {
        for (const type of ['built', 'started']) this.#answer(`${seat.id}:${type}`, message);
        return;
      }
      case 'status':
        return this.#answer(`${seat.id}:status:${message.request}`, message);
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

  /** Books of all components of all workers; a worker that does not answer is left out. */
  async status(): Promise<ComponentStatus[]> {
    if (this.#stopping) return this.#seats.flatMap((seat) => [...seat.last]);
    const request = ++this.#requests;
    const answers = this.#seats.map((seat) => {
      const key = `${seat.id}:status:${request}`;
      const heard = this.#heard(key);
      this.#send(seat, { type: 'status', request });
      const timer = setTimeout(() => this.#answer(key, { type: 'status', request, components: [] }), STATUS_TIMEOUT_MS);
      return heard.finally(() => clearTimeout(timer));
    });
    return (await Promise.all(answers)).flatMap((answer) => (answer.type === 'status' ? answer.components : []));
  }

  /** Lets events of the main thread in at worker 0. */
  inject(batch: Batch): void {
    const [seat] = this.#seats;
    if (seat === undefined || this.#stopping) return;
    const bytes = Uint8Array.from(batch.bytes.subarray(batch.start, batch.end));
    this.#send(seat, { type: 'inject', batch: { tag: batch.tag, bytes, count: batch.count } });
  }

  /**
   * Ends the run: sources stop, what they took is routed, consumers publish; then `between` may inject the last metrics;
   * then outputs deliver, at most until the deadline.
   *
   * @returns the closing books
   */
  async shutDown(deadlineMs: number, between: () => void): Promise<ComponentStatus[]> {
    // It never ran, or has been ended before.
    if (this.#stopping) return this.#seats.flatMap((seat) => [...seat.last]);
    const quiesced = this.#all('quiesced');
    for (const seat of this.#seats) this.#send(seat, { type: 'quiesce' });
    await withDeadline(quiesced, deadlineMs);
    between();
    const finished = this.#all('finished');
    for (const seat of this.#seats) this.#send(seat, { type: 'finish', deadlineMs });
    await withDeadline(finished, deadlineMs + 1000);
    const stopped = this.#all('stopped');
    for (const seat of this.#seats) this.#send(seat, { type: 'stop' });
    await withDeadline(stopped, 2000);
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
  await Promise.race([done.catch(() => undefined), deadline]);
  clearTimeout(timer);
}
