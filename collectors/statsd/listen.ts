import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenError } from '../../engine/net/listen.ts';
import { Lines } from './lines.ts';

export interface ListenOptions {
  readonly bind: string;
  readonly port: number;
}

/** Where it really listens; `port` 0 was a wish for any. */
export interface Listening {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface UdpListening extends Listening {
  /** Bytes that the kernel gave, half of which hold datagrams; it may be less than asked for. */
  readonly receiveBuffer: number;
}

/** @throws MillraceError MR_PORT_TAKEN or MR_LISTEN */
export async function listenUdp(
  { bind, port, receiveBuffer }: ListenOptions & { readonly receiveBuffer: number },
  onPacket: (packet: Buffer) => void,
): Promise<UdpListening> {
  const socket = createSocket({ type: bind.includes(':') ? 'udp6' : 'udp4' });
  socket.on('message', onPacket);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(listenError(error, 'UDP', bind, port));
    });
    socket.bind({ address: bind, port }, resolve);
  });
  socket.removeAllListeners('error');
  // An ICMP error of some earlier answer cannot concern a socket that only receives.
  socket.on('error', () => undefined);
  return {
    address: bind,
    port: socket.address().port,
    receiveBuffer: enlarge(socket, receiveBuffer),
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
}

function enlarge(socket: UdpSocket, bytes: number): number {
  try {
    socket.setRecvBufferSize(bytes);
  } catch {
    // Some systems refuse instead of giving less; the caller compares with what it got.
  }
  return socket.getRecvBufferSize();
}

export interface TcpOptions extends ListenOptions {
  /** Longer lines are handed over cut, for the parser to refuse. */
  readonly maxLine: number;
  readonly maxConnections: number;
  readonly idleMs: number;
  /** A connection was closed at once because there are too many. */
  readonly onRefused: () => void;
}

/**
 * Lines over TCP. What has come up to the last line feed is one packet, as upstream counts; a last line without one
 * is handed over when the connection ends (upstream loses it).
 *
 * @throws MillraceError MR_PORT_TAKEN or MR_LISTEN
 */
export async function listenTcp(options: TcpOptions, onPacket: (packet: Buffer) => void): Promise<Listening> {
  const { bind, port } = options;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setTimeout(options.idleMs, () => socket.destroy());
    // A reset by the client ends the connection; what came before it has been counted.
    socket.on('error', () => undefined);
    const lines = new Lines(options.maxLine, onPacket);
    socket.on('data', (chunk) => lines.push(chunk));
    socket.on('close', () => {
      lines.end();
      sockets.delete(socket);
    });
  });
  server.maxConnections = options.maxConnections;
  server.on('drop', options.onRefused);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenError(error, 'TCP', bind, port)));
    server.listen({ host: bind, port }, resolve);
  });
  return { address: bind, port: portOf(server), close: () => closeServer(server, sockets) };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/**
 * Datagrams the kernel threw away because nobody read them in time, over all UDP sockets of that port.
 *
 * @returns undefined where there is no /proc/net/udp
 */
export async function kernelDrops(port: number): Promise<number | undefined> {
  const tables = await Promise.all(
    ['/proc/net/udp', '/proc/net/udp6'].map((path) => readFile(path, 'latin1').catch(() => undefined)),
  );
  const known = tables.filter((table) => table !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, table) => sum + dropsOf(table, port), 0);
}

/** The sum of the last column of a /proc/net/udp table over the lines of one local port. */
export function dropsOf(table: string, port: number): number {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  let drops = 0;
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/);
    if (columns.length >= 13 && columns[1]?.endsWith(`:${hexPort}`)) drops += Number(columns.at(-1)) || 0;
  }
  return drops;
}
