import { isGivenUp, nextTryMs, retryDelayMs, type RetryConfig } from '../../engine/delivery/retry.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared } from './compare.ts';

/** Seconds and nulls of Fluentd. */
interface Given {
  readonly retry_type?: 'exponential_backoff' | 'periodic';
  readonly retry_wait?: number;
  readonly retry_timeout?: number;
  readonly retry_forever?: boolean;
  readonly retry_max_times?: number | null;
  readonly retry_exponential_backoff_base?: number;
  readonly retry_max_interval?: number | null;
  readonly retry_randomize: boolean;
  readonly secondary?: boolean;
  /** Of the cases about randomness: the wait before it is varied. */
  readonly interval?: number;
}

interface Step {
  readonly at: number;
  readonly next_retry_at: number;
  readonly give_up: boolean;
}

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) {
      const given = item['config'] as Given;
      const { retry_wait: wait = 1, retry_timeout: timeout = 259_200, retry_forever: forever = false } = given;
      if (given.secondary === true) yield { id: item.id, skipped: '<secondary> is not supported yet' };
      else if (!forever && wait >= timeout)
        yield {
          id: item.id,
          skipped: 'Fluentd plans that try into the past; here the only retry is made when retry_timeout is over',
        };
      else if (given.interval !== undefined) {
        const config = configOf({ ...given, retry_wait: given.interval });
        const bounds = { min_inclusive: retryDelayMs(config, 1, 0) / 1000, max_exclusive: retryDelayMs(config, 1, 1) / 1000 };
        yield compared(item.id, bounds, item.expected);
      } else {
        const expected = (item.expected as Step[]).map(({ at, next_retry_at, give_up }) => ({ at, next_retry_at, give_up }));
        yield compared(item.id, schedule(configOf(given), expected.length), expected);
      }
    }
  },
};

function configOf(given: Given): RetryConfig {
  return {
    retry_type: given.retry_type ?? 'exponential_backoff',
    retry_wait: (given.retry_wait ?? 1) * 1000,
    retry_exponential_backoff_base: given.retry_exponential_backoff_base ?? 2,
    retry_max_interval: (given.retry_max_interval ?? Infinity) * 1000,
    retry_randomize: given.retry_randomize,
    retry_timeout: (given.retry_timeout ?? 259_200) * 1000,
    retry_forever: given.retry_forever ?? false,
    retry_max_times: given.retry_max_times ?? undefined,
  };
}

/** Every try fails at the time that was planned for it. */
function schedule(config: RetryConfig, length: number): Step[] {
  const steps: Step[] = [];
  let at = 0;
  for (let failures = 1; failures <= length; failures++) {
    const next = nextTryMs(config, failures, 0, at, 0.5);
    steps.push({ at: at / 1000, next_retry_at: next / 1000, give_up: isGivenUp(config, failures, 0, at) });
    at = next;
  }
  return steps;
}
