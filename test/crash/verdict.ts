/** What must hold when a crash run is over. Values in, sentences out; it has seen neither processes nor sockets. */
import { isDropped, keyOf } from './events.ts';

/** What the sender wrote down. */
export interface Ledger {
  /** By `sender-first`. */
  readonly frames: ReadonlyMap<string, SentFrame>;
}

export interface SentFrame {
  readonly sender: number;
  readonly first: number;
  readonly count: number;
  /** Only a part of it was written before the connection was broken. */
  readonly isHalf: boolean;
  isAcknowledged: boolean;
  isResent: boolean;
}

export interface Evidence {
  readonly ledger: Ledger;
  /** Ids under which an event is held, by the key of the event. */
  readonly idsOf: (key: string) => readonly string[];
  /** Keys of all events that are held. */
  readonly held: Iterable<string>;
  /** Documents held, by kind, and what the counter says. */
  readonly counts: readonly { readonly kind: string; readonly documents: number; readonly counted: number }[];
}

export interface Sums {
  readonly sentEvents: number;
  readonly acknowledgedEvents: number;
  readonly arrivedEvents: number;
  readonly lost: number;
  /** Frames that were not acknowledged but came all the same: the kill hit between the log and the answer. */
  readonly framesBeyond: number;
  /** Events that are there twice because the sender sent them twice; the protocol cannot tell them apart. */
  readonly twiceByResend: number;
}

export interface Verdict {
  readonly problems: readonly string[];
  readonly sums: Sums;
}

/** @param text  the sender's file; a last line without its end is one that never happened */
export function readLedger(text: string): Ledger {
  const frames = new Map<string, SentFrame>();
  const lines = text.split('\n');
  lines.pop();
  for (const line of lines) {
    const [what, sender, first, count] = line.split(' ');
    const key = `${sender ?? ''}-${first ?? ''}`;
    if (what === 'S' || what === 'H')
      frames.set(key, {
        sender: Number(sender),
        first: Number(first),
        count: Number(count),
        isHalf: what === 'H',
        isAcknowledged: false,
        isResent: false,
      });
    const frame = frames.get(key);
    if (frame === undefined) throw new Error(`the sender's file speaks of a frame that was never sent: ${line}`);
    if (what === 'A') frame.isAcknowledged = true;
    if (what === 'R') frame.isResent = true;
  }
  return { frames };
}

export function judge({ ledger, idsOf, held, counts }: Evidence): Verdict {
  const lost = new Findings('acknowledged, but not there');
  const twice = new Findings('there twice, though sent once');
  const torn = new Findings('there in part: a frame must come whole or not at all');
  const half = new Findings('there, though never sent whole');
  const dropped = new Findings('there, though the configuration drops it');
  const strange = new Findings('there, though never sent');
  const sums = { sentEvents: 0, acknowledgedEvents: 0, arrivedEvents: 0, framesBeyond: 0, twiceByResend: 0 };
  const known = new Set<string>();
  for (const frame of ledger.frames.values()) {
    const { sender, first, count, isHalf, isAcknowledged, isResent } = frame;
    let wanted = 0;
    let there = 0;
    for (let number = first; number < first + count; number++) {
      const key = keyOf(sender, number);
      known.add(key);
      const copies = idsOf(key).length;
      if (copies > 1 && isResent) sums.twiceByResend++;
      else if (copies > 1) twice.add(key);
      if (isDropped(number)) {
        if (copies > 0) dropped.add(key);
        continue;
      }
      wanted++;
      if (copies > 0) there++;
      else if (isAcknowledged) lost.add(key);
    }
    sums.arrivedEvents += there;
    if (!isHalf) sums.sentEvents += count;
    if (isAcknowledged) sums.acknowledgedEvents += count;
    else if (there > 0) sums.framesBeyond++;
    if (there > 0 && isHalf) half.add(keyOf(sender, first));
    else if (there > 0 && there < wanted && !isAcknowledged) torn.add(keyOf(sender, first));
  }
  for (const key of held) if (!known.has(key)) strange.add(key);
  const wrong = counts
    .filter(({ documents, counted }) => documents !== counted)
    .map(({ kind, documents, counted }) => `the counter of ${kind} says ${counted}, there are ${documents} documents`);
  return {
    problems: [...[lost, twice, torn, half, dropped, strange].flatMap((each) => each.sentence()), ...wrong],
    sums: { ...sums, lost: lost.count },
  };
}

class Findings {
  readonly #what: string;
  readonly #some: string[] = [];
  count = 0;

  constructor(what: string) {
    this.#what = what;
  }

  add(key: string): void {
    this.count++;
    if (this.#some.length < 5) this.#some.push(key);
  }

  sentence(): string[] {
    if (this.count === 0) return [];
    return [`${this.count} x ${this.#what}: ${this.#some.join(', ')}${this.count > this.#some.length ? ', ...' : ''}`];
  }
}
