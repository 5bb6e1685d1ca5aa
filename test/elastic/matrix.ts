/** Runs every row of the matrix against the scripted server. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { drive, type Run } from './drive.ts';
import { ROWS, type Row } from './rows.ts';
import { ScriptedServer } from './scripted-server.ts';

export interface Result extends Run {
  readonly row: Row;
  readonly events: number;
  readonly requests: number;
  /** Events that the server holds more than once. */
  readonly twice: number;
  /** Delivered, and not there. */
  readonly missing: number;
}

/** An address where nobody listens. */
async function nowhere(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

async function runRow(row: Row): Promise<Result> {
  const server = new ScriptedServer(row.steps, row.nature);
  const second = row.secondNode ? new ScriptedServer([{ kind: 'well' }], { ...row.nature, twinOf: server }) : undefined;
  // The output begins with the second address.
  const hosts = [...(second ? [await second.listen()] : []), await server.listen(), ...(row.deadNode ? [await nowhere()] : [])];
  const events = row.events ?? 10;
  try {
    const run = await drive({
      config: { hosts: hosts.join(','), ...row.config },
      events,
      ...(row.record && { record: row.record }),
      ...(row.mends && { between: () => server.mend() }),
    });
    const copies = server.copies();
    const twice = [...copies.values()].filter((count) => count > 1).length;
    const missing = run.delivered.filter((n) => !copies.has(n)).length;
    return { ...run, row, events, requests: server.requests + (second?.requests ?? 0), twice, missing };
  } finally {
    await server.close();
    await second?.close();
  }
}

export async function runMatrix(): Promise<Result[]> {
  const results: Result[] = [];
  for (const row of ROWS) results.push(await runRow(row));
  return results;
}
