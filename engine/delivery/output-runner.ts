import type { Clock, Log, Output, Verdict } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Frame, Position } from '../log/entrance-log.ts';
import type { Account } from '../telemetry/accounts.ts';
import type { BufferConfig } from './buffer-config.ts';
import { OpenChunk, selectEvents } from './chunk.ts';
import { isGivenUp, nextTryMs } from './retry.ts';
import type { Progress } from './progress.ts';
import { Ticket } from './ticket.ts';

export interface DeadLetter {
  readonly batch: Batch;
  readonly reason: string;
}

export interface OutputRunnerOptions {
  readonly id: string;
  readonly output: Output;
  readonly config: BufferConfig;
  /** When chunks leave if the configuration does not say. */
  readonly flush: 'immediate' | 'interval';
  readonly account: Account;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Where the output stands in the log. */
  readonly progress: Progress;
  /** Bytes that may wait in memory; beyond, `isFull` is true until `onRoom` is called. */
  readonly memoryLimitBytes: number;
  /** Takes events that will never be delivered, with the reason; they count as dropped. */
  readonly bury: (letters: readonly DeadLetter[]) => void;
}

/** Time that an output gets to come to an end once it was told to; what it delivers later is not booked any more. */
const STOP_MS = 1000;
const STOPPED = 'stopped before delivery';

/**
 * Gathers batches into chunks, hands them to the output, and acts on its verdict: what is delivered is done, what is
 * refused is buried with its reason, the rest is tried again after a wait that grows. Chunks keep their order as long
 * as `flush_thread_count` is 1. A slow output holds nobody back here; the bound is that of the entrance log.
 */
export class OutputRunner {
  readonly #o: OutputRunnerOptions;
  readonly #byTag: boolean;
  readonly #immediate: boolean;
  readonly #open = new Map<string, OpenChunk>();
  #queue: OpenChunk[] = [];
  readonly #writing = new Set<Promise<void>>();
  #waitingBytes = 0;
  #retryReason: string | undefined;
  #stopping = false;
  #isClosed = false;
  #timer: Disposable | undefined;
  #wake: Disposable | undefined;
  #idle: (() => void)[] = [];
  readonly #abort = new AbortController();
  /** Called when an output that was full has room again. */
  onRoom: (() => void) | undefined;
  /** Called when the low-water mark has moved. */
  onProgress: (() => void) | undefined;

  constructor(options: OutputRunnerOptions) {
    this.#o = options;
    this.#byTag = options.config['@arg'].split(',').some((key) => key.trim() === 'tag');
    options.progress.onMoved = () => this.onProgress?.();
    const mode = options.config.flush_mode;
    this.#immediate =
      mode === 'immediate' || (mode === 'default' && options.flush === 'immediate') || options.config.flush_interval === 0;
  }

  async start(): Promise<void> {
    await this.#o.output.start?.();
    const { config } = this.#o;
    if (!this.#immediate)
      this.#timer = this.#o.clock.every(Math.max(10, Math.min(config.flush_interval / 4, 1000)), () => this.#closeOld());
  }

  /** `ok`, or why nothing moves. */
  get state(): { readonly state: string; readonly reason?: string } {
    return this.#retryReason === undefined ? { state: 'ok' } : { state: 'retrying', reason: this.#retryReason };
  }

  get lowWater(): Position {
    return this.#o.progress.lowWater;
  }

  /** So much waits in memory that the pipeline shall read no further for this output. */
  get isFull(): boolean {
    return this.#waitingBytes >= this.#o.memoryLimitBytes;
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

  /** Takes a batch; `ticket` is released when its events are delivered, buried or dropped. */
  take(batch: Batch, ticket: Ticket): void {
    const { account, config, clock } = this.#o;
    account.in += batch.count;
    account.pending += batch.count;
    account.bytesIn += batch.end - batch.start;
    ticket.hold();
    const key = this.#byTag ? batch.tag : '';
    let chunk = this.#open.get(key);
    if (chunk === undefined) {
      chunk = new OpenChunk(clock.now());
      this.#open.set(key, chunk);
    }
    chunk.add(batch, ticket);
    this.#waitingBytes += batch.end - batch.start;
    if (chunk.bytes >= config.chunk_limit_size || chunk.count >= config.chunk_limit_records || this.#open.size > 1000)
      this.#close(key, chunk);
    if (config.overflow_action !== 'drop_oldest_chunk' || this.#waitingBytes <= config.total_limit_size) return;
    this.#dropOldest(config.total_limit_size);
    this.#pump();
  }

  /** Called when the pipeline has no more to hand over for now. */
  caughtUp(): void {
    if (!this.#immediate) return;
    for (const [key, chunk] of this.#open) this.#close(key, chunk);
  }

  #closeOld(): void {
    const due = this.#o.clock.now() - this.#o.config.flush_interval;
    for (const [key, chunk] of this.#open) if (chunk.openedMs <= due) this.#close(key, chunk);
  }

  #close(key: string, chunk: OpenChunk): void {
    this.#open.delete(key);
    this.#queue.push(chunk);
    this.#pump();
  }

  /** Chunks under way stay: whether they arrive is known soon. */
  #dropOldest(limit: number): void {
    let events = 0;
    while (this.#waitingBytes > limit) {
      const chunk = this.#queue.shift() ?? this.#open.values().next().value;
      if (chunk === undefined) break;
      for (const [key, open] of this.#open) if (open === chunk) this.#open.delete(key);
      events += chunk.count;
      this.#settle(chunk, 0, chunk.count, 'buffer overflow');
    }
    if (events > 0) this.#o.log.error({ events }, 'total_limit_size reached, dropped the oldest chunks');
  }

  #pump(): void {
    const { config, clock } = this.#o;
    if (this.#stopping) return;
    // Set again below when it is still needed: the chunk that it waited for may be gone.
    this.#wake?.[Symbol.dispose]();
    this.#wake = undefined;
    while (this.#writing.size < config.flush_thread_count) {
      const chunk = this.#queue[0];
      if (chunk === undefined) break;
      const waitMs = chunk.notBeforeMs - clock.now();
      if (waitMs > 0) {
        this.#wake = clock.after(waitMs, () => this.#pump());
        return;
      }
      this.#queue.shift();
      // Every way out of #write ends in a settled or requeued chunk; it does not reject.
      const written = this.#write(chunk).then(() => {
        this.#writing.delete(written);
        this.#pump();
      });
      this.#writing.add(written);
    }
    if (this.#writing.size === 0 && this.#queue.length === 0) for (const idle of this.#idle.splice(0)) idle();
  }

  async #write(chunk: OpenChunk): Promise<void> {
    let verdict: Verdict;
    try {
      verdict = await this.#o.output.write(chunk.view(), this.#abort.signal);
    } catch (error) {
      this.#o.account.errors++;
      verdict = { retry: 'all', reason: messageOf(error) };
    }
    // After the end its events have been booked as lost.
    if (!this.#isClosed) this.#judge(chunk, verdict);
  }

  #judge(chunk: OpenChunk, verdict: Verdict): void {
    if (verdict === 'delivered') {
      this.#recovered();
      return this.#settle(chunk, chunk.count, 0, '');
    }
    const { refused, retry } = sorted(verdict, chunk.count);
    if (refused.length > 0) this.#bury(chunk, refused);
    const delivered = chunk.count - refused.length - retry.length;
    if (retry.length === 0) {
      this.#recovered();
      return this.#settle(chunk, delivered, refused.length, 'refused');
    }
    if (retry.length === chunk.count) return this.#again(chunk, verdict);
    const rest = new OpenChunk(chunk.openedMs);
    for (const batch of selectEvents(chunk.batches, retry)) rest.add(batch, undefined);
    // What is done is booked now; the tickets go on with the rest.
    rest.tickets.push(...chunk.tickets.splice(0));
    rest.attempt = chunk.attempt;
    rest.firstFailureMs = chunk.firstFailureMs;
    this.#waitingBytes += rest.bytes;
    this.#settle(chunk, delivered, refused.length, 'refused');
    this.#again(rest, verdict);
  }

  #again(chunk: OpenChunk, verdict: Exclude<Verdict, 'delivered'>): void {
    const { config, clock, log, random } = this.#o;
    const now = clock.now();
    const reason = verdict.reason ?? 'the output asked for another try';
    chunk.attempt++;
    if (chunk.firstFailureMs === 0) chunk.firstFailureMs = now;
    if (isGivenUp(config, chunk.attempt, chunk.firstFailureMs, now)) {
      const letters = chunk.batches.map((batch) => ({ batch, reason: `given up after ${chunk.attempt} tries: ${reason}` }));
      this.#o.bury(letters);
      log.error({ events: chunk.count, tries: chunk.attempt, reason }, 'gave up on a chunk');
      return this.#settle(chunk, 0, chunk.count, 'retries exhausted');
    }
    const dueMs = nextTryMs(config, chunk.attempt, chunk.firstFailureMs, now, random());
    const waitMs = Math.max(dueMs - now, verdict.afterMs ?? 0);
    chunk.notBeforeMs = now + waitMs;
    if (this.#retryReason !== reason)
      log.warn({ reason, retryInMs: Math.round(waitMs), events: chunk.count }, 'delivery failed, trying again');
    this.#retryReason = reason;
    this.#queue.unshift(chunk);
  }

  #recovered(): void {
    if (this.#retryReason === undefined) return;
    this.#retryReason = undefined;
    this.#o.log.info({}, 'delivery works again');
  }

  #bury(chunk: OpenChunk, refused: readonly { readonly index: number; readonly reason: string }[]): void {
    const letters: DeadLetter[] = [];
    for (const { index, reason } of refused)
      for (const batch of selectEvents(chunk.batches, [index])) letters.push({ batch, reason });
    this.#o.bury(letters);
    this.#o.log.error(
      { events: refused.length, reason: refused[0]?.reason },
      'events were refused and set aside as dead letters',
    );
  }

  #settle(chunk: OpenChunk, delivered: number, dropped: number, reason: string): void {
    const { account } = this.#o;
    // Events that go on in another chunk stay pending.
    account.pending -= delivered + dropped;
    account.out += delivered;
    if (delivered === chunk.count) account.bytesOut += chunk.bytes;
    if (dropped > 0) account.drop(reason, dropped);
    const wasFull = this.isFull;
    this.#waitingBytes -= chunk.bytes;
    chunk.release();
    if (wasFull && !this.isFull) this.onRoom?.();
  }

  /** Delivers what is there; gives up on the rest when `signal` aborts. */
  async drain(signal: AbortSignal): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    if (!this.#o.config.flush_at_shutdown) return this.#o.output.drain?.();
    for (const [key, chunk] of this.#open) this.#close(key, chunk);
    if (this.#writing.size > 0 || this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    await this.#o.output.drain?.();
  }

  /** Tells writes that are under way to end, and books what is not delivered by then as lost. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#timer?.[Symbol.dispose]();
    this.#wake?.[Symbol.dispose]();
    this.#abort.abort();
    await this.#settled();
    this.#isClosed = true;
    for (const idle of this.#idle.splice(0)) idle();
    for (const chunk of [...this.#queue, ...this.#open.values()]) this.#settle(chunk, 0, chunk.count, STOPPED);
    this.#queue = [];
    this.#open.clear();
    const { account } = this.#o;
    // What an output that did not come to an end still holds.
    if (account.pending > 0) account.drop(STOPPED, account.pending);
    account.pending = 0;
    const lost = account.dropped[STOPPED] ?? 0;
    if (lost > 0) this.#o.log.error({ events: lost, reason: this.#retryReason }, 'stopped with events that were not delivered');
    await this.#o.output.stop?.();
  }

  /** The writes under way have ended, or their time is over. */
  async #settled(): Promise<void> {
    if (this.#writing.size === 0) return;
    const late = Promise.withResolvers<void>();
    using _deadline = this.#o.clock.after(STOP_MS, late.resolve);
    await Promise.race([Promise.all(this.#writing), late.promise]);
  }
}

type Partial = Exclude<Verdict, 'delivered'>;

/** A verdict in order: every index once, none beyond the chunk; what is both refused and to be tried again is refused. */
function sorted(verdict: Partial, count: number): { refused: NonNullable<Partial['refused']>; retry: readonly number[] } {
  const isKnown = (index: number): boolean => Number.isInteger(index) && index >= 0 && index < count;
  const refused = new Map((verdict.refused ?? []).filter(({ index }) => isKnown(index)).map((one) => [one.index, one]));
  const wanted = verdict.retry === 'all' ? Array.from({ length: count }, (_, n) => n) : (verdict.retry ?? []);
  const retry = [...new Set(wanted)].filter((index) => isKnown(index) && !refused.has(index)).toSorted((a, b) => a - b);
  return { refused: [...refused.values()], retry };
}
