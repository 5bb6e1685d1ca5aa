/** CPU seconds for a million events, of all subjects in turn. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accessLog } from './messages.ts';
import type { Program } from './program.ts';
import type { SendAnswer, SendQuestion } from './programs/sender.ts';
import type { Throughput } from './scenarios.ts';
import { startMillrace, startOther, startRival, type Millrace, type Subject } from './subject.ts';
import { memoryOf, threadsOf, udpDrops, usageOf } from './usage.ts';

/** One subject of one scenario. */
export interface Row {
  readonly scenario: string;
  readonly title: string;
  readonly subject: string;
  /** CPU seconds for a million events; of each round, and the middle one. */
  readonly rounds: readonly number[];
  readonly cpu: number;
  /** Events a second of the middle round, the wait for the last flush left in. */
  readonly rate: number;
  readonly peakMb: number;
  /** Datagrams lost of a million. */
  readonly lost: number;
  /** CPU seconds for a million events by thread. */
  readonly threads: Readonly<Record<string, number>>;
}

export interface Bench {
  readonly millrace: Millrace;
  readonly sender: Program<SendQuestion, SendAnswer>;
  readonly rounds: number;
  /** 1: as the scenario says; less for a short run. */
  readonly scale: number;
  readonly against: string | undefined;
}

const WARM_UP_SHARE = 0.5;
const LINES = 50_000;

export async function runThroughput(bench: Bench, scenario: Throughput): Promise<Row[]> {
  const subjects: Runner[] = [];
  try {
    for (const start of starters(bench, scenario)) {
      const tailPath = join(bench.millrace.folder, `${scenario.name}-${subjects.length}.log`);
      if (scenario.input === 'tail') writeFileSync(tailPath, '');
      subjects.push(new Runner(bench, scenario, await start(tailPath), tailPath));
    }
    for (const subject of subjects) await subject.round(WARM_UP_SHARE);
    for (const subject of subjects) subject.begin();
    for (let n = 0; n < bench.rounds; n++) for (const subject of subjects) await subject.round(1);
    return subjects.map((subject) => subject.row());
  } finally {
    for (const subject of subjects) await subject.stop();
  }
}

function starters(bench: Bench, scenario: Throughput): Array<(tail: string) => Promise<Subject>> {
  const { millrace, against } = bench;
  const log = join(millrace.folder, `${scenario.name}-rival`);
  const plain = scenario.input === 'statsd' ? 'plain-statsd' : 'plain-objects';
  return [
    (tail) => startMillrace(millrace, scenario, tail),
    (tail) => startRival(plain, scenario, { tail, log: `${log}.plain` }),
    (tail) => startRival('calibration', scenario, { tail, log: `${log}.bytes` }),
    ...(against === undefined || scenario.input !== 'forward' || scenario.output !== 'bulk'
      ? []
      : [() => startOther(against, scenario, millrace.folder)]),
  ];
}

let lines: Buffer | undefined;

class Runner {
  readonly #bench: Bench;
  readonly #scenario: Throughput;
  readonly #subject: Subject;
  readonly #tailPath: string;
  readonly #rounds: Array<{ cpu: number; rate: number }> = [];
  #documents = 0;
  #bytes = 0;
  #sent = 0;
  #lost = 0;
  #threads = new Map<string, number>();

  constructor(bench: Bench, scenario: Throughput, subject: Subject, tailPath: string) {
    this.#bench = bench;
    this.#scenario = scenario;
    this.#subject = subject;
    this.#tailPath = tailPath;
  }

  /** What came before is warm-up. */
  begin(): void {
    this.#rounds.length = 0;
    this.#sent = 0;
    this.#lost = 0;
    this.#threads = threadsOf(this.#subject.pid);
  }

  async round(share: number): Promise<void> {
    const { eventsEach, events: full } = this.#scenario;
    const { pid, sink, counts, port } = this.#subject;
    const wanted = Math.max(1, Math.round((full * this.#bench.scale * share * this.#subject.share) / eventsEach)) * eventsEach;
    const before = usageOf(pid);
    const drops = this.#scenario.input === 'statsd' ? udpDrops(port) : 0;
    const start = performance.now();
    const { events, bytes } = await this.#send(wanted);
    this.#documents += events;
    this.#bytes += bytes;
    if (sink !== undefined) {
      const expected = counts === 'bytes' ? { documents: 0, bytes: this.#bytes } : { documents: this.#documents, bytes: 0 };
      const got = await sink.ask({ type: 'await', ...expected, timeoutMs: 120_000 });
      const missing = counts === 'bytes' ? this.#bytes - got.bytes : this.#documents - got.documents;
      if (missing !== 0) throw new Error(`${this.#scenario.name}, ${this.#subject.name}: ${missing} ${counts} missing`);
    }
    const seconds = (performance.now() - start) / 1000;
    await settled(pid);
    const used = usageOf(pid).cpuSeconds - before.cpuSeconds;
    const lost = this.#scenario.input === 'statsd' ? udpDrops(port) - drops : 0;
    this.#sent += events;
    this.#lost += lost;
    this.#rounds.push({ cpu: (used * 1e6) / (events - lost * eventsEach), rate: events / seconds });
  }

  async #send(events: number): Promise<{ events: number; bytes: number }> {
    const { input, eventsEach, acks, rate } = this.#scenario;
    if (input === 'tail') return this.#append(events);
    const answer = await this.#bench.sender.ask({
      type: input,
      port: this.#subject.port,
      events,
      eventsEach,
      // The calibration loop reads no frames.
      acks: acks && this.#subject.counts === 'documents',
      ...(rate === undefined ? {} : { rate }),
    });
    if (answer.events < events) throw new Error(`${this.#scenario.name}, ${this.#subject.name}: the sender was cut off`);
    if (answer.refused > 0) throw new Error(`${answer.refused} datagrams could not be sent`);
    return answer;
  }

  /** The same lines again and again, whole files of them. */
  #append(events: number): { events: number; bytes: number } {
    lines ??= accessLog(LINES);
    const times = Math.max(1, Math.round(events / LINES));
    for (let n = 0; n < times; n++) appendFileSync(this.#tailPath, lines);
    return { events: times * LINES, bytes: times * lines.length };
  }

  row(): Row {
    const { name, title } = this.#scenario;
    const middle = this.#rounds.toSorted((a, b) => a.cpu - b.cpu)[this.#rounds.length >> 1] ?? { cpu: 0, rate: 0 };
    const after = [...threadsOf(this.#subject.pid)];
    const perMillion = ([thread, seconds]: readonly [string, number]): [string, number] => [
      thread,
      ((seconds - (this.#threads.get(thread) ?? 0)) * 1e6) / this.#sent,
    ];
    return {
      scenario: name,
      title,
      subject: this.#subject.name,
      rounds: this.#rounds.map(({ cpu }) => cpu),
      cpu: middle.cpu,
      rate: middle.rate,
      peakMb: memoryOf(this.#subject.pid).peakMb,
      lost: (this.#lost * this.#scenario.eventsEach * 1e6) / this.#sent,
      threads: Object.fromEntries(after.map(perMillion).filter(([, seconds]) => seconds >= 0.01)),
    };
  }

  stop(): Promise<void> {
    return this.#subject.stop();
  }
}

const SETTLE_MS = 150;
const SETTLE_MS_MAX = 3000;

/** What is done behind the last answer (commits, garbage) belongs to the events too. */
async function settled(pid: number): Promise<void> {
  let before = usageOf(pid).cpuSeconds;
  for (let waited = 0; waited < SETTLE_MS_MAX; waited += SETTLE_MS) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const now = usageOf(pid).cpuSeconds;
    if (now - before < 0.015) return;
    before = now;
  }
}
