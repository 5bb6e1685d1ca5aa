/**
 * `npm run bench -- log [--smoke]`: nanoseconds of CPU for each event that goes through an entrance log, append and read,
 * for batches of 1, 10 and 2,000 events: in memory, and on disk at each level. All ways run in one process, in turn:
 * compare the ratios of one run. The disk is that of the temporary directory.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDiskLog } from '../engine/log/disk-log.ts';
import type { EntranceLog, Level } from '../engine/log/entrance-log.ts';
import { MemoryLog } from '../engine/log/memory-log.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { makeBatch } from '../engine/testing/driver.ts';

const isSmoke = process.argv.includes('--smoke');
const ROUNDS = isSmoke ? 1 : 5;
const SAMPLE_MS = isSmoke ? 20 : 400;
/** What a loop turn brings: about what a socket gives at once. */
const TURN_BYTES = 512 << 10;
const LIMIT_BYTES = 1 << 30;

const EVENT = {
  remote: '203.0.113.7',
  method: 'GET',
  path: '/api/v1/loans/20260214/quote?term=36&currency=CNY',
  code: 200,
  size: 5124,
  referer: 'https://www.example.com/loans',
  agent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36',
  cost: 0.0421,
};

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-log-'));
const LOGS: Readonly<Record<string, { level: Level; open: () => Promise<EntranceLog> }>> = {
  'in memory': { level: 'memory', open: () => Promise.resolve(new MemoryLog(systemClock, LIMIT_BYTES, 1n)) },
  'disk, memory': { level: 'memory', open: () => onDisk('memory') },
  'disk, os': { level: 'os', open: () => onDisk('os') },
  'disk, fsync': { level: 'fsync', open: () => onDisk('fsync') },
};

const onDisk = (name: string): Promise<EntranceLog> =>
  openDiskLog({
    directory: join(directory, name),
    clock: systemClock,
    log: quiet,
    limitBytes: LIMIT_BYTES,
    header: { configHash: '', geoHash: '' },
    incarnation: () => 1n,
  });

/** One sample: turns of appends, each read as it comes, until so much CPU is spent. */
async function sample(log: EntranceLog, level: Level, size: number): Promise<number> {
  const batch = makeBatch(
    Array.from({ length: size }, () => ({ record: EVENT })),
    'web.access',
  );
  const perTurn = Math.max(1, Math.floor(TURN_BYTES / (batch.end - batch.start)));
  let acknowledged = 0;
  let appended = 0;
  let read = 0;
  const ack = (): void => void acknowledged++;
  const drain = (): void => {
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) read += frame.batch.count;
    log.trim(reader.position);
  };
  const reader = log.reader(log.head, drain);
  const before = process.cpuUsage();
  for (;;) {
    let isTaken = true;
    for (let n = 0; n < perTurn; n++) isTaken = log.append(batch, level, '', ack);
    appended += perTurn;
    if (isTaken) await new Promise((resolve) => setImmediate(resolve));
    else await log.ready();
    const { user, system } = process.cpuUsage(before);
    if (user + system >= SAMPLE_MS * 1000) break;
  }
  await log.flush();
  await new Promise((resolve) => setImmediate(resolve));
  drain();
  const { user, system } = process.cpuUsage(before);
  reader.close();
  if (read !== appended * size || acknowledged !== appended)
    throw new Error(`appended ${appended}, acknowledged ${acknowledged}, read ${read / size}`);
  return ((user + system) * 1000) / read;
}

const median = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] as number;

console.log('ns of CPU an event      1 a batch   10 a batch   2,000 a batch   (median of', ROUNDS, 'in turn)');
const figures = new Map<string, number[][]>();
// Timers of the system clock keep no process alive.
const timer = setInterval(() => undefined, 1000);
for (let round = 0; round < ROUNDS; round++)
  for (const [name, { level, open }] of Object.entries(LOGS)) {
    const log = await open();
    const rows = figures.get(name) ?? [[], [], []];
    figures.set(name, rows);
    for (const [n, size] of [1, 10, 2000].entries()) rows[n]?.push(await sample(log, level, size));
    await log.close();
  }
for (const [name, rows] of figures) {
  const [one, ten, many] = rows.map((row) => median(row).toFixed(0).padStart(9));
  console.log(`  ${name.padEnd(20)} ${one}    ${ten}       ${many}`);
}
clearInterval(timer);
rmSync(directory, { recursive: true, force: true });
