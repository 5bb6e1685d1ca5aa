import * as z from 'zod';
import { bool, duration, float, integer, oneOf, size } from '../units.ts';

/** `<buffer>`: how an output gathers events into chunks and how it tries again. Keys and meanings are Fluentd's. */
export const bufferConfig = z
  .strictObject({
    '@arg': z
      .string()
      .default('')
      .describe('Chunk keys: empty, or `tag` for chunks of one tag each.')
      .refine(
        (arg) => arg.split(',').every((key) => ['', 'tag', '[]'].includes(key.trim())),
        'only the chunk key `tag` is supported so far',
      ),
    '@type': oneOf(['memory'])
      .default('memory')
      .describe('Kind of buffer; every output reads from the entrance log, so there is one kind.'),
    flush_mode: oneOf(['default', 'interval', 'immediate', 'lazy'])
      .default('default')
      .describe('When a chunk leaves: each flush_interval, or at once.'),
    flush_interval: duration().prefault('1s').describe('Longest time that a chunk stays open.'),
    flush_thread_count: integer({ min: 1, max: 64 }).default(1).describe('Chunks under way at the same time.'),
    flush_at_shutdown: bool().default(true).describe('Whether what is there is delivered before the end.'),
    chunk_limit_size: size().prefault('8m').describe('Size at which a chunk is closed.'),
    chunk_limit_records: integer({ min: 1, max: 10_000_000 })
      .default(100_000)
      .describe('Number of events at which a chunk is closed.'),
    total_limit_size: size().prefault('512m').describe('Size of everything that waits for this output.'),
    overflow_action: oneOf(['throw_exception', 'block', 'drop_oldest_chunk'])
      .default('block')
      .describe('What happens at total_limit_size: the sources are held back, or the oldest chunk is dropped and counted.'),
    retry_type: oneOf(['exponential_backoff', 'periodic'])
      .default('exponential_backoff')
      .describe('How the wait grows from try to try.'),
    retry_wait: duration().prefault('1s').describe('Wait before the first retry.'),
    retry_exponential_backoff_base: float({ min: 1 }).default(2).describe('Factor from one wait to the next.'),
    retry_max_interval: duration().prefault('60s').describe('Longest wait between two tries.'),
    retry_randomize: bool().default(true).describe('Whether waits vary by an eighth.'),
    retry_timeout: duration().prefault('72h').describe('Time after which a chunk is given up and becomes dead letters.'),
    retry_forever: bool().default(false).describe('Whether a chunk is never given up.'),
    retry_max_times: integer({ min: 0, max: 1_000_000 })
      .optional()
      .describe('Number of retries after which a chunk is given up.'),
  })
  .meta({ title: 'buffer' });

export type BufferConfig = z.output<typeof bufferConfig>;
