import type { Server, Socket } from 'node:net';
import { MillraceError, messageOf } from '../errors.ts';

export interface ListenOptions {
  readonly bind: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Several workers listen on one port, and the kernel shares the connections out. */
  readonly reusePort?: boolean;
  /** Connections that wait to be accepted. */
  readonly backlog?: number | undefined;
}

/**
 * Listens, and says in one sentence why not.
 *
 * @returns `host:port` as it really is
 * @throws MillraceError MR_PORT_TAKEN or MR_LISTEN
 */
export async function listen(server: Server, { bind, port, reusePort = false, backlog }: ListenOptions): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const refuse = (error: Error): void => reject(listenError(error, 'TCP', bind, port));
    server.once('error', refuse);
    server.listen({ host: bind, port, reusePort, ...(backlog === undefined ? {} : { backlog }) }, () => {
      server.removeListener('error', refuse);
      resolve();
    });
  });
  const address = server.address();
  return hostAndPort(bind, typeof address === 'object' && address !== null ? address.port : port);
}

/** Stops listening and ends the connections that are open. */
export async function closeServer(server: Server, sockets: Iterable<Socket>): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await closed;
}

export function listenError(error: Error, protocol: 'TCP' | 'UDP', bind: string, port: number): MillraceError {
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const where = `${protocol} ${hostAndPort(bind, port)}`;
  return isTaken
    ? new MillraceError('MR_PORT_TAKEN', `cannot listen on ${where}: another process does`, { cause: error })
    : new MillraceError('MR_LISTEN', `cannot listen on ${where}: ${messageOf(error)}`, { cause: error });
}

export function hostAndPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
