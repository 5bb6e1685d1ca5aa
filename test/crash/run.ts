/** One crash run: sender, millrace, judge; the faults of a plan; and what is found in the end. */
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../engine/testing/seeded.ts';
import { BulkSink } from './bulk-sink.ts';
import { CarbonSink } from './carbon-sink.ts';
import { ADDED } from './events.ts';
import { describeStep, type Plan, type Step } from './plan.ts';
import { Millrace, type Files } from './process.ts';
import type { FromSender, SenderSettings, ToSender } from './sender.ts';
import { fillDisk, freeDisk, mountSmallDisk, unmountSmallDisk } from './small-disk.ts';
import { judge, readLedger, type Verdict } from './verdict.ts';

export interface RunOptions {
  readonly plan: Plan;
  /** Empty; is left behind. */
  readonly directory: string;
  /** Level of the source; undefined: whatever is the default. */
  readonly durability: 'memory' | 'os' | 'fsync' | undefined;
  /** Everything must have come through when nothing has come for so long. */
  readonly settlesMs?: number;
}

export interface RunReport extends Verdict {
  /** What was done, with the time since the start in milliseconds. */
  readonly story: readonly string[];
  readonly seconds: number;
}

/** Fresh events must come through so soon after a fault. */
const FLOWS_MS = 60_000;
const SETTLES_MS = 15_000;
const SETTLES_MAX_MS = 120_000;
const EXIT_DISK_FULL = 74;

export async function crashRun(options: RunOptions): Promise<RunReport> {
  const run = new CrashRun(options);
  try {
    await run.play();
  } catch (error) {
    run.problem(error instanceof Error ? error.message : String(error));
  } finally {
    await run.end();
  }
  return run.report();
}

class CrashRun {
  readonly #plan: Plan;
  readonly #files: Files;
  readonly #ledger: string;
  readonly #bulk: BulkSink;
  readonly #carbon = new CarbonSink();
  readonly #durability: RunOptions['durability'];
  readonly #settlesMs: number;
  readonly #began = performance.now();
  readonly #story: string[] = [];
  readonly #problems: string[] = [];
  readonly #hasSmallDisk: boolean;
  #verdict: Verdict | undefined;
  #millrace: Millrace | undefined;
  #sender: ChildProcess | undefined;
  #workers: number;
  /** What millrace's clock is off by, and the most that it ever was. */
  #offsetMs = 0;
  #furthestMs = 0;

  constructor({ plan, directory, durability, settlesMs = SETTLES_MS }: RunOptions) {
    this.#plan = plan;
    this.#durability = durability;
    this.#settlesMs = settlesMs;
    this.#workers = plan.workers;
    this.#bulk = new BulkSink(seeded(plan.seed));
    this.#hasSmallDisk = plan.steps.some(({ fault }) => fault === 'disk full');
    this.#ledger = join(directory, 'sender.log');
    this.#files = {
      config: join(directory, 'fluent.conf'),
      data: join(directory, 'data'),
      log: join(directory, 'millrace.log'),
      clock: join(directory, 'clock'),
    };
    mkdirSync(directory, { recursive: true });
    writeFileSync(this.#ledger, '');
    writeFileSync(this.#files.clock, '0');
  }

  problem(sentence: string): void {
    this.#tell(`PROBLEM ${sentence}`);
    this.#problems.push(sentence);
  }

  #tell(what: string): void {
    this.#story.push(`${String(Math.round(performance.now() - this.#began)).padStart(6)} ms  ${what}`);
  }

  async play(): Promise<void> {
    const { seed, connections, window, eventsPerSecond, resends, steps } = this.#plan;
    if (this.#hasSmallDisk) {
      const why = mountSmallDisk(this.#files.data);
      if (why !== undefined) throw new Error(why);
    }
    await Promise.all([this.#bulk.start(), this.#carbon.start()]);
    const port = await freePort();
    writeFileSync(this.#files.config, configuration(port, this.#bulk.port, this.#carbon.port, this.#durability));
    await this.#start();
    const settings: SenderSettings = { seed, port, file: this.#ledger, connections, window, eventsPerSecond, resends };
    this.#tell(`${connections} connections, window ${window}, ${eventsPerSecond} events/s${resends ? ', resends' : ''}`);
    this.#sender = fork(join(import.meta.dirname, 'sender.ts'), [JSON.stringify(settings)]);
    await this.#flows();
    for (const step of steps) {
      await sleep(step.loadMs);
      this.#tell(describeStep(step));
      await this.#step(step);
      await this.#bulk.behave('well');
      await this.#flows();
    }
    await this.#settle();
  }

  // ---- faults ---------------------------------------------------------------------------------

  async #step(step: Step): Promise<void> {
    const { fault, forMs, bulk } = step;
    await this.#bulk.behave(bulk);
    if (bulk !== 'well') await sleep(forMs);
    switch (fault) {
      case 'kill':
        return this.#kill(step);
      case 'kill while starting':
        await this.#kill(step, true);
        await sleep(forMs);
        return this.#kill(step);
      case 'restart': {
        await this.#stop();
        this.#workers = step.workers;
        return this.#start();
      }
      case 'pause':
        this.#running().signal('SIGSTOP');
        await sleep(forMs);
        return this.#running().signal('SIGCONT');
      case 'carbon server':
        this.#carbon.breaks = true;
        await sleep(forMs + 1500);
        this.#carbon.breaks = false;
        return;
      case 'connections':
        for (let n = 0; n < 3; n++) {
          this.#ask('break');
          await sleep(forMs / 3);
        }
        return;
      case 'clock jump':
        this.#offsetMs += step.jumpMs;
        this.#furthestMs = Math.max(this.#furthestMs, this.#offsetMs);
        writeFileSync(this.#files.clock, String(this.#offsetMs));
        await sleep(forMs);
        return;
      case 'disk full':
        return this.#fillDisk(step);
      case 'bulk server':
        return;
    }
  }

  async #kill({ workers, forMs }: Step, isBrief = false): Promise<void> {
    const millrace = this.#running();
    millrace.kill();
    await millrace.ended;
    this.#workers = workers;
    if (!isBrief) {
      await sleep(forMs / 4);
      return this.#start();
    }
    this.#millrace = new Millrace(this.#files, this.#workers);
  }

  async #fillDisk(step: Step): Promise<void> {
    fillDisk(this.#files.data);
    await sleep(step.forMs + 300);
    if (seeded(this.#plan.seed).chance(0.5)) {
      this.#tell('kill while the disk is full');
      const millrace = this.#running();
      millrace.kill();
      await millrace.ended;
      const next = new Millrace(this.#files, this.#workers);
      const outcome = await next.running();
      if ('end' in outcome) {
        this.#tell(`did not start: ended with ${outcome.end}`);
        if (outcome.end !== EXIT_DISK_FULL) this.problem(`with a full disk it ended with ${outcome.end}, not ${EXIT_DISK_FULL}`);
        freeDisk(this.#files.data);
        return this.#start();
      }
      this.#millrace = next;
    }
    freeDisk(this.#files.data);
  }

  // ---- processes ------------------------------------------------------------------------------

  async #start(): Promise<void> {
    const millrace = new Millrace(this.#files, this.#workers);
    this.#millrace = millrace;
    const outcome = await millrace.running();
    if ('end' in outcome) throw new Error(`it did not start: ended with ${outcome.end}`);
    this.#tell(`runs after ${Math.round(outcome.ms)} ms with ${this.#workers} worker(s)`);
  }

  #running(): Millrace {
    const millrace = this.#millrace;
    if (millrace === undefined) throw new Error('it does not run');
    if (millrace.end !== undefined) throw new Error(`it ended by itself: ${millrace.end}`);
    return millrace;
  }

  #ask(what: ToSender): void {
    this.#sender?.send(what);
  }

  #answer(is: FromSender['is'], ms: number): Promise<FromSender> {
    const sender = this.#sender;
    return new Promise((done, refuse) => {
      const timer = setTimeout(() => refuse(new Error(`the sender did not say "${is}" within ${ms} ms`)), ms);
      const hear = (message: FromSender): void => {
        if (message.is !== is) return;
        clearTimeout(timer);
        sender?.off('message', hear);
        done(message);
      };
      sender?.on('message', hear);
    });
  }

  // ---- what must hold -------------------------------------------------------------------------

  /** Something that each connection sends from now on must come through. */
  async #flows(): Promise<void> {
    const began = performance.now();
    if (this.#sender?.connected !== true) throw new Error('the sender is gone');
    const heard = this.#answer('marks', 5000);
    // It may not listen yet.
    this.#ask('marks');
    const { marks } = await heard;
    for (;;) {
      this.#running();
      const waiting = marks.filter((mark, sender) => (this.#bulk.marks[sender] ?? 0) <= mark);
      if (waiting.length === 0) break;
      if (performance.now() - began > FLOWS_MS)
        throw new Error(`fresh events of ${waiting.length} of ${marks.length} connections do not flow after ${FLOWS_MS} ms`);
      await sleep(20);
    }
    this.#tell(`fresh events of all connections came through after ${Math.round(performance.now() - began)} ms`);
  }

  /** The sender stops; all it was promised must arrive; the counters must agree; the books must balance. */
  async #settle(): Promise<void> {
    const finished = this.#answer('finished', 20_000);
    this.#ask('finish');
    const { waiting } = await finished;
    if (waiting > 0) this.problem(`${waiting} frames on sound connections were never acknowledged`);
    // A clock that was set back holds the counters' intervals open until it has come again to where it was.
    writeFileSync(this.#files.clock, String(this.#furthestMs));
    if (this.#plan.seed % 2 === 1) {
      // What it has not delivered or counted when it ends it goes on with at its next start.
      await this.#stop();
      await this.#start();
    }
    await this.#lookUntil((verdict) => verdict.sums.lost === 0);
    // Counters come an interval later.
    await this.#lookUntil((verdict) => verdict.problems.length === 0);
    const { imbalances } = await this.#running().status();
    for (const sentence of imbalances) this.problem(`the books do not balance: ${sentence}`);
    await this.#stop();
    this.#look();
  }

  async #stop(): Promise<void> {
    const end = await this.#running().stop();
    if (end !== 0) this.problem(`it ended with ${end} when it was told to stop`);
    if (this.#millrace?.logged().includes('the books do not balance') === true) this.problem('the closing books do not balance');
    this.#tell('stopped');
  }

  /** Waits as long as something still comes, and then a while. */
  async #lookUntil(isDone: (verdict: Verdict) => boolean): Promise<void> {
    const began = performance.now();
    let movedMs = began;
    let seen = '';
    while (!isDone(this.#look()) && performance.now() - movedMs < this.#settlesMs && performance.now() - began < SETTLES_MAX_MS) {
      await sleep(100);
      const { documents, repeats } = this.#bulk;
      const now = `${documents} ${repeats} ${this.#carbon.taken}`;
      if (now !== seen) movedMs = performance.now();
      seen = now;
    }
    this.#tell(`waited ${Math.round(performance.now() - began)} ms for the rest`);
  }

  #look(): Verdict {
    const { stored, kinds } = this.#bulk;
    const verdict = judge({
      // A run that broke off before its sender began has none.
      ledger: readLedger(existsSync(this.#ledger) ? readFileSync(this.#ledger, 'utf8') : ''),
      idsOf: (key) => stored.get(key)?.ids ?? [],
      held: stored.keys(),
      counts: Array.from(kinds, ([kind, documents]) => ({ kind, documents, counted: this.#carbon.sum(`events.${kind}`) })),
    });
    this.#verdict = verdict;
    return verdict;
  }

  async end(): Promise<void> {
    this.#sender?.kill('SIGKILL');
    this.#millrace?.kill();
    await this.#millrace?.ended;
    await Promise.all([this.#bulk.behave('well').then(() => this.#bulk.stop()), this.#carbon.stop()]);
    if (this.#hasSmallDisk) {
      if (this.#problems.length > 0) freeDisk(this.#files.data);
      unmountSmallDisk(this.#files.data);
    }
  }

  report(): RunReport {
    // A run that broke off is judged by what there is.
    const verdict = this.#problems.length > 0 ? this.#look() : (this.#verdict ?? this.#look());
    this.#tell(`${this.#bulk.requests} requests, ${this.#bulk.repeats} repeats, ${this.#carbon.rewritten} points corrected`);
    const problems = [...this.#problems, ...verdict.problems, ...this.#bulk.problems, ...this.#carbon.problems];
    if (problems.length > 0) writeFileSync(join(this.#files.config, '..', 'points'), this.#carbon.points().join('\n'));
    return {
      problems,
      sums: verdict.sums,
      story: this.#story,
      seconds: (performance.now() - this.#began) / 1000,
    };
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

function configuration(port: number, bulk: number, carbon: number, durability: RunOptions['durability']): string {
  const buffer = [
    '  <buffer>',
    '    flush_interval 100ms',
    '    retry_wait 50ms',
    '    retry_max_interval 400ms',
    '    retry_forever true',
    '    flush_thread_count 2',
    '  </buffer>',
  ];
  return [
    '<system>\n  port 0\n  shutdown_timeout 3s\n</system>',
    '<source>\n  @type forward',
    `  port ${port}`,
    ...(durability === undefined ? [] : [`  durability ${durability}`]),
    '</source>',
    '<filter crash.**>\n  @type grep\n  <exclude>\n    key kind\n    pattern /^drop$/\n  </exclude>\n</filter>',
    `<filter crash.**>\n  @type record_transformer\n  <record>\n    added ${ADDED}\n  </record>\n</filter>`,
    '<filter crash.**>\n  @type log_to_metric\n  flush_interval 1s\n  <metric>\n    name events.${kind}\n  </metric>\n</filter>',
    `<match crash.**>\n  @type elasticsearch\n  host 127.0.0.1\n  port ${bulk}\n  index_name crash\n  request_timeout 2s`,
    ...buffer,
    '</match>',
    `<match metrics.**>\n  @type graphite\n  port ${carbon}`,
    ...buffer,
    '</match>\n',
  ].join('\n');
}
