/** Every metric that the engine itself gives to Prometheus; those of the components stand in their literals. */
import type { ComponentStatus } from './accounts.ts';

export interface Family {
  readonly type: 'counter' | 'gauge';
  readonly unit: string;
  readonly help: string;
}

type Book = Family & { readonly value: (status: ComponentStatus) => number };

/** From the books of every component. */
export const BOOKS: Readonly<Record<string, Book>> = {
  millrace_component_events_in_total: { type: 'counter', unit: 'events', help: 'Events taken.', value: (one) => one.in },
  millrace_component_events_created_total: {
    type: 'counter',
    unit: 'events',
    help: 'Events made by the component itself.',
    value: (one) => one.created,
  },
  millrace_component_events_out_total: {
    type: 'counter',
    unit: 'events',
    help: 'Events passed on; of an output: delivered.',
    value: (one) => one.out,
  },
  millrace_component_events_pending: {
    type: 'gauge',
    unit: 'events',
    help: 'Events taken and neither passed on nor dropped.',
    value: (one) => one.pending,
  },
  millrace_component_bytes_in_total: {
    type: 'counter',
    unit: 'bytes',
    help: 'Size of the events taken.',
    value: (one) => one.bytesIn,
  },
  millrace_component_bytes_out_total: {
    type: 'counter',
    unit: 'bytes',
    help: 'Size of the events passed on.',
    value: (one) => one.bytesOut,
  },
  millrace_component_errors_total: {
    type: 'counter',
    unit: 'errors',
    help: 'Failures, whatever became of the events.',
    value: (one) => one.errors,
  },
  millrace_component_ok: {
    type: 'gauge',
    unit: 'boolean',
    help: '1 while the component says that it is well, else 0.',
    value: (one) => (one.state === 'ok' ? 1 : 0),
  },
};

/** With a label more than the books have. */
export const DROPPED: Readonly<Record<string, Family & { readonly label: string }>> = {
  millrace_component_events_dropped_total: {
    type: 'counter',
    unit: 'events',
    help: 'Events dropped, by reason.',
    label: 'reason',
  },
};

/** From the watch over stalls, for every component. */
export const STALLED: Readonly<Record<string, Family>> = {
  millrace_component_stalled_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'How long nothing has moved while work waits; 0 when it moves.',
  },
};

/** `as` and `factor`: Prometheus wants seconds where the books have milliseconds. */
interface EngineFamily extends Family {
  readonly as?: string;
  readonly factor?: number;
}

/** What the engine counts for the log and around every output; names as they stand in `status --json`. */
export const ENGINE_METRICS: Readonly<Record<'log' | 'output' | 'router', Readonly<Record<string, EngineFamily>>>> = {
  log: {
    bytes: { type: 'gauge', unit: 'bytes', help: 'Size of what the log keeps.' },
    limit_bytes: { type: 'gauge', unit: 'bytes', help: 'Size at which sources are held back.' },
    segments: { type: 'gauge', unit: 'segments', help: 'Segments that the log keeps.' },
    detachments: {
      type: 'counter',
      unit: 'outputs',
      help: 'Times that an output was too slow for the others and got a reader of its own.',
    },
    log_commits: {
      type: 'counter',
      unit: 'commits',
      help: 'Times that the disk was asked to make safe what was written (fdatasync).',
    },
    log_commit_ms: {
      type: 'counter',
      unit: 'seconds',
      help: 'Time that commits took, in all.',
      as: 'log_commit_seconds',
      factor: 0.001,
    },
    log_commit_ms_max: {
      type: 'gauge',
      unit: 'seconds',
      help: 'Longest time that a commit took.',
      as: 'log_commit_seconds_max',
      factor: 0.001,
    },
    log_writes: { type: 'counter', unit: 'writes', help: 'Writes to the disk.' },
    log_written_bytes: { type: 'counter', unit: 'bytes', help: 'Size of what was written to the disk.' },
    log_write_errors: { type: 'counter', unit: 'errors', help: 'Writes and commits that failed; they are tried again.' },
    log_damaged_ranges: { type: 'counter', unit: 'ranges', help: 'Damaged ranges of the log that were set aside.' },
    log_damaged_bytes: { type: 'counter', unit: 'bytes', help: 'Size of the damaged ranges.' },
    log_truncated_bytes: { type: 'counter', unit: 'bytes', help: 'Size of torn tails that were cut off at start.' },
  },
  output: {
    dead_letters: { type: 'counter', unit: 'letters', help: 'Events set aside as dead letters.' },
    dead_letters_removed: { type: 'counter', unit: 'letters', help: 'Dead letters removed at the bounds of size or age.' },
    dead_letters_failed: {
      type: 'counter',
      unit: 'letters',
      help: 'Dead letters that could not be written; their events are tried again.',
    },
    lag_bytes: { type: 'gauge', unit: 'bytes', help: 'How far the output is behind the head of the log.' },
    detached: {
      type: 'gauge',
      unit: 'boolean',
      help: '1 while the output has a reader of its own because it was too slow for the others.',
    },
    retries: { type: 'counter', unit: 'tries', help: 'Tries after the first of a chunk.' },
    chunks_open: { type: 'gauge', unit: 'chunks', help: 'Chunks that still take events.' },
    chunks_waiting: { type: 'gauge', unit: 'chunks', help: 'Closed chunks that wait for their turn.' },
    chunks_in_flight: { type: 'gauge', unit: 'chunks', help: 'Chunks that were handed to the output.' },
    queue_bytes: { type: 'gauge', unit: 'bytes', help: 'Size of the events in memory: open, waiting and in flight.' },
    oldest_chunk_age_seconds: { type: 'gauge', unit: 'seconds', help: 'Age of the oldest chunk.' },
    finished_ranges: { type: 'gauge', unit: 'ranges', help: 'Ranges of the log that were delivered before older ones.' },
    chunk_files: { type: 'gauge', unit: 'files', help: 'Files of chunks that stay open for long.' },
    chunk_file_bytes: { type: 'gauge', unit: 'bytes', help: 'Size of the chunk files.' },
    spilled_events: { type: 'counter', unit: 'events', help: 'Events that went to chunk files.' },
    damaged_chunk_files: {
      type: 'counter',
      unit: 'files',
      help: 'Chunk files with a damaged part; what could be read was delivered.',
    },
  },
  router: {},
};

/** Once for the process. */
export const PROCESS: Readonly<Record<string, Family & { readonly label?: string }>> = {
  millrace_build_info: { type: 'gauge', unit: 'boolean', help: 'Always 1; the version is the label.', label: 'version' },
  millrace_stalls: { type: 'gauge', unit: 'components', help: 'Components that do not move although work waits.' },
  millrace_imbalances: {
    type: 'gauge',
    unit: 'components',
    help: 'Components whose books do not balance; anything but 0 is a defect of ours.',
  },
  millrace_rules: { type: 'gauge', unit: 'rules', help: 'Rules and groups by state.', label: 'state' },
  millrace_zabbix_values_sent_total: { type: 'counter', unit: 'values', help: 'Values of rules that Zabbix took.' },
  millrace_zabbix_values_refused_total: { type: 'counter', unit: 'values', help: 'Values of rules that Zabbix refused.' },
  millrace_zabbix_values_dropped_total: {
    type: 'counter',
    unit: 'values',
    help: 'Values of rules dropped because the queue was full.',
  },
  millrace_zabbix_values_pending: { type: 'gauge', unit: 'values', help: 'Values of rules that wait for Zabbix.' },
  millrace_control_refused_connections_total: {
    type: 'counter',
    unit: 'connections',
    help: 'Connections to the control API closed at once because there were too many.',
  },
  millrace_control_refused_requests_total: {
    type: 'counter',
    unit: 'requests',
    help: 'Requests to the control API answered with 503 because too many waited.',
  },
  millrace_control_requests_waiting: { type: 'gauge', unit: 'requests', help: 'Requests to the control API that wait.' },
  millrace_event_loop_delay_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Delay of the loop of the main thread since the last look.',
    label: 'statistic',
  },
  millrace_heap_used_bytes: { type: 'gauge', unit: 'bytes', help: 'JavaScript heap of the main thread in use.' },
  process_cpu_seconds_total: { type: 'counter', unit: 'seconds', help: 'CPU time of all threads, user and system.' },
  process_resident_memory_bytes: { type: 'gauge', unit: 'bytes', help: 'Resident memory.' },
  process_start_time_seconds: { type: 'gauge', unit: 'seconds', help: 'Start of the process, since the epoch.' },
  process_open_fds: { type: 'gauge', unit: 'files', help: 'Open files and sockets; only where the system tells.' },
};

/** The name of a component's own metric: `millrace_<kind>_<type>_<name>`, with `_total` when it counts. */
export function familyName(kind: string, type: string, name: string, isCounter: boolean): string {
  const plain = `millrace_${kind}_${type}_${name}`.replaceAll(/[^a-zA-Z0-9_]/g, '_');
  return isCounter && !plain.endsWith('_total') ? `${plain}_total` : plain;
}

/** The name of what the engine counts for a kind: `millrace_log_bytes`, `millrace_output_retries_total`. */
export function engineName(kind: string, key: string, { type, as: name = key }: EngineFamily): string {
  const whole = name.startsWith(`${kind}_`) ? `millrace_${name}` : `millrace_${kind}_${name}`;
  return type === 'counter' ? `${whole}_total` : whole;
}
