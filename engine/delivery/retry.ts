import type { BufferConfig } from './buffer-config.ts';

/** What decides the waits between tries; milliseconds. */
export type RetryConfig = Pick<
  BufferConfig,
  | 'retry_type'
  | 'retry_wait'
  | 'retry_exponential_backoff_base'
  | 'retry_max_interval'
  | 'retry_randomize'
  | 'retry_timeout'
  | 'retry_forever'
  | 'retry_max_times'
>;

/**
 * The wait before the next try, as Fluentd computes it: `retry_wait * base^(failures - 1)`, at most `retry_max_interval`,
 * and with `retry_randomize` within an eighth of that to either side.
 *
 * @param failures  tries that have failed so far, from 1
 * @param random  in [0, 1)
 * @returns milliseconds
 */
export function retryDelayMs(config: RetryConfig, failures: number, random: number): number {
  const plain =
    config.retry_type === 'periodic'
      ? config.retry_wait
      : config.retry_wait * config.retry_exponential_backoff_base ** Math.min(failures - 1, 1000);
  const bounded = config.retry_type === 'periodic' ? plain : Math.min(plain, config.retry_max_interval);
  return config.retry_randomize ? bounded + bounded * (random * 0.25 - 0.125) : bounded;
}

/**
 * When the next try is due. The last one before a chunk is given up is made exactly when `retry_timeout` is over.
 *
 * @returns milliseconds since the epoch
 */
export function nextTryMs(config: RetryConfig, failures: number, firstFailureMs: number, nowMs: number, random: number): number {
  const planned = nowMs + retryDelayMs(config, failures, random);
  return config.retry_forever ? planned : Math.min(planned, firstFailureMs + config.retry_timeout);
}

/** Whether a chunk that has failed `failures` times since `firstFailureMs` is given up. */
export function isGivenUp(config: RetryConfig, failures: number, firstFailureMs: number, nowMs: number): boolean {
  if (config.retry_forever) return false;
  if (config.retry_max_times !== undefined && failures > config.retry_max_times) return true;
  return nowMs - firstFailureMs >= config.retry_timeout;
}
