import type { Ack, Clock } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, Frame, Level, LogReader } from './entrance-log.ts';

const SEGMENT_BYTES = 1 << 20;
/** A source that was held back is let go when so much of the limit is free again. */
const RESUME_AT = 0.75;

/**
 * The entrance log at level `memory`: frames in a bounded ring of segments, given back once every output is done with
 * them. Places work as they do on disk: an incarnation per start, segments of rising time, offsets.
 */
export class MemoryLog implements EntranceLog {
  readonly #clock: Clock;
  readonly #limitBytes: number;
  readonly #incarnation: bigint;
  #segment = Buffer.alloc(0);
  #segmentMs = 0;
  #offset = 0;
  #queue: Frame[] = [];
  #head = 0;
  #onFrames: (() => void) | undefined;
  #waiting: (() => void)[] = [];
  #frames = 0;
  #events = 0;
  #bytes = 0;

  /**
   * @param limitBytes  beyond it `append` answers false and `tryAppend` refuses
   * @param incarnation  40 random bits
   */
  constructor(clock: Clock, limitBytes: number, incarnation: bigint) {
    this.#clock = clock;
    this.#limitBytes = limitBytes;
    this.#incarnation = incarnation;
  }

  get pending(): { frames: number; events: number; bytes: number } {
    return { frames: this.#frames, events: this.#events, bytes: this.#bytes };
  }

  append(batch: Batch, _level: Level, label: string, ack?: Ack): boolean {
    this.#put(batch, label);
    ack?.();
    return this.#bytes < this.#limitBytes;
  }

  tryAppend(batch: Batch, _level: Level, label: string): boolean {
    if (this.#bytes >= this.#limitBytes) return false;
    this.#put(batch, label);
    return true;
  }

  ready(): Promise<void> {
    if (this.#bytes < this.#limitBytes) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  reader(_name: string, onFrames: () => void): LogReader {
    this.#onFrames = onFrames;
    return {
      next: () => this.#next(),
      release: (frame) => this.#release(frame),
    };
  }

  /** Copies the batch into the current segment, so that a small batch does not keep a large receive buffer alive. */
  #put(batch: Batch, label: string): void {
    const length = batch.end - batch.start;
    const nowMs = this.#clock.now();
    if (this.#offset + length > this.#segment.length) {
      this.#segment = Buffer.allocUnsafeSlow(Math.max(SEGMENT_BYTES, length));
      this.#segmentMs = Math.max(nowMs, this.#segmentMs + 1);
      this.#offset = 0;
    }
    const start = this.#offset;
    this.#segment.set(batch.bytes.subarray(batch.start, batch.end), start);
    this.#offset += length;
    const place = { incarnation: this.#incarnation, segment: this.#segmentMs, offset: start, enteredMs: nowMs };
    this.#queue.push({
      batch: { tag: batch.tag, bytes: this.#segment, start, end: start + length, count: batch.count, place },
      label,
    });
    this.#frames++;
    this.#events += batch.count;
    this.#bytes += length;
    if (this.#queue.length - this.#head === 1) this.#onFrames?.();
  }

  #next(): Frame | undefined {
    if (this.#head === this.#queue.length) return undefined;
    const frame = this.#queue[this.#head++];
    if (this.#head === this.#queue.length || this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return frame;
  }

  #release({ batch }: Frame): void {
    this.#frames--;
    this.#events -= batch.count;
    this.#bytes -= batch.end - batch.start;
    if (this.#waiting.length === 0 || this.#bytes > this.#limitBytes * RESUME_AT) return;
    const woken = this.#waiting;
    this.#waiting = [];
    for (const wake of woken) wake();
  }
}
