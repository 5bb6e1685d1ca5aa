import type { Batch } from '../batch.ts';
import { giveUpKernel, sharedKernel, type Kernel } from './kernel.ts';
import { wasm } from './webassembly.ts';

/**
 * Words of a row before its pairs, and of each pair; and which of them tell where the entry ends, how many pairs the record
 * has, how many of them are in the row, the time.
 *
 *     record | end of the entry | pairs of the record | pairs in the row | seconds | nanoseconds | key, value, end ...
 */
export const ROW_HEAD = 6;
export const ROW_PAIR = 3;
export const ROW_END = 1;
export const ROW_TOTAL = 2;
export const ROW_COUNT = 3;
export const ROW_SECONDS = 4;
export const ROW_NANOSECONDS = 5;
/** In the place of the number of pairs: no row, the entry has to be read. */
export const NO_PAIRS = 0xffff_ffff;

/** Below this many bytes of entries a look at each event takes less time. */
const SMALL = 1024;
/** Known arrays of names: the same name may come in several. */
const MAX_KNOWN = 64;
/** Words that are kept from one batch to the next. */
const MAX_KEPT = 1 << 20;

/**
 * Where the fields that were asked for before stand in the events of a batch. Names are learned from the questions, so the
 * first batch has no index; with more names than the kernel looks out for there is none at all.
 */
export class FieldIndex {
  /**
   * A row for each of the first events, one after the other. Offsets are those of the batch's bytes.
   */
  rows = new Uint32Array(0);
  /** Words of `rows` that are in use; 0: the batch has no index. */
  end = 0;
  readonly #names: Uint8Array[] = [];
  // Arrays of names as they came, and which name each one is.
  readonly #known: Uint8Array[] = [];
  readonly #nameOf: number[] = [];
  /** The first so many names are looked out for in `rows`. */
  #used = 0;
  #isOff = false;

  /** Whether events with that name have it in their row. A new name is looked out for from the next batch on. */
  knows(name: Uint8Array): boolean {
    if (this.#isOff && this.#used === 0) return false;
    const known = this.#known;
    for (let n = 0; n < known.length; n++) if (known[n] === name) return (this.#nameOf[n] as number) < this.#used;
    return this.#learn(name);
  }

  #learn(name: Uint8Array): boolean {
    const names = this.#names;
    let index = names.findIndex((one) => one.length === name.length && one.every((byte, n) => byte === name[n]));
    if (index < 0) {
      const kernel = sharedKernel();
      // Without the kernel there is no index, and the next question shall cost nothing.
      if (kernel === undefined || names.length >= kernel.at.NAMES || name.length > kernel.at.LONGEST_NAME) this.#isOff = true;
      // A copy: the array may be one that is used again.
      else names.push(Uint8Array.from(name));
      index = this.#isOff ? Infinity : names.length - 1;
    }
    if (this.#known.length < MAX_KNOWN) {
      this.#known.push(name);
      this.#nameOf.push(index);
    }
    return index < this.#used;
  }

  /** Makes the rows of a batch. */
  read(batch: Batch): void {
    this.end = 0;
    this.#used = 0;
    if (this.rows.length > MAX_KEPT) this.rows = new Uint32Array(0);
    if (this.#names.length === 0 || this.#isOff || batch.end - batch.start < SMALL) return;
    const kernel = sharedKernel();
    if (kernel === undefined) return;
    this.#used = this.#names.length;
    try {
      this.#read(kernel, batch);
    } catch (error) {
      if (!(error instanceof wasm.RuntimeError)) throw error;
      this.end = 0;
      giveUpKernel();
    }
  }

  /** An entry that does not fit into the kernel's memory, or is broken, and all after it get no row. */
  #read(kernel: Kernel, batch: Batch): void {
    const { exports, at: places, bytes } = kernel;
    const source = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    this.#hand(kernel);
    let left = batch.count;
    for (let at = batch.start; left > 0 && at < batch.end; at += exports.stoppedAt.value) {
      const size = Math.min(batch.end - at, places.INPUT_SIZE);
      source.copy(bytes, places.INPUT, at, at + size);
      let answer = places.DONE;
      for (let from = 0; answer === places.DONE && left > 0; from = exports.stoppedAt.value) {
        answer = exports.rows(from, size, Math.min(left, places.EVENTS), at);
        left -= exports.events.value;
        this.#take(kernel.words, places.OUTPUT >>> 2, exports.written.value >>> 2);
      }
      if (exports.stoppedAt.value === 0) return;
    }
  }

  #hand(kernel: Kernel): void {
    const names = this.#names;
    if (kernel.names === names && kernel.namesCount === names.length) return;
    kernel.exports.clearNames();
    for (const [n, name] of names.entries()) {
      kernel.bytes.set(name, kernel.at.TEXTS + n * 64);
      kernel.exports.addName(name.length);
    }
    kernel.names = names;
    kernel.namesCount = names.length;
  }

  #take(words: Uint32Array, at: number, count: number): void {
    const end = this.end + count;
    if (end > this.rows.length) {
      const grown = new Uint32Array(Math.max(end, this.rows.length * 2));
      grown.set(this.rows.subarray(0, this.end));
      this.rows = grown;
    }
    this.rows.set(words.subarray(at, at + count), this.end);
    this.end = end;
  }
}
