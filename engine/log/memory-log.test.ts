import { describe, test } from 'node:test';
import { FakeClock } from '../testing/driver.ts';
import { LOG_CASES } from './log.cases.ts';
import { MemoryLog } from './memory-log.ts';

describe('the log in memory', () => {
  for (const one of LOG_CASES)
    test(one.name, () =>
      one.run(({ clock = new FakeClock(), limitBytes = 1 << 20 } = {}) =>
        Promise.resolve({ clock, log: new MemoryLog(clock, limitBytes, 7n) }),
      ),
    );
});
