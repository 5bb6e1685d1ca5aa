import type { Ack, Clock, Log } from '../component.ts';
import type { OutputRunner } from '../delivery/output-runner.ts';
import type { Ticket } from '../delivery/ticket.ts';
import { messageOf } from '../errors.ts';
import type { EntranceLog, Frame, LogReader, Position } from '../log/entrance-log.ts';
import { Account } from '../telemetry/accounts.ts';
import type { ConsumerBook } from './consumer-book.ts';
import { Router, routesOf, type Routes } from './router.ts';

/** Events routed in one turn of the loop before sockets get theirs. */
const EVENTS_PER_TURN = 20_000;
/** How often ended intervals are looked for, and how often what was counted is saved. */
const TICK_MS = 250;
const COMMIT_MS = 1000;
/** While a long log is caught up with, intervals are closed when the frames' time has moved on so far. */
const CLOSE_STEP_MS = 1000;

export interface FlowOptions {
  readonly log: EntranceLog;
  readonly routes: Routes;
  readonly router: Router;
  readonly outputs: readonly OutputRunner[];
  readonly book: ConsumerBook;
  readonly clock: Clock;
  readonly say: Log;
  /** Consumers have published every interval that ended by then. */
  readonly onClosed: (untilMs: number) => void;
}

/** Consumers that have no state yet count what comes from now on; that is saved before anything comes. */
function cursorOf(book: ConsumerBook, log: EntranceLog): Position | undefined {
  const cursor = book.restore();
  if (cursor !== undefined || book.isEmpty || !book.persists) return cursor;
  book.commit(log.head);
  return log.head;
}

/** An output that was too slow for the others and reads the log at its own pace. */
interface Detached {
  readonly runner: OutputRunner;
  readonly reader: LogReader;
  readonly router: Router;
}

/**
 * What moves frames from the log to the outputs. One shared reader runs the filters once for everybody; an output whose
 * memory is full while others go on gets a reader of its own, until it has caught up. When all are full, nothing is read:
 * the log takes what comes, up to its bound. What nobody needs any more is trimmed off the log.
 *
 *     log  ──shared reader──▶ filters ──▶ consumers, outputs
 *       └──── own reader ───▶ filters ──▶ one slow output
 */
export class Flow {
  readonly #o: FlowOptions;
  readonly #reader: LogReader;
  readonly #attached: Set<OutputRunner>;
  readonly #detached = new Map<OutputRunner, Detached>();
  readonly #tickets = new Map<OutputRunner, Ticket>();
  /** Consumers have seen what lies before. */
  readonly #cursor: Position;
  /** At this time the log reached up to here: once that is read, intervals that ended by then are complete. */
  readonly #marks: { untilMs: number; head: Position }[] = [];
  /** Sources that wait until outputs have their events, in order of position. */
  readonly #untilDelivered: { position: Position; ack: Ack }[] = [];
  #closedMs = 0;
  #committedAtMs = 0;
  #scheduled = false;
  #trimScheduled = false;
  #stopped = false;
  #isPaused = false;
  #timer: Disposable | undefined;
  #quiet: (() => void)[] = [];
  /** Events read for everybody, and those among them that were in the log at start. */
  readonly routed = { events: 0, recovered: 0 };
  readonly #startHead: Position;
  /** Times that an output got a reader of its own. */
  detachments = 0;

  constructor(options: FlowOptions) {
    this.#o = options;
    const { log, outputs, book } = options;
    this.#startHead = log.head;
    const cursor = cursorOf(book, log);
    this.#cursor = cursor ?? 0;
    this.#attached = new Set(outputs);
    const needed = [...outputs.map((runner) => runner.lowWater), ...(cursor === undefined ? [] : [cursor])];
    this.#reader = log.reader(needed.length === 0 ? undefined : Math.min(...needed), () => this.schedule());
    for (const runner of outputs) {
      runner.onRoom = () => this.schedule();
      runner.onProgress = () => this.#scheduleTrim();
    }
  }

  start(): void {
    this.#timer = this.#o.clock.every(TICK_MS, () => this.#tick());
    this.schedule();
  }

  /** Calls `ack` once every output is done with what was appended so far. */
  whenDelivered(ack: Ack): void {
    this.#untilDelivered.push({ position: this.#o.log.head, ack });
    this.#scheduleTrim();
  }

  schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  /** Everything in the log has been read, as far as the outputs take it; outputs with a reader of their own too. */
  async drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#quiet.push(resolve);
      this.schedule();
    });
  }

  /** Reads no more. What was counted is saved. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
    this.#commit();
    this.#reader.close();
    for (const { reader } of this.#detached.values()) reader.close();
    for (const wake of this.#quiet.splice(0)) wake();
  }

  get position(): Position {
    return this.#reader.position;
  }

  isDetached(runner: OutputRunner): boolean {
    return this.#detached.has(runner);
  }

  /** Every output holds as much as it may. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The end of a run that is not continued: intervals are published as they are. */
  closeAll(): void {
    this.#o.book.close(Infinity);
    this.#o.onClosed(Infinity);
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#stopped) return;
    const sharedIsDone = this.#readShared();
    let isDone = sharedIsDone;
    for (const one of this.#detached.values()) if (!this.#readAlone(one)) isDone = false;
    this.#closeMarks();
    for (const runner of this.#o.outputs) {
      runner.passed((this.#detached.get(runner)?.reader ?? this.#reader).position);
      runner.caughtUp();
    }
    if (!isDone) return this.schedule();
    if (this.#isIdle()) for (const wake of this.#quiet.splice(0)) wake();
  }

  /** Whether a frame that no output takes has to go through the filters: for consumers, and to be booked as dropped. */
  get #isWanted(): boolean {
    return !this.#o.book.isEmpty || this.#o.outputs.length === 0;
  }

  #isIdle(): boolean {
    return this.#reader.position >= this.#o.log.head && this.#detached.size === 0;
  }

  /** @returns false when there is more to read */
  #readShared(): boolean {
    const { book, router } = this.#o;
    for (let left = EVENTS_PER_TURN; left > 0;) {
      this.#isPaused = !this.#hasRoom();
      if (this.#isPaused) return true;
      const frame = this.#reader.next();
      if (frame === undefined) return true;
      left -= frame.batch.count;
      const isNew = frame.position >= this.#cursor;
      if (isNew && !book.isEmpty) this.#closeBefore(frame);
      this.routed.events += frame.batch.count;
      if (frame.position < this.#startHead) this.routed.recovered += frame.batch.count;
      for (const runner of this.#attached) {
        const ticket = runner.ticket(frame);
        if (ticket !== undefined) this.#tickets.set(runner, ticket);
      }
      if (this.#tickets.size > 0 || (isNew && this.#isWanted)) router.route(frame, this.#tickets, isNew);
      for (const ticket of this.#tickets.values()) ticket.release();
      this.#tickets.clear();
      if (isNew) book.changed();
    }
    return false;
  }

  /** Room to read on: not when everybody who would get the frame is full. Those that hold others back are detached. */
  #hasRoom(): boolean {
    const { book, outputs } = this.#o;
    if (book.isFull) return false;
    if (this.#attached.size === 0 && outputs.length > 0) return !book.isEmpty;
    let full = 0;
    for (const runner of this.#attached) if (runner.isFull) full++;
    if (full === 0) return true;
    if (full === this.#attached.size && book.isEmpty && outputs.length === full) return false;
    for (const runner of this.#attached) if (runner.isFull) this.#detach(runner);
    // With all outputs on their own, only consumers need the shared reader.
    return this.#attached.size > 0 || !book.isEmpty;
  }

  #detach(runner: OutputRunner): void {
    const { log, routes, clock, say } = this.#o;
    this.#attached.delete(runner);
    this.detachments++;
    const router = new Router({ routes: routesOf(routes, runner), taps: [], account: new Account(), clock, log: say });
    const reader = log.reader(this.#reader.position, () => this.schedule());
    this.#detached.set(runner, { runner, reader, router });
  }

  /** @returns false when there is more to read */
  #readAlone({ runner, reader, router }: Detached): boolean {
    for (let left = EVENTS_PER_TURN; left > 0;) {
      if (runner.isFull) return true;
      if (reader.position >= this.#reader.position) {
        reader.close();
        this.#detached.delete(runner);
        this.#attached.add(runner);
        this.schedule();
        return true;
      }
      const frame = reader.next();
      if (frame === undefined) return true;
      left -= frame.batch.count;
      const ticket = runner.ticket(frame);
      if (ticket === undefined) continue;
      router.route(frame, new Map([[runner, ticket]]), false);
      ticket.release();
    }
    return false;
  }

  // ---- intervals -------------------------------------------------------------------------------

  #tick(): void {
    const { book, log, clock } = this.#o;
    if (!book.isEmpty) {
      const mark = { untilMs: log.now(), head: log.head };
      const newest = this.#marks.at(-1);
      // While the reader is behind, the first mark is the one that it reaches first.
      if (newest === undefined || this.#marks.length < 16) this.#marks.push(mark);
      else this.#marks[this.#marks.length - 1] = mark;
      this.#closeMarks();
    }
    const now = clock.now();
    if (now - this.#committedAtMs >= COMMIT_MS || now < this.#committedAtMs) {
      this.#committedAtMs = now;
      this.#commit();
    }
    this.schedule();
  }

  #closeMarks(): void {
    let untilMs: number | undefined;
    while (this.#marks[0] !== undefined && this.#marks[0].head <= this.#reader.position) untilMs = this.#marks.shift()?.untilMs;
    if (untilMs !== undefined) this.#close(untilMs);
  }

  /** Times of entering never fall: when a frame of a later time comes, everything before is complete. */
  #closeBefore({ batch: { place } }: Frame): void {
    const enteredMs = place?.enteredMs;
    if (enteredMs !== undefined && enteredMs - this.#closedMs >= CLOSE_STEP_MS) this.#close(enteredMs);
  }

  #close(untilMs: number): void {
    if (untilMs <= this.#closedMs) return;
    this.#closedMs = untilMs;
    this.#o.book.close(untilMs);
    this.#o.onClosed(untilMs);
  }

  #commit(): void {
    const { book, say } = this.#o;
    if (book.isEmpty) return;
    try {
      book.commit(Math.max(this.#reader.position, this.#cursor));
    } catch (error) {
      // Tried again at the next tick; until then the log keeps what would have to be counted again.
      say.error({ reason: messageOf(error) }, 'what was counted could not be saved');
    }
    this.#scheduleTrim();
  }

  // ---- what nobody needs any more ----------------------------------------------------------------

  #scheduleTrim(): void {
    if (this.#trimScheduled) return;
    this.#trimScheduled = true;
    setImmediate(() => {
      this.#trimScheduled = false;
      this.#trim();
    });
  }

  #trim(): void {
    const { log, outputs, book } = this.#o;
    let delivered = this.#reader.position;
    for (const runner of outputs) delivered = Math.min(delivered, runner.lowWater);
    while (this.#untilDelivered[0] !== undefined && this.#untilDelivered[0].position <= delivered)
      this.#untilDelivered.shift()?.ack();
    log.trim(book.isEmpty || !book.persists ? delivered : Math.min(delivered, book.committed ?? 0));
  }
}
