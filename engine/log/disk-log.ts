import { setImmediate } from 'node:timers';
import type { Ack, Clock, Log } from '../component.ts';
import { MillraceError } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import { Committer } from './committer.ts';
import { Damage } from './damage.ts';
import { DiskReader } from './disk-reader.ts';
import { realDisk, type Disk } from './disk.ts';
import type { EntranceLog, Level, LogReader, LogStatus, Origin, Position } from './entrance-log.ts';
import { FrameBuffer } from './frame-buffer.ts';
import type { Checksum } from './frame.ts';
import { Kept } from './kept.ts';
import { encodeMarks, recover, type Recovered } from './recovery.ts';
import { SEGMENT_HEADER_BYTES, type Hashes } from './segment.ts';
import { Segments, type OpenSegment } from './segments.ts';
import { Tail } from './tail.ts';

/** Left free at each start, so that a position that a loss of power took away is not given again: a segment is far smaller. */
export const RESTART_GAP = 2 ** 33;
const SEGMENT_BYTES = 64 << 20;
const SMALLEST_SEGMENT_BYTES = 1 << 20;
/** A limit holds at least so many segments, so that room is given back in small steps. */
const SEGMENTS_IN_LIMIT = 8;
const SEGMENT_AGE_MS = 3_600_000;
/** Frames that a reader in step has not read yet are kept in memory up to so many bytes; beyond, it reads the file. */
const TAIL_BYTES = 16 << 20;
/** Sources are held back when so much waits to be written: the disk is slower than they are. */
const UNWRITTEN_BYTES = 32 << 20;
/** A source that was held back is let go when so much of the limit is free again. */
const RESUME_AT = 0.75;
const COMMIT_MS = 20;
const COMMIT_BYTES = 4 << 20;

export interface DiskLogOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly limitBytes: number;
  /** Written into the header of each segment. */
  readonly header: Hashes;
  /** 40 random bits; asked when the directory holds no log that can be continued. */
  readonly incarnation: () => bigint;
  readonly disk?: Disk;
  /** Nobody needs what lies before; absent: all is needed. */
  readonly needed?: Position | undefined;
  /** The highest position that anybody has written down: the log goes on behind it in any case. */
  readonly above?: Position;
  readonly commit?: { readonly ms: number; readonly bytes: number };
  readonly segmentBytes?: number;
  readonly segmentAgeMs?: number;
  readonly tailBytes?: number;
  /** For tests that show what it is good for. */
  readonly checksum?: Checksum;
}

/**
 * Opens the log of a directory: makes it when it is not there, recovers it when it is, and begins a new segment.
 *
 * @throws MillraceError MR_LOG_FORMAT when a newer version wrote it; what the disk threw
 */
export async function openDiskLog(options: DiskLogOptions): Promise<DiskLog> {
  const { disk = realDisk, directory, log, needed, checksum } = options;
  await disk.makeDirectory(directory);
  const damage = new Damage(disk, directory, log);
  const recovered = await recover({ disk, directory, log, damage, needed, checksum });
  const segments = new Segments({
    disk,
    directory,
    clock: options.clock,
    hashes: options.header,
    incarnation: recovered.incarnation ?? options.incarnation(),
    lastMs: recovered.lastMs,
    nextSequence: recovered.nextSequence,
    found: recovered.segments,
  });
  const opened = await segments.create();
  await damage.settled();
  const before = Math.max(recovered.head, needed ?? 0, options.above ?? 0);
  return new DiskLog(options, segments, damage, recovered, opened, before === 0 ? 0 : before + RESTART_GAP);
}

/** The entrance log on the disk. See docs/reference/log-format.md for its bytes. */
export class DiskLog implements EntranceLog {
  readonly #o: DiskLogOptions;
  readonly #segments: Segments;
  readonly #damage: Damage;
  readonly #kept: Kept;
  readonly #recovered: Recovered;
  readonly #tail = new Tail();
  readonly #committer: Committer;
  readonly #buffer: FrameBuffer;
  readonly #readers = new Set<DiskReader>();
  readonly #origins: Map<string, number>;
  readonly #segmentBytes: number;
  #current: OpenSegment;
  /** Behind the frame that tells the current segment of those before it. */
  #marksEnd: Position = 0;
  #isPreparing = false;
  #enteredMs = 0;
  #waiting: (() => void)[] = [];
  #isTurnPlanned = false;
  #isClosed = false;
  #frames = 0;
  #events = 0;
  #bytes = 0;

  constructor(
    options: DiskLogOptions,
    segments: Segments,
    damage: Damage,
    recovered: Recovered,
    opened: OpenSegment,
    base: Position,
  ) {
    this.#o = options;
    this.#segments = segments;
    this.#damage = damage;
    this.#recovered = recovered;
    this.#origins = recovered.origins;
    this.#enteredMs = recovered.enteredMs;
    this.#kept = new Kept(segments, recovered.obsolete, options.needed ?? 0);
    this.#segmentBytes =
      options.segmentBytes ??
      Math.min(SEGMENT_BYTES, Math.max(SMALLEST_SEGMENT_BYTES, Math.floor(options.limitBytes / SEGMENTS_IN_LIMIT)));
    const first = base + SEGMENT_HEADER_BYTES;
    segments.place(opened, first);
    this.#current = opened;
    this.#committer = new Committer(
      {
        segments,
        clock: options.clock,
        log: options.log,
        commitMs: options.commit?.ms ?? COMMIT_MS,
        commitBytes: options.commit?.bytes ?? COMMIT_BYTES,
        onMoved: () => this.#moved(),
        onReplaced: (failed, by) => this.#replaced(failed, by),
      },
      first,
    );
    this.#buffer = new FrameBuffer({
      head: first,
      incarnation: segments.incarnation,
      onFrame: (frame) => this.#tail.push(frame),
      onBlock: (block) => this.#committer.add(block),
    });
    this.#begin(opened);
    this.#count();
    this.#committer.kick();
  }

  get incarnation(): bigint {
    return this.#segments.incarnation;
  }

  get first(): Position {
    return this.#kept.first(this.#marksEnd);
  }

  get head(): Position {
    return this.#buffer.head;
  }

  get status(): LogStatus {
    const reason = this.#fullBy();
    const { frames, events, bytes } = this.#recovered;
    return {
      appended: { frames: this.#frames, events: this.#events, bytes: this.#bytes },
      recovered: { frames, events, bytes },
      keptBytes: this.#kept.bytes,
      limitBytes: this.#o.limitBytes,
      segments: this.#segments.list.length,
      state: reason === undefined ? 'ok' : 'stalled',
      ...(reason !== undefined && { reason }),
      metrics: { ...this.#committer.metrics, ...this.#damage.metrics, log_truncated_bytes: this.#recovered.truncatedBytes },
    };
  }

  #fullBy(): string | undefined {
    if (this.#committer.stalledBy !== undefined) return this.#committer.stalledBy;
    if (this.#kept.bytes >= this.#o.limitBytes) return 'log_limit_size reached';
    return this.#unwritten >= UNWRITTEN_BYTES ? 'the disk is slower than the sources' : undefined;
  }

  get #unwritten(): number {
    return this.#buffer.head - this.#committer.written;
  }

  get #isFull(): boolean {
    const { stalledBy } = this.#committer;
    return stalledBy !== undefined || this.#kept.bytes >= this.#o.limitBytes || this.#unwritten >= UNWRITTEN_BYTES;
  }

  now(): number {
    this.#enteredMs = Math.max(this.#enteredMs, this.#o.clock.now());
    return this.#enteredMs;
  }

  append(batch: Batch, level: Level, label: string, ack?: Ack): boolean {
    this.#put(batch, level, label, undefined);
    if (ack !== undefined) this.#acknowledge(ack, level, this.#buffer.head);
    return !this.#isFull;
  }

  tryAppend(batch: Batch, level: Level, label: string): boolean {
    if (this.#isFull) return false;
    this.#put(batch, level, label, undefined);
    return true;
  }

  appendOnce(batch: Batch, level: Level, origin: Origin, ack: Ack): void {
    if (origin.intervalMs > (this.#origins.get(origin.consumer) ?? -Infinity)) {
      this.#origins.set(origin.consumer, origin.intervalMs);
      this.#put(batch, level, '', origin);
    }
    // When it is known it may be on its way still: safe is what the newest frame waits for.
    this.#acknowledge(ack, level, this.#buffer.head);
  }

  #acknowledge(ack: Ack, level: Level, end: Position): void {
    if (this.#isClosed) ack(new MillraceError('MR_DISK', 'the log is closed'));
    else this.#committer.acknowledge(ack, level, end);
  }

  #put(batch: Batch, level: Level, label: string, origin: Origin | undefined): void {
    if (this.#isClosed) return;
    const before = this.#buffer.head;
    this.#buffer.put(batch, level, label, origin, this.now());
    const { head } = this.#buffer;
    this.#kept.bytes += head - before;
    this.#events += batch.count;
    this.#bytes += batch.end - batch.start;
    if (level === 'fsync') this.#committer.want(head);
    if (this.#isTurnPlanned) return;
    this.#isTurnPlanned = true;
    setImmediate(this.#turn);
  }

  /** At the end of a turn of the event loop: what came in it becomes frames, is written, and readers are told. */
  readonly #turn = (): void => {
    this.#isTurnPlanned = false;
    if (this.#isClosed) return;
    this.#seal();
    this.#committer.kick();
    this.#rotateIfDue();
  };

  #seal(): void {
    this.#buffer.seal();
    const frames = this.#buffer.sealedFrames;
    this.#buffer.sealedFrames = 0;
    this.#frames += frames;
    this.#current.frames += frames;
  }

  #tellReaders(): void {
    for (const reader of this.#readers) if (reader.hasNews) reader.wake();
  }

  /** After a write or a commit. */
  #moved(): void {
    this.#tellReaders();
    this.#forget();
    this.#removeTrimmed();
    this.#wake();
  }

  /** Lets go of frames in memory that are safe in the file and that no reader in step needs. */
  #forget(): void {
    let needed = Infinity;
    for (const reader of this.#readers) needed = Math.min(needed, reader.needs);
    const tail = this.#tail;
    const { safe } = this.#committer;
    for (;;) {
      const frame = tail.at(tail.first);
      if (frame === undefined || frame.end > safe) return;
      if (tail.first >= needed && tail.bytes <= (this.#o.tailBytes ?? TAIL_BYTES)) return;
      tail.shift();
    }
  }

  #replaced(failed: OpenSegment, by: OpenSegment): void {
    // It holds frames that were counted in the other one.
    by.frames = failed.frames;
    if (this.#current !== failed) return;
    this.#current = by;
    this.#buffer.goOn(by);
  }

  // ---- segments -------------------------------------------------------------------------------

  #begin(segment: OpenSegment): void {
    this.#current = segment;
    this.#buffer.open(segment);
    this.#buffer.putMarks(encodeMarks(this.#origins), this.now());
    this.#marksEnd = this.#buffer.head;
    // Older segments may be removed once it is safe.
    this.#committer.want(this.#marksEnd);
  }

  #rotateIfDue(): void {
    if (this.#isPreparing || this.#current.frames === 0) return;
    const { header, base } = this.#current;
    const age = this.#o.clock.now() - header.createdMs;
    if (this.#buffer.head - base < this.#segmentBytes && age < (this.#o.segmentAgeMs ?? SEGMENT_AGE_MS)) return;
    this.#isPreparing = true;
    void this.#rotate();
  }

  /** Until the new file is there the old one goes on growing. */
  async #rotate(): Promise<void> {
    let opened: OpenSegment | undefined;
    try {
      opened = await this.#segments.create();
    } catch {
      // Tried again with the next append; a disk that cannot make a file will soon say so to a write too.
    }
    this.#isPreparing = false;
    if (opened === undefined) return;
    if (this.#isClosed) {
      await opened.file.close();
      return;
    }
    this.#seal();
    this.#segments.place(opened, this.#buffer.head + SEGMENT_HEADER_BYTES);
    this.#begin(opened);
    this.#committer.kick();
  }

  trim(before: Position): void {
    const to = Math.min(before, this.#buffer.sealed);
    if (!this.#kept.trim(to)) return;
    this.#count();
    this.#removeTrimmed();
    this.#wake();
  }

  bytesFrom(position: Position): number {
    return this.#kept.bytesFrom(position, this.#current, this.#buffer.sealed, this.#buffer.head);
  }

  #count(): void {
    this.#kept.count(this.#current, this.#buffer.sealed, this.#buffer.head);
  }

  #removeTrimmed(): void {
    if (this.#committer.synced >= this.#marksEnd) this.#kept.remove(this.#current);
  }

  #wake(): void {
    if (this.#waiting.length === 0 || this.#committer.stalledBy !== undefined) return;
    if (this.#kept.bytes > this.#o.limitBytes * RESUME_AT || this.#unwritten > UNWRITTEN_BYTES * RESUME_AT) return;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  ready(): Promise<void> {
    if (!this.#isFull || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  reader(from: Position | undefined, onFrames: () => void): LogReader {
    const reader = new DiskReader(
      {
        segments: this.#segments,
        tail: this.#tail,
        damage: this.#damage,
        clock: this.#o.clock,
        log: this.#o.log,
        sealed: () => this.#buffer.sealed,
        safe: () => this.#committer.safe,
        onFrames,
        onClose: () => this.#readers.delete(reader),
        checksum: this.#o.checksum,
      },
      Math.max(from ?? 0, this.first),
    );
    this.#readers.add(reader);
    return reader;
  }

  flush(): Promise<void> {
    this.#seal();
    return this.#committer.flush(this.#buffer.sealed);
  }

  /** Unless the disk is stalled, everything is safe at its level when it resolves. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#seal();
    await this.#committer.finish(this.#buffer.sealed);
    this.#isClosed = true;
    for (const reader of this.#readers) reader.close();
    await this.#committer.close();
    await this.#damage.settled();
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
