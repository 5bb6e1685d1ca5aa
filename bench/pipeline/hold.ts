/** The output stands still while events are offered at full speed; then it goes on. Nothing that was acknowledged may be lost. */
import type { Figure } from './footprint.ts';
import type { Program } from './program.ts';
import type { SendAnswer, SendQuestion } from './programs/sender.ts';
import type { Hold, Throughput } from './scenarios.ts';
import { startMillrace, type Millrace } from './subject.ts';
import { memoryOf } from './usage.ts';

export interface HoldBench {
  readonly millrace: Millrace;
  readonly sender: Program<SendQuestion, SendAnswer>;
  readonly events: number;
}

const SAMPLE_MS = 200;
/** Small enough to be reached: about 800,000 events. */
const LOG_LIMIT_BYTES = 256 << 20;
const WARM_UP_EVENTS = 100_000;
/** So long nothing is taken any more: the senders are held back, or have sent everything. */
const QUIET_SAMPLES = 15;
const HELD_SECONDS_MAX = 300;
const RESUMED_MS_MAX = 600_000;

export async function runHold({ millrace, sender, events }: HoldBench, { name, title }: Hold): Promise<Figure[]> {
  const throughput: Throughput = {
    kind: 'throughput',
    name,
    title,
    input: 'forward',
    eventsEach: 2000,
    acks: true,
    level: 'fsync',
    geo: false,
    output: 'bulk',
    events,
    logLimit: LOG_LIMIT_BYTES,
  };
  const subject = await startMillrace(millrace, throughput, '');
  const sink = subject.sink;
  if (sink === undefined) throw new Error('no sink');
  try {
    const ask = (count: number): Promise<SendAnswer> =>
      sender.ask({ type: 'forward', port: subject.port, events: count, eventsEach: 2000, acks: true, timeoutMs: RESUMED_MS_MAX });
    await ask(WARM_UP_EVENTS);
    const { port } = await sink.ask({ type: 'await', documents: WARM_UP_EVENTS, bytes: 0, timeoutMs: 60_000 });
    const before = memoryOf(subject.pid).peakMb;
    await sink.ask({ type: 'stop' });
    const sending = ask(events);
    let isSent = false;
    void sending.then(() => (isSent = true));
    const heldMb = await watch(subject.pid, () => isSent);
    const grownMb = Math.max(0, heldMb - before);
    const wasHeldBack = !isSent;
    await sink.ask({ type: 'listen', port });
    const sent = await sending;
    const expected = WARM_UP_EVENTS + sent.acked;
    const got = await sink.ask({ type: 'await', documents: expected, bytes: 0, timeoutMs: RESUMED_MS_MAX });
    const row = (subjectName: string, unit: Figure['unit'], value: number): Figure => ({
      scenario: name,
      title,
      subject: subjectName,
      unit,
      value,
      rounds: [value],
    });
    return [
      row('before, highest', 'MB', before),
      row('while held, resident', 'MB', heldMb),
      row('while held, more than before', 'MB', grownMb),
      row('highest until the end', 'MB', memoryOf(subject.pid).peakMb),
      row(wasHeldBack ? 'offered; senders were held back' : 'offered; all were taken', 'events', sent.events),
      row('acknowledged', 'events', sent.acked),
      row('acknowledged and not delivered', 'events', Math.max(0, expected - got.documents)),
    ];
  } finally {
    await subject.stop();
  }
}

/** @returns the highest resident set until it stands still and `isSent`, or stands still for long */
async function watch(pid: number, isSent: () => boolean): Promise<number> {
  let highest = 0;
  let quiet = 0;
  for (let n = 0; n < (HELD_SECONDS_MAX * 1000) / SAMPLE_MS && quiet < QUIET_SAMPLES; n++) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const { rssMb } = memoryOf(pid);
    quiet = isSent() || rssMb <= highest + 0.5 ? quiet + 1 : 0;
    highest = Math.max(highest, rssMb);
  }
  return highest;
}
