import { messageOf } from '../errors.ts';
import type { Clock, Log } from '../component.ts';
import type { Damage } from './damage.ts';
import type { DiskFile } from './disk.ts';
import type { Frame, LogReader, Position } from './entrance-log.ts';
import { KIND, type Checksum } from './frame.ts';
import { frameOf, SegmentScanner } from './scanner.ts';
import { firstPosition, type Segment } from './segment.ts';
import type { Segments } from './segments.ts';
import type { Tail } from './tail.ts';

/** After an error while reading it is tried again after so long. */
const RETRY_MS = 1000;

export interface ReaderOptions {
  readonly segments: Segments;
  readonly tail: Tail;
  readonly damage: Damage;
  readonly clock: Clock;
  readonly log: Log;
  /** Behind the newest frame that may be read. */
  readonly sealed: () => Position;
  /**
   * As safe as its sources asked for up to here. Nothing behind it is given out: what a crash may take must not have been
   * delivered or counted.
   */
  readonly safe: () => Position;
  readonly onFrames: () => void;
  readonly onClose: (reader: DiskReader) => void;
  readonly checksum: Checksum | undefined;
}

/** Gives frames from memory while they are there, and from the files otherwise. */
export class DiskReader implements LogReader {
  readonly #o: ReaderOptions;
  /** In `tail`; undefined: reads files. */
  #index: number | undefined;
  #position: Position;
  #segment: Segment | undefined;
  #file: DiskFile | undefined;
  #scanner: SegmentScanner | undefined;
  #damaged: { readonly from: number; readonly to: number } | undefined;
  #isClosed = false;
  #isWaiting = true;
  #retry: Disposable | undefined;

  constructor(options: ReaderOptions, from: Position) {
    this.#o = options;
    this.#position = from;
    this.#toMemory();
  }

  get position(): Position {
    return this.#position;
  }

  /** Number of the next frame in `tail`, Infinity when it reads files. */
  get needs(): number {
    return this.#index ?? Infinity;
  }

  /** It was told that there is nothing, and now there is. */
  get hasNews(): boolean {
    return this.#isWaiting && (this.#index === undefined || this.#isReadable(this.#o.tail.at(this.#index)));
  }

  wake(): void {
    this.#isWaiting = false;
    if (!this.#isClosed) this.#o.onFrames();
  }

  #isReadable(frame: Frame | undefined): frame is Frame {
    return frame !== undefined && frame.end <= this.#o.safe();
  }

  next(): Frame | undefined {
    const frame = this.#isClosed ? undefined : this.#next();
    this.#isWaiting = frame === undefined;
    return frame;
  }

  #next(): Frame | undefined {
    const { tail } = this.#o;
    for (;;) {
      if (this.#index !== undefined) {
        const frame = tail.at(this.#index);
        if (frame !== undefined) {
          if (!this.#isReadable(frame)) return undefined;
          this.#index++;
          this.#position = frame.end;
          return frame;
        }
        if (this.#index >= tail.next) {
          // Behind the newest frame there may be a gap, when a new segment has begun.
          this.#position = Math.max(this.#position, this.#o.sealed());
          return undefined;
        }
        this.#index = undefined;
      }
      if (this.#scanner === undefined && this.#toMemory()) continue;
      try {
        const frame = this.#fromFile();
        if (frame !== undefined) return frame;
      } catch (error) {
        this.#failed(error);
        return undefined;
      }
    }
  }

  /** Position of the oldest frame in memory; what lies before it is in files. */
  get #memory(): Position {
    const { tail, sealed } = this.#o;
    return tail.at(tail.first)?.position ?? sealed();
  }

  /** @returns false when what comes next is only in a file */
  #toMemory(): boolean {
    const { tail, segments } = this.#o;
    const memory = this.#memory;
    const segment = this.#position < memory ? segments.find(this.#position) : undefined;
    if (segment !== undefined && Math.max(this.#position, firstPosition(segment)) < memory) return false;
    this.#index = tail.seek(this.#position);
    this.#position = Math.max(this.#position, tail.at(this.#index)?.position ?? memory);
    return true;
  }

  /** @returns undefined when the segment is at its end, or another one has to be looked into */
  #fromFile(): Frame | undefined {
    const { segments, damage } = this.#o;
    if (this.#scanner === undefined || this.#segment === undefined) {
      this.#enter(segments.find(this.#position));
      return undefined;
    }
    const segment = this.#segment;
    const scanner = this.#scanner;
    const end = Math.min(segment.end, this.#memory);
    for (;;) {
      const isFrame = scanner.next(end - segment.base);
      if (this.#damaged !== undefined) {
        const { from, to } = this.#damaged;
        this.#damaged = undefined;
        const other = segments.find(segment.base + from, segment);
        if (other !== undefined && firstPosition(other) <= segment.base + from) {
          // That file went on for this one, which could not be written.
          this.#position = segment.base + from;
          this.#enter(other);
          return undefined;
        }
        damage.report(segment, from, to);
      }
      this.#position = segment.base + scanner.end;
      if (!isFrame) break;
      if (scanner.kind === KIND.events) return frameOf(scanner, segment);
    }
    this.#leave();
    return undefined;
  }

  #enter(segment: Segment | undefined): void {
    this.#leave();
    if (segment === undefined) {
      // Taken away since: nobody needed it.
      this.#position = Math.max(this.#position, this.#memory);
      return;
    }
    const { disk } = this.#o.segments;
    this.#position = Math.max(this.#position, firstPosition(segment));
    this.#file = disk.open(segment.path, 'read');
    this.#segment = segment;
    this.#scanner = new SegmentScanner({
      file: this.#file,
      header: segment.header,
      offset: this.#position - segment.base,
      base: segment.base,
      checksum: this.#o.checksum,
      onDamage: (from, to) => {
        this.#damaged = { from, to };
      },
    });
  }

  #leave(): void {
    // Nothing was written through it.
    void this.#file?.close().catch(() => undefined);
    this.#file = undefined;
    this.#segment = undefined;
    this.#scanner = undefined;
  }

  #failed(error: unknown): void {
    const { log, clock } = this.#o;
    log.error(
      { segment: this.#segment?.path, position: this.#position, reason: messageOf(error) },
      'the log cannot be read, trying again',
    );
    this.#leave();
    this.#retry?.[Symbol.dispose]();
    this.#retry = clock.after(RETRY_MS, () => this.wake());
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.[Symbol.dispose]();
    this.#leave();
    this.#o.onClose(this);
  }
}
