import type { Ack, Clock, Log } from '../component.ts';
import { MillraceError, messageOf } from '../errors.ts';
import { AckQueue } from './ack-queue.ts';
import { isDiskFull } from './disk.ts';
import type { Level, Position } from './entrance-log.ts';
import { firstPosition, SEGMENT_HEADER_BYTES } from './segment.ts';
import type { OpenSegment, Segments } from './segments.ts';

/** After an error of the disk it is tried again each second. */
const RETRY_MS = 1000;

/** A run of frames in memory on its way to a segment. Its bytes are written once and never again. */
export class Block {
  readonly bytes: Buffer;
  /** Of byte 0 in the log. */
  readonly position: Position;
  segment: OpenSegment;
  /** Whole frames lie before it. */
  filled = 0;
  /** Handed to the system. */
  written = 0;

  constructor(bytes: Buffer, position: Position, segment: OpenSegment) {
    this.bytes = bytes;
    this.position = position;
    this.segment = segment;
  }
}

export interface CommitterOptions {
  readonly segments: Segments;
  readonly clock: Clock;
  readonly log: Log;
  /** The disk is asked to make safe what waits for it: so much after the last time, or when so many bytes wait. */
  readonly commitMs: number;
  readonly commitBytes: number;
  /** Called after each write and commit, and when the state changes. */
  readonly onMoved: () => void;
  /** A segment could not be written or synced; `by` goes on for it. */
  readonly onReplaced: (failed: OpenSegment, by: OpenSegment) => void;
}

/**
 * Writes blocks to their segments and syncs them in groups, one write and one sync at a time, both off the main thread.
 *
 * No room on the disk: the same write is tried until there is. Any other error: what is not known to be safe is written
 * again into a new file, which goes on for the segment (a sync that failed once says nothing about a second one: the
 * system may have let go of the pages). Until then nothing is acknowledged.
 */
export class Committer {
  readonly #o: CommitterOptions;
  /** Not written to the end, in order; the last may still be filled. */
  #blocks: Block[] = [];
  /** Written, but not safe, while something in them has to be. */
  #retained: Block[] = [];
  readonly #dirty = new Set<OpenSegment>();
  readonly #failed = new Set<OpenSegment>();
  readonly #os = new AckQueue();
  readonly #fsync = new AckQueue();
  #written: Position;
  #synced: Position;
  #safe: Position;
  /** Somebody wants it to be safe up to here. */
  #wanted: Position = 0;
  /** Up to here somebody does not want to wait for the next group. */
  #urgent: Position = 0;
  #flushing: { readonly to: Position; readonly resolve: () => void }[] = [];
  #running: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  /** Errors since the last time that all went well; not those of a full disk. */
  #failures = 0;
  /** Files that others went on for from their first frame, until those are safe. */
  #superseded: { readonly segment: OpenSegment; readonly end: Position }[] = [];
  /** Files to close as soon as no sync may be at work on them. */
  #retired: OpenSegment[] = [];
  #isFinishing = false;
  #isClosed = false;
  #syncedAt = -Infinity;
  #timer: Disposable | undefined;
  #endPause: (() => void) | undefined;
  #reason: string | undefined;
  readonly metrics = {
    log_commits: 0,
    log_commit_ms: 0,
    log_commit_ms_max: 0,
    log_writes: 0,
    log_written_bytes: 0,
    log_write_errors: 0,
  };

  constructor(options: CommitterOptions, at: Position) {
    this.#o = options;
    this.#written = at;
    this.#synced = at;
    this.#safe = at;
  }

  get written(): Position {
    return this.#written;
  }
  get synced(): Position {
    return this.#synced;
  }
  /** Everything before it is as safe as its sources asked for; what is not synced waits for nobody. */
  get safe(): Position {
    const now = this.#wanted > this.#synced ? Math.min(this.#written, this.#synced) : this.#written;
    // What was safe stays so when something behind it is to be synced.
    if (now > this.#safe) this.#safe = now;
    return this.#safe;
  }
  /** Why nothing can be written at present. */
  get stalledBy(): string | undefined {
    return this.#reason;
  }

  add(block: Block): void {
    this.#blocks.push(block);
  }

  /** Calls `ack` when the log is safe up to `end` at that level. */
  acknowledge(ack: Ack, level: Level, end: Position): void {
    if (level === 'memory') ack();
    else if (level === 'os') {
      if (this.#written >= end) ack();
      else this.#os.push(ack, end);
    } else if (this.#synced >= end) ack();
    else {
      this.#fsync.push(ack, end);
      this.want(end);
    }
  }

  /** What lies before `end` has to be made safe. */
  want(end: Position): void {
    if (this.#wanted <= this.#synced) this.#safe = Math.max(this.#safe, this.#written);
    if (end > this.#wanted) this.#wanted = end;
  }

  /** The last block has more whole frames than before. */
  kick(): void {
    if (this.#running === undefined && !this.#isClosed) this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // With nothing to write it would end before `kick` has noted that it runs, and would be taken for running ever after.
    await Promise.resolve();
    while (!this.#isClosed) {
      const [failed] = this.#failed;
      if (failed !== undefined) {
        await this.#replace(failed);
        continue;
      }
      const block = this.#blocks[0];
      if (block === undefined) break;
      if (block.written < block.filled) {
        await this.#write(block);
        continue;
      }
      // It may have been written before one in front of it had to be written again.
      this.#wrote(block.position + block.written);
      if (this.#blocks.length === 1) break;
      this.#blocks.shift();
      this.#retained.push(block);
      this.#release();
    }
    this.#running = undefined;
    this.#settle();
  }

  async #write(block: Block): Promise<void> {
    // Up to here frames are whole: more may come while it is written.
    const { segment, position, written, filled } = block;
    const { metrics } = this;
    let taken: number;
    try {
      taken = await segment.file.write(block.bytes, written, filled, position + written - segment.base);
    } catch (error) {
      metrics.log_write_errors++;
      this.#stall(error);
      if (isDiskFull(error)) await this.#pause();
      else this.#fail(segment);
      return;
    }
    metrics.log_writes++;
    metrics.log_written_bytes += taken;
    block.written = written + taken;
    segment.end = Math.max(segment.end, position + block.written);
    this.#dirty.add(segment);
    this.#resume();
    // A short write may have ended within a frame that several batches share: it holds none of them until it is whole.
    if (block.written === filled) this.#wrote(position + filled);
  }

  /** All before that position is written. */
  #wrote(end: Position): void {
    if (end <= this.#written) return;
    this.#written = end;
    this.#os.settle(end);
    this.#settle();
    this.#o.onMoved();
  }

  /** Starts a sync when it is due, and tells those who wait for it to be done with. */
  #settle(): void {
    const { safe } = this;
    if (this.#flushing.length > 0 && (this.#flushing[0]?.to ?? 0) <= safe) {
      for (const { resolve } of this.#flushing.splice(0, this.#flushing.findLastIndex(({ to }) => to <= safe) + 1)) resolve();
    }
    if (this.#syncing !== undefined || this.#isClosed || this.#failed.size > 0) return;
    if (this.#retired.length > 0) for (const { file } of this.#retired.splice(0)) void file.close().catch(() => undefined);
    if (this.#wanted <= this.#synced || this.#written <= this.#synced) return;
    const { commitMs, commitBytes, clock } = this.#o;
    const elapsed = clock.now() - this.#syncedAt;
    // A clock that was set back must not hold a commit up.
    const isDue = elapsed >= commitMs || elapsed < 0;
    if (isDue || this.#written - this.#synced >= commitBytes || this.#urgent > this.#synced) {
      this.#timer?.[Symbol.dispose]();
      this.#timer = undefined;
      this.#syncing = this.#sync();
    } else
      this.#timer ??= clock.after(commitMs - elapsed, () => {
        this.#timer = undefined;
        this.#syncedAt = -Infinity;
        this.#settle();
      });
  }

  async #sync(): Promise<void> {
    this.#syncedAt = this.#o.clock.now();
    // As in `#run`: with nothing to sync it would end before it is noted that it is under way.
    await Promise.resolve();
    const began = performance.now();
    const target = this.#written;
    const segments = [...this.#dirty];
    this.#dirty.clear();
    for (const segment of segments) {
      try {
        await segment.file.datasync();
      } catch (error) {
        this.metrics.log_write_errors++;
        this.#syncing = undefined;
        for (const other of segments) this.#dirty.add(other);
        this.#stall(error);
        this.#fail(segment);
        this.kick();
        return;
      }
    }
    this.#syncing = undefined;
    const ms = performance.now() - began;
    this.metrics.log_commits++;
    this.metrics.log_commit_ms += ms;
    this.metrics.log_commit_ms_max = Math.max(this.metrics.log_commit_ms_max, ms);
    this.#synced = Math.max(this.#synced, target);
    if (this.#failed.size === 0) this.#failures = 0;
    this.#release();
    this.#tidy(segments);
    this.#fsync.settle(this.#synced);
    this.#settle();
    this.#o.onMoved();
  }

  #fail(segment: OpenSegment): void {
    this.#failures++;
    this.#failed.add(segment);
  }

  /** Closes files that nothing more is written to, and takes those away that others have replaced from the start. */
  #tidy(synced: readonly OpenSegment[]): void {
    for (const segment of synced) {
      const isUsed =
        this.#dirty.has(segment) || this.#failed.has(segment) || this.#blocks.some((block) => block.segment === segment);
      if (!isUsed) this.#retired.push(segment);
    }
    while ((this.#superseded[0]?.end ?? Infinity) <= this.#synced) {
      const { segment } = this.#superseded.shift() as { segment: OpenSegment };
      // Its frames are doubled: when it stays, readers pass over them.
      void this.#o.segments.remove(segment).catch(() => undefined);
    }
  }

  /** Lets go of written blocks that nobody may want written again. */
  #release(): void {
    if (this.#failed.size > 0) return;
    if (this.#wanted <= this.#synced) this.#retained = [];
    while ((this.#retained[0]?.position ?? Infinity) + (this.#retained[0]?.filled ?? 0) <= this.#synced) this.#retained.shift();
  }

  /** Makes a file that goes on for a segment which failed, and has what is not safe written into it. */
  async #replace(failed: OpenSegment): Promise<void> {
    const { segments } = this.#o;
    if (this.#failures > 1) await this.#pause();
    const unsafe = ({ segment, position, filled }: Block): boolean => segment === failed && position + filled > this.#synced;
    const isUsed = this.#blocks.at(-1)?.segment === failed;
    const first = [...this.#retained, ...this.#blocks].find(unsafe);
    if (first === undefined && !isUsed) {
      this.#forget(failed);
      return;
    }
    const last = this.#blocks.at(-1);
    const from = first === undefined ? (last?.position ?? 0) + (last?.filled ?? 0) : Math.max(this.#synced, first.position);
    const origin = failed.base - failed.header.placeOffset;
    let opened: OpenSegment;
    try {
      opened = await segments.create({
        createdMs: failed.header.createdMs,
        placeOffset: from - SEGMENT_HEADER_BYTES - origin,
      });
    } catch (error) {
      this.#stall(error);
      await this.#pause();
      return;
    }
    segments.place(opened, from);
    this.#o.log.warn(
      { segment: failed.path, by: opened.path },
      'a segment of the log could not be written, another file goes on for it',
    );
    const all = [...this.#retained, ...this.#blocks];
    let index = all.length;
    for (const [n, block] of all.entries()) {
      if (block.segment !== failed || block.position + block.bytes.length <= from) continue;
      index = Math.min(index, n);
      block.segment = opened;
      block.written = Math.max(0, from - block.position);
    }
    this.#retained = all.slice(0, index);
    this.#blocks = all.slice(index);
    if (firstPosition(failed) >= from) this.#superseded.push({ segment: failed, end: Math.max(failed.end, from + 1) });
    this.#forget(failed);
    this.#written = Math.min(this.#written, from);
    this.#o.onReplaced(failed, opened);
  }

  #forget(failed: OpenSegment): void {
    this.#failed.delete(failed);
    this.#dirty.delete(failed);
    this.#retired.push(failed);
  }

  #stall(error: unknown): void {
    const reason = isDiskFull(error) ? 'disk full' : `the disk refuses: ${messageOf(error)}`;
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#o.log.error({ reason: messageOf(error) }, 'the log cannot be written, sources are held back');
    if (this.#isFinishing) for (const { resolve } of this.#flushing.splice(0)) resolve();
    this.#o.onMoved();
  }

  #resume(): void {
    if (this.#reason === undefined) return;
    this.#reason = undefined;
    this.#o.log.info({}, 'the log can be written again');
  }

  #pause(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#o.clock.after(RETRY_MS, resolve);
      this.#endPause = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
  }

  /** Resolves when all before `to` is written and, if anybody asked for it, safe. */
  flush(to: Position): Promise<void> {
    return new Promise((resolve) => {
      this.#flushing.push({ to, resolve });
      this.#urgent = to;
      this.kick();
      this.#settle();
    });
  }

  /** As `flush`, but gives up when the disk is stalled. */
  finish(to: Position): Promise<void> {
    this.#isFinishing = true;
    return this.#reason === undefined ? this.flush(to) : Promise.resolve();
  }

  /** Ends after the write and the sync that are under way. What is not safe by then is not acknowledged. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    this.#endPause?.();
    await this.#running;
    await this.#syncing;
    const reason = this.#reason === undefined ? '' : `: ${this.#reason}`;
    const failure = new MillraceError('MR_DISK', `the log was closed before it could be written${reason}`);
    this.#os.fail(failure);
    this.#fsync.fail(failure);
    for (const { resolve } of this.#flushing.splice(0)) resolve();
    const files = new Set([...this.#blocks.map(({ segment }) => segment), ...this.#dirty, ...this.#failed, ...this.#retired]);
    for (const { file } of files) await file.close().catch(() => undefined);
  }
}
