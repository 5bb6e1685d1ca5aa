import { setImmediate } from 'node:timers/promises';
import { encodingLabel } from '../../engine/encoding.ts';
import type { MillraceError } from '../../engine/errors.ts';
import { Follower, type Watched } from './follow.ts';
import { Joiner, joiningOf } from './join.ts';
import { Lines } from './lines.ts';
import type { Reader } from './reader.ts';
import { Reports } from './reports.ts';
import type { TailConfig, TailContext, TailSource } from './tail.ts';

/** Read from one file before the next one has its turn. */
const TURN_BYTES = 256 * 1024;
const TURNS_BETWEEN_YIELDS = 64;
const LOOK_EVERY_MS = 1000;
/** Pause before lines are read again that could not be handed over. */
const RETRY_MS = 1000;

/** Reads the files of one tail source in turns, and moves positions when what was read is acknowledged. */
export class Tail implements TailSource {
  readonly finished: Promise<void>;
  readonly #resolveFinished: () => void;
  readonly #config: TailConfig;
  readonly #ctx: TailContext;
  readonly #reports: Reports;
  readonly #lines: Lines;
  /** Set when events may have several lines. */
  readonly #joiner: Joiner | undefined;
  readonly #block: Buffer;
  readonly #follower: Follower;
  readonly #timers: Disposable[] = [];
  readonly #ending = new AbortController();
  #running: Promise<void> | undefined;
  #wasWoken = false;
  #isFull = false;
  #isDraining = false;
  #current: { file: Watched; reader: Reader } | undefined;
  #settled: (() => void)[] = [];

  constructor(config: TailConfig, ctx: TailContext) {
    this.#config = config;
    this.#ctx = ctx;
    ({ promise: this.finished, resolve: this.#resolveFinished } = Promise.withResolvers<void>());
    this.#reports = new Reports(config, ctx);
    this.#block = Buffer.allocUnsafeSlow(config.read_block_size);
    this.#lines = new Lines({
      parser: ctx.parser(config.parse, 'none'),
      maxLine: config.max_line_size,
      encoding: encodingLabel(config.from_encoding ?? config.encoding ?? 'UTF-8') || undefined,
      pathKey: config.path_key,
      keepsUnmatched: config.emit_unmatched_lines,
      maxEntries: config.read_lines_limit ?? Infinity,
      onFull: () => {
        if (this.#current !== undefined) this.#emit(this.#current.file, this.#current.reader);
      },
      onUnmatched: (reason, line) => this.#reports.unmatched(reason, line),
      onTooLong: () => this.#reports.tooLong(1),
      onRepaired: () => this.#reports.repaired(),
    });
    this.#joiner = this.#makeJoiner();
    this.#follower = new Follower(config, ctx, {
      reports: this.#reports,
      takeFor: (path) => (bytes, from, to, isHead, reader) => {
        this.#lines.writer.defaultTimeMs(ctx.clock.now());
        if (this.#joiner === undefined) this.#lines.take(bytes, from, to, isHead, path);
        else this.#joiner.take(bytes, from, to, isHead, path, reader);
      },
      finish: (file, reader) => this.#finish(file, reader),
      emit: (file, reader) => this.#emit(file, reader),
      wake: () => this.#wake(),
    });
  }

  #makeJoiner(): Joiner | undefined {
    const joining = joiningOf(this.#config.parse);
    if (joining === undefined) return undefined;
    const options = {
      firstLine: joining.firstLine,
      maxBytes: this.#config.max_line_size,
      keepsUnmatched: this.#config.emit_unmatched_lines,
      onTooLong: () => this.#reports.tooLong(1),
      onStray: (line: Buffer) => this.#reports.unmatched('no first line', line),
      now: () => this.#ctx.clock.now(),
    };
    return new Joiner(options, this.#lines);
  }

  async start(): Promise<void> {
    const { clock } = this.#ctx;
    const config = this.#config;
    const follower = this.#follower;
    await follower.load();
    if (config.exit_at_eof || !config.skip_refresh_on_startup) follower.refresh(true);
    if (config.exit_at_eof) follower.requireFiles();
    this.#timers.push(clock.every(config.refresh_interval, () => follower.refresh(false)));
    this.#timers.push(clock.every(LOOK_EVERY_MS, () => this.#tick()));
    const { pos_file_compaction_interval: compactEvery } = config;
    if (compactEvery !== undefined) this.#timers.push(clock.every(compactEvery, () => follower.compact()));
    const { multiline_flush_interval: flushAfter } = config;
    if (this.#joiner !== undefined && flushAfter !== undefined)
      this.#timers.push(clock.every(Math.min(flushAfter, LOOK_EVERY_MS), () => this.#flushHeld(flushAfter)));
    this.#wake();
  }

  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#ending.abort();
    await this.#running;
    const { signal } = this.#ctx;
    const { promise, resolve: done } = Promise.withResolvers<void>();
    this.#settled.push(done);
    signal.addEventListener('abort', () => done(), { once: true });
    if (signal.aborted || this.#isSettled()) done();
    await promise;
  }

  async stop(): Promise<void> {
    this.#isDraining = true;
    this.#ending.abort();
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]();
    await this.#running;
    await this.#follower.close();
  }

  // ---- reading ----------------------------------------------------------------------------------

  #wake(): void {
    this.#wasWoken = true;
    if (this.#running !== undefined || this.#isDraining) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      // A change may have been told while the last look was under way.
      if (this.#wasWoken) this.#wake();
    });
  }

  #tick(): void {
    if (this.#config.enable_watch_timer) for (const file of this.#follower.files.values()) this.#follower.look(file);
    this.#wake();
  }

  /** Reads in turns until nothing is left, then waits to be woken. */
  async #run(): Promise<void> {
    await setImmediate();
    const { files, notified } = this.#follower;
    let turns = 0;
    for (let hasWork = true; hasWork;) {
      this.#wasWoken = false;
      for (const file of notified) this.#follower.look(file);
      notified.clear();
      hasWork = false;
      for (const file of files.values()) {
        if (this.#isDraining) return;
        const reader = file.readers.find((one) => !one.isAtEnd);
        if (reader === undefined || reader.isHeld || this.#isThrottled(reader)) continue;
        hasWork = true;
        if (this.#turn(file, reader) || ++turns % TURNS_BETWEEN_YIELDS === 0) await setImmediate();
        if (this.#isFull) await this.#untilReady();
      }
    }
    this.#finishIfDone();
  }

  /** @returns whether a good deal was read */
  #turn(file: Watched, reader: Reader): boolean {
    let bytes = 0;
    try {
      while (bytes < TURN_BYTES && !this.#isFull && !reader.isHeld && !this.#isThrottled(reader)) {
        this.#current = { file, reader };
        const count = reader.step(this.#block, file.take);
        if (count === 0) break;
        bytes += count;
        reader.windowBytes += count;
        if (reader.hasNews) this.#emit(file, reader);
      }
    } catch (error) {
      reader.isAtEnd = true;
      this.#reports.unreadable(file, error);
    }
    this.#current = undefined;
    this.#ctx.metrics.bytes.add(bytes);
    if (reader.tooLong > 0) {
      this.#reports.tooLong(reader.tooLong);
      reader.tooLong = 0;
    }
    return bytes >= TURN_BYTES;
  }

  #isThrottled(reader: Reader): boolean {
    const limit = this.#config.read_bytes_limit_per_second;
    if (limit <= 0) return false;
    const now = this.#ctx.clock.now();
    if (now - reader.windowStart >= 1000) {
      reader.windowStart = now;
      reader.windowBytes = 0;
    }
    // The timer of each second goes on with it.
    return reader.windowBytes >= limit;
  }

  async #untilReady(): Promise<void> {
    const { promise, resolve: stopped } = Promise.withResolvers<void>();
    this.#ending.signal.addEventListener('abort', () => stopped(), { once: true });
    if (this.#ending.signal.aborted) stopped();
    await Promise.race([this.#ctx.ready(), promise]);
    this.#isFull = false;
  }

  #emit(file: Watched, reader: Reader): void {
    const batch = this.#lines.writer.take(file.tag);
    const done = reader.handOver();
    if (batch === undefined) {
      done();
      this.#follower.commit(file);
      return;
    }
    const { generation } = reader;
    const isMore = this.#ctx.emit(batch, (failure) => {
      if (failure === undefined) done();
      else if (generation === reader.generation) this.#repeat(file, reader, failure);
      this.#follower.commit(file);
      if (reader.isSettled) this.#wakeSettled();
    });
    if (!isMore) this.#isFull = true;
  }

  /** Lines that were not taken are read again from where everything before was acknowledged. */
  #repeat(file: Watched, reader: Reader, failure: MillraceError): void {
    if (reader.isHeld) return;
    reader.isHeld = true;
    this.#ctx.log.warn({ path: file.path, reason: failure.message }, 'lines were not taken, reading them again');
    const timer = this.#ctx.clock.after(RETRY_MS, () => {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      if (!reader.isOpen) return;
      reader.rewind(reader.committed);
      this.#wake();
    });
    this.#timers.push(timer);
  }

  #finish(file: Watched, reader: Reader): void {
    reader.finish(file.take);
    this.#joiner?.flush(file.path, reader);
  }

  /** Events of several lines to which nothing was added for so long are whole. */
  #flushHeld(afterMs: number): void {
    const before = this.#ctx.clock.now() - afterMs;
    for (const file of this.#follower.files.values()) {
      for (const reader of file.readers) {
        if (reader.held.length === 0 || reader.heldSince > before || reader.isHeld) continue;
        this.#lines.writer.defaultTimeMs(this.#ctx.clock.now());
        this.#joiner?.flush(file.path, reader);
        this.#emit(file, reader);
      }
    }
  }

  #isSettled(): boolean {
    for (const { readers } of this.#follower.files.values())
      if (!readers.every((reader) => reader.isSettled || reader.isHeld)) return false;
    return true;
  }

  #wakeSettled(): void {
    if (!this.#isSettled()) return;
    for (const done of this.#settled.splice(0)) done();
    this.#finishIfDone();
  }

  /** With `exit_at_eof`: incomplete last lines are taken, then the end is told. */
  #finishIfDone(): void {
    if (!this.#config.exit_at_eof || this.#isDraining) return;
    const open = [...this.#follower.files.values()].flatMap((file) => file.readers.map((reader) => ({ file, reader })));
    if (open.some(({ reader }) => !reader.isAtEnd || reader.isHeld)) return;
    for (const { file, reader } of open) {
      if (reader.isFinished) continue;
      this.#finish(file, reader);
      this.#emit(file, reader);
    }
    if (this.#isSettled()) this.#resolveFinished();
  }
}
