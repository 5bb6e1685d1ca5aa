import type { Clock, Log, Output, Verdict } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Position } from '../log/entrance-log.ts';
import type { BufferConfig } from './buffer-config.ts';
import { OpenChunk, selectEach, selectEvents } from './chunk.ts';
import type { DeadLetter } from './dead-letters-format.ts';
import { isGivenUp, nextTryMs, secondaryFromMs, type Failures } from './retry.ts';

export interface SenderOptions {
  readonly output: Output;
  readonly secondary: Output | undefined;
  readonly config: BufferConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** False: the events are not safe, and may not be counted as dealt with. */
  readonly bury: (letters: readonly DeadLetter[]) => boolean;
  /** What lies in the chunk's file; a rejection means that it cannot be read any more. */
  readonly load: (chunk: OpenChunk) => Promise<readonly Batch[]>;
  readonly unload: (chunk: OpenChunk) => void;
  /** So many events of the chunk are done; it is let go of unless it goes on as `rest`. */
  readonly settle: (chunk: OpenChunk, delivered: number, dropped: number, reason: string, rest?: OpenChunk) => void;
  /** Its file cannot be read: that part of it is lost. */
  readonly lost: (chunk: OpenChunk, reason: string) => void;
  /** When true only the chunk that holds the oldest frame may start. */
  readonly onlyOldest: () => boolean;
  readonly countError: () => void;
}

type Partial = Exclude<Verdict, 'delivered'>;

interface Trouble {
  readonly reason: string;
  readonly sinceMs: number;
  readonly nextTryMs: number | undefined;
  /** The output has said that it takes a person. */
  readonly isStalled: boolean;
}

/**
 * Carries closed chunks to the output, as many at once as `flush_thread_count`, and acts on its verdicts: what is delivered is
 * done, what is refused is buried with its reason, the rest is tried again after a wait that grows, and by the secondary
 * output in the end. A chunk that waits holds back those behind it, so that their order is kept.
 */
export class Sender {
  readonly #o: SenderOptions;
  #queue: OpenChunk[] = [];
  readonly #writing = new Map<OpenChunk, Promise<void>>();
  #wake: Disposable | undefined;
  #idle: (() => void)[] = [];
  #isPumping = false;
  #isStopping = false;
  #isClosed = false;
  #pauseUntilMs = 0;
  readonly #abort = new AbortController();
  #reason: string | undefined;
  #sinceMs = 0;
  #isStalled = false;
  retries = 0;

  constructor(options: SenderOptions) {
    this.#o = options;
  }

  /** Why the last try failed, since when tries fail, and when the next one is due; undefined when all is well. */
  get trouble(): Trouble | undefined {
    if (this.#reason === undefined) return undefined;
    const nextTryMs = this.#queue[0]?.notBeforeMs;
    return {
      reason: this.#reason,
      sinceMs: this.#sinceMs,
      nextTryMs: nextTryMs === 0 ? undefined : nextTryMs,
      isStalled: this.#isStalled,
    };
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get underWay(): number {
    return this.#writing.size;
  }

  /** Those that wait and those under way. */
  *chunks(): Generator<OpenChunk> {
    yield* this.#writing.keys();
    yield* this.#queue;
  }

  /** The first frame of the log that any of them holds back. */
  firstPosition(): Position {
    let first = Infinity;
    for (const chunk of this.chunks()) first = Math.min(first, chunk.firstPosition);
    return first;
  }

  push(chunk: OpenChunk): void {
    this.#queue.push(chunk);
    this.pump();
  }

  /** The chunk that has waited longest, which is taken out; undefined when none does. */
  takeOldest(): OpenChunk | undefined {
    const index = this.#queue.findIndex((chunk) => chunk.spilling === undefined);
    return index < 0 ? undefined : this.#queue.splice(index, 1)[0];
  }

  /** Starts what may start. */
  pump(): void {
    // Settling a chunk can come back here.
    if (this.#isStopping || this.#isPumping) return;
    this.#isPumping = true;
    this.#wake?.[Symbol.dispose]();
    this.#wake = undefined;
    const { config, clock } = this.#o;
    while (this.#writing.size < config.flush_thread_count) {
      const index = this.#nextIndex();
      const chunk = this.#queue[index];
      if (chunk === undefined) break;
      const now = clock.now();
      // A clock that is set back makes no wait longer than it was meant to be.
      chunk.notBeforeMs = Math.min(chunk.notBeforeMs, now + chunk.waitMs);
      this.#pauseUntilMs = Math.min(this.#pauseUntilMs, now + config.flush_thread_burst_interval);
      const waitMs = Math.max(chunk.notBeforeMs, this.#pauseUntilMs) - now;
      if (waitMs > 0) {
        this.#wake = clock.after(Math.min(waitMs, MAX_TIMER_MS), () => this.pump());
        break;
      }
      this.#queue.splice(index, 1);
      this.#start(chunk);
    }
    this.#isPumping = false;
    if (this.#writing.size === 0 && this.#queue.length === 0) for (const idle of this.#idle.splice(0)) idle();
  }

  /** -1: none may start. */
  #nextIndex(): number {
    if (!this.#o.onlyOldest()) return 0;
    let oldest = -1;
    let position = Infinity;
    for (const chunk of this.#writing.keys()) position = Math.min(position, chunk.firstPosition);
    for (const [n, { firstPosition }] of this.#queue.entries())
      if (firstPosition < position) [oldest, position] = [n, firstPosition];
    return oldest;
  }

  #start(chunk: OpenChunk): void {
    // Every way out of #write ends in a settled or requeued chunk; it does not reject.
    const written = this.#write(chunk).then(() => {
      this.#writing.delete(chunk);
      const { config, clock } = this.#o;
      if (config.flush_thread_burst_interval > 0) this.#pauseUntilMs = clock.now() + config.flush_thread_burst_interval;
      this.pump();
    });
    this.#writing.set(chunk, written);
  }

  async #write(chunk: OpenChunk): Promise<void> {
    if (chunk.spilling !== undefined) await chunk.spilling;
    let stored: readonly Batch[] = [];
    if (chunk.file !== undefined) {
      try {
        stored = await this.#o.load(chunk);
      } catch (error) {
        if (!this.#isClosed) this.#o.lost(chunk, messageOf(error));
        if (chunk.count === 0) return;
      }
    }
    const verdict = await this.#ask(chunk, stored);
    // After the end its events have been booked as lost or stay where they are.
    if (!this.#isClosed) this.#judge(chunk, stored, verdict);
    this.#o.unload(chunk);
  }

  async #ask(chunk: OpenChunk, stored: readonly Batch[]): Promise<Verdict> {
    const { config, clock, output, secondary } = this.#o;
    if (chunk.count === 1 && chunk.bytes > config.chunk_limit_size)
      return { refused: [{ index: 0, reason: `its ${chunk.bytes} bytes are more than chunk_limit_size` }] };
    const target = secondary !== undefined && this.#isForSecondary(chunk) ? secondary : output;
    const limitMs = config.delayed_commit_timeout;
    const late = new AbortController();
    const answer = Promise.withResolvers<Verdict>();
    using _timer =
      limitMs === undefined
        ? undefined
        : clock.after(limitMs, () => {
            late.abort();
            answer.resolve({ retry: 'all', reason: `no answer within the delayed_commit_timeout of ${limitMs} ms` });
          });
    const signal = limitMs === undefined ? this.#abort.signal : AbortSignal.any([this.#abort.signal, late.signal]);
    try {
      // What is said after the time limit is not heard any more.
      target.write(chunk.view(stored), signal).then(answer.resolve, answer.reject);
      return await answer.promise;
    } catch (error) {
      this.#o.countError();
      return { retry: 'all', reason: messageOf(error) };
    }
  }

  #isForSecondary(chunk: OpenChunk): boolean {
    const { config, clock } = this.#o;
    if (chunk.secondaryAt > 0) return true;
    if (chunk.attempt === 0 || clock.now() < secondaryFromMs(config, chunk.firstFailureMs)) return false;
    // This try is the first one there.
    chunk.secondaryAt = chunk.attempt + 1;
    this.#o.log.warn({ events: chunk.count, tries: chunk.attempt }, 'a chunk goes to the secondary output');
    return true;
  }

  #judge(chunk: OpenChunk, stored: readonly Batch[], verdict: Verdict): void {
    const { settle } = this.#o;
    if (verdict === 'delivered') {
      this.#recovered();
      return settle(chunk, chunk.count, 0, '');
    }
    const { refused, retry } = sorted(verdict, chunk.count);
    const batches = stored.length === 0 ? chunk.batches : [...stored, ...chunk.batches];
    if (refused.length > 0 && !this.#bury(chunk, batches, refused))
      // They are asked about again, until they can be put somewhere.
      return this.#goOn(
        chunk,
        batches,
        [...retry, ...refused.map(({ index }) => index)].toSorted((a, b) => a - b),
        0,
        {
          ...verdict,
          reason: 'dead letters cannot be written',
        },
      );
    const reason = this.#o.config.disable_chunk_backup ? 'refused, no backup' : 'refused';
    if (retry.length === 0) {
      this.#recovered();
      return settle(chunk, chunk.count - refused.length, refused.length, reason);
    }
    this.#goOn(chunk, batches, retry, refused.length, verdict);
  }

  /** What is done is booked now; the rest is tried again and takes the tickets along. */
  #goOn(chunk: OpenChunk, batches: readonly Batch[], retry: readonly number[], refused: number, verdict: Partial): void {
    if (retry.length === chunk.count) return this.#again(chunk, batches, verdict);
    const rest = new OpenChunk(chunk.openedMs, chunk.values);
    for (const batch of selectEvents(batches, retry)) rest.add(batch, undefined, chunk.memoryMs);
    rest.tickets.length = 0;
    rest.tickets.push(...chunk.tickets.splice(0));
    rest.heldFile = chunk.file ?? chunk.heldFile;
    rest.attempt = chunk.attempt;
    rest.firstFailureMs = chunk.firstFailureMs;
    rest.secondaryAt = chunk.secondaryAt;
    this.#o.settle(chunk, chunk.count - retry.length - refused, refused, 'refused', rest);
    this.#again(rest, rest.batches, verdict);
  }

  #again(chunk: OpenChunk, batches: readonly Batch[], verdict: Partial): void {
    const { config, clock, log, random, secondary, settle } = this.#o;
    const now = clock.now();
    const reason = verdict.reason ?? 'the output asked for another try';
    const isStalled = verdict.state === 'stalled';
    // What waits for a person uses up no tries, and its wait does not grow; retry_timeout bounds it.
    chunk.attempt = isStalled ? Math.max(1, chunk.attempt) : chunk.attempt + 1;
    if (chunk.firstFailureMs === 0) chunk.firstFailureMs = now;
    const failures: Failures = { count: chunk.attempt, firstMs: chunk.firstFailureMs, secondaryAt: chunk.secondaryAt };
    if (isGivenUp(config, failures, now) && this.#giveUp(chunk, batches, reason))
      return settle(chunk, 0, chunk.count, 'retries exhausted');
    this.retries++;
    // A chunk that is given up but cannot be put anywhere is tried on and on.
    const dueMs = Math.max(
      nextTryMs(config, failures, now, random(), secondary !== undefined),
      isGivenUp(config, failures, now) ? now + 1000 : 0,
    );
    const waitMs = Math.max(dueMs - now, verdict.afterMs ?? 0);
    chunk.waitMs = waitMs;
    chunk.notBeforeMs = now + waitMs;
    if (this.#reason !== reason)
      log.warn({ reason, retryInMs: Math.round(waitMs), events: chunk.count }, 'delivery failed, trying again');
    if (this.#reason === undefined) this.#sinceMs = now;
    this.#reason = reason;
    this.#isStalled = isStalled;
    this.#queue.unshift(chunk);
  }

  #giveUp(chunk: OpenChunk, batches: readonly Batch[], reason: string): boolean {
    const { config, log, bury } = this.#o;
    const tries = chunk.attempt;
    const letters = batches.map((batch) => ({
      batch,
      reason: `given up after ${tries} tries: ${reason}`,
      tries,
      metadata: chunk.view().metadata,
    }));
    if (!config.disable_chunk_backup && !bury(letters)) return false;
    log.error({ events: chunk.count, tries, reason }, 'gave up on a chunk');
    return true;
  }

  #bury(
    chunk: OpenChunk,
    batches: readonly Batch[],
    refused: readonly { readonly index: number; readonly reason: string; readonly status?: number }[],
  ): boolean {
    const { config, log, bury } = this.#o;
    if (!config.disable_chunk_backup) {
      const { metadata } = chunk.view();
      const events = selectEach(
        batches,
        refused.map(({ index }) => index),
      );
      const letters = events.map((batch, n) => {
        const { reason = 'refused', status } = refused[n] ?? {};
        return { batch, reason, tries: chunk.attempt + 1, metadata, ...(status !== undefined && { status }) };
      });
      if (!bury(letters)) return false;
    }
    log.error({ events: refused.length, reason: refused[0]?.reason }, 'events were refused and set aside as dead letters');
    return true;
  }

  #recovered(): void {
    if (this.#reason === undefined) return;
    this.#reason = undefined;
    this.#o.log.info({}, 'delivery works again');
  }

  /** Resolves when nothing waits and nothing is under way, or when `signal` aborts. */
  async idle(signal: AbortSignal): Promise<void> {
    if (this.#writing.size === 0 && this.#queue.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /**
   * Tells writes that are under way to end. What they say within the time is acted on.
   *
   * @returns the chunks that were not delivered
   */
  async stop(graceMs: number): Promise<OpenChunk[]> {
    this.#isStopping = true;
    this.#wake?.[Symbol.dispose]();
    this.#abort.abort();
    if (this.#writing.size > 0) {
      const late = Promise.withResolvers<void>();
      using _deadline = this.#o.clock.after(graceMs, late.resolve);
      await Promise.race([Promise.all(this.#writing.values()), late.promise]);
    }
    this.#isClosed = true;
    for (const idle of this.#idle.splice(0)) idle();
    return [...this.#writing.keys(), ...this.#queue.splice(0)];
  }
}

/** Node fires longer timers at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

type Refused = NonNullable<Partial['refused']>;

/** A verdict in order: every index once, none beyond the chunk; what is both refused and to be tried again is refused. */
function sorted(verdict: Partial, count: number): { refused: Refused; retry: readonly number[] } {
  const isKnown = (index: number): boolean => Number.isInteger(index) && index >= 0 && index < count;
  const refused = new Map((verdict.refused ?? []).filter(({ index }) => isKnown(index)).map((one) => [one.index, one]));
  const wanted = verdict.retry === 'all' ? Array.from({ length: count }, (_, n) => n) : (verdict.retry ?? []);
  const retry = [...new Set(wanted)].filter((index) => isKnown(index) && !refused.has(index)).toSorted((a, b) => a - b);
  return { refused: [...refused.values()].toSorted((a, b) => a.index - b.index), retry };
}
