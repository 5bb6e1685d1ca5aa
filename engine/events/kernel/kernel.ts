/**
 * Loads the WebAssembly module that `npm run kernel` builds from assembly/. One instance for each thread, made when it is first
 * asked for; without the file, or when it is switched off, the plain implementations do the same work.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { wasm, type WasmGlobal } from './webassembly.ts';

/** on: in use; off: switched off; missing: the file was not built; failed: it did not load, or ended with an error. */
export type KernelState = 'on' | 'off' | 'missing' | 'failed';

/** Constants and results that the module exports as globals; assembly/ explains them. */
const GLOBALS = [
  'INPUT',
  'INPUT_SIZE',
  'OUTPUT',
  'ENDS',
  'IDS',
  'EVENTS',
  'LEAD',
  'LEAD_SIZE',
  'TRAIL',
  'TRAIL_SIZE',
  'NAME',
  'NAME_SIZE',
  'QUOTED',
  'DONE',
  'LEFT',
  'CUT',
  'FULL',
  'TOP',
  'NAMES',
  'LONGEST_NAME',
  'TEXTS',
] as const;

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly stoppedAt: WasmGlobal;
  readonly events: WasmGlobal;
  readonly written: WasmGlobal;
  lines(
    from: number,
    end: number,
    count: number,
    firstId: number,
    leadLength: number,
    low: number,
    trailLength: number,
    nameLength: number,
    quotedLength: number,
  ): number;
  rows(from: number, end: number, count: number, base: number): number;
  clearNames(): void;
  addName(length: number): void;
}

export interface Kernel {
  readonly exports: Exports;
  readonly at: Readonly<Record<(typeof GLOBALS)[number], number>>;
  /** The memory of the module, which never grows. */
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Called during `lines` when the second of the events changes; set before. See `makeTrail` in assembly/lines.ts. */
  trail: (seconds: number) => number;
  /** The key that stands in NAME and QUOTED, and its length there. */
  name: Buffer | undefined;
  quotedLength: number;
  /** The names that `rows` looks out for, and how many of them it was told. */
  names: readonly Uint8Array[] | undefined;
  namesCount: number;
}

let wanted: boolean | undefined;
let state: Exclude<KernelState, 'off'> | undefined;
let shared: Kernel | undefined;

/** The kernel of this thread; undefined when the plain implementation is to be used. */
export function sharedKernel(): Kernel | undefined {
  return kernelState() === 'on' ? shared : undefined;
}

export function kernelState(): KernelState {
  wanted ??= process.env['MILLRACE_KERNEL'] !== 'off';
  if (!wanted) return 'off';
  return (state ??= load());
}

/**
 * Switches the kernel of this thread off or on; one that failed is tried anew. The environment variable
 * MILLRACE_KERNEL=off does so from the start.
 */
export function useKernel(on: boolean): void {
  wanted = on;
  if (on && state !== 'on') state = undefined;
}

/** When the kernel ended with an error of its own: the plain implementation does the rest. */
export function giveUpKernel(): void {
  shared = undefined;
  state = 'failed';
}

function load(): Exclude<KernelState, 'off'> {
  let file: Buffer;
  try {
    file = readFileSync(join(import.meta.dirname, 'kernel.wasm'));
  } catch {
    // Not built: everything works without it, and `kernelState` tells.
    return 'missing';
  }
  try {
    shared = instantiate(file);
    return 'on';
  } catch {
    // A processor without SIMD, say.
    return 'failed';
  }
}

function instantiate(file: Buffer): Kernel {
  const imports = {
    number: {
      printDouble: (value: number, at: number): number =>
        kernel.bytes.write(Number.isFinite(value) ? `${value}` : 'null', at, 'latin1'),
    },
    lines: { makeTrail: (seconds: number): number => kernel.trail(seconds >>> 0) },
  };
  const { exports } = new wasm.Instance(new wasm.Module(file), imports);
  const { memory } = exports as unknown as Exports;
  const at = Object.fromEntries(GLOBALS.map((name) => [name, (exports[name] as WasmGlobal).value]));
  const kernel: Kernel = {
    exports: exports as unknown as Exports,
    at: at as Kernel['at'],
    bytes: Buffer.from(memory.buffer),
    words: new Uint32Array(memory.buffer),
    trail: () => -1,
    name: undefined,
    quotedLength: 0,
    names: undefined,
    namesCount: 0,
  };
  return kernel;
}
