import type { Clock, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { ComponentStatus } from './accounts.ts';
import { StallWatch, type Stall } from './stalls.ts';

export interface ObserverOptions {
  /** Books of all components of all workers. */
  readonly status: () => Promise<readonly ComponentStatus[]>;
  readonly workers: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not. */
  readonly reasons: readonly string[];
}

const LOOK_MS = 5000;
/** Scrapes, probes and commands that come together share one look at the workers. */
const FRESH_MS = 250;

/** Looks at the books every few seconds, says in the log when something stops moving and when it moves again. */
export class Observer {
  readonly #o: ObserverOptions;
  readonly #watch = new StallWatch();
  #timer: Disposable | undefined;
  #last: readonly ComponentStatus[] = [];
  #lookedMs = -Infinity;
  #looking: Promise<void> | undefined;
  readonly #known = new Map<string, Stall>();

  constructor(options: ObserverOptions) {
    this.#o = options;
  }

  start(): void {
    // A look that fails is reported by itself.
    this.#timer = this.#o.clock.every(LOOK_MS, () => void this.look());
  }

  stop(): void {
    this.#timer?.[Symbol.dispose]();
  }

  /** The books as they are now, or were a moment ago. */
  async look(): Promise<readonly ComponentStatus[]> {
    const ageMs = this.#o.clock.now() - this.#lookedMs;
    // Below 0: the clock was set back.
    if (ageMs >= FRESH_MS || ageMs < 0) {
      this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
      await this.#looking;
    }
    return this.#last;
  }

  async #look(): Promise<void> {
    try {
      const components = await this.#o.status();
      this.#last = components;
      this.#lookedMs = this.#o.clock.now();
      this.#watch.observe(this.#lookedMs, components, this.#o.workers);
      this.#tell();
    } catch (error) {
      this.#o.log.error({ reason: messageOf(error) }, 'the books could not be looked at');
    }
  }

  /** Behind `look`. */
  get stalls(): readonly Stall[] {
    return this.#watch.stalls(this.#o.clock.now());
  }

  #tell(): void {
    const now = new Map(this.stalls.map((stall) => [`${stall.worker} ${stall.kind} ${stall.component}`, stall]));
    for (const [key, stall] of now) {
      if (this.#known.get(key)?.because === stall.because) continue;
      const { component, because, remedy, waiting, forMs } = stall;
      this.#o.log.warn({ component, because, remedy, waiting, forMs }, 'stalled');
    }
    for (const [key, { component, sinceMs }] of this.#known)
      if (!now.has(key)) this.#o.log.info({ component, afterMs: this.#o.clock.now() - sinceMs }, 'moves again');
    this.#known.clear();
    for (const [key, stall] of now) this.#known.set(key, stall);
  }

  /** Whether events can be taken: every worker answers and its log takes what comes. */
  async readiness(): Promise<Readiness> {
    const components = await this.look();
    const reasons = this.stalls.filter(({ kind }) => kind === 'log' || kind === 'worker').map(({ sentence }) => sentence);
    // A disk that takes nothing is not waited for; a log that is full is, for a moment: that is how a slow output is borne.
    for (const { kind, state, reason = state, worker } of components)
      if (kind === 'log' && state === 'stalled' && !reason.includes('log_limit_size') && reasons.length === 0)
        reasons.push(`the entrance log of worker ${worker} takes nothing: ${reason}`);
    const present = new Set(components.map(({ worker }) => worker));
    for (let worker = 0; worker < this.#o.workers; worker++)
      if (!present.has(worker) && reasons.length === 0) reasons.push(`worker ${worker} does not answer`);
    return { ready: reasons.length === 0, reasons };
  }
}
