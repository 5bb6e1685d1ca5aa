/** What a process needs by itself: time to start, and memory. */
import { connect } from 'node:net';
import { makeCorpus } from '../events/corpus.ts';
import { Agent, freePort, type Program } from './program.ts';
import type { SendAnswer, SendQuestion } from './programs/sender.ts';
import { configOf, type Footprint, type Throughput } from './scenarios.ts';
import { millraceArgs, openSink, startMillrace, type Millrace } from './subject.ts';
import { memoryOf } from './usage.ts';

/** One figure. */
export interface Figure {
  readonly scenario: string;
  readonly title: string;
  readonly subject: string;
  readonly unit: 'ms' | 'MB' | 'events';
  readonly value: number;
  readonly rounds: readonly number[];
}

export interface FootprintBench {
  readonly millrace: Millrace;
  readonly sender: Program<SendQuestion, SendAnswer>;
  readonly rounds: number;
  readonly isShort: boolean;
}

const RATE = 20_000;

export async function runFootprint(bench: FootprintBench, scenario: Footprint): Promise<Figure[]> {
  if (scenario.name === 'start') return runStart(bench, scenario);
  const figures = scenario.name === 'idle' ? await idle(bench) : await paced(bench);
  return figures.map(([subject, rounds]) => figureOf(scenario, subject, 'MB', rounds));
}

function figureOf({ name, title }: Footprint, subject: string, unit: Figure['unit'], rounds: readonly number[]): Figure {
  const value = rounds.toSorted((a, b) => a - b)[rounds.length >> 1] ?? Number.NaN;
  return { scenario: name, title, subject, unit, value, rounds };
}

/** A scenario of throughput that is run at a rate, or not at all. */
const forward = (geo: boolean): Throughput => ({
  kind: 'throughput',
  name: geo ? 'paced' : 'idle',
  title: '',
  input: 'forward',
  eventsEach: 200,
  acks: true,
  level: 'fsync',
  geo,
  output: 'bulk',
  events: 0,
});

async function runStart({ millrace, rounds }: FootprintBench, scenario: Footprint): Promise<Figure[]> {
  const { sink, port: sinkPort } = await openSink();
  const [frame = Buffer.alloc(0)] = makeCorpus(1, 1).frames;
  const own: number[] = [];
  const bare: number[] = [];
  try {
    // The first start of a version fills the cache of compiled code; it is not counted.
    for (let n = -1; n < rounds; n++) {
      const ports = { input: await freePort(), control: await freePort(), sink: sinkPort };
      const args = millraceArgs(millrace, configOf(forward(false), ports, ''), 'start');
      const millraceMs = await firstAnswer(args, ports.input, frame);
      const echo = await freePort();
      const bareMs = await firstAnswer(
        ['-e', `net.createServer((s) => s.on('data', () => s.write('x'))).listen(${echo}, '127.0.0.1')`],
        echo,
        frame,
      );
      if (n < 0) continue;
      own.push(millraceMs);
      bare.push(bareMs);
    }
  } finally {
    await sink.stop();
  }
  return [figureOf(scenario, 'millrace', 'ms', own), figureOf(scenario, 'empty Node server', 'ms', bare)];
}

/** Milliseconds from the start of the process until it has answered the first frame. */
async function firstAnswer(args: readonly string[], port: number, frame: Buffer): Promise<number> {
  const start = performance.now();
  const agent = new Agent(process.execPath, args);
  try {
    for (;;) {
      if (await answers(port, frame)) return performance.now() - start;
      if (agent.hasEnded) throw new Error(`it ended at start: ${agent.errors}`);
      if (performance.now() - start > 60_000) throw new Error(`no answer: ${agent.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  } finally {
    await agent.stop();
  }
}

function answers(port: number, frame: Buffer): Promise<boolean> {
  const socket = connect(port, '127.0.0.1', () => socket.write(frame));
  return new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

type Figures = ReadonlyArray<readonly [subject: string, rounds: readonly number[]]>;

async function idle({ millrace, isShort }: FootprintBench): Promise<Figures> {
  const subject = await startMillrace(millrace, forward(false), '');
  try {
    return [['millrace', await samples(subject.pid, isShort ? 1500 : 5000, 3)]];
  } finally {
    await subject.stop();
  }
}

async function paced({ millrace, isShort, sender }: FootprintBench): Promise<Figures> {
  const subject = await startMillrace(millrace, forward(true), '');
  try {
    const seconds = isShort ? 3 : 15;
    const sending = sender.ask({
      type: 'forward',
      port: subject.port,
      events: RATE * seconds,
      eventsEach: 200,
      rate: RATE,
      acks: true,
    });
    const rounds = await samples(subject.pid, (seconds * 1000) / 3, 5, (seconds * 1000) / 2 / 5);
    await sending;
    const { peakMb } = memoryOf(subject.pid);
    return [
      ['millrace', rounds],
      ['millrace, highest', [peakMb]],
    ];
  } finally {
    await subject.stop();
  }
}

/** The resident set, `count` times, after `afterMs`. */
async function samples(pid: number, afterMs: number, count: number, everyMs = 300): Promise<number[]> {
  const found: number[] = [];
  for (let n = 0; n < count; n++) {
    await new Promise((resolve) => setTimeout(resolve, n === 0 ? afterMs : everyMs));
    found.push(memoryOf(pid).rssMb);
  }
  return found;
}
