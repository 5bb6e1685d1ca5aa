import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock } from '../testing/driver.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openDiskLog } from './disk-log.ts';
import { batchOf, LOG_CASES, numbersOf } from './log.cases.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

describe('the log on disk', () => {
  for (const one of LOG_CASES)
    test(one.name, () =>
      one.run(async ({ clock = new FakeClock(), limitBytes = 1 << 20 } = {}) => ({
        clock,
        log: await openDiskLog({
          directory: '/log',
          clock,
          log: quiet,
          limitBytes,
          header: { configHash: '', geoHash: '' },
          incarnation: () => 7n,
          disk: new SimulatedDisk(),
        }),
      })),
    );

  // A crash run lost an acknowledged event so: a full disk took the first bytes of a frame that two batches share.
  test('what a short write has left incomplete is not acknowledged', async () => {
    const clock = new FakeClock();
    const disk = new SimulatedDisk();
    const options = {
      directory: '/log',
      clock,
      log: quiet,
      limitBytes: 1 << 20,
      header: { configHash: '', geoHash: '' },
      incarnation: () => 7n,
    };
    const log = await openDiskLog({ ...options, disk });
    await log.flush();
    const used = disk.files.reduce((sum, path) => sum + disk.bytesOf(path).length, 0);
    // Room for the head, the first batch and a part of the second one.
    disk.capacityBytes = used + 400;
    const acknowledged: number[] = [];
    log.append(batchOf(1, 100), 'fsync', '', () => acknowledged.push(1));
    log.append(batchOf(2, 1000), 'fsync', '', () => acknowledged.push(2));
    for (let n = 0; n < 50; n++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(10);
    }
    assert.equal(log.status.state, 'stalled');
    assert.deepEqual(acknowledged, []);
    const after = disk.crash('process');
    const again = await openDiskLog({ ...options, disk: after });
    assert.deepEqual(numbersOf(again.reader(undefined, () => undefined)), []);
    await again.close();
  });
});
