import { isGivenUp, nextTryMs, retryDelayMs, secondaryFromMs, type RetryConfig } from '../../engine/delivery/retry.ts';
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
  readonly retry_secondary_threshold?: number;
  /** Of the cases about randomness: the wait before it is varied. */
  readonly interval?: number;
}

interface Step {
  readonly at: number;
  readonly attempt_used_secondary?: boolean;
  readonly next_retry_at: number;
  readonly give_up: boolean;
}

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) {
      const given = item['config'] as Given;
      const { retry_wait: wait = 1, retry_timeout: timeout = 259_200, retry_forever: forever = false } = given;
      if (!forever && wait >= timeout)
        yield {
          id: item.id,
          skipped: 'Fluentd plans that try into the past; here the only retry is made when retry_timeout is over',
        };
      else if (given.interval !== undefined) {
        const config = configOf({ ...given, retry_wait: given.interval });
        const bounds = { min_inclusive: retryDelayMs(config, 1, 0) / 1000, max_exclusive: retryDelayMs(config, 1, 1) / 1000 };
        yield compared(item.id, bounds, item.expected);
      } else {
        const expected = item.expected as Step[];
        yield compared(item.id, schedule(configOf(given), expected, given.secondary === true), expected);
      }
    }
  },
};

function configOf(given: Given): RetryConfig {
  return {
    retry_type: given.retry_type ?? 'exponential_backoff',
    retry_wait: (given.retry_wait ?? 1) * 1000,
    retry_exponential_backoff_base: given.retry_exponential_backoff_base ?? 2,
    retry_max_interval: typeof given.retry_max_interval === 'number' ? given.retry_max_interval * 1000 : undefined,
    retry_randomize: given.retry_randomize,
    retry_timeout: (given.retry_timeout ?? 259_200) * 1000,
    retry_forever: given.retry_forever ?? false,
    retry_max_times: given.retry_max_times ?? undefined,
    retry_secondary_threshold: given.retry_secondary_threshold ?? 0.8,
  };
}

/** Every try fails at the time that was planned for it. */
function schedule(config: RetryConfig, expected: readonly Step[], hasSecondary: boolean): Step[] {
  const steps: Step[] = [];
  let at = 0;
  let secondaryAt = 0;
  for (const [n, want] of expected.entries()) {
    const count = n + 1;
    const uses = hasSecondary && n > 0 && (secondaryAt > 0 || at >= secondaryFromMs(config, 0));
    if (uses && secondaryAt === 0) secondaryAt = count;
    const failures = { count, firstMs: 0, secondaryAt };
    const next = nextTryMs(config, failures, at, 0.5, hasSecondary);
    steps.push({
      ...want,
      at: at / 1000,
      ...(want.attempt_used_secondary !== undefined && { attempt_used_secondary: uses }),
      next_retry_at: next / 1000,
      give_up: isGivenUp(config, failures, at),
    });
    at = next;
  }
  return steps;
}
