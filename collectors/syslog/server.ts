import { isUtf8 } from 'node:buffer';
import { lookupService } from 'node:dns/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Source, SourceContext } from '../../engine/component.ts';
import type { Batch } from '../../engine/events/batch.ts';
import { closeServer, hostAndPort, listen } from '../../engine/net/listen.ts';
import { tlsOptions } from '../../engine/net/transport.ts';
import { kernelDrops, listenUdp, type UdpListening } from '../../engine/net/udp.ts';
import { Frames } from './frames.ts';
import { Intake, type Sender } from './intake.ts';
import type { Config, metrics } from './settings.ts';

const DROPS_EVERY_MS = 10_000;
/** Senders whose host name is remembered; with more, all are forgotten. */
const MAX_SENDERS = 1000;

export class SyslogServer implements Source {
  readonly #config: Config;
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #intake: Intake;
  readonly #protocol: 'udp' | 'tcp' | 'tls';
  readonly #sockets = new Map<Socket, Frames>();
  #senders = new Map<string, Sender>();
  #udp: UdpListening | undefined;
  #tcp: Server | undefined;
  #timer: Disposable | undefined;
  #address = '';
  #isPaused = false;

  constructor(config: Config, ctx: SourceContext<typeof metrics>) {
    this.#config = config;
    this.#ctx = ctx;
    this.#protocol = config.protocol_type ?? config.transport.protocol;
    this.#intake = new Intake(config, ctx, (batch) => this.#emit(batch));
  }

  addresses(): readonly string[] {
    return this.#address === '' ? [] : [this.#address];
  }

  async start(): Promise<void> {
    if (this.#protocol === 'udp') await this.#startUdp();
    else await this.#startTcp();
  }

  // ---- UDP --------------------------------------------------------------------------------------

  async #startUdp(): Promise<void> {
    const { bind, port, receive_buffer_size: receiveBuffer, message_length_limit: limit } = this.#config;
    const { worker, metrics: handles, log, clock } = this.#ctx;
    const udp = await listenUdp({ bind, port, receiveBuffer, reusePort: worker.count > 1 }, (packet, from) => {
      if (packet.length > limit) handles.truncated.add(1);
      this.#intake.take(packet, 0, Math.min(packet.length, limit), this.#senderAt(from.address), false);
    });
    this.#udp = udp;
    this.#address = hostAndPort(bind, udp.port);
    handles.receive_buffer_bytes.set(udp.receiveBuffer);
    if (udp.receiveBuffer < receiveBuffer)
      log.warn(
        { wanted: receiveBuffer, got: udp.receiveBuffer },
        'the kernel gave a smaller receive buffer than wanted; raise net.core.rmem_max or bursts are lost',
      );
    // The kernel counts per port, for all workers together.
    if (worker.id === 0) this.#timer = clock.every(DROPS_EVERY_MS, () => void this.#countDrops(udp.port));
  }

  async #countDrops(port: number): Promise<void> {
    const drops = await kernelDrops(port);
    if (drops !== undefined) this.#ctx.metrics.kernel_drops.set(drops);
  }

  // ---- TCP --------------------------------------------------------------------------------------

  async #startTcp(): Promise<void> {
    const { bind, port, transport, max_connections, send_keepalive_packet: keepAlive } = this.#config;
    const accept = (socket: Socket): void => this.#accept(socket);
    const server =
      this.#protocol === 'tls'
        ? createTlsServer({ ...tlsOptions(transport, this.#ctx.baseDir), keepAlive }, accept)
        : createServer({ keepAlive }, accept);
    server.maxConnections = max_connections;
    server.on('drop', () => this.#ctx.metrics.refused_connections.add(1));
    this.#tcp = server;
    this.#address = await listen(server, { bind, port, reusePort: this.#ctx.worker.count > 1 });
  }

  #accept(socket: Socket): void {
    const { metrics: handles } = this.#ctx;
    const { idle_timeout: idleMs } = this.#config;
    if (idleMs !== undefined) socket.setTimeout(idleMs, () => socket.destroy());
    // A reset by the sender ends the connection; what came before it was taken.
    socket.on('error', () => undefined);
    const { remoteAddress = '' } = socket;
    let isClean = false;
    const frames = new Frames({
      type: this.#config.frame_type,
      delimiter: this.#config.delimiter,
      maxMessage: this.#config.message_length_limit,
      message: (bytes, from, to) => this.#intake.take(bytes, from, to, this.#senderAt(remoteAddress), isClean),
      tooLong: () => this.#ctx.dropped('message too long', 1),
    });
    this.#sockets.set(socket, frames);
    handles.connections.set(this.#sockets.size);
    let wasClean = true;
    socket.on('data', (chunk) => {
      // What is left of the chunk before belongs to the first message of this one.
      const isChunkClean = isUtf8(chunk);
      isClean = isChunkClean && wasClean;
      wasClean = isChunkClean;
      if (frames.push(chunk)) return;
      handles.bad_frames.add(1);
      socket.destroy();
    });
    socket.on('close', () => {
      isClean = false;
      frames.end();
      this.#sockets.delete(socket);
      handles.connections.set(this.#sockets.size);
    });
    if (this.#isPaused) socket.pause();
  }

  #emit(batch: Batch): void {
    if (this.#protocol === 'udp') {
      this.#ctx.tryEmit(batch);
      return;
    }
    if (this.#ctx.emit(batch) || this.#isPaused) return;
    this.#isPaused = true;
    for (const socket of this.#sockets.keys()) socket.pause();
    void this.#ctx.ready().then(() => {
      this.#isPaused = false;
      for (const socket of this.#sockets.keys()) socket.resume();
    });
  }

  // ---- senders ----------------------------------------------------------------------------------

  #senderAt(address: string): Sender | undefined {
    if (!this.#intake.hasSender) return undefined;
    const known = this.#senders.get(address);
    if (known !== undefined) return known;
    if (this.#senders.size >= MAX_SENDERS) this.#senders = new Map();
    const plain = address.replace(/^::ffff:/, '');
    const sender = { address: plain, hostname: plain };
    this.#senders.set(address, sender);
    if (this.#intake.wantsHostname && this.#config.resolve_hostname !== false)
      lookupService(plain, 0).then(
        ({ hostname }) => void (this.#senders.has(address) && this.#senders.set(address, { address: plain, hostname })),
        // Without a name in the DNS the address stays.
        () => undefined,
      );
    return sender;
  }

  // ---- the end ----------------------------------------------------------------------------------

  async drain(): Promise<void> {
    // What has been read is taken; what is in the kernel's buffers is the sender's loss, as at any end of a syslog server.
    await this.stop();
  }

  async stop(): Promise<void> {
    const { udp, tcp } = { udp: this.#udp, tcp: this.#tcp };
    this.#udp = undefined;
    this.#tcp = undefined;
    this.#timer?.[Symbol.dispose]();
    await udp?.close();
    for (const frames of this.#sockets.values()) frames.end();
    if (tcp !== undefined) await closeServer(tcp, this.#sockets.keys());
    this.#intake.flush();
  }
}
