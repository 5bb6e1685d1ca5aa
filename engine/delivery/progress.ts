import type { Clock, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Position } from '../log/entrance-log.ts';
import { MAX_RANGES, ProgressFile, openSlots, type Saved, type SlotStore } from './progress-file.ts';

/** Longest time for which a change is not written. What is lost with it is delivered again after a crash. */
const SAVE_MS = 25;
const SYNC_MS = 1000;

export interface ProgressOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Where an output begins that has no progress yet; by default at the beginning of the log. */
  readonly start?: Position;
  /**
   * End of the log as it was found. Progress beyond it speaks of frames that the log has lost (or of another log): it is
   * taken back to here, for what comes next in the log is new.
   */
  readonly head?: Position;
}

/**
 * How far one output has come in one log: everything before the low-water mark is finished, and so are some ranges above
 * it, whose frames were delivered before older ones.
 *
 * Open frames lie in a ring in the order in which they began; runs of finished ones between them are the ranges.
 */
export class Progress {
  #lowWater: Position;
  // The ring: `#count` frames from `#first` on; capacities are powers of two.
  #begins = new Float64Array(64);
  #ends = new Float64Array(64);
  #done = new Uint8Array(64);
  #first = 0;
  #count = 0;
  /** Runs of finished frames in the ring, and bytes in them. */
  #runs = 0;
  #finishedBytes = 0;
  /** Ranges found in the file whose frames have not begun again yet; begin and end in turn. */
  #restored: Position[] = [];
  #restoredAt = 0;
  /** Called when the low-water mark has moved. */
  onMoved: (() => void) | undefined;

  #file: ProgressFile | undefined;
  #isKept = false;
  #options: ProgressOptions | undefined;
  #saving: Disposable | undefined;
  #syncing: Disposable | undefined;
  #failure: string | undefined;

  constructor(lowWater: Position = 0) {
    this.#lowWater = lowWater;
  }

  /**
   * @param path  the file that keeps it, made when it is not there; undefined: nothing is kept
   * @throws what the disk says
   */
  static open(path: string | undefined, options: ProgressOptions): Progress {
    return Progress.over(path === undefined ? undefined : openSlots(path), options);
  }

  /** The same over any store. */
  static over(store: SlotStore | undefined, options: ProgressOptions): Progress {
    const file = store === undefined ? undefined : new ProgressFile(store);
    const saved = within(file?.load() ?? { lowWater: options.start ?? 0, ranges: [] }, options.head ?? Infinity);
    const progress = new Progress(saved.lowWater);
    progress.#restored = [...saved.ranges];
    progress.#file = file;
    progress.#isKept = file !== undefined;
    progress.#options = options;
    // Where an output begins is known from now on: what enters the log before anything is delivered is not passed over.
    progress.save();
    return progress;
  }

  get lowWater(): Position {
    return this.#lowWater;
  }

  /** Finished ranges above the low-water mark. */
  get rangeCount(): number {
    return this.#runs + (this.#restored.length - this.#restoredAt) / 2;
  }

  /** No more ranges fit: only the oldest work may go on until it is done. */
  get isFull(): boolean {
    return this.rangeCount >= MAX_RANGES;
  }

  /** Bytes of the log in finished frames above the low-water mark. */
  get finishedBytes(): number {
    return this.#finishedBytes;
  }

  /** Why it cannot be written at present; what is delivered meanwhile is delivered again after a crash. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Everything before `position` has begun, and there is nothing more: over a gap of the log too. */
  advance(position: Position): void {
    if (this.#count > 0 || position <= this.#lowWater) return;
    this.#lowWater = position;
    this.#moved();
  }

  /**
   * The frame is given to the output. Frames begin in order.
   *
   * @returns false when it was finished before
   */
  begin(position: Position, end: Position): boolean {
    if (position < this.#lowWater) return false;
    const isDone = this.#wasDone(position);
    if (isDone && this.#count === 0) {
      this.#lowWater = end;
      this.#moved();
      return false;
    }
    if (this.#count === this.#begins.length) this.#grow();
    const at = (this.#first + this.#count) & (this.#begins.length - 1);
    this.#begins[at] = position;
    this.#ends[at] = end;
    this.#done[at] = 0;
    this.#count++;
    if (isDone) this.#mark(this.#count - 1);
    return !isDone;
  }

  /** The frame needs nothing more from the output; once is enough. */
  finish(position: Position): void {
    const index = this.#indexOf(position);
    if (index < 0 || this.#done[this.#at(index)] === 1) return;
    if (index > 0) {
      this.#mark(index);
      this.#changed();
      return;
    }
    // The oldest one, and the run behind it.
    if (this.#count > 1 && this.#done[this.#at(1)] === 1) this.#runs--;
    this.#done[this.#at(0)] = 2;
    while (this.#count > 0 && this.#done[this.#first] !== 0) {
      const end = this.#ends[this.#first] as number;
      if (this.#done[this.#first] === 1) this.#finishedBytes -= end - (this.#begins[this.#first] as number);
      this.#lowWater = end;
      this.#first = (this.#first + 1) & (this.#begins.length - 1);
      this.#count--;
    }
    this.#moved();
  }

  #moved(): void {
    this.#changed();
    this.onMoved?.();
  }

  /** A frame that is not the oldest is finished: a run of its own, or part of those beside it. */
  #mark(index: number): void {
    const at = this.#at(index);
    this.#done[at] = 1;
    this.#finishedBytes += (this.#ends[at] as number) - (this.#begins[at] as number);
    const before = index > 0 && this.#done[this.#at(index - 1)] === 1;
    const after = index + 1 < this.#count && this.#done[this.#at(index + 1)] === 1;
    this.#runs += 1 - Number(before) - Number(after);
  }

  #at(index: number): number {
    return (this.#first + index) & (this.#begins.length - 1);
  }

  /** Index from the oldest on; -1 when no such frame is open. */
  #indexOf(position: Position): number {
    let low = 0;
    let high = this.#count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const begin = this.#begins[this.#at(middle)] as number;
      if (begin === position) return middle;
      if (begin < position) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  #grow(): void {
    const size = this.#begins.length;
    const turned = <T extends Float64Array | Uint8Array>(into: T, from: T): T => {
      into.set(from.subarray(this.#first), 0);
      into.set(from.subarray(0, this.#first), size - this.#first);
      return into;
    };
    this.#begins = turned(new Float64Array(size * 2), this.#begins);
    this.#ends = turned(new Float64Array(size * 2), this.#ends);
    this.#done = turned(new Uint8Array(size * 2), this.#done);
    this.#first = 0;
  }

  #wasDone(position: Position): boolean {
    const ranges = this.#restored;
    while (this.#restoredAt < ranges.length && (ranges[this.#restoredAt + 1] as number) <= position) this.#restoredAt += 2;
    if (this.#restoredAt === ranges.length) {
      if (ranges.length > 0) this.#restored = [];
      this.#restoredAt = 0;
      return false;
    }
    return (ranges[this.#restoredAt] as number) <= position;
  }

  // ---- keeping it -------------------------------------------------------------------------------

  #changed(): void {
    if (this.#file === undefined || this.#options === undefined) return;
    this.#saving ??= this.#options.clock.after(SAVE_MS, () => this.save());
  }

  /** Writes it now: what is finished is finished after the end of this process too. */
  save(): void {
    this.#saving?.[Symbol.dispose]();
    this.#saving = undefined;
    const [file, options] = [this.#file, this.#options];
    if (file === undefined || options === undefined) return;
    try {
      file.save(this.#lowWater, this.#ranges());
      this.#failure = undefined;
    } catch (error) {
      this.#failed(error);
      // Tried again, for the disk may have room by then.
      this.#saving = options.clock.after(SYNC_MS, () => this.save());
      return;
    }
    this.#syncing ??= options.clock.after(SYNC_MS, () => {
      this.#syncing = undefined;
      this.#file?.sync((error) => this.#failed(error));
    });
  }

  #failed(error: unknown): void {
    if (error === null) return;
    const reason = messageOf(error);
    if (this.#failure !== reason) this.#options?.log.warn({ reason }, 'progress cannot be written, trying again');
    this.#failure = reason;
  }

  /** Runs of finished frames, begin and end in turn. A run ends with its last frame, gaps inside it hold no frames. */
  #ranges(): Position[] {
    const ranges: Position[] = [];
    const limit = MAX_RANGES * 2;
    let open = false;
    // Most of the time nothing is finished above the low-water mark.
    for (let n = 0; this.#runs > 0 && n < this.#count && ranges.length < limit; n++) {
      const at = this.#at(n);
      const isDone = this.#done[at] === 1;
      if (isDone && !open) ranges.push(this.#begins[at] as number, this.#ends[at] as number);
      else if (isDone) ranges[ranges.length - 1] = this.#ends[at] as number;
      open = isDone;
    }
    for (let n = this.#restoredAt; n < this.#restored.length && ranges.length < limit; n++)
      ranges.push(this.#restored[n] as number);
    return ranges;
  }

  /** Whether it outlives the process. */
  get isKept(): boolean {
    return this.#isKept;
  }

  /** Saves, and resolves when that is on the disk or has failed. */
  async sync(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.save();
    await new Promise<void>((resolve) => {
      file.sync((error) => {
        this.#failed(error);
        resolve();
      });
    });
  }

  /** Saves and syncs; nothing is kept of what is finished later. */
  async close(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const synced = this.sync();
    this.#saving?.[Symbol.dispose]();
    this.#syncing?.[Symbol.dispose]();
    this.#file = undefined;
    await synced;
    file.close();
  }
}

/** What is known, as far as the log reaches. */
function within({ lowWater, ranges }: Saved, head: Position): Saved {
  const kept: Position[] = [];
  for (let n = 0; n < ranges.length; n += 2) {
    const [begin, end] = [ranges[n] as number, ranges[n + 1] as number];
    if (begin >= head) break;
    kept.push(begin, Math.min(end, head));
  }
  return { lowWater: Math.min(lowWater, head), ranges: kept };
}
