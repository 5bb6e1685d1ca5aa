import * as z from 'zod';
import { address, duration, integer, oneOf, port, rawSection, size, text } from '../units.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

/** Parameters of Fluentd that are accepted so that its configurations run, and that change nothing here. */
export const IGNORED_SYSTEM_PARAMS = [
  'restart_worker_interval',
  'suppress_repeated_stacktrace',
  'ignore_repeated_log_interval',
  'ignore_same_log_interval',
  'emit_error_log_interval',
  'suppress_config_dump',
  'log_event_verbose',
  'without_source',
  'with_source_only',
  'rpc_endpoint',
  'enable_get_dump',
  'process_name',
  'strict_config_value',
  'enable_msgpack_time_support',
  'disable_shared_socket',
  'enable_input_metrics',
  'enable_size_metrics',
  'enable_jit',
  'file_permission',
  'dir_permission',
  'config_include_dir',
] as const;

/** `<system>`: what holds for the whole process. */
export const systemConfig = z
  .strictObject({
    workers: integer({ min: 1, max: 64 }).default(1).describe('Number of pipeline workers.'),
    root_dir: text().optional().describe('Directory of everything that is kept on disk.'),
    log_level: oneOf(LOG_LEVELS).default('info').describe('Least severe level that is logged.'),
    kernel: oneOf(['on', 'off'])
      .default('on')
      .describe(
        'Whether events are written and searched by the WebAssembly kernel; off: by plain code, slower, with the same outcome.',
      ),
    log_limit_size: size({ min: 1024 * 1024 })
      .optional()
      .describe('Size of the entrance log at which sources are held back.'),
    shutdown_timeout: duration().optional().describe('Time to finish what is pending before the end.'),
    bind: address().default('127.0.0.1').describe('Address of the page and the control API.'),
    port: port().default(24_230).describe('Port of the page and the control API.'),
    log: rawSection().optional().describe('Own logs: path, format, rotation.'),
    metrics: rawSection().optional().describe('Accepted from Fluentd, not used.'),
    source_only_buffer: rawSection().optional().describe('Accepted from Fluentd, not used.'),
    ...(Object.fromEntries(
      IGNORED_SYSTEM_PARAMS.map((name) => [name, text().optional().describe('Accepted from Fluentd, not used.')]),
    ) as Record<(typeof IGNORED_SYSTEM_PARAMS)[number], z.ZodOptional<ReturnType<typeof text>>>),
  })
  .meta({ title: 'system' });

export type SystemConfig = z.output<typeof systemConfig>;
