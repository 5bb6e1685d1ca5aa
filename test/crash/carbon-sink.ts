/** The judge's end of the graphite output: as Graphite does, it keeps the last value that came for a series and a time. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class CarbonSink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #points = new Map<string, number>();
  /** Points that came for a series and a time that had one already. */
  rewritten = 0;
  taken = 0;
  /** True: connections are broken, and what has come over them is forgotten. */
  breaks = false;
  readonly problems: string[] = [];

  constructor() {
    this.#server = createServer((socket) => this.#take(socket));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async start(): Promise<void> {
    await new Promise<void>((done) => {
      this.#server.listen(0, '127.0.0.1', done);
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // A sender that was killed.
    socket.on('error', () => undefined);
    // A close without a reset would say that everything was read: that is all that carbon ever says.
    if (this.breaks) {
      socket.once('data', () => socket.resetAndDestroy());
      return;
    }
    let rest = '';
    // As carbon does, whole lines count even when the connection ends badly after them.
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#point(line);
    });
  }

  #point(line: string): void {
    const found = /^(\S+) (-?[\d.]+(?:e[+-]?\d+)?) (\d+)$/.exec(line);
    if (found === null) {
      if (this.problems.length < 5) this.problems.push(`not a line of carbon: ${JSON.stringify(line.slice(0, 100))}`);
      return;
    }
    const key = `${found[1] as string} ${found[3] as string}`;
    this.taken++;
    if (this.#points.has(key)) this.rewritten++;
    this.#points.set(key, Number(found[2]));
  }

  /** Sum of a series over all times. */
  sum(series: string): number {
    let sum = 0;
    for (const [key, value] of this.#points) if (key.startsWith(`${series} `)) sum += value;
    return sum;
  }

  /** Everything it holds, for a report: `series time value`. */
  points(): string[] {
    return Array.from(this.#points, ([key, value]) => `${key} ${value}`);
  }
}
