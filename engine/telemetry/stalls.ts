/** Who does not move although work waits, since when, and why. Pure: the books and the time come in. */
import { sumOf, type ComponentStatus } from './accounts.ts';
import { remedyFor } from './reasons.ts';

export interface Stall {
  /** Id of the component; with several workers the same one may stand here more than once. */
  readonly component: string;
  readonly kind: string;
  readonly worker: number;
  /** Where it stands in the configuration, when it does. */
  readonly place?: string;
  readonly sinceMs: number;
  readonly forMs: number;
  /** Events that wait for it. */
  readonly waiting: number;
  readonly because: string;
  readonly remedy: string;
  /** The whole in one sentence, without the remedy. */
  readonly sentence: string;
}

/** Nothing has moved for so long while work waits: that is no pause between two chunks any more. */
export const STALL_MS = 10_000;
/** An output that says it is fine may wait for a slow answer; so long it is believed. */
export const QUIET_MS = 60_000;

interface Track {
  last: ComponentStatus;
  /** When its progress was last seen to change, or when work began to wait. */
  sinceMs: number;
  seenMs: number;
  /** An output took events and delivered none since then, although nothing waits. */
  fruitlessSinceMs: number | undefined;
}

export class StallWatch {
  readonly #tracks = new Map<string, Track>();
  #workers = 0;

  /** @param workers  number of workers that should be there */
  observe(nowMs: number, components: readonly ComponentStatus[], workers: number): void {
    this.#workers = workers;
    for (const status of components) {
      const key = `${status.worker} ${status.kind} ${status.id}`;
      const track = this.#tracks.get(key);
      if (track === undefined)
        this.#tracks.set(key, {
          last: status,
          sinceMs: nowMs,
          seenMs: nowMs,
          fruitlessSinceMs: fruitlessFrom(undefined, status, nowMs),
        });
      else follow(track, status, nowMs);
    }
    this.#forget(nowMs, new Set(components.map(({ worker }) => worker)));
  }

  /** What is gone for good: its worker answered without it, or was there only to drain an old log. */
  #forget(nowMs: number, answered: ReadonlySet<number>): void {
    for (const [key, { last, seenMs }] of this.#tracks)
      if (seenMs !== nowMs && (answered.has(last.worker) || last.worker >= this.#workers)) this.#tracks.delete(key);
  }

  /** What does not move, outputs first: they are what everything else waits for. */
  stalls(nowMs: number): Stall[] {
    const found = [...this.#tracks.values()].flatMap((track) => this.#judge(track, nowMs));
    // A source that is held back by the log has no cause of its own: it names that of the output.
    const outputs = found.filter(({ kind }) => kind === 'output');
    const reported = found.map((stall) => (stall.kind === 'source' || stall.kind === 'log' ? blame(stall, outputs) : stall));
    return reported.toSorted((a, b) => rank(a) - rank(b) || a.sinceMs - b.sinceMs);
  }

  #judge(track: Track, nowMs: number): Stall[] {
    const { last, seenMs } = track;
    if (nowMs - seenMs >= STALL_MS && last.worker < this.#workers) {
      // One sentence for the whole worker.
      if (last.kind !== 'log') return [];
      return [
        make(
          track,
          nowMs,
          seenMs,
          'worker',
          'its thread is busy or hangs',
          'look at its last lines in the log; restart if it stays so',
        ),
      ];
    }
    switch (last.kind) {
      case 'output':
        return judgeOutput(track, nowMs);
      case 'log':
        return judgeLog(track, nowMs);
      case 'source':
        return this.#judgeSource(track, nowMs);
      default:
        return judgePlain(track, nowMs);
    }
  }

  /** A source that cannot go on because its worker's log takes nothing. */
  #judgeSource(track: Track, nowMs: number): Stall[] {
    const { last, sinceMs } = track;
    if (last.state !== 'ok' && nowMs - sinceMs >= STALL_MS)
      return [make(track, nowMs, sinceMs, 'source', last.reason ?? last.state, remedyFor(last.reason ?? last.state))];
    const log = [...this.#tracks.values()].find((one) => one.last.kind === 'log' && one.last.worker === last.worker);
    if (log === undefined || log.last.state !== 'stalled') return [];
    const since = Math.max(sinceMs, log.sinceMs);
    if (nowMs - since < STALL_MS) return [];
    const reason = log.last.reason ?? log.last.state;
    return [make(track, nowMs, since, 'source', `the entrance log takes nothing: ${reason}`, remedyFor(reason))];
  }
}

const rank = ({ kind }: Stall): number =>
  ['worker', 'output', 'log', 'router', 'filter', 'consumer', 'rules', 'source'].indexOf(kind);

/** How far it has come: what stays equal while nothing moves. */
function progressOf({ kind, in: taken, created, out, dropped }: ComponentStatus): number {
  // The log moves when it takes something in; what reads from it is looked at by itself.
  if (kind === 'log') return taken + created;
  return out + sumOf(dropped);
}

function waitingOf({ kind, state, pending }: ComponentStatus): number {
  if (kind === 'source') return state === 'ok' ? 0 : 1;
  return pending;
}

function follow(track: Track, status: ComponentStatus, nowMs: number): void {
  const { last } = track;
  const moved = progressOf(status) !== progressOf(last);
  const began = waitingOf(last) === 0 && waitingOf(status) > 0;
  const isIdle = status.kind !== 'log' && status.kind !== 'source' && waitingOf(status) === 0;
  // `waiting`: outputs hold as much as they may; the log still takes what comes.
  const isWell = status.kind === 'log' && status.state !== 'stalled';
  if (moved || began || isIdle || isWell) track.sinceMs = nowMs;
  track.fruitlessSinceMs = fruitlessFrom(track, status, nowMs);
  track.last = status;
  track.seenMs = nowMs;
}

/** Since when an output loses everything that it takes: from the first drop without a delivery in between. */
function fruitlessFrom(track: Track | undefined, status: ComponentStatus, nowMs: number): number | undefined {
  if (status.kind !== 'output') return undefined;
  const before = track?.last;
  if (status.out !== (before?.out ?? 0)) return undefined;
  // The books begin at nothing: what is in them at the first look was lost since the start.
  const lost = sumOf(status.dropped) - sumOf(before?.dropped ?? {});
  return track?.fruitlessSinceMs ?? (lost > 0 ? nowMs : undefined);
}

function judgeOutput(track: Track, nowMs: number): Stall[] {
  const { last, sinceMs, fruitlessSinceMs } = track;
  const { state, reason, pending, dropped } = last;
  if (pending > 0 && state !== 'ok' && nowMs - sinceMs >= STALL_MS) {
    const because = reason ?? state;
    return [make(track, nowMs, sinceMs, 'output', because, remedyFor(because))];
  }
  if (pending > 0 && nowMs - sinceMs >= QUIET_MS && !isGathering(last))
    return [
      make(track, nowMs, sinceMs, 'output', 'the server has not answered yet', 'look at the load of the server and the network'),
    ];
  if (fruitlessSinceMs !== undefined && nowMs - fruitlessSinceMs >= STALL_MS) {
    const because = `everything that it took was dropped (${listOf(dropped)})`;
    return [make(track, nowMs, fruitlessSinceMs, 'output', because, '`millrace dlq ls` shows what the server said')];
  }
  return [];
}

/** All that waits is in chunks whose time has not come (a day's timekey, say). */
function isGathering({ metrics }: ComponentStatus): boolean {
  const underWay = metrics['chunks_in_flight'];
  const waiting = metrics['chunks_waiting'];
  return underWay !== undefined && waiting !== undefined && underWay + waiting === 0;
}

function judgeLog(track: Track, nowMs: number): Stall[] {
  const { last, sinceMs } = track;
  if (last.state !== 'stalled' || nowMs - sinceMs < STALL_MS) return [];
  const because = last.reason ?? last.state;
  return [make(track, nowMs, sinceMs, 'log', because, remedyFor(because))];
}

function judgePlain(track: Track, nowMs: number): Stall[] {
  const { last, sinceMs } = track;
  if (waitingOf(last) === 0 || nowMs - sinceMs < STALL_MS) return [];
  const because = last.reason ?? 'it is behind: what comes in is more than it can do';
  return [make(track, nowMs, sinceMs, last.kind, because, 'look at the CPU of the process; more `workers` share the load')];
}

function blame(stall: Stall, outputs: readonly Stall[]): Stall {
  const culprit = outputs.find(({ worker }) => worker === stall.worker);
  if (culprit === undefined || !/log_limit_size|full/.test(stall.because) || /disk/i.test(stall.because)) return stall;
  const because = `${stall.because}; output ${culprit.component} holds it up: ${culprit.because}`;
  return { ...stall, because, remedy: culprit.remedy, sentence: stall.sentence.replace(stall.because, () => because) };
}

const DID: Readonly<Record<string, string>> = {
  output: 'has delivered nothing',
  log: 'has taken nothing',
  source: 'is held back and has taken nothing',
  worker: 'has not answered',
};

function make(track: Track, nowMs: number, sinceMs: number, kind: string, because: string, remedy: string): Stall {
  const { id, worker, pending, place } = track.last;
  const forMs = nowMs - sinceMs;
  const name = kind === 'worker' ? `worker ${worker}` : `${kind} ${id}`;
  const waits = pending > 0 && kind !== 'source' ? ` while ${pending} ${pending === 1 ? 'event waits' : 'events wait'}` : '';
  const sentence = `${name} ${DID[kind] ?? 'has passed nothing on'} for ${durationText(forMs)}${waits}, because ${because}`;
  const component = kind === 'worker' ? `worker-${worker}` : id;
  return {
    component,
    kind,
    worker,
    sinceMs,
    forMs,
    waiting: pending,
    because,
    remedy,
    sentence,
    ...(place === undefined ? {} : { place }),
  };
}

function listOf(dropped: Readonly<Record<string, number>>): string {
  return Object.entries(dropped)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason}: ${count}`)
    .join(', ');
}

/** `42 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
