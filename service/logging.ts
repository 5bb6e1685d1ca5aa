import { hostname } from 'node:os';
import { FluentClient, FluentSocketEvent } from '@fluent-org/logger';
import { pino, type DestinationStream, type Logger } from 'pino';

/** Three loggers, so that each kind has its tag: `core.access`, `core.audit`, `core.app`. */
export interface Logs {
  readonly access: Logger;
  readonly audit: Logger;
  readonly app: Logger;
  counts(): LogCounts;
  /** Sends what is waiting, for half a second at most; what is left then counts as dropped. */
  close(): Promise<void>;
}

export interface LogCounts {
  /** Handed to the collector and, where it acknowledges, acknowledged. */
  readonly sent: number;
  readonly dropped: number;
  readonly pending: number;
}

export interface LogOptions {
  /** Where a forward input listens; without it the lines go to `fallback`. */
  readonly fluent?: { readonly host: string; readonly port: number };
  readonly fallback: 'stderr' | 'nothing';
}

/** About 10 MB of memory when no collector is there; newer events are dropped then, and counted. */
const PENDING_MAX = 10_000;
const CLOSE_MS = 500;

/**
 * Pino with a destination inside this process. Writing never waits: an event is handed to the queue of the forward client,
 * or dropped when that is full. In the record `message` and `log.level` stand as ECS names them; its time is the event's own.
 */
export function makeLogs(options: LogOptions): Logs {
  const forward = options.fluent === undefined ? undefined : openForward(options.fluent);
  const destination =
    forward ?? (options.fallback === 'stderr' ? { write: (line: string) => void process.stderr.write(line) } : NOWHERE);
  const root = pino(
    {
      level: 'info',
      base: { service: { name: 'core', type: 'bank' }, host: { name: hostname() }, process: { pid: process.pid } },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.epochTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return {
    access: root.child({ tag: 'access' }),
    audit: root.child({ tag: 'audit' }),
    app: root.child({ tag: 'app' }),
    counts: () => forward?.counts() ?? { sent: 0, dropped: 0, pending: 0 },
    close: async () => await forward?.close(),
  };
}

const NOWHERE: DestinationStream = { write: () => undefined };

function openForward(fluent: { readonly host: string; readonly port: number }) {
  const client = new FluentClient('core', {
    eventMode: 'PackedForward',
    milliseconds: true,
    socket: { ...fluent, reconnect: { backoff: 2, delay: 200, maxDelay: 500 } },
    ack: { ackTimeout: 5000 },
    eventRetry: { attempts: 15, backoff: 2, delay: 200, maxDelay: 500 },
    flushInterval: 100,
    sendQueueIntervalFlushLimit: { length: 500 },
    disconnect: { waitForPending: true, waitForPendingDelay: CLOSE_MS },
  });
  // Refused connections are repeated by the client; without a listener the first one would end the process.
  client.socketOn(FluentSocketEvent.ERROR, () => undefined);
  let pending = 0;
  let sent = 0;
  let dropped = 0;
  let isOpen = true;
  return {
    write(line: string): void {
      if (!isOpen || pending >= PENDING_MAX) {
        dropped += 1;
        return;
      }
      const { time, level, tag, ...record } = JSON.parse(line) as { time: number; level: string; tag: string } & Record<
        string,
        unknown
      >;
      pending += 1;
      client.emit(tag, { ...record, log: { level, logger: `core.${tag}` } }, new Date(time)).then(
        () => {
          pending -= 1;
          sent += 1;
        },
        () => {
          pending -= 1;
          dropped += 1;
        },
      );
    },
    counts: (): LogCounts => ({ sent, dropped, pending }),
    async close() {
      if (!isOpen) return;
      isOpen = false;
      // Rejects when the collector is not there; then all that waits is counted as dropped above.
      await client.shutdown().catch(() => undefined);
    },
  };
}
