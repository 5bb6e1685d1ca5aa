import * as z from 'zod';
import { parseChunkKeys, timekeyZone } from '../placeholders.ts';
import { bool, duration, float, integer, oneOf, size, text } from '../units.ts';

const fields = {
  '@arg': z
    .string()
    .default('')
    .describe('Chunk keys: any of `time`, `tag`, names of fields and `$.nested.names`; events of a chunk agree in them.'),
  '@type': oneOf(['memory', 'file', 'file_single'])
    .default('memory')
    .describe('Kind of buffer in Fluentd. Events lie in the entrance log in any case; with `file` the defaults are those of it.'),
  timekey: duration({ min: 1 }).optional().describe('Width of a slice of time; required with the chunk key `time`.'),
  timekey_wait: duration().prefault('10m').describe('Time after the end of a slice at which its chunk leaves.'),
  timekey_use_utc: bool().default(false).describe('Whether slices begin at midnight UTC and are printed so.'),
  timekey_zone: text()
    .optional()
    .describe('Zone of slices and of the times printed.')
    .meta({ examples: ['Asia/Shanghai', '+08:00'] }),
  flush_mode: oneOf(['default', 'interval', 'immediate', 'lazy'])
    .default('default')
    .describe(
      'When a chunk leaves: at the end of its slice or when it is full (`lazy`), at a certain age, or at once. By default `lazy` with the chunk key `time`.',
    ),
  flush_interval: duration().optional().describe('Longest time that a chunk stays open with `interval`; 1s when not given.'),
  flush_thread_count: integer({ min: 1, max: 64 }).default(1).describe('Chunks under way at the same time.'),
  flush_thread_interval: duration().optional().describe('Accepted without effect: nothing polls.'),
  flush_thread_burst_interval: duration().prefault(0).describe('Pause after each chunk.'),
  flush_at_shutdown: bool()
    .optional()
    .describe(
      'Whether what is there is delivered before the end; else it waits on disk for the next start. true, with `file` false.',
    ),
  delayed_commit_timeout: duration({ min: 1 })
    .optional()
    .describe('Time limit of one try, after which it counts as failed; none when not given.'),
  chunk_limit_size: size({ min: 1 }).prefault('8m').describe('Size that a chunk never exceeds.'),
  chunk_limit_records: integer({ min: 1, max: 10_000_000 })
    .default(100_000)
    .describe('Number of events that a chunk never exceeds.'),
  chunk_full_threshold: float({ min: 0, max: 1 })
    .default(0.95)
    .describe('Share of either limit from which on a chunk is closed.'),
  queued_chunks_limit_size: integer({ min: 1, max: 1_000_000 })
    .optional()
    .describe('Closed chunks that wait from which on none is closed for its age; flush_thread_count when not given.'),
  queue_limit_length: integer({ min: 1, max: 1_000_000 })
    .optional()
    .describe('Old form of total_limit_size: that many times chunk_limit_size.'),
  total_limit_size: size({ min: 1 })
    .optional()
    .describe('Size of all that waits for this output, in the entrance log and in chunk files. 512m, with `file` 64g.'),
  overflow_action: oneOf(['throw_exception', 'block', 'drop_oldest_chunk'])
    .default('block')
    .describe(
      'What happens at total_limit_size: the output is shown as stalled, and events wait in the entrance log up to its own bound (`block`; `throw_exception` logs an error too), or the oldest chunk is dropped and counted.',
    ),
  spill_after: duration({ min: 1000 })
    .prefault('60s')
    .describe(
      'Age from which on a chunk that may stay open for longer is kept in a file of its own, so that the entrance log need not keep it.',
    ),
  retry_type: oneOf(['exponential_backoff', 'periodic'])
    .default('exponential_backoff')
    .describe('How the wait grows from try to try.'),
  retry_wait: duration().prefault('1s').describe('Wait before the first retry.'),
  retry_exponential_backoff_base: float({ min: 1 }).default(2).describe('Factor from one wait to the next.'),
  retry_max_interval: duration().optional().describe('Longest wait between two tries; none when not given.'),
  retry_randomize: bool().default(true).describe('Whether waits vary by an eighth.'),
  retry_timeout: duration().prefault('72h').describe('Time after which a chunk is given up and becomes dead letters.'),
  retry_forever: bool().default(false).describe('Whether a chunk is never given up.'),
  retry_max_times: integer({ min: 0, max: 1_000_000 }).optional().describe('Number of retries after which a chunk is given up.'),
  retry_secondary_threshold: float({ min: 0, max: 1 })
    .default(0.8)
    .describe('Share of the time until a chunk is given up after which it goes to `<secondary>`.'),
  disable_chunk_backup: bool()
    .default(false)
    .describe('Whether what is refused or given up is dropped and counted instead of becoming dead letters.'),
  dead_letter_limit_size: size({ min: 64 * 1024 })
    .prefault('256m')
    .describe('Size of the dead letters of this output; the oldest are removed and counted to make room.'),
  dead_letter_max_age: duration({ min: 60_000 })
    .prefault('30d')
    .describe('Age at which dead letters of this output are removed and counted.'),
  compress: oneOf(['text', 'gzip', 'zstd'])
    .default('text')
    .describe('Accepted for Fluentd; chunks are never compressed at rest.'),
  decompression_size_limit: size({ min: 1 }).prefault('256m').describe('Accepted for Fluentd.'),
  path: text().optional().describe('Where a Fluentd kept its file buffer; what is left there is taken over once.'),
  path_suffix: text().default('.log').describe('Suffix of those files.'),
  file_permission: text().optional().describe('Accepted for Fluentd; chunk files have mode 0640.'),
  dir_permission: text().optional().describe('Accepted for Fluentd.'),
};

/** `<buffer>`: how an output gathers events into chunks and how it tries again. Keys and meanings are Fluentd's. */
export const bufferConfig = z
  .strictObject(fields)
  .superRefine((config, ctx) => {
    const problem = (key: keyof typeof fields, message: string): void => ctx.addIssue({ code: 'custom', path: [key], message });
    const keys = parseChunkKeys(config['@arg']);
    if ('error' in keys) problem('@arg', keys.error);
    else if (keys.time && config.timekey === undefined) problem('@arg', 'the chunk key time needs a timekey, such as timekey 1h');
    const zone = timekeyZone(config);
    if ('error' in zone) problem('timekey_zone', zone.error);
    const { flush_mode: mode } = config;
    if (config.flush_interval !== undefined && mode !== 'default' && mode !== 'interval')
      problem('flush_interval', `flush_interval has no meaning with flush_mode ${mode}`);
  })
  .meta({ title: 'buffer' });

export type BufferConfig = z.output<typeof bufferConfig>;

/** When chunks leave, once the defaults that depend on others are known. */
export type FlushMode = 'interval' | 'immediate' | 'lazy';

/**
 * @param flush  of the output, for a configuration that does not say
 */
export function flushModeOf(config: BufferConfig, flush: 'immediate' | 'interval'): FlushMode {
  const keys = parseChunkKeys(config['@arg']);
  const mode = config.flush_mode;
  if (mode === 'default') {
    if (!('error' in keys) && keys.time) return 'lazy';
    return config.flush_interval === 0 || (flush === 'immediate' && config.flush_interval === undefined)
      ? 'immediate'
      : 'interval';
  }
  return mode === 'interval' && config.flush_interval === 0 ? 'immediate' : mode;
}

/** Bytes that may wait for an output. */
export function totalLimitOf(config: BufferConfig): number {
  if (config.queue_limit_length !== undefined) return config.queue_limit_length * config.chunk_limit_size;
  return config.total_limit_size ?? (config['@type'] === 'memory' ? 512 << 20 : 64 * 2 ** 30);
}

export const flushesAtShutdown = (config: BufferConfig): boolean => config.flush_at_shutdown ?? config['@type'] === 'memory';

export const flushIntervalOf = (config: BufferConfig): number => config.flush_interval ?? 1000;
