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
  | 'retry_secondary_threshold'
>;

/** Where a chunk stands: how often it has failed, and since when. */
export interface Failures {
  /** Tries that have failed so far, from 1. */
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly firstMs: number;
  /** Tries that had failed when it changed over to the secondary output; 0: it has not. */
  readonly secondaryAt: number;
}

/** Exponents beyond make no difference to anybody, and the powers stay finite. */
const MAX_EXPONENT = 1000;

/**
 * The wait before the next try, as Fluentd computes it: `retry_wait * base^(failures - 1)`, at most `retry_max_interval`,
 * and with `retry_randomize` within an eighth of that to either side.
 *
 * @param failures  tries that have failed so far, from 1
 * @param random  in [0, 1)
 * @returns milliseconds
 */
export function retryDelayMs(config: RetryConfig, failures: number, random: number): number {
  const wait = plainDelayMs(config, failures);
  return config.retry_randomize ? wait + wait * (random * 0.25 - 0.125) : wait;
}

function plainDelayMs(config: RetryConfig, failures: number): number {
  if (config.retry_type === 'periodic') return config.retry_wait;
  const wait = config.retry_wait * config.retry_exponential_backoff_base ** Math.min(failures - 1, MAX_EXPONENT);
  // A longer wait than a timer can count is cut by retry_timeout, or by nobody with retry_forever.
  return Math.min(wait, config.retry_max_interval ?? Infinity, MAX_WAIT_MS);
}

/** About 24 days: the longest that a timer waits. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/**
 * When a chunk changes over to the secondary output: after `retry_secondary_threshold` of the time that it has, which is
 * `retry_timeout` or that of `retry_max_times` waits, whichever is shorter.
 *
 * @returns milliseconds since the epoch; never with `retry_forever`
 */
export function secondaryFromMs(config: RetryConfig, firstFailureMs: number): number {
  if (config.retry_forever) return Infinity;
  let span = config.retry_timeout;
  if (config.retry_max_times !== undefined) {
    let sum = 0;
    for (let n = 1; n <= config.retry_max_times && sum < span; n++) sum += plainDelayMs(config, n);
    span = Math.min(span, sum);
  }
  return firstFailureMs + span * config.retry_secondary_threshold;
}

/**
 * When the next try is due. The last one before a chunk is given up is made exactly when `retry_timeout` is over, the first
 * one with the secondary output when its time has come; from then on the waits begin anew.
 *
 * @param hasSecondary  whether there is another output to change over to
 * @returns milliseconds since the epoch
 */
export function nextTryMs(config: RetryConfig, failures: Failures, nowMs: number, random: number, hasSecondary: boolean): number {
  const { count, firstMs, secondaryAt } = failures;
  const planned = nowMs + retryDelayMs(config, secondaryAt > 0 ? count - secondaryAt + 1 : count, random);
  if (config.retry_forever) return planned;
  const isBefore = hasSecondary && secondaryAt === 0;
  return Math.min(planned, isBefore ? secondaryFromMs(config, firstMs) : firstMs + config.retry_timeout);
}

/** Whether a chunk that has failed so often is given up. */
export function isGivenUp(config: RetryConfig, { count, firstMs }: Failures, nowMs: number): boolean {
  if (config.retry_forever) return false;
  if (config.retry_max_times !== undefined && count > config.retry_max_times) return true;
  return nowMs - firstMs >= config.retry_timeout;
}
