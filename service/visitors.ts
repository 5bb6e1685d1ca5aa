import { parseArgs } from 'node:util';
import { makeClient, type Answer, type Client } from './traffic/client.ts';
import { dailyFactor, hourInChina, phaseAt, type Phase } from './traffic/rhythm.ts';
import { planGuessing, planSessions, type Session, type Step } from './traffic/sessions.ts';

export interface VisitorOptions {
  /** Of the core service, `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Default 1. The same seed brings the same visits in the same order. */
  readonly seed?: number;
  /** Requests a second in the mean of a day; default 20, at most 2000. */
  readonly rate?: number;
  /** Minutes that a day takes; default 1440. 0 for a rate that does not follow the clock. */
  readonly dayMinutes?: number;
  /** Default: what the clocks in China show. */
  readonly startHour?: number;
  /** Seconds; default 45, 0 for no bursts. A burst is three times the rate for 6 s. */
  readonly burstEvery?: number;
  /** Seconds; default 90, 0 for no incidents. They are in turn: the bank fails (needs a service with faults), log-ins are guessed from one province. */
  readonly incidentEvery?: number;
  /** Default 20. */
  readonly incidentSeconds?: number;
  /** Requests under way at once; default 64. What comes on top is held back, and counted. */
  readonly openMax?: number;
  /** Must be those of the service; default 200 and its default password. */
  readonly accounts?: number;
  readonly password?: string;
  readonly onPhase?: (phase: Phase) => void;
}

export interface VisitorStats {
  readonly sessions: number;
  readonly requests: number;
  /** Answers by status. */
  readonly byStatus: Readonly<Record<string, number>>;
  /** Requests without an answer. */
  readonly failed: number;
  /** Requests that were due and not made, because too many were open. */
  readonly heldBack: number;
  readonly open: number;
  readonly phase: Phase;
}

export interface Visitors {
  stats(): VisitorStats;
  /** No new requests; returns when those under way have ended, after 5 s at most. */
  stop(): Promise<void>;
}

const TICK_MS = 50;
const BURST_FACTOR = 3;
const RATE_MAX = 2000;
const SESSIONS_MAX = 500;
/** Share of the questions the bank leaves unanswered in an incident. */
const FAULT_RATIO = 0.85;
/** Visits going on at the same time, for each request a second: so a visitor clicks about every half second. */
const SESSIONS_PER_RATE = 0.5;
const REPEATS_MAX = 2;

/** Begins at once; never throws for what the service does or does not. */
export function startVisitors(options: VisitorOptions): Visitors {
  const { seed = 1, accounts = 200, password = 'demo-2025', incidentSeconds = 20, openMax = 64 } = options;
  const rate = Math.min(RATE_MAX, Math.max(0, options.rate ?? 20));
  const rhythm = { burstEvery: options.burstEvery ?? 45, incidentEvery: options.incidentEvery ?? 90, incidentSeconds };
  const planned = planSessions({ seed, accounts, password });
  const client = makeClient(options.url, openMax);
  const visitsMax = Math.min(SESSIONS_MAX, Math.max(4, rate * SESSIONS_PER_RATE));
  const waiting: Visit[] = [];
  const counts = { sessions: 0, requests: 0, failed: 0, heldBack: 0, open: 0 };
  const byStatus: Record<string, number> = {};
  const start = Date.now();
  const startHour = options.startHour ?? hourInChina(start);
  let guessing = planGuessing({ seed, accounts, password }, 0);
  let incidents = 0;
  let visits = 0;
  let phase: Phase = 'calm';

  const run = async (visit: Visit): Promise<void> => {
    counts.open += 1;
    counts.requests += 1;
    const answer = await visit.next(client);
    counts.open -= 1;
    if (answer === undefined) counts.failed += 1;
    else byStatus[answer.status] = (byStatus[answer.status] ?? 0) + 1;
    if (visit.isOver) visits -= 1;
    else waiting.push(visit);
  };
  const begin = (session: Session): Promise<void> => {
    counts.sessions += 1;
    visits += 1;
    return run(new Visit(session));
  };
  const dueNow = (): void => {
    if (counts.open >= openMax) {
      counts.heldBack += 1;
      return;
    }
    // Those who have started come back before others begin, or visits would grow without end.
    const next = visits >= visitsMax ? waiting.shift() : undefined;
    if (next !== undefined) void run(next); // run never rejects: a failed request is a count
    else if (visits < visitsMax) void begin(planned.next().value);
    else counts.heldBack += 1;
  };
  const enter = (entered: Phase): void => {
    phase = entered;
    options.onPhase?.(entered);
    if (entered === 'guessing') guessing = planGuessing({ seed, accounts, password }, (incidents += 1));
    // Answered with 404 by a service that allows no faults: then this incident is none.
    if (entered === 'bank')
      void client.send({
        method: 'POST',
        path: '/faults',
        headers: {},
        body: { ratio: FAULT_RATIO, ms: incidentSeconds * 1000 },
      });
  };

  const steady = makeAllowance(rate);
  const attack = makeAllowance(Math.max(5, rate * 0.5));
  let last = start;
  const timer = setInterval(() => {
    const now = Date.now();
    const seconds = (now - start) / 1000;
    const current = phaseAt(seconds, rhythm);
    if (current !== phase) enter(current);
    const factor = daily(options.dayMinutes ?? 1440, startHour, seconds) * (phase === 'burst' ? BURST_FACTOR : 1);
    for (let due = steady(now - last, factor); due > 0; due -= 1) dueNow();
    if (phase === 'guessing') {
      for (let due = attack(now - last, 1); due > 0; due -= 1) {
        if (counts.open < openMax && visits < SESSIONS_MAX) void begin(guessing.next().value);
        else counts.heldBack += 1;
      }
    }
    last = now;
  }, TICK_MS);

  return {
    stats: () => ({ ...counts, byStatus: { ...byStatus }, phase }),
    async stop() {
      clearInterval(timer);
      // Each request ends by its own time limit.
      while (counts.open > 0) await new Promise((resolve) => void setTimeout(resolve, 20));
      client.close();
    },
  };
}

function daily(dayMinutes: number, startHour: number, seconds: number): number {
  return dayMinutes <= 0 ? 1 : dailyFactor(startHour + (seconds / (dayMinutes * 60)) * 24);
}

/** Turns passed time into requests that are due; after a pause of the process at most half a second is made up for. */
function makeAllowance(rate: number): (passedMs: number, factor: number) => number {
  let credit = 0;
  return (passedMs, factor) => {
    credit += (rate * factor * Math.min(passedMs, 500)) / 1000;
    const due = Math.floor(credit);
    credit -= due;
    return due;
  };
}

/** A session on its way: what of the answers the next steps need. */
class Visit {
  readonly #session: Session;
  #position = 0;
  #repeats = 0;
  #token: string | undefined;
  #order: string | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  get isOver(): boolean {
    return this.#position >= this.#session.steps.length;
  }

  async next(client: Client): Promise<Answer | undefined> {
    const step = this.#session.steps[this.#position];
    if (step === undefined) return undefined;
    const headers: Record<string, string> = { 'user-agent': this.#session.agent, 'x-forwarded-for': this.#session.address };
    if (this.#token !== undefined) headers['authorization'] = `Bearer ${this.#token}`;
    if (step.key !== undefined) headers['idempotency-key'] = step.key;
    const answer = await client.send({
      method: step.method,
      path: this.#fill(step.path),
      headers,
      body: this.#fillBody(step.body),
    });
    this.#learn(step, answer);
    return answer;
  }

  #learn(step: Step, answer: Answer | undefined): void {
    const { token, id } = answer?.body ?? {};
    if (step.action === 'login' && typeof token === 'string') this.#token = token;
    if (step.action === 'order-place' && typeof id === 'string') this.#order = id;
    const isWorthRepeating = step.key !== undefined && answer !== undefined && answer.status >= 502;
    if (isWorthRepeating && this.#repeats < REPEATS_MAX) {
      this.#repeats += 1;
      return;
    }
    this.#repeats = 0;
    this.#position += 1;
    // Nobody goes on where the service cannot be reached, or does not know him any more.
    const isLost = answer === undefined || (answer.status === 401 && this.#token !== undefined) || answer.status === 429;
    if (isLost) this.#position = this.#session.steps.length;
  }

  #fill(text: string): string {
    return text.replace('$order', this.#order ?? 'o0');
  }

  #fillBody(body: Step['body']): unknown {
    return body?.['order'] === '$order' ? { ...body, order: this.#fill('$order') } : body;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '20' },
      seconds: { type: 'string', default: '60' },
      'day-minutes': { type: 'string', default: '1440' },
      'burst-every': { type: 'string', default: '45' },
      'incident-every': { type: 'string', default: '90' },
      'incident-seconds': { type: 'string', default: '20' },
    },
  });
  const number = (name: Exclude<keyof typeof values, 'url'>): number => {
    const value = Number(values[name]);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} needs a number of 0 or more, not ${values[name]}`);
    return value;
  };
  if (values.url === undefined) throw new Error('--url http://HOST:PORT of the core service is needed');
  const visitors = startVisitors({
    url: values.url,
    seed: number('seed'),
    rate: number('rate'),
    dayMinutes: number('day-minutes'),
    burstEvery: number('burst-every'),
    incidentEvery: number('incident-every'),
    incidentSeconds: number('incident-seconds'),
    onPhase: (phase) => process.stderr.write(`${new Date().toISOString()} ${phase}\n`),
  });
  const ended = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ended.abort());
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, number('seconds') * 1000);
    ended.signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  await visitors.stop();
  process.stdout.write(`${JSON.stringify(visitors.stats())}\n`);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    process.stderr.write(`visitors: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
