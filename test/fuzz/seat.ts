/** A thread that fuzzes, and a watch over it: an input that takes too long ends the thread. */
import { Worker } from 'node:worker_threads';
import { CURRENT_BYTES, type Answer, type Order, type WorkerInput } from './worker.ts';

const HANG_MS = 1000;
const LOOK_MS = 200;
/** More than any target needs; one that needs more has no bound. */
const HEAP_MIB = 1024;

/** A report, or what ended the thread and the input it was at. */
export type Outcome = Answer | { readonly broke: string; readonly bytes: Buffer; readonly inputs: number };

export class Seat {
  readonly #thread: Worker;
  readonly #current = new SharedArrayBuffer(8 + CURRENT_BYTES);
  readonly #heads = new Int32Array(this.#current, 0, 2);

  private constructor() {
    this.#thread = new Worker(new URL('worker.ts', import.meta.url), {
      workerData: { current: this.#current } satisfies WorkerInput,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
  }

  static async open(): Promise<Seat> {
    const seat = new Seat();
    await new Promise((done, refuse) => {
      seat.#thread.once('message', done);
      seat.#thread.once('error', refuse);
      // A thread that was given up may still have something to say.
      seat.#thread.on('error', () => undefined);
    });
    return seat;
  }

  /** After an outcome with `broke` the seat is of no more use. */
  fuzz(order: Order): Promise<Outcome> {
    const heads = this.#heads;
    return new Promise((done) => {
      let last = 0;
      let since = performance.now();
      const finish = (outcome: Outcome): void => {
        clearInterval(watch);
        this.#thread.off('message', finish);
        this.#thread.off('error', failed);
        done(outcome);
      };
      const failed = (error: Error): void => broke(error.stack ?? error.message);
      const broke = (why: string): void => {
        const bytes = Buffer.from(new Uint8Array(this.#current, 8, heads[1]));
        finish({ broke: why, bytes, inputs: Atomics.load(heads, 0) });
        void this.close();
      };
      const watch = setInterval(() => {
        const nth = Atomics.load(heads, 0);
        const now = performance.now();
        if (nth !== last || nth === 0) {
          last = nth;
          since = now;
        } else if (now - since > HANG_MS) broke(`no answer within ${HANG_MS} ms`);
      }, LOOK_MS);
      this.#thread.on('message', finish);
      this.#thread.on('error', failed);
      this.#thread.postMessage(order);
    });
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }
}

/** Whether an input that took too long does so again: on a busy machine anything may take a second once. */
export async function isSlowAgain(name: string, bytes: Buffer): Promise<boolean> {
  const seat = await Seat.open();
  const outcome = await seat.fuzz({ name, seed: 0, seconds: 10, inputs: 1, only: bytes });
  await seat.close();
  return 'broke' in outcome;
}
