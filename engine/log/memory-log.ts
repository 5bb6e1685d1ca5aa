import type { Ack, Clock } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, Frame, Level, LogReader, LogStatus, Origin, Position } from './entrance-log.ts';

const SEGMENT_BYTES = 1 << 20;
/** A source that was held back is let go when so much of the limit is free again. */
const RESUME_AT = 0.75;
/** Read frames are cut off the front of the list in runs of this length. */
const CUT_AT = 1024;

/**
 * The entrance log at level `memory`: frames in a bounded ring of segments, given back once nobody needs them. Places work
 * as they do on disk: an incarnation per start, segments of rising time, offsets.
 */
export class MemoryLog implements EntranceLog {
  readonly #clock: Clock;
  readonly #limitBytes: number;
  readonly #incarnation: bigint;
  #segment = Buffer.alloc(0);
  #segmentMs = 0;
  #offset = 0;
  #enteredMs = 0;
  /** Frames that are kept, oldest first, from `#front` on. */
  #frames: Frame[] = [];
  #front = 0;
  /** Number of frames that were cut off the front of the list, so that readers find their place. */
  #cut = 0;
  #first: Position = 0;
  #head: Position = 0;
  readonly #readers = new Set<MemoryReader>();
  readonly #origins = new Map<string, number>();
  #waiting: (() => void)[] = [];
  #appended = { frames: 0, events: 0, bytes: 0 };

  /**
   * @param limitBytes  beyond it `append` answers false and `tryAppend` refuses
   * @param incarnation  40 random bits
   */
  constructor(clock: Clock, limitBytes: number, incarnation: bigint) {
    this.#clock = clock;
    this.#limitBytes = limitBytes;
    this.#incarnation = incarnation;
  }

  get first(): Position {
    return this.#first;
  }

  get head(): Position {
    return this.#head;
  }

  bytesFrom(position: Position): number {
    return this.#head - Math.min(this.#head, Math.max(position, this.#first));
  }

  get status(): LogStatus {
    const isFull = this.#isFull;
    return {
      appended: { ...this.#appended },
      recovered: { frames: 0, events: 0, bytes: 0 },
      keptBytes: this.#head - this.#first,
      limitBytes: this.#limitBytes,
      segments: 1,
      state: isFull ? 'stalled' : 'ok',
      ...(isFull && { reason: 'log_limit_size reached' }),
      metrics: {},
    };
  }

  get #isFull(): boolean {
    return this.#head - this.#first >= this.#limitBytes;
  }

  now(): number {
    this.#enteredMs = Math.max(this.#enteredMs, this.#clock.now());
    return this.#enteredMs;
  }

  append(batch: Batch, _level: Level, label: string, ack?: Ack): boolean {
    this.#put(batch, label);
    ack?.();
    return !this.#isFull;
  }

  tryAppend(batch: Batch, _level: Level, label: string): boolean {
    if (this.#isFull) return false;
    this.#put(batch, label);
    return true;
  }

  appendOnce(batch: Batch, _level: Level, { consumer, intervalMs }: Origin, ack: Ack): void {
    if (intervalMs > (this.#origins.get(consumer) ?? -Infinity)) {
      this.#origins.set(consumer, intervalMs);
      this.#put(batch, '');
    }
    ack();
  }

  ready(): Promise<void> {
    if (!this.#isFull) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  reader(from: Position | undefined, onFrames: () => void): LogReader {
    const reader = new MemoryReader(this, onFrames, () => this.#readers.delete(reader));
    reader.index = this.#cut + this.#front;
    const wanted = from ?? 0;
    while ((this.at(reader.index)?.end ?? Infinity) <= wanted) reader.index++;
    this.#readers.add(reader);
    return reader;
  }

  /** The frame of that number, counted from the first ever appended. */
  at(index: number): Frame | undefined {
    return this.#frames[index - this.#cut];
  }

  /** Copies the batch into the current segment, so that a small batch does not keep a large receive buffer alive. */
  #put(batch: Batch, label: string): void {
    const length = batch.end - batch.start;
    const enteredMs = this.now();
    if (this.#offset + length > this.#segment.length) {
      this.#segment = Buffer.allocUnsafeSlow(Math.max(SEGMENT_BYTES, length));
      this.#segmentMs = Math.max(enteredMs, this.#segmentMs + 1);
      this.#offset = 0;
    }
    const start = this.#offset;
    this.#segment.set(batch.bytes.subarray(batch.start, batch.end), start);
    this.#offset += length;
    const place = { incarnation: this.#incarnation, segment: this.#segmentMs, offset: start, enteredMs };
    const position = this.#head;
    this.#head += length;
    this.#frames.push({
      batch: { tag: batch.tag, bytes: this.#segment, start, end: start + length, count: batch.count, place },
      label,
      position,
      end: this.#head,
    });
    const { frames, events, bytes } = this.#appended;
    this.#appended = { frames: frames + 1, events: events + batch.count, bytes: bytes + length };
    const newest = this.#cut + this.#frames.length - 1;
    for (const reader of this.#readers) if (reader.index === newest) reader.onFrames();
  }

  trim(before: Position): void {
    for (;;) {
      const frame = this.#frames[this.#front];
      if (frame === undefined || frame.end > before) break;
      this.#first = frame.end;
      this.#front++;
    }
    if (this.#front === this.#frames.length || this.#front > CUT_AT) {
      this.#frames = this.#frames.slice(this.#front);
      this.#cut += this.#front;
      this.#front = 0;
    }
    for (const reader of this.#readers) reader.index = Math.max(reader.index, this.#cut);
    if (this.#waiting.length === 0 || this.#head - this.#first > this.#limitBytes * RESUME_AT) return;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class MemoryReader implements LogReader {
  readonly #log: MemoryLog;
  readonly onFrames: () => void;
  readonly #onClose: () => void;
  index = 0;

  constructor(log: MemoryLog, onFrames: () => void, onClose: () => void) {
    this.#log = log;
    this.onFrames = onFrames;
    this.#onClose = onClose;
  }

  get position(): Position {
    return this.#log.at(this.index)?.position ?? this.#log.head;
  }

  next(): Frame | undefined {
    const frame = this.#log.at(this.index);
    if (frame !== undefined) this.index++;
    return frame;
  }

  close(): void {
    this.#onClose();
  }
}
