import pino from 'pino';
import type { Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Fields } from '../events/batch.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/**
 * The product's own log: JSON lines on stderr, so that stdout stays free for data.
 *
 * @param write  takes each line; default stderr
 */
export function createLog(level: LogLevel, base: Fields, write?: (line: string) => void): Log {
  const destination = write === undefined ? pino.destination({ fd: 2, sync: true }) : { write };
  const logger = pino(
    { level, base, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination,
  );
  const line =
    (method: LogLevel) =>
    (fields: Fields, message: string): void =>
      logger[method](fields.error instanceof Error ? { ...fields, error: messageOf(fields.error) } : fields, message);
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** The same log with fields that every line of a component carries. */
export function childLog(log: Log, base: Fields): Log {
  const line =
    (method: LogLevel) =>
    (fields: Fields, message: string): void =>
      log[method]({ ...base, ...fields }, message);
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}
