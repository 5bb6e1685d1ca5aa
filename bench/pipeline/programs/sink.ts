/**
 * An HTTP server that takes bulk bodies as fast as they come. It reads heads by itself and counts line feeds: an answer of
 * Elasticsearch has one status for each document, and that is all it makes.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { serve } from './port.ts';

export type SinkQuestion =
  | { readonly type: 'listen'; readonly port: number }
  | AwaitQuestion
  /** Closes the port: connections are refused until `listen`. */
  | { readonly type: 'stop' };
/** Waits until so many documents and bytes have come, counted from the start. */
interface AwaitQuestion {
  readonly type: 'await';
  readonly documents: number;
  readonly bytes: number;
  readonly timeoutMs: number;
}
export interface SinkAnswer {
  readonly documents: number;
  readonly bytes: number;
  readonly requests: number;
  readonly port: number;
}

const LF = 0x0a;
const WELCOME = JSON.stringify({
  name: 'sink',
  cluster_name: 'sink',
  version: { number: '8.19.0', build_flavor: 'default', lucene_version: '9.12.2' },
  tagline: 'You Know, for Search',
});
const ITEM = '{"create":{"status":201}}';

const sockets = new Set<Socket>();
/** Answers by the number of documents: chunks of one size repeat. */
const answers = new Map<number, Buffer>();
let server: Server | undefined;
let documents = 0;
let bytes = 0;
let requests = 0;
let waiting: { readonly reached: () => boolean; readonly resolve: () => void } | undefined;

function answerOf(count: number): Buffer {
  let answer = answers.get(count);
  if (answer === undefined) {
    answer = response(`{"took":1,"errors":false,"items":[${Array.from({ length: count }, () => ITEM).join(',')}]}`);
    if (answers.size > 200) answers.clear();
    answers.set(count, answer);
  }
  return answer;
}

function response(body: string): Buffer {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nX-elastic-product: Elasticsearch\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
}

const welcome = response(WELCOME);
const empty = response('{}');

function accept(socket: Socket): void {
  sockets.add(socket);
  socket.setNoDelay(true);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => undefined);
  let head = Buffer.alloc(0);
  let missing = 0;
  let lines = 0;
  let isBulk = false;
  const finish = (): void => {
    requests++;
    if (isBulk) documents += lines >> 1;
    socket.write(isBulk ? answerOf(lines >> 1) : empty);
    if (waiting?.reached() === true) waiting.resolve();
  };
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length;) {
      if (missing > 0) {
        const end = Math.min(data.length, at + missing);
        if (isBulk) for (let lf = data.indexOf(LF, at); lf >= 0 && lf < end; lf = data.indexOf(LF, lf + 1)) lines++;
        bytes += end - at;
        missing -= end - at;
        at = end;
        if (missing === 0) finish();
        continue;
      }
      head = Buffer.concat([head, data.subarray(at)]);
      const bodyAt = head.indexOf('\r\n\r\n');
      if (bodyAt < 0) return;
      const text = head.toString('latin1', 0, bodyAt);
      at = data.length - (head.length - bodyAt - 4);
      head = Buffer.alloc(0);
      missing = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0);
      if (/\r\nexpect: *100-continue/i.test(text)) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      isBulk = /^\w+ \S*_bulk/.test(text);
      lines = 0;
      if (missing === 0) socket.write(text.startsWith('GET / ') || text.startsWith('HEAD / ') ? welcome : empty);
    }
  });
}

const state = (): SinkAnswer => {
  const address = server?.address();
  return { documents, bytes, requests, port: typeof address === 'object' && address !== null ? address.port : 0 };
};

async function listen(port: number): Promise<void> {
  const opened = createServer(accept);
  server = opened;
  await new Promise<void>((resolve, reject) => {
    opened.once('error', reject);
    opened.listen(port, '127.0.0.1', resolve);
  });
}

function stop(): void {
  server?.close();
  for (const socket of sockets) socket.destroy();
}

async function awaitCounts({ documents: wanted, bytes: wantedBytes, timeoutMs }: AwaitQuestion): Promise<void> {
  const reached = (): boolean => documents >= wanted && bytes >= wantedBytes;
  if (reached()) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    waiting = {
      reached,
      resolve: () => {
        clearTimeout(timer);
        resolve();
      },
    };
  });
  waiting = undefined;
}

serve<SinkQuestion, SinkAnswer>(async (question) => {
  if (question.type === 'listen') await listen(question.port);
  else if (question.type === 'stop') stop();
  else await awaitCounts(question);
  return state();
});
