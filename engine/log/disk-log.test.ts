import { describe, test } from 'node:test';
import { FakeClock } from '../testing/driver.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openDiskLog } from './disk-log.ts';
import { LOG_CASES } from './log.cases.ts';

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
});
