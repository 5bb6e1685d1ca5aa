/** The writes of a real run, cut off by a loss of power at every moment between two of them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { seeded } from '../testing/seeded.ts';
import { systemClock } from '../telemetry/clock.ts';
import { diskAfter, RecordedDisk, type Recorded } from '../testing/recorded-disk.ts';
import type { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openDiskLog, type DiskLog } from './disk-log.ts';
import { realDisk, type Disk } from './disk.ts';
import { batchOf, numbersOf } from './log.cases.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const EVENTS = 80;
/** Crashes for each moment, as the disk chooses what survives. */
const CHOICES = Number(process.env['REPLAY_CHOICES'] ?? 1);

describe('a recorded run on a real disk', () => {
  const directory = join(mkdtempSync(join(tmpdir(), 'log-replay-')), 'log');
  after(() => rmSync(join(directory, '..'), { recursive: true }));

  const open = (disk: Disk): Promise<DiskLog> =>
    openDiskLog({
      directory,
      clock: systemClock,
      log: quiet,
      limitBytes: 1 << 20,
      header: { configHash: '', geoHash: '' },
      incarnation: () => 1n,
      disk,
      segmentBytes: 4096,
      commit: { ms: 1, bytes: 1024 },
    });

  /** Appends, small and large, at two levels, with a new start in the middle; each acknowledgement is noted. */
  async function record(): Promise<Recorded[]> {
    const disk = new RecordedDisk(realDisk);
    let log = await open(disk);
    for (let n = 0; n < EVENTS; n++) {
      const level = n % 3 === 0 ? 'os' : 'fsync';
      log.append(batchOf(n, n % 7 === 0 ? 1500 : 40, n % 5 === 0 ? 'a' : 'b'), level, '', (failure) => {
        if (failure === undefined && level === 'fsync') disk.note(String(n));
      });
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (n % 10 === 9) await log.flush();
      if (n === EVENTS / 2) {
        await log.close();
        log = await open(disk);
      }
    }
    await log.close();
    return disk.entries;
  }

  /** What is wrong after a loss of power at the first moment at which something is. */
  async function firstFailure(entries: readonly Recorded[], prepare: (disk: SimulatedDisk) => void): Promise<string | undefined> {
    const acknowledged = new Set<number>();
    for (let count = 0; count <= entries.length; count++) {
      const entry = entries[count - 1];
      if (entry?.kind === 'note') acknowledged.add(Number(entry.note));
      // Acknowledgements that come together are looked at together.
      if (entry?.kind === 'note' && entries[count]?.kind === 'note') continue;
      for (let choice = 0; choice < CHOICES; choice++) {
        const log = await open(await diskAfter(entries, count, seeded(count * CHOICES + choice), prepare));
        const found = numbersOf(log.reader(undefined, () => undefined));
        await log.close();
        if (found.some((n, index) => n >= EVENTS || (index > 0 && n <= (found[index - 1] as number))))
          return `after ${count} of ${entries.length} entries: ${found.join(' ')}`;
        const missing = [...acknowledged].filter((n) => !found.includes(n));
        if (missing.length > 0) return `after ${count} of ${entries.length} entries: ${missing.join(' ')} missing`;
      }
    }
    return undefined;
  }

  test('every moment is recovered from; without syncs it would not be', async () => {
    const entries = await record();
    assert.ok(entries.filter(({ kind }) => kind === 'begin').length > 60, 'there was something to record');
    assert.equal(await firstFailure(entries, () => undefined), undefined);
    assert.match((await firstFailure(entries, (disk) => void (disk.ignoresSync.file = true))) ?? '', /missing/);
    assert.match((await firstFailure(entries, (disk) => void (disk.ignoresSync.directory = true))) ?? '', /missing/);
  });
});
