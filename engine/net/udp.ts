import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { listenError } from './listen.ts';

export interface UdpOptions {
  readonly bind: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Bytes that the kernel shall keep for bursts. */
  readonly receiveBuffer: number;
  /** Several workers listen on one port, and the kernel shares the datagrams out. */
  readonly reusePort?: boolean;
}

export interface UdpListening {
  readonly port: number;
  /** Bytes that the kernel gave, half of which hold datagrams; it may be less than asked for. */
  readonly receiveBuffer: number;
  close(): Promise<void>;
}

/** @throws MillraceError MR_PORT_TAKEN or MR_LISTEN */
export async function listenUdp(
  { bind, port, receiveBuffer, reusePort = false }: UdpOptions,
  onPacket: (packet: Buffer, from: RemoteInfo) => void,
): Promise<UdpListening> {
  const socket = createSocket({ type: bind.includes(':') ? 'udp6' : 'udp4', reusePort });
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
    port: socket.address().port,
    receiveBuffer: enlarge(socket, receiveBuffer),
    close: () => new Promise((resolve) => socket.close(resolve)),
  };
}

function enlarge(socket: Socket, bytes: number): number {
  try {
    socket.setRecvBufferSize(bytes);
  } catch {
    // Some systems refuse instead of giving less; the caller compares with what it got.
  }
  return socket.getRecvBufferSize();
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
function dropsOf(table: string, port: number): number {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  let drops = 0;
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/);
    if (columns.length >= 13 && columns[1]?.endsWith(`:${hexPort}`)) drops += Number(columns.at(-1)) || 0;
  }
  return drops;
}
