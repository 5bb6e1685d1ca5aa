import type { Clock, Log } from '../../engine/component.ts';
import { SenderClient, type Server } from '../../shippers/zabbix/client.ts';
import type { RuleItem } from '../schedule.ts';

export interface FeedOptions {
  readonly servers: readonly Server[];
  readonly clock: Clock;
  readonly log: Log;
  readonly timeoutMs?: number;
}

/** An hour of one rule with 10 groups; states are repeated each interval, so that what is lost comes again. */
const QUEUE_ITEMS_MAX = 10_000;
const BATCH_ITEMS = 250;
const TIMEOUT_MS = 5000;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30_000;
/** One line a minute about values that Zabbix did not take, not one an interval. */
const COMPLAIN_MS = 60_000;

/**
 * Carries the items of rules to Zabbix, one request at a time. While no server answers they wait, at most 10,000, then
 * the oldest are dropped and counted.
 */
export class ZabbixFeed {
  readonly #options: FeedOptions;
  readonly #client: SenderClient;
  readonly #abort = new AbortController();
  #queue: RuleItem[] = [];
  #running: Promise<void> | undefined;
  #retryMs = RETRY_MS_MIN;
  #retry: Disposable | undefined;
  #complainedMs = -Infinity;
  #counts = { sent: 0, refused: 0, dropped: 0 };
  #trouble: string | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#client = new SenderClient(options.servers, { timeoutMs: options.timeoutMs ?? TIMEOUT_MS });
  }

  /** `taken = sent + refused + dropped + pending`; `trouble` says why nothing gets through at the moment. */
  get status(): {
    readonly sent: number;
    readonly refused: number;
    readonly dropped: number;
    readonly pending: number;
    readonly trouble: string | undefined;
  } {
    return { ...this.#counts, pending: this.#queue.length, trouble: this.#trouble };
  }

  /** Never waits; what does not fit drops the oldest. */
  readonly send = (items: readonly RuleItem[]): void => {
    if (this.#abort.signal.aborted) return;
    this.#queue.push(...items);
    const surplus = this.#queue.length - QUEUE_ITEMS_MAX;
    if (surplus > 0) {
      this.#queue.splice(0, surplus);
      this.#counts.dropped += surplus;
    }
    if (this.#retry === undefined) this.#wake();
  };

  /** Resolves when nothing is on its way (not: when the queue is empty). */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Works twice. What is still queued is dropped and counted. */
  async stop(): Promise<void> {
    this.#retry?.[Symbol.dispose]();
    this.#retry = undefined;
    this.#abort.abort();
    await this.#running;
    this.#counts.dropped += this.#queue.length;
    this.#queue = [];
  }

  #wake(): void {
    // The run reports every failure itself.
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 && !this.#abort.signal.aborted) {
      const batch = this.#queue.splice(0, BATCH_ITEMS);
      const outcome = await this.#client.send(batch, this.#abort.signal);
      if (!('kind' in outcome) && outcome.ok) {
        this.#taken(batch.length, outcome.processed ?? batch.length);
        continue;
      }
      this.#queue.unshift(...batch);
      if (this.#abort.signal.aborted) return;
      this.#fail('kind' in outcome ? outcome.message : `zabbix refused the values: ${outcome.info || 'no reason given'}`);
      return;
    }
  }

  #taken(sent: number, processed: number): void {
    if (this.#trouble !== undefined) this.#options.log.info({}, 'values of rules reach zabbix again');
    this.#trouble = undefined;
    this.#retryMs = RETRY_MS_MIN;
    // Lost is what was sent and not processed: a server does not count some of what it refuses as failed.
    const refused = Math.max(0, sent - processed);
    this.#counts.sent += sent - refused;
    this.#counts.refused += refused;
    const now = this.#options.clock.now();
    if (refused === 0 || now - this.#complainedMs < COMPLAIN_MS) return;
    this.#complainedMs = now;
    this.#options.log.warn(
      { refused, of: sent },
      'zabbix did not take some values of rules: new items need up to a minute; otherwise run millrace plan',
    );
  }

  #fail(reason: string): void {
    if (this.#trouble === undefined) this.#options.log.warn({ reason }, 'values of rules do not reach zabbix, trying again');
    this.#trouble = reason;
    this.#retry = this.#options.clock.after(this.#retryMs, () => {
      this.#retry = undefined;
      this.#wake();
    });
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }
}
