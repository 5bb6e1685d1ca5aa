/**
 * Sends prepared requests of the forward protocol, or datagrams, as fast as they are taken or at a rate. All bytes are made
 * before the first one is sent.
 */
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { makeCorpus } from '../../events/corpus.ts';
import { singleMessages } from '../messages.ts';
import { datagrams } from '../statsd-load.ts';
import { serve } from './port.ts';

export interface SendQuestion {
  readonly type: 'forward' | 'statsd';
  readonly port: number;
  readonly events: number;
  /** Events of a frame (1: Message mode without acknowledgement), or metrics of a datagram. */
  readonly eventsEach: number;
  /** Events a second; undefined: as fast as they are taken. */
  readonly rate?: number;
  /** Whether the receiver answers each chunk: then so many events may be unanswered, and all are waited for. */
  readonly acks: boolean;
  readonly connections?: number;
  /** Gives up after so long; what was sent and answered until then is told. */
  readonly timeoutMs?: number;
}
export interface SendAnswer {
  readonly events: number;
  readonly bytes: number;
  readonly acked: number;
  readonly seconds: number;
  /** Datagrams that the own system refused to take. */
  readonly refused: number;
}

/** What is written at once, and what it holds. */
interface Piece {
  readonly bytes: Buffer;
  readonly frames: number;
}

/** Small frames leave in pieces of this size: a sender that writes each one alone would be the slowest part. */
const PIECE_BYTES = 64 * 1024;
const UNANSWERED_EVENTS = 64_000;
const CORPUS_EVENTS = 40_000;
const TICK_MS = 10;
const ACK = Buffer.from('\x81\xa3ack', 'latin1');

const corpora = new Map<number, readonly Piece[]>();

function piecesOf(eventsEach: number, pieceBytes: number): readonly Piece[] {
  const known = corpora.get(eventsEach);
  if (known !== undefined) return known;
  const { frames } = makeCorpus(Math.ceil(CORPUS_EVENTS / eventsEach), eventsEach);
  const messages = eventsEach === 1 ? singleMessages(frames) : frames;
  const pieces: Piece[] = [];
  let open: Buffer[] = [];
  let bytes = 0;
  const close = (): void => {
    if (open.length > 0) pieces.push({ bytes: Buffer.concat(open), frames: open.length });
    open = [];
    bytes = 0;
  };
  for (const message of messages) {
    open.push(message);
    bytes += message.length;
    if (bytes >= pieceBytes) close();
  }
  close();
  corpora.set(eventsEach, pieces);
  return pieces;
}

class Connection {
  readonly #socket: Socket;
  readonly #onMove: () => void;
  #rest = Buffer.alloc(0);
  #isFull = false;
  error: Error | undefined;
  unanswered = 0;
  acked = 0;

  constructor(port: number, onMove: () => void) {
    this.#onMove = onMove;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (data) => this.#answered(data));
    this.#socket.on('drain', () => {
      this.#isFull = false;
      onMove();
    });
    this.#socket.on('error', (error) => {
      this.error = error;
      onMove();
    });
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  write(piece: Piece): void {
    this.unanswered += piece.frames;
    this.#isFull = !this.#socket.write(piece.bytes);
  }

  #answered(data: Buffer): void {
    const bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let end = 0;
    let count = 0;
    for (let at = bytes.indexOf(ACK); at >= 0; at = bytes.indexOf(ACK, end)) {
      count++;
      end = at + ACK.length;
    }
    // A mark may be cut in two, and is not counted twice.
    this.#rest = Buffer.from(bytes.subarray(Math.max(end, bytes.length - ACK.length + 1)));
    this.acked += count;
    this.unanswered -= count;
    this.#onMove();
  }

  /** Everything that was written has left. */
  async end(): Promise<void> {
    if (this.error !== undefined) return void this.#socket.destroy();
    await new Promise<void>((resolve) => this.#socket.end(resolve));
    this.#socket.destroy();
  }
}

async function forward(question: SendQuestion): Promise<SendAnswer> {
  const { eventsEach, acks, rate, events } = question;
  const pieces = piecesOf(eventsEach, rate === undefined ? PIECE_BYTES : 1);
  let wake = (): void => undefined;
  const moved = (): Promise<void> => new Promise((resolve) => (wake = resolve));
  const connections = Array.from({ length: question.connections ?? 2 }, () => new Connection(question.port, () => wake()));
  const windowFrames = Math.max(1, Math.floor(UNANSWERED_EVENTS / eventsEach / connections.length));
  const start = performance.now();
  const isLate = (): boolean => performance.now() - start > (question.timeoutMs ?? 600_000);
  const failed = (): boolean => connections.some(({ error }) => error !== undefined);
  let sent = 0;
  let bytes = 0;
  let next = 0;
  const allowed = (): number => (rate === undefined ? events : Math.min(events, ((performance.now() - start) / 1000) * rate));
  while (sent < events && !failed() && !isLate()) {
    let isMoving = false;
    for (const connection of connections) {
      if (sent >= allowed() || connection.isFull || (acks && connection.unanswered >= windowFrames)) continue;
      const piece = pieces[next++ % pieces.length] as Piece;
      connection.write(piece);
      sent += piece.frames * eventsEach;
      bytes += piece.bytes.length;
      isMoving = true;
    }
    if (isMoving) continue;
    // The timer is for the rate, and for the deadline of a receiver that takes nothing any more.
    const timer = setTimeout(() => wake(), rate === undefined ? 1000 : TICK_MS);
    await moved();
    clearTimeout(timer);
  }
  const unanswered = (): number => (acks ? connections.reduce((sum, connection) => sum + connection.unanswered, 0) : 0);
  while (unanswered() > 0 && !failed() && !isLate()) {
    const timer = setTimeout(() => wake(), 1000);
    await moved();
    clearTimeout(timer);
  }
  const acked = connections.reduce((sum, connection) => sum + connection.acked, 0) * eventsEach;
  const seconds = (performance.now() - start) / 1000;
  await Promise.all(connections.map((connection) => connection.end()));
  return { events: sent, bytes, acked, seconds, refused: 0 };
}

/** Datagrams leave in bursts of a hundredth of a second. */
async function statsd({ port, events, eventsEach, rate = 30_000 }: SendQuestion): Promise<SendAnswer> {
  const made = datagrams(eventsEach);
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.connect(port, '127.0.0.1', resolve));
  socket.setSendBufferSize(4 << 20);
  const start = performance.now();
  let sent = 0;
  let bytes = 0;
  let refused = 0;
  let open = 0;
  const left = (error: Error | null): void => {
    open--;
    if (error !== null) refused++;
  };
  for (let next = 0; sent < events;) {
    const allowed = Math.min(events, ((performance.now() - start) / 1000) * rate);
    for (; sent < allowed; sent += eventsEach) {
      const datagram = made[next++ % made.length] as Buffer;
      open++;
      socket.send(datagram, left);
      bytes += datagram.length;
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  const isUnderWay = (): boolean => open > 0;
  while (isUnderWay()) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  const seconds = (performance.now() - start) / 1000;
  await new Promise<void>((resolve) => socket.close(resolve));
  return { events: sent, bytes, acked: 0, seconds, refused };
}

serve<SendQuestion, SendAnswer>((question) => (question.type === 'forward' ? forward(question) : statsd(question)));
