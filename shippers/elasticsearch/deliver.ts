/** Brings one body to the server: cut, sent, halved where it must be, every event's fate written down. Nothing here opens a socket. */
import { readBulkAnswer, readError, type BulkOutcome, type Refused } from './bulk-answer.ts';
import type { BulkBody } from './bulk.ts';
import { decideRequest, type Cause, type Operation, type Waiting } from './decide.ts';
import type { Pace } from './pace.ts';

/** What came back, or why nothing did. */
export type Reply =
  | { readonly status: number; readonly text: string; readonly retryAfterMs: number | undefined; readonly from: string }
  | { readonly failure: string };

export interface DeliveryOptions {
  readonly operation: Operation;
  readonly pace: Pace;
  readonly send: (bytes: Buffer) => Promise<Reply>;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

export interface Report {
  stored: number;
  repeated: number;
  inFailureStore: number;
  /** Indices to be sent again, rising. */
  retry: number[];
  refused: Refused[];
  readonly retryCauses: Map<Cause, number>;
  reason: string | undefined;
  afterMs: number | undefined;
  waiting: Waiting | undefined;
  /** Something among `retry` may have been stored: its answer was lost, or did not fit. */
  isUnknown: boolean;
  /** Requests that were halved. */
  halved: number;
  /** Requests without an answer, or with one that does not fit. */
  unanswered: number;
  readonly storedIn: Map<string, number>;
}

/** So many events alone may be refused as malformed before it is believed that the request is what is wrong. */
const MAX_SUSPECTS = 8;

export async function deliver(body: BulkBody, options: DeliveryOptions): Promise<Report> {
  const delivery = new Delivery(body, options);
  await delivery.run();
  return delivery.finish();
}

interface Range {
  readonly first: number;
  /** Exclusive. */
  readonly last: number;
}

class Delivery {
  readonly #body: BulkBody;
  readonly #o: DeliveryOptions;
  readonly #flying = new Set<Promise<void>>();
  readonly #halves: Range[] = [];
  readonly #suspects: Refused[] = [];
  #next = 0;
  /** Events of requests that the server has read; shows that it is not the request as such that it refuses. */
  #read = 0;
  #isStopped = false;
  readonly #report: Report = {
    stored: 0,
    repeated: 0,
    inFailureStore: 0,
    retry: [],
    refused: [],
    retryCauses: new Map(),
    reason: undefined,
    afterMs: undefined,
    waiting: undefined,
    isUnknown: false,
    halved: 0,
    unanswered: 0,
    storedIn: new Map(),
  };

  constructor(body: BulkBody, options: DeliveryOptions) {
    this.#body = body;
    this.#o = options;
  }

  async run(): Promise<void> {
    const { operation, pace, signal } = this.#o;
    // With `index` a later event may overwrite an earlier one, so they keep their order.
    const most = operation === 'index' ? 1 : Infinity;
    for (;;) {
      while (this.#flying.size >= most || (this.#flying.size > 0 && (this.#isStopped || !this.#hasMore)))
        await Promise.race(this.#flying);
      if (this.#isStopped || !this.#hasMore) return;
      const mark = await pace.begin(signal);
      const range = this.#isStopped ? undefined : this.#take();
      if (range === undefined) {
        pace.finish();
        continue;
      }
      // #send does not reject: a failure is a reply.
      const sent = this.#send(range, mark).finally(() => {
        pace.finish();
        this.#flying.delete(sent);
      });
      this.#flying.add(sent);
    }
  }

  get #hasMore(): boolean {
    return this.#halves.length > 0 || this.#next < this.#body.ends.length;
  }

  /** The next events that fit into one request; at least one. */
  #take(): Range | undefined {
    const half = this.#halves.pop();
    if (half !== undefined) return half;
    const { ends } = this.#body;
    const first = this.#next;
    if (first >= ends.length) return undefined;
    const from = this.#offset(first);
    const limit = this.#o.pace.requestBytes;
    let last = first + 1;
    while (last < ends.length && (ends[last] as number) - from <= limit) last++;
    this.#next = last;
    return { first, last };
  }

  #offset(event: number): number {
    return event === 0 ? 0 : (this.#body.ends[event - 1] as number);
  }

  async #send(range: Range, mark: number): Promise<void> {
    const { pace, now, send } = this.#o;
    const bytes = this.#body.bytes.subarray(this.#offset(range.first), this.#offset(range.last));
    const from = now();
    const reply = await send(bytes);
    if ('failure' in reply) {
      this.#report.isUnknown = true;
      this.#report.unanswered++;
      // Too much at once, perhaps: a large answer comes from a large request, and a slow server times out.
      pace.overloaded(mark);
      return this.#again(range, 'no answer', reply.failure, undefined);
    }
    if (reply.status !== 200) return this.#refused(range, mark, bytes.length, reply);
    const outcome = readBulkAnswer(reply.text, range.last - range.first, this.#o.operation);
    if (outcome === undefined) {
      this.#report.isUnknown = true;
      this.#report.unanswered++;
      return this.#again(range, 'no answer', `the answer of ${reply.from} does not fit the request`, undefined);
    }
    if (outcome.isOverloaded) pace.overloaded(mark);
    else pace.succeeded(mark, bytes.length, now() - from);
    this.#items(range, outcome, reply.retryAfterMs);
  }

  #items({ first, last }: Range, outcome: BulkOutcome, retryAfterMs: number | undefined): void {
    const report = this.#report;
    this.#read += last - first;
    report.stored += outcome.stored;
    report.repeated += outcome.repeated;
    report.inFailureStore += outcome.inFailureStore;
    for (const index of outcome.retry) report.retry.push(first + index);
    for (const one of outcome.refused) report.refused.push({ ...one, index: first + one.index });
    for (const [cause, events] of outcome.causes) this.#count(cause, events);
    for (const [index, events] of outcome.storedIn) report.storedIn.set(index, (report.storedIn.get(index) ?? 0) + events);
    if (outcome.causes.has('server')) report.isUnknown = true;
    if (outcome.retry.length === 0) return;
    report.reason ??= outcome.reason;
    report.waiting ??= outcome.waiting;
    this.#waitFor(retryAfterMs);
    // Items that wait for a person do not keep the others here from being delivered; an overloaded server is left alone.
    if (outcome.isOverloaded) this.#isStopped = true;
  }

  /** The request as a whole was not taken. */
  #refused(range: Range, mark: number, size: number, reply: Exclude<Reply, { failure: string }>): void {
    const { pace } = this.#o;
    const { first, last } = range;
    const { status, text } = reply;
    const error = readError(text);
    const decision = decideRequest(status, error, last - first);
    const detail = error === undefined ? text.replaceAll(/\s+/g, ' ').slice(0, 300) : `${error.type}: ${error.reason}`;
    const reason = `status ${status} from ${reply.from}${detail === '' ? '' : `: ${detail.slice(0, 300)}`}`;
    const cause = decision.cause ?? 'server';
    switch (decision.action) {
      case 'halve': {
        if (cause !== 'malformed') pace.tooLarge(size);
        this.#report.halved++;
        const middle = (first + last) >> 1;
        this.#halves.push({ first: middle, last }, { first, last: middle });
        return;
      }
      case 'dead':
        if (cause !== 'malformed') return void this.#report.refused.push({ index: first, reason, cause });
        this.#suspects.push({ index: first, reason, cause });
        if (this.#isDoubtful) this.#isStopped = true;
        return;
      case 'wait':
        this.#report.waiting ??= cause as Waiting;
        break;
      case 'slow':
        pace.overloaded(mark);
        break;
      default:
        break;
    }
    if (status >= 500 || status < 300) this.#report.isUnknown = true;
    this.#again(range, cause, reason, reply.retryAfterMs);
  }

  /** All of a range later; nothing further is sent now. */
  #again({ first, last }: Range, cause: Cause, reason: string, afterMs: number | undefined): void {
    for (let index = first; index < last; index++) this.#report.retry.push(index);
    this.#count(cause, last - first);
    this.#report.reason ??= reason;
    this.#waitFor(afterMs);
    this.#isStopped = true;
  }

  #waitFor(ms: number | undefined): void {
    if (ms !== undefined) this.#report.afterMs = Math.max(this.#report.afterMs ?? 0, ms);
  }

  #count(cause: Cause, events: number): void {
    this.#report.retryCauses.set(cause, (this.#report.retryCauses.get(cause) ?? 0) + events);
  }

  get #isDoubtful(): boolean {
    return this.#read === 0 && this.#suspects.length > MAX_SUSPECTS;
  }

  finish(): Report {
    const report = this.#report;
    if (this.#isDoubtful) {
      // Everything alike: it is not the events.
      report.waiting ??= 'configuration';
      report.reason ??= this.#suspects[0]?.reason;
      for (const { index } of this.#suspects) report.retry.push(index);
      this.#count('configuration', this.#suspects.length);
    } else report.refused.push(...this.#suspects);
    // What was not sent yet waits with what has to be sent again.
    for (const { first, last } of this.#halves) for (let index = first; index < last; index++) report.retry.push(index);
    for (let index = this.#next; index < this.#body.ends.length; index++) report.retry.push(index);
    report.retry.sort((a, b) => a - b);
    report.refused.sort((a, b) => a.index - b.index);
    return report;
  }
}
