/**
 * The sender of a crash run, a process of its own: several connections that speak the forward protocol and write down,
 * before anything else happens, what they send and what is acknowledged. Started with its settings as JSON in argv.
 *
 * The file has a line for each thing that happened: `S sender first count` before a frame is written, `H ...` before half
 * of one is written and the connection broken, `A sender first` when it was acknowledged, `R sender first` before it is
 * sent again.
 */
import { openSync, writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { seeded } from '../../engine/testing/seeded.ts';
import { ACK_BYTES, frameOf, readAck } from './events.ts';

export interface SenderSettings {
  readonly seed: number;
  readonly port: number;
  readonly file: string;
  readonly connections: number;
  /** Frames of one connection that may wait for their acknowledgement. */
  readonly window: number;
  /** All connections together. */
  readonly eventsPerSecond: number;
  /** Whether frames that were not acknowledged are sent again on the next connection. */
  readonly resends: boolean;
}

export type ToSender = 'finish' | 'marks' | 'break';
export interface FromSender {
  readonly is: 'ready' | 'marks' | 'finished';
  /** For each connection the number of its next event. */
  readonly marks: readonly number[];
  /** Frames on connections that live, still without an acknowledgement. */
  readonly waiting: number;
  readonly acknowledged: number;
}

const TICK_MS = 10;
const RECONNECT_MS = 50;
const FINISH_MS = 15_000;
/** Frames of one, ten and two hundred events, most events in the large ones. */
const COUNTS = [1, 1, 1, 10, 10, 200] as const;

interface Sent {
  readonly count: number;
  readonly frame: Buffer;
}

class Connection {
  readonly #id: number;
  readonly #s: SenderSettings;
  readonly #write: (line: string) => void;
  readonly #random: ReturnType<typeof seeded>;
  #socket: Socket | undefined;
  #isOpen = false;
  #rest: Buffer = Buffer.alloc(0);
  #next = 0;
  readonly #waiting = new Map<number, Sent>();
  acknowledged = 0;

  constructor(id: number, settings: SenderSettings, write: (line: string) => void) {
    this.#id = id;
    this.#s = settings;
    this.#write = write;
    this.#random = seeded(settings.seed * 31 + id);
    this.#open();
  }

  get next(): number {
    return this.#next;
  }

  get waiting(): number {
    return this.#isOpen ? this.#waiting.size : 0;
  }

  #open(): void {
    const socket = connect({ host: '127.0.0.1', port: this.#s.port, noDelay: true });
    this.#socket = socket;
    this.#rest = Buffer.alloc(0);
    socket.on('connect', () => {
      this.#isOpen = true;
      if (!this.#s.resends) this.#waiting.clear();
      for (const [first, { frame }] of this.#waiting) {
        this.#write(`R ${this.#id} ${first}\n`);
        socket.write(frame);
      }
    });
    socket.on('data', (data) => this.#hear(data));
    // The close that follows says it too.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isOpen = false;
      setTimeout(() => this.#open(), RECONNECT_MS);
    });
  }

  #hear(data: Buffer): void {
    let bytes = Buffer.concat([this.#rest, data]);
    let lines = '';
    for (; bytes.length >= ACK_BYTES; bytes = bytes.subarray(ACK_BYTES)) {
      const first = readAck(bytes.subarray(0, ACK_BYTES));
      lines += `A ${this.#id} ${first}\n`;
      this.acknowledged += this.#waiting.get(first)?.count ?? 0;
      this.#waiting.delete(first);
    }
    this.#rest = bytes;
    if (lines !== '') this.#write(lines);
  }

  /** @returns the number of events sent, at most about `events` */
  send(events: number): number {
    let sent = 0;
    while (sent < events && this.#isOpen && this.#waiting.size < this.#s.window) {
      const count = this.#random.pick(COUNTS);
      const first = this.#next;
      this.#next += count;
      const frame = frameOf(this.#id, first, count, this.#random.chance(0.1));
      this.#waiting.set(first, { count, frame });
      this.#write(`S ${this.#id} ${first} ${count}\n`);
      this.#socket?.write(frame);
      sent += count;
    }
    return sent;
  }

  /** Breaks the connection in the midst of a frame, or just so. */
  break(): void {
    const socket = this.#socket;
    if (!this.#isOpen || socket === undefined) return;
    const first = this.#next;
    const count = 10;
    this.#next += count;
    const frame = frameOf(this.#id, first, count, false);
    this.#write(`H ${this.#id} ${first} ${count}\n`);
    socket.write(frame.subarray(0, this.#random.between(1, frame.length - 1)), () => socket.destroy());
  }
}

function run(settings: SenderSettings): void {
  const file = openSync(settings.file, 'a');
  const write = (line: string): void => void writeSync(file, line);
  const connections = Array.from({ length: settings.connections }, (_, id) => new Connection(id, settings, write));
  const random = seeded(settings.seed);
  const say = (is: FromSender['is']): void => {
    const sum = (of: (each: Connection) => number): number => connections.reduce((total, each) => total + of(each), 0);
    process.send?.({
      is,
      marks: connections.map(({ next }) => next),
      waiting: sum(({ waiting }) => waiting),
      acknowledged: sum(({ acknowledged }) => acknowledged),
    } satisfies FromSender);
  };
  let last = performance.now();
  let due = 0;
  const load = setInterval(() => {
    const now = performance.now();
    // After a pause the rate is kept, what was missed is not made up for.
    due = Math.min(due + ((now - last) / 1000) * settings.eventsPerSecond, settings.eventsPerSecond / 4);
    last = now;
    const start = random.below(connections.length);
    for (let n = 0; n < connections.length && due > 0; n++)
      due -= (connections[(start + n) % connections.length] as Connection).send(Math.max(1, due / connections.length));
  }, TICK_MS);
  const finish = (): void => {
    clearInterval(load);
    const end = performance.now() + FINISH_MS;
    const look = setInterval(() => {
      if (connections.some(({ waiting }) => waiting > 0) && performance.now() < end) return;
      clearInterval(look);
      say('finished');
    }, TICK_MS);
  };
  const breakSome = (): void => {
    for (const each of connections) if (random.chance(0.7)) each.break();
  };
  process.on('message', (message: ToSender) => {
    if (message === 'marks') say('marks');
    else if (message === 'break') breakSome();
    else finish();
  });
  process.on('disconnect', () => process.exit(0));
  say('ready');
}

if (import.meta.main) run(JSON.parse(process.argv[2] ?? '{}') as SenderSettings);
