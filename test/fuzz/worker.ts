/** A thread that fuzzes one target after the other, and leaves the input it is at where the main thread can see it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { fuzzOne, type FuzzReport } from './fuzz-one.ts';
import { collectTargets } from './targets.ts';

export interface WorkerInput {
  /** Counts the inputs; the length of the current one follows, then its bytes. */
  readonly current: SharedArrayBuffer;
}
export const CURRENT_BYTES = 1 << 20;
export interface Order {
  readonly name: string;
  readonly seed: number;
  readonly seconds: number;
  readonly inputs: number;
  /** This one input, in place of those of the target. */
  readonly only?: Uint8Array;
}
export type Answer = { readonly name: string; readonly report: FuzzReport };

if (parentPort !== null) {
  const port = parentPort;
  const { current } = workerData as WorkerInput;
  const heads = new Int32Array(current, 0, 2);
  const body = new Uint8Array(current, 8);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const targets = await collectTargets();
  const carryOut = async ({ name, seed, seconds, inputs, only }: Order): Promise<void> => {
    const found = targets.find(({ target }) => target.name === name);
    if (found === undefined) throw new Error(`there is no target ${name}`);
    const report = await fuzzOne(only === undefined ? found.target : { ...found.target, seeds: [only] }, {
      seed,
      seconds,
      inputs,
      collect,
      onInput(bytes) {
        const size = Math.min(bytes.length, body.length);
        body.set(size === bytes.length ? bytes : bytes.subarray(0, size));
        heads[1] = size;
        Atomics.add(heads, 0, 1);
      },
    });
    // 0: at nothing.
    Atomics.store(heads, 0, 0);
    port.postMessage({ name, report } satisfies Answer);
  };
  port.on('message', (order: Order) => void carryOut(order));
  port.postMessage('ready');
}
