import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bufferConfig } from './buffer-config.ts';
import { isGivenUp, nextTryMs, retryDelayMs, secondaryFromMs, type Failures } from './retry.ts';

const failed = (count: number, firstMs: number, secondaryAt = 0): Failures => ({ count, firstMs, secondaryAt });
const configOf = (input: Record<string, unknown>) => bufferConfig.parse({ retry_randomize: false, ...input });

describe('the wait before the next try', () => {
  for (const [input, want] of [
    [{}, [1, 2, 4, 8, 16, 32, 64, 128]],
    [{ retry_max_interval: 60 }, [1, 2, 4, 8, 16, 32, 60, 60]],
    [{ retry_wait: '500ms', retry_max_interval: '3s' }, [0.5, 1, 2, 3, 3]],
    [{ retry_exponential_backoff_base: 3 }, [1, 3, 9, 27, 81]],
    [{ retry_exponential_backoff_base: 1 }, [1, 1, 1]],
    [{ retry_type: 'periodic', retry_wait: 90 }, [90, 90, 90]],
    [{ retry_wait: 0 }, [0, 0]],
  ] as const)
    test(JSON.stringify(input), () =>
      assert.deepEqual(
        want.map((_, n) => retryDelayMs(configOf(input), n + 1, 0.5) / 1000),
        want,
      ),
    );

  test('varies by an eighth to either side', () => {
    const config = configOf({ retry_randomize: true, retry_wait: 8 });
    assert.deepEqual(
      [0, 0.5, 1].map((random) => retryDelayMs(config, 1, random)),
      [7000, 8000, 9000],
    );
  });

  test('does not overflow', () => assert.equal(retryDelayMs(configOf({}), 1e9, 0), 2 ** 31 - 1));
});

describe('the whole schedule, in seconds after the first failure', () => {
  for (const [input, want] of [
    [{ retry_timeout: 20 }, [0, 1, 3, 7, 15, 20]],
    [{ retry_timeout: 15 }, [0, 1, 3, 7, 15]],
    [{ retry_timeout: 20, retry_wait: 50 }, [0, 20]],
    [{ retry_max_times: 2 }, [0, 1, 3]],
    [{ retry_type: 'periodic', retry_wait: 4, retry_timeout: 10 }, [0, 4, 8, 10]],
  ] as const)
    test(JSON.stringify(input), () => {
      const config = configOf(input);
      const start = 1_700_000_000_000;
      const tries: number[] = [];
      for (let now = start; ; now = nextTryMs(config, failed(tries.length, start), now, 0.5, false)) {
        tries.push((now - start) / 1000);
        if (isGivenUp(config, failed(tries.length, start), now)) break;
      }
      assert.deepEqual(tries, want);
    });
});

describe('when a chunk is given up', () => {
  for (const [input, failures, elapsed, want] of [
    [{}, 1, 0, false],
    [{}, 1000, 259_199_999, false],
    [{}, 2, 259_200_000, true],
    [{ retry_timeout: '10s' }, 3, 10_000, true],
    [{ retry_max_times: 0 }, 1, 0, true],
    [{ retry_max_times: 2 }, 2, 0, false],
    [{ retry_max_times: 2 }, 3, 0, true],
    [{ retry_forever: true, retry_max_times: 2, retry_timeout: 1 }, 99, 1e12, false],
  ] as const)
    test(`${JSON.stringify(input)} after ${failures} failures and ${elapsed} ms`, () =>
      assert.equal(isGivenUp(configOf(input), failed(failures, 5_000), 5_000 + elapsed), want));
});

describe('with a secondary output: seconds, and * where it is used', () => {
  for (const [input, want] of [
    [{ retry_timeout: 20, retry_secondary_threshold: 0.5 }, '0 1 3 7 10* 11* 13* 17* 20*'],
    [{ retry_timeout: 20, retry_secondary_threshold: 1 }, '0 1 3 7 15 20*'],
    [{ retry_timeout: 10, retry_secondary_threshold: 0 }, '0 0* 1* 3* 7* 10*'],
    [{ retry_max_times: 3 }, '0 1 3 5.6*'],
    [{ retry_type: 'periodic', retry_wait: 2, retry_timeout: 7, retry_secondary_threshold: 0.5 }, '0 2 3.5* 5.5* 7*'],
    [{ retry_forever: true, retry_timeout: 2 }, '0 1 3 7 15 31'],
  ] as const)
    test(JSON.stringify(input), () => {
      const config = configOf(input);
      const start = 1_700_000_000_000;
      const tries: string[] = [];
      let secondaryAt = 0;
      for (let now = start; tries.length < 6 || !config.retry_forever;) {
        const uses = tries.length > 0 && (secondaryAt > 0 || now >= secondaryFromMs(config, start));
        tries.push(`${(now - start) / 1000}${uses ? '*' : ''}`);
        if (uses && secondaryAt === 0) secondaryAt = tries.length;
        const failures = failed(tries.length, start, secondaryAt);
        if (isGivenUp(config, failures, now)) break;
        now = nextTryMs(config, failures, now, 0.5, true);
      }
      assert.equal(tries.join(' '), want);
    });
});
