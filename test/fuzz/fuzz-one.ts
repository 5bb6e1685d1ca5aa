/** Fuzzes one target: values in, a report out. The caller watches over the time that a single input takes. */
import { setImmediate as turn } from 'node:timers/promises';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { seeded } from '../../engine/testing/seeded.ts';
import { Mutator, minimise } from './mutate.ts';

export interface FuzzOptions {
  readonly seed: number;
  /** Ends at whatever comes first. */
  readonly seconds: number;
  readonly inputs: number;
  /** Told before each input. */
  readonly onInput?: (bytes: Buffer) => void;
  /** Collects garbage; without it the memory is not looked at. */
  readonly collect?: (() => void) | undefined;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly seconds: number;
  /** Inputs that did something new and were kept. */
  readonly kept: number;
  /** Bytes that memory has grown by in the second half of the inputs. */
  readonly grownBytes: number;
  readonly failure: { readonly message: string; readonly bytes: Buffer; readonly nth: number } | undefined;
}

const DEFAULT_MAX_BYTES = 2048;
const KEPT_MAX = 512;
/** Signs of something new that are remembered. */
const SIGNS_MAX = 20_000;
/** More than the kept inputs and what the garbage collector leaves behind. */
const GROWTH_MAX_BYTES = 24 << 20;
const LOOK_EVERY = 64;
const GROWTH_INPUTS_MIN = 2000;

export async function fuzzOne(target: FuzzTarget, { seed, seconds, inputs, onInput, collect }: FuzzOptions): Promise<FuzzReport> {
  const random = seeded(seed ^ hashOf(target.name));
  const maxBytes = target.maxBytes ?? DEFAULT_MAX_BYTES;
  const corpus = target.seeds.map(toBuffer);
  const mutator = new Mutator(random, (target.words ?? []).map(toBuffer), maxBytes);
  const signs = new Set<string>();
  const began = performance.now();
  const endMs = began + seconds * 1000;
  let nth = 0;
  let usedAtHalf = 0;
  let halfAt = 0;
  const done = async (failure: FuzzReport['failure']): Promise<FuzzReport> => {
    const grownBytes = usedAtHalf === 0 || failure !== undefined ? 0 : Math.max(0, (await memoryUsed(collect)) - usedAtHalf);
    return {
      inputs: nth,
      seconds: (performance.now() - began) / 1000,
      kept: corpus.length,
      grownBytes,
      failure:
        failure === undefined && grownBytes > GROWTH_MAX_BYTES && nth - halfAt > GROWTH_INPUTS_MIN
          ? { message: `memory grew by ${grownBytes >> 20} MiB over ${nth - halfAt} inputs`, bytes: Buffer.alloc(0), nth }
          : failure,
    };
  };
  for (; nth < inputs; nth++) {
    if (nth % LOOK_EVERY === 0) {
      // What Node ends in the next turn (a zlib stream that failed) would look like memory that is never given back.
      await turn();
      const now = performance.now();
      if (now > endMs && nth >= target.seeds.length) break;
      if (usedAtHalf === 0 && collect !== undefined && (now > (began + endMs) / 2 || nth > inputs / 2)) {
        usedAtHalf = await memoryUsed(collect);
        halfAt = nth;
      }
    }
    // The good ones first, as they are.
    const bytes = nth < target.seeds.length ? (corpus[nth] as Buffer) : mutator.mutate(random.pick(corpus), corpus);
    onInput?.(bytes);
    let sign: string;
    try {
      sign = String(target.run(Buffer.from(bytes)));
    } catch (error) {
      const message = messageOf(error);
      const small = minimise(Buffer.from(bytes), (shorter) => {
        onInput?.(shorter);
        try {
          target.run(Buffer.from(shorter));
          return false;
        } catch (again) {
          return firstLine(messageOf(again)) === firstLine(message);
        }
      });
      return done({ message, bytes: small, nth });
    }
    if (signs.size >= SIGNS_MAX || signs.has(sign)) continue;
    signs.add(sign);
    if (nth < target.seeds.length) continue;
    if (corpus.length < KEPT_MAX) corpus.push(bytes);
    // One of the kept ones makes room; the seeds stay.
    else if (target.seeds.length < KEPT_MAX) corpus[random.between(target.seeds.length, KEPT_MAX - 1)] = bytes;
  }
  return done(undefined);
}

const toBuffer = (piece: string | Uint8Array): Buffer => Buffer.from(piece as Uint8Array);

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

/** Garbage of one collection may free more in the next one (finalizers, weak tables). */
async function memoryUsed(collect: (() => void) | undefined): Promise<number> {
  for (let n = 0; n < 3; n++) {
    collect?.();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function hashOf(text: string): number {
  let hash = 0x81_1c_9d_c5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01_00_01_93);
  return hash;
}
