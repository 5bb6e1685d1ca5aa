import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { lookupService } from 'node:dns/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { defineSource, type Source, type SourceContext } from '../../engine/component.ts';
import { closeServer, listen, listenError } from '../../engine/net/listen.ts';
import { Spares } from './connection.ts';
import { ForwardSession } from './session.ts';
import { config, metrics, type Config } from './settings.ts';

export const forward = defineSource({
  name: 'forward',
  summary:
    "Fluentd's forward protocol over TCP: Fluentd, Fluent Bit and every fluent-logger can send to it. Acknowledges chunks.",
  config,
  metrics,
  durability: 'fsync',
  examples: [
    { title: 'Take events from loggers on this machine', config: '<source>\n  @type forward\n</source>' },
    {
      title: 'Take events from the network under a prefix',
      config: '<source>\n  @type forward\n  bind 0.0.0.0\n  port 24224\n  add_tag_prefix remote\n</source>',
    },
  ],
  check: ({ chunk_size_limit, incomplete_limit_size }) =>
    incomplete_limit_size < chunk_size_limit ? ['incomplete_limit_size must not be smaller than chunk_size_limit'] : [],
  create: (options, ctx) => new ForwardSource(options, ctx),
});

/** Acknowledgements that wait to be read by one client; some 20,000 of them. */
const UNREAD_BYTES_MAX = 1 << 20;

class ForwardSource implements Source {
  readonly #config: Config;
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #sockets = new Set<Socket>();
  /** Of every connection: what a message that has begun takes. */
  readonly #kept = new Map<Socket, number>();
  #keptBytes = 0;
  readonly #spares = new Spares();
  #server: Server | undefined;
  #udp: UdpSocket | undefined;
  #address = '';
  #warnings = 0;

  constructor(options: Config, ctx: SourceContext<typeof metrics>) {
    this.#config = options;
    this.#ctx = ctx;
  }

  addresses(): readonly string[] {
    return this.#address === '' ? [] : [this.#address];
  }

  async start(): Promise<void> {
    const { bind, port, max_connections, send_keepalive_packet, backlog } = this.#config;
    const server = createServer(
      { keepAlive: send_keepalive_packet, noDelay: true, ...(backlog === undefined ? {} : { backlog }) },
      (socket) => this.#accept(socket),
    );
    server.maxConnections = max_connections;
    server.on('drop', () => {
      this.#ctx.metrics.refused_connections.add(1);
      this.#warn({}, 'too many connections, closed a new one');
    });
    this.#server = server;
    this.#address = await listen(server, { bind, port, reusePort: this.#ctx.worker.count > 1 });
    if (this.#ctx.worker.id === 0)
      await this.#answerHeartbeats(bind, Number(this.#address.slice(this.#address.lastIndexOf(':') + 1)));
  }

  /** Old out_forwards ask over UDP whether somebody is there: one byte is answered with one byte. */
  async #answerHeartbeats(bind: string, udpPort: number): Promise<void> {
    const udp = createSocket({ type: bind.includes(':') ? 'udp6' : 'udp4' });
    this.#udp = udp;
    await new Promise<void>((resolve, reject) => {
      udp.once('error', (error) => reject(listenError(error, 'UDP', bind, udpPort)));
      udp.bind({ address: bind, port: udpPort }, resolve);
    });
    udp.removeAllListeners('error');
    // An answer that could not be sent is asked for again.
    udp.on('error', () => undefined);
    udp.on('message', (_packet, from) => udp.send(Buffer.of(0), from.port, from.address));
  }

  #accept(socket: Socket): void {
    const { metrics: handles } = this.#ctx;
    this.#sockets.add(socket);
    handles.connections.set(this.#sockets.size);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#keep(socket, 0);
      handles.connections.set(this.#sockets.size);
    });
    // The peer's resets end the connection; what was not acknowledged is sent again by it.
    socket.on('error', () => undefined);
    const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const client = { address, hostname: address };
    const peer = {
      write: (bytes: Buffer) => this.#write(socket, bytes),
      end: () => void socket.end(),
      destroy: () => void socket.destroy(),
    };
    const warn = (fields: Record<string, unknown>, message: string): void => this.#warn(fields, message);
    const session = new ForwardSession(this.#config, this.#ctx, client, peer, warn, this.#spares);
    socket.on('close', () => session.close());
    if (this.#config.source_hostname_key !== undefined && this.#config.resolve_hostname !== false) {
      // Without a name in the DNS the address stays.
      lookupService(address, 0).then(
        ({ hostname }) => session.named(hostname),
        () => undefined,
      );
    }
    socket.on('data', (data) => {
      const goesOn = session.push(data);
      this.#keep(socket, socket.destroyed ? 0 : session.keptBytes);
      if (goesOn) return;
      socket.pause();
      void this.#ctx.ready().then(() => socket.resume());
    });
  }

  #write(socket: Socket, bytes: Buffer): void {
    if (socket.destroyed) return;
    socket.write(bytes);
    if (socket.writableLength <= UNREAD_BYTES_MAX) return;
    this.#ctx.metrics.unread_closed.add(1);
    this.#warn({ from: socket.remoteAddress }, 'closed a connection that does not read its acknowledgements');
    socket.destroy();
  }

  /** Messages that have begun, over all connections, stay within the limit: whoever holds most goes. */
  #keep(socket: Socket, bytes: number): void {
    this.#keptBytes += bytes - (this.#kept.get(socket) ?? 0);
    if (bytes === 0) this.#kept.delete(socket);
    else this.#kept.set(socket, bytes);
    while (this.#keptBytes > this.#config.incomplete_limit_size) {
      let largest = socket;
      for (const [one, kept] of this.#kept) if (kept > (this.#kept.get(largest) ?? 0)) largest = one;
      this.#keptBytes -= this.#kept.get(largest) ?? 0;
      this.#kept.delete(largest);
      this.#ctx.metrics.incomplete_closed.add(1);
      this.#warn(
        { from: largest.remoteAddress },
        'incomplete_limit_size reached, closed the connection with the largest message',
      );
      largest.destroy();
    }
  }

  /** The 1st, 2nd, 4th, 8th ... time: a port scan does not fill the log. */
  #warn(fields: Record<string, unknown>, message: string): void {
    const times = ++this.#warnings;
    if ((times & (times - 1)) === 0) this.#ctx.log.warn({ ...fields, warnings: times }, message);
  }

  async drain(): Promise<void> {
    // What has been read has been taken; what has not will not be acknowledged, and its sender keeps it.
    for (const socket of this.#sockets) socket.pause();
    await this.stop();
  }

  async stop(): Promise<void> {
    const tcp = this.#server;
    const udp = this.#udp;
    this.#server = undefined;
    this.#udp = undefined;
    if (udp !== undefined) await new Promise<void>((resolve) => udp.close(resolve));
    if (tcp !== undefined) await closeServer(tcp, this.#sockets);
  }
}
