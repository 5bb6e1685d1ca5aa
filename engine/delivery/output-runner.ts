import type { Clock, Log, Output } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Frame, Position } from '../log/entrance-log.ts';
import type { Account } from '../telemetry/accounts.ts';
import { flushIntervalOf, flushModeOf, flushesAtShutdown, totalLimitOf, type BufferConfig } from './buffer-config.ts';
import { pieces, type OpenChunk } from './chunk.ts';
import { ChunkFiles, type ChunkDisk } from './chunk-files.ts';
import { ChunkSplitter, type KeySlot } from './chunk-keys.ts';
import type { DeadLetter } from './dead-letters-format.ts';
import type { Progress } from './progress.ts';
import { Sender } from './sender.ts';
import { Spiller } from './spiller.ts';
import { Staging } from './staging.ts';
import { Ticket } from './ticket.ts';

export interface OutputRunnerOptions {
  readonly id: string;
  readonly output: Output;
  /** `<secondary>`: takes over chunks that the output has not taken for long. */
  readonly secondary?: Output | undefined;
  readonly config: BufferConfig;
  /** When chunks leave if the configuration does not say. */
  readonly flush: 'immediate' | 'interval';
  readonly account: Account;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Where the output stands in the log. When it is kept, what is not delivered at the end waits there for the next start. */
  readonly progress: Progress;
  /** Bytes that may wait in memory; beyond, `isFull` is true until there is room for a quarter of them. */
  readonly memoryLimitBytes: number;
  /** Bytes of the log from where the output stands to the end: what `total_limit_size` bounds together with chunk files. */
  readonly lagBytes?: () => number;
  /** Where chunks that stay open for long are kept; undefined: they hold the log. */
  readonly chunkDisk?: ChunkDisk | undefined;
  /** In the one worker that takes over what a Fluentd left in the `path` of its file buffer: where a relative one begins. */
  readonly takeOverFrom?: string | undefined;
  /**
   * Takes events that will never be delivered, with the reason; they count as dropped.
   *
   * @returns false when they could not be put anywhere: they are tried again
   */
  readonly bury: (letters: readonly DeadLetter[]) => boolean;
}

export interface RunnerState {
  /** `retrying`: the last try failed. `stalled`: a limit, the disk or something that takes a person keeps it from going on. */
  readonly state: 'ok' | 'retrying' | 'stalled';
  readonly reason?: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs?: number;
  readonly nextTryMs?: number;
}

/** Time that an output gets to come to an end once it was told to; what it delivers later is not booked any more. */
const STOP_MS = 1000;
const STOPPED = 'stopped before delivery';
const TICK_MS = 1000;

/**
 * One output with its buffer: gathers batches into chunks, hands them over, tries again. A slow output holds nobody back here;
 * the bound is that of the entrance log.
 *
 *     take ─▶ splitter ─▶ staging (open chunks) ─▶ sender (closed chunks) ─▶ output, secondary
 *                            └─▶ chunk files                    └─▶ dead letters
 */
export class OutputRunner {
  readonly #o: OutputRunnerOptions;
  readonly #mode: ReturnType<typeof flushModeOf>;
  readonly #totalLimit: number;
  readonly #splitter: ChunkSplitter;
  readonly #staging: Staging;
  readonly #sender: Sender;
  /** Undefined: there are no chunk files. */
  readonly #spiller: Spiller | undefined;
  #timer: Disposable | undefined;
  #isStopped = false;
  /** Of what is in memory, open, waiting and under way. */
  #memoryBytes = 0;
  #isFull = false;
  /** Since when total_limit_size is passed. */
  #overSinceMs: number | undefined;
  /** Of the frame at hand. */
  #ticket: Ticket | undefined;
  /** Called when there is room again after `isFull`. */
  onRoom: (() => void) | undefined;
  /** Called when `lowWater` has moved. */
  onProgress: (() => void) | undefined;

  constructor(options: OutputRunnerOptions) {
    this.#o = options;
    const { config, clock, log, random, account, bury, output, secondary, progress } = options;
    this.#mode = flushModeOf(config, options.flush);
    this.#totalLimit = totalLimitOf(config);
    this.#splitter = new ChunkSplitter(config);
    this.#sender = new Sender({
      output,
      secondary,
      config,
      clock,
      log,
      random,
      bury,
      load: (chunk) => this.#spiller?.load(chunk) ?? Promise.resolve([]),
      unload: (chunk) => this.#spiller?.unload(chunk),
      settle: (chunk, delivered, dropped, reason, rest) => this.#settle(chunk, delivered, dropped, reason, rest),
      lost: (chunk, reason) => this.#spiller?.lost(chunk, reason),
      onlyOldest: () => progress.isFull,
      countError: () => void account.errors++,
    });
    this.#staging = new Staging({
      config,
      mode: this.#mode,
      splitter: this.#splitter,
      onClosed: (chunk) => this.#sender.push(chunk),
    });
    const { chunkDisk } = options;
    if (chunkDisk !== undefined)
      this.#spiller = new Spiller({
        files: new ChunkFiles(chunkDisk, log),
        staging: this.#staging,
        log,
        clock,
        account,
        config,
        memory: (delta) => this.#memory(delta),
      });
    progress.onMoved = () => this.onProgress?.();
  }

  /** Takes over what an earlier process left in chunk files. */
  async start(): Promise<void> {
    const { output, secondary, progress, config, clock, log, takeOverFrom } = this.#o;
    await output.start?.();
    await secondary?.start?.();
    await progress.sync();
    if (this.#mode === 'lazy' && config.flush_mode === 'default' && config.flush_interval !== undefined)
      log.warn({}, 'flush_interval has no meaning with the chunk key time: chunks leave after timekey and timekey_wait');
    await this.#spiller?.recover(progress.lowWater, takeOverFrom);
    const everyMs = this.#mode === 'interval' ? Math.max(10, Math.min(flushIntervalOf(config) / 4, TICK_MS)) : TICK_MS;
    this.#timer = clock.every(everyMs, () => this.#tick());
  }

  /** `ok`, or why nothing moves. */
  get state(): RunnerState {
    const trouble = this.#sender.trouble;
    const next = trouble?.nextTryMs === undefined ? {} : { nextTryMs: trouble.nextTryMs };
    const failure = this.#spiller?.failure;
    if (failure !== undefined) return { state: 'stalled', ...failure, ...next };
    if (this.#overSinceMs !== undefined && this.#o.config.overflow_action !== 'drop_oldest_chunk') {
      const why = trouble === undefined ? '' : `; ${trouble.reason}`;
      return { state: 'stalled', reason: `total_limit_size is reached${why}`, sinceMs: this.#overSinceMs, ...next };
    }
    if (trouble === undefined) return { state: 'ok' };
    return { state: trouble.isStalled ? 'stalled' : 'retrying', reason: trouble.reason, sinceMs: trouble.sinceMs, ...next };
  }

  /** Figures of the buffer, for the metrics. */
  get metrics(): Readonly<Record<string, number>> {
    const files = this.#spiller?.files;
    let oldestMs = Infinity;
    for (const { openedMs } of [...this.#sender.chunks(), ...this.#staging.chunks()]) oldestMs = Math.min(oldestMs, openedMs);
    return {
      retries: this.#sender.retries,
      chunks_open: this.#staging.size,
      chunks_waiting: this.#sender.waiting,
      chunks_in_flight: this.#sender.underWay,
      queue_bytes: this.#memoryBytes,
      oldest_chunk_age_seconds: oldestMs === Infinity ? 0 : Math.max(0, this.#o.clock.now() - oldestMs) / 1000,
      finished_ranges: this.#o.progress.rangeCount,
      chunk_files: files?.files ?? 0,
      chunk_file_bytes: files?.bytes ?? 0,
      spilled_events: files?.spilledEvents ?? 0,
      damaged_chunk_files: files?.damaged ?? 0,
    };
  }

  get lowWater(): Position {
    return this.#o.progress.lowWater;
  }

  /** So much waits in memory that the pipeline shall read no further for this output. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /**
   * Every frame is announced, in order.
   *
   * @returns the ticket to take its batches with, released once nothing more of the frame comes; undefined when this output
   *   was done with the frame before a restart
   */
  ticket(frame: Frame): Ticket | undefined {
    const { progress } = this.#o;
    return progress.begin(frame.position, frame.end) ? new Ticket(progress, frame.position, frame.end) : undefined;
  }

  /** Takes a batch; `ticket` is released when its events are delivered, buried, dropped, or safe in a chunk file. */
  take(batch: Batch, ticket: Ticket): void {
    this.#ticket = ticket;
    this.#splitter.split(batch, this.#takePart);
    if (this.#o.config.overflow_action === 'drop_oldest_chunk') this.#checkOverflow();
  }

  readonly #takePart = (slot: KeySlot, part: Batch): void => {
    const { chunk_limit_size: maxBytes, chunk_limit_records: maxCount } = this.#o.config;
    if (part.end - part.start <= maxBytes && part.count <= maxCount) this.#add(slot, part);
    else for (const piece of pieces(part, maxBytes, maxCount)) this.#add(slot, piece);
  };

  #add(slot: KeySlot, batch: Batch): void {
    const ticket = this.#ticket as Ticket;
    // A crash came between the chunk file and the progress that says so.
    if (this.#spiller?.files.isKnown(batch, ticket.position) === true) return;
    const { account, clock } = this.#o;
    const size = batch.end - batch.start;
    account.in += batch.count;
    account.pending += batch.count;
    account.bytesIn += size;
    ticket.hold();
    this.#memory(size);
    this.#staging.add(slot, batch, ticket, clock.now());
  }

  /** Everything before `position` has been announced. */
  passed(position: Position): void {
    this.#o.progress.advance(position);
  }

  /** Called when the pipeline has no more to hand over for now. */
  caughtUp(): void {
    if (this.#mode === 'immediate') this.#staging.closeAll();
    if (this.#isFull || this.#o.progress.isFull) this.#makeRoom();
  }

  #tick(): void {
    if (this.#isStopped) return;
    const { config, clock } = this.#o;
    const now = clock.now();
    const limit = config.queued_chunks_limit_size ?? config.flush_thread_count;
    // While others wait, a chunk that fills up further makes fewer and larger ones.
    if (this.#mode !== 'interval' || this.#sender.waiting < limit) this.#staging.closeDue(now);
    this.#checkOverflow();
    if (this.#isFull || this.#o.progress.isFull) this.#makeRoom();
    if (this.#isLong) this.#spill((chunk) => now - chunk.memoryMs >= config.spill_after);
    this.#sender.pump();
  }

  // ---- bounds -----------------------------------------------------------------------------------

  #memory(delta: number): void {
    this.#memoryBytes += delta;
    const { memoryLimitBytes } = this.#o;
    if (this.#memoryBytes >= memoryLimitBytes) this.#isFull = true;
    else if (this.#isFull && this.#memoryBytes <= memoryLimitBytes * 0.75) {
      this.#isFull = false;
      this.onRoom?.();
    }
  }

  /** Everything that waits for this output: what it has not finished of the log, and its chunk files. */
  #totalBytes(): number {
    const { lagBytes, progress } = this.#o;
    const lag = lagBytes === undefined ? this.#memoryBytes : lagBytes() - progress.finishedBytes;
    return lag + (this.#spiller?.files.bytes ?? 0);
  }

  #checkOverflow(): void {
    const { config, clock, log } = this.#o;
    if (this.#totalBytes() <= this.#totalLimit) {
      this.#overSinceMs = undefined;
      return;
    }
    if (config.overflow_action === 'drop_oldest_chunk') return this.#dropOldest();
    if (this.#overSinceMs === undefined && config.overflow_action === 'throw_exception')
      log.error({ limitBytes: this.#totalLimit }, 'total_limit_size reached, events wait in the entrance log');
    this.#overSinceMs ??= clock.now();
  }

  /** Chunks under way stay: whether they arrive is known soon. */
  #dropOldest(): void {
    let events = 0;
    while (this.#totalBytes() > this.#totalLimit) {
      const chunk = this.#sender.takeOldest() ?? this.#takeOpen();
      if (chunk === undefined) break;
      events += chunk.count;
      this.#settle(chunk, 0, chunk.count, 'buffer overflow');
    }
    if (events > 0) this.#o.log.error({ events }, 'total_limit_size reached, dropped the oldest chunks');
    this.#sender.pump();
  }

  #takeOpen(): OpenChunk | undefined {
    for (const chunk of this.#staging.chunks())
      if (chunk.spilling === undefined) {
        this.#staging.remove(chunk);
        return chunk;
      }
    return undefined;
  }

  /** Chunks may stay open for so long that files should keep them. */
  get #isLong(): boolean {
    return this.#staging.mayStayMs > this.#o.config.spill_after;
  }

  /** @returns false when nothing goes to files: they have reached their bound, or cannot be written */
  #spill(wanted: (chunk: OpenChunk) => boolean): boolean {
    const spiller = this.#spiller;
    if (spiller === undefined) return false;
    if (spiller.files.bytes >= this.#totalLimit && this.#o.config.overflow_action !== 'drop_oldest_chunk') return false;
    return spiller.spill(wanted);
  }

  /** Memory is full, or so are the finished ranges: open chunks go to files, or leave early. */
  #makeRoom(): void {
    if (this.#o.progress.isFull) {
      const oldest = this.#staging.oldest();
      if (oldest !== undefined && oldest.firstPosition < this.#sender.firstPosition()) this.#staging.close(oldest);
      return this.#sender.pump();
    }
    if (this.#sender.waiting > 0 || this.#sender.underWay > 0) return;
    if (this.#isLong && this.#spill(() => true)) return;
    for (const oldest of this.#staging.chunks()) {
      this.#staging.close(oldest);
      break;
    }
  }

  // ---- the end of a chunk -----------------------------------------------------------------------

  #settle(chunk: OpenChunk, delivered: number, dropped: number, reason: string, rest?: OpenChunk): void {
    const { account, progress } = this.#o;
    // Events that go on in another chunk stay pending.
    account.pending -= delivered + dropped;
    account.out += delivered;
    if (delivered === chunk.count) account.bytesOut += chunk.bytes;
    if (dropped > 0) account.drop(reason, dropped);
    chunk.release();
    this.#memory((rest?.memoryBytes ?? 0) - chunk.memoryBytes);
    chunk.memoryBytes = 0;
    const file = chunk.file ?? chunk.heldFile;
    if (rest !== undefined || file === undefined || this.#spiller === undefined) return;
    // Otherwise frames that were finished by the file would come again although it is gone.
    progress.save();
    this.#spiller.remove(file);
  }

  /** Delivers what is there; gives up on the rest when `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    if (flushesAtShutdown(this.#o.config)) {
      this.#staging.closeAll();
      this.#sender.pump();
      await this.#sender.idle(signal);
    }
    await this.#o.output.drain?.();
    await this.#o.secondary?.drain?.();
  }

  /**
   * Tells writes that are under way to end. What is not delivered by then waits in the log and in chunk files for the next
   * start; where nothing is kept, it is lost and booked so.
   */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#timer?.[Symbol.dispose]();
    const left = [...(await this.#sender.stop(STOP_MS)), ...this.#staging.chunks()];
    await this.#spiller?.done();
    for (const chunk of left) await this.#keepOrDrop(chunk);
    const { account, progress, log, output, secondary } = this.#o;
    const lost = account.dropped[STOPPED] ?? 0;
    const { reason } = this.state;
    if (lost > 0) log.error({ events: lost, reason }, 'stopped with events that were not delivered');
    if (account.pending > 0)
      log.info({ events: account.pending, reason }, 'events that were not delivered wait for the next start');
    await this.#spiller?.done();
    await progress.close();
    await secondary?.stop?.();
    await output.stop?.();
  }

  async #keepOrDrop(chunk: OpenChunk): Promise<void> {
    if (this.#o.progress.isKept) return;
    if (this.#spiller !== undefined) {
      try {
        await this.#spiller.files.spill(chunk);
        return;
      } catch (error) {
        this.#o.log.error({ reason: messageOf(error) }, 'a chunk cannot be kept in a file');
      }
    }
    const kept = chunk.file?.count ?? 0;
    this.#settle(chunk, 0, chunk.count - kept, STOPPED, chunk);
  }
}
