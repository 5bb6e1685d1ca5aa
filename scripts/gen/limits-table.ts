/** Every bound of the product: what it is on, where it stands, what happens there. `limits.ts` makes the page of it. */
export type Unit = 'bytes' | 'ms' | '';

export interface Limit {
  readonly what: string;
  /** Where its value stands: a constant of a file, a parameter of a component or section, or a text. */
  readonly value: readonly [file: string, constant: string, unit: Unit] | string;
  /** The parameter that changes it: `component.parameter`, `<buffer>` or `rule`; absent: fixed. */
  readonly parameter?: string;
  readonly answer: string;
  /** What counts it; absent: nothing does, because it ends in an error message at once. */
  readonly metric?: string;
}

const field = (parameter: string, what: string, answer: string, metric?: string): Limit => ({
  what,
  value: '',
  parameter,
  answer,
  ...(metric === undefined ? {} : { metric }),
});
const fixed = (what: string, file: string, constant: string, unit: Unit, answer: string, metric?: string): Limit => ({
  what,
  value: [file, constant, unit],
  answer,
  ...(metric === undefined ? {} : { metric }),
});

const DROPPED = 'millrace_component_events_dropped_total';

export const LIMITS: Readonly<Record<string, readonly Limit[]>> = {
  'What comes in': [
    field(
      'forward.chunk_size_limit',
      'message of the forward protocol',
      'read past, not kept, not acknowledged',
      'millrace_source_forward_oversize_messages_total',
    ),
    field(
      'forward.decompression_size_limit',
      'compressed body, unpacked',
      'connection closed',
      'millrace_source_forward_bad_messages_total',
    ),
    field(
      'forward.max_connections',
      'connections to forward',
      'closed at once',
      'millrace_source_forward_refused_connections_total',
    ),
    field(
      'forward.incomplete_limit_size',
      'messages that have begun, over all connections to forward',
      'connection with the largest closed; its client sends again',
      'millrace_source_forward_incomplete_closed_total',
    ),
    fixed(
      'acknowledgements that a client does not read',
      'collectors/forward/forward.ts',
      'UNREAD_BYTES_MAX',
      'bytes',
      'connection closed',
      'millrace_source_forward_unread_closed_total',
    ),
    fixed(
      'maps and arrays inside each other',
      'engine/events/msgpack.ts',
      'MAX_DEPTH',
      '',
      'message refused, connection closed',
      'millrace_source_forward_bad_messages_total',
    ),
    field('tail.max_line_size', 'line of a file', 'left out', `${DROPPED}{reason="line too long"}`),
    field(
      'tail.read_block_size',
      'read from one file at a time',
      'the other files get their turn',
      'millrace_source_tail_bytes_total',
    ),
    field(
      'tail.max_files',
      'files of one tail',
      'the rest is not read; said in the log at each look',
      'millrace_source_tail_over_max_files',
    ),
    fixed('patterns that `{a,b}` of a path stands for', 'collectors/tail/paths.ts', 'BRACES_MAX', '', 'an error of `check`'),
    field('http.body_size_limit', 'body of a request', 'status 413', 'millrace_source_http_refused_requests_total'),
    field(
      'http.decompression_size_limit',
      'compressed body of a request, unpacked',
      'status 413',
      'millrace_source_http_refused_requests_total',
    ),
    field(
      'http.pending_body_limit',
      'bodies that are being received, all together',
      'status 503, the client may try again',
      'millrace_source_http_busy_requests_total',
    ),
    field('http.max_connections', 'connections to http', 'closed at once', 'millrace_source_http_refused_connections_total'),
    field('http.request_timeout', 'time for a request to come in', 'status 408, connection closed'),
    field(
      'syslog.message_length_limit',
      'message of syslog',
      'over TCP left out, a datagram is cut',
      `${DROPPED}{reason="message too long"}`,
    ),
    field(
      'syslog.max_connections',
      'connections to syslog',
      'closed at once',
      'millrace_source_syslog_refused_connections_total',
    ),
    field(
      'syslog.receive_buffer_size',
      'datagrams of syslog in the kernel',
      'dropped by the kernel',
      'millrace_source_syslog_kernel_drops',
    ),
    field('statsd.max_line', 'line of StatsD', 'counted as bad', 'millrace_source_statsd_bad_lines_total'),
    field('statsd.max_name', 'name of StatsD with its tags', 'counted as bad', 'millrace_source_statsd_bad_lines_total'),
    field('statsd.max_series', 'names of StatsD', 'samples of new names refused', 'millrace_source_statsd_refused_total'),
    field(
      'statsd.max_connections',
      'TCP connections to statsd',
      'closed at once',
      'millrace_source_statsd_refused_connections_total',
    ),
    field('statsd.idle_timeout', 'silent TCP connection to statsd', 'closed'),
    field(
      'statsd.receive_buffer_size',
      'datagrams of StatsD in the kernel',
      'dropped by the kernel',
      'millrace_source_statsd_kernel_drops_total',
    ),
  ],
  'The entrance log': [
    {
      what: 'log on disk, all workers together',
      value: '8 GiB, at most half of the free disk',
      parameter: '<system> log_limit_size',
      answer: 'sources are held back; UDP is refused and counted; `/ready` says 503 when it stays so',
      metric: 'millrace_log_bytes',
    },
    fixed(
      'log in memory, a worker',
      'engine/pipeline/open-log.ts',
      'MEMORY_LIMIT_BYTES',
      'bytes',
      'as above',
      'millrace_log_bytes',
    ),
    fixed(
      'frames that wait to be written, a worker',
      'engine/log/disk-log.ts',
      'UNWRITTEN_BYTES',
      'bytes',
      'sources are held back until the disk has taken them',
      'millrace_log_commit_seconds_max',
    ),
    fixed(
      'frames in memory for readers in step',
      'engine/log/disk-log.ts',
      'TAIL_BYTES',
      'bytes',
      'readers read the file',
      'millrace_log_bytes',
    ),
    {
      what: 'free disk',
      value: 'none left',
      answer: 'sources are held back, state `stalled: disk full`, `/ready` says 503 at once; never an exit',
      metric: 'millrace_component_ok',
    },
  ],
  'Filters and routing': [
    fixed(
      'times that an event is re-tagged or re-labelled',
      'engine/pipeline/router.ts',
      'MAX_HOPS',
      '',
      'dropped',
      `${DROPPED}{reason="routed in a circle"}`,
    ),
    {
      what: 'parts that filters make of one event',
      value: '255',
      answer: 'the rest is dropped',
      metric: `${DROPPED}{reason="split into more than 255 parts"}`,
    },
    fixed('reasons for drops, a component', 'engine/telemetry/accounts.ts', 'MAX_REASONS', '', 'counted as `other`', DROPPED),
    field(
      'log_to_metric.max_series',
      'series of log_to_metric',
      'counted as `_other`',
      'millrace_consumer_log_to_metric_overflow_total',
    ),
    fixed('value in the name or tag of a series', 'plugins/filter/log-to-metric-rules.ts', 'MAX_VALUE', 'bytes', 'cut'),
    fixed('exact values of a timer in an interval', 'engine/metrics/interval.ts', 'MAX_EXACT', '', 'percentiles are estimated'),
    fixed(
      'intervals of consumers that the main thread has not confirmed',
      'engine/pipeline/consumer-book.ts',
      'UNCONFIRMED_MAX',
      '',
      'the worker reads no further',
      'millrace_component_events_pending',
    ),
  ],
  Outputs: [
    field(
      '<buffer>.chunk_limit_size',
      'chunk',
      'closed; an event that alone is larger becomes a dead letter',
      'millrace_output_dead_letters_total',
    ),
    field('<buffer>.chunk_limit_records', 'events of a chunk', 'closed', 'millrace_output_chunks_waiting'),
    {
      what: 'what waits for one output',
      value: '`512m`; `64g` with `@type file`',
      parameter: '<buffer>.total_limit_size',
      answer: '`overflow_action`: the output is shown as stalled, or the oldest chunk is dropped',
      metric: `${DROPPED}{reason="buffer overflow"}`,
    },
    fixed(
      'what one output holds in memory',
      'engine/pipeline/pipeline.ts',
      'LAG_DETACH_BYTES',
      'bytes',
      'it gets a reader of its own and reads on when it has room',
      'millrace_output_detached',
    ),
    fixed(
      'ranges delivered before older ones',
      'engine/delivery/progress-file.ts',
      'MAX_RANGES',
      '',
      'no new chunk until the oldest is done',
      'millrace_output_finished_ranges',
    ),
    field('<buffer>.flush_thread_count', 'chunks under way', 'the next one waits', 'millrace_output_chunks_in_flight'),
    field('<buffer>.retry_timeout', 'time of trying', 'given up: dead letters', `${DROPPED}{reason="retries exhausted"}`),
    field(
      '<buffer>.dead_letter_limit_size',
      'dead letters of one output',
      'the oldest file is removed',
      'millrace_output_dead_letters_removed_total',
    ),
    field('<buffer>.dead_letter_max_age', 'age of dead letters', 'removed', 'millrace_output_dead_letters_removed_total'),
    fixed('reason in a dead letter', 'engine/delivery/dead-letters-format.ts', 'MAX_REASON', '', 'cut'),
    field(
      'elasticsearch.bulk_message_request_threshold',
      'bulk request',
      'sent in several',
      'millrace_output_elasticsearch_request_bytes_limit',
    ),
    fixed(
      'answer of Elasticsearch, above four times the size of its request',
      'shippers/elasticsearch/elasticsearch.ts',
      'ANSWER_BYTES',
      'bytes',
      'request failed, sent again under the same ids',
      'millrace_output_elasticsearch_no_answer_total',
    ),
    fixed('names of indices in one chunk', 'shippers/elasticsearch/elasticsearch.ts', 'MAX_NAMES', '', 'the names are made anew'),
    fixed(
      'line to Graphite',
      'shippers/graphite/plaintext.ts',
      'MAX_LINE',
      'bytes',
      'dead letter',
      'millrace_output_dead_letters_total',
    ),
    fixed(
      'answer of a forward server',
      'shippers/forward/reply.ts',
      'MAX_REPLY_BYTES',
      'bytes',
      'connection closed, sent again',
      'millrace_output_forward_failures_total',
    ),
    fixed(
      'answer of a Zabbix server',
      'shippers/zabbix/protocol.ts',
      'REPLY_BYTES_MAX',
      'bytes',
      'request failed, sent again',
      'millrace_component_errors_total',
    ),
    fixed('files of one chunk', 'shippers/file/file.ts', 'MAX_FILES', '', 'dead letters', 'millrace_output_dead_letters_total'),
  ],
  Rules: [
    fixed('rules', 'alerts/rule.ts', 'RULES_MAX', '', 'an error of `check`'),
    field('rule.max_groups', 'groups of a rule', 'counted as the group `(other)`', 'millrace_rules'),
    fixed('intervals of `over`', 'alerts/rule.ts', 'INTERVALS_MAX', '', 'an error of `check`'),
    fixed('name of a group', 'alerts/samples.ts', 'GROUP_CHARACTERS_MAX', '', 'cut'),
    fixed(
      'values that wait for Zabbix',
      'alerts/zabbix/feed.ts',
      'QUEUE_ITEMS_MAX',
      '',
      'the oldest are dropped',
      'millrace_zabbix_values_dropped_total',
    ),
    fixed('condition on events, characters', 'alerts/where.ts', 'WHERE_LENGTH_MAX', '', 'an error of `check`'),
  ],
  'Control API': [
    fixed('body of a request', 'engine/server/control.ts', 'bodyBytes', 'bytes', 'status 413'),
    fixed('time for a request to come in', 'engine/server/control.ts', 'requestMs', 'ms', 'status 408, connection closed'),
    fixed(
      'connections',
      'engine/server/control.ts',
      'connections',
      '',
      'closed at once',
      'millrace_control_refused_connections_total',
    ),
    fixed(
      'requests that wait for an answer; `/health` never does',
      'engine/server/control.ts',
      'requests',
      '',
      'status 503',
      'millrace_control_refused_requests_total',
    ),
    fixed(
      'letters in one request',
      'engine/server/dead-letters.ts',
      'LETTERS_MAX',
      '',
      'status 400; `millrace dlq` sends several',
    ),
    fixed('value of a label in /metrics, characters', 'engine/telemetry/prometheus.ts', 'LABEL_MAX', '', 'cut'),
  ],
  Configuration: [
    fixed('file', 'engine/config/files.ts', 'MAX_FILE_BYTES', 'bytes', 'an error of `check`'),
    fixed('files that include each other', 'engine/config/files.ts', 'MAX_INCLUDE_DEPTH', '', 'an error of `check`'),
    fixed('sections inside each other', 'engine/config/fluentd-conf.ts', 'MAX_NESTING', '', 'an error of `check`'),
    fixed('nodes of a YAML file, aliases counted each time', 'engine/config/yaml.ts', 'MAX_NODES', '', 'an error of `check`'),
    fixed('regular expression, characters', 'engine/config/ruby-regexp.ts', 'MAX_SOURCE', '', 'an error of `check`'),
    fixed('problems that are listed', 'engine/config/fluentd-conf.ts', 'MAX_PROBLEMS', '', 'the first ones are'),
  ],
  'IP data': [
    fixed('qqwry.dat', 'plugins/enrich/geo/qqwry.ts', 'FILE_BYTES_MAX', 'bytes', 'refused; the one in use stays in use'),
    fixed('other databases', 'plugins/enrich/geo/open.ts', 'FILE_BYTES_MAX', 'bytes', 'refused; the one in use stays in use'),
    fixed('addresses whose answer is remembered', 'plugins/enrich/geo/enricher.ts', 'ANSWERS_MAX', '', 'looked up again'),
    fixed('places whose fields are remembered', 'plugins/enrich/geo/enricher.ts', 'PLACES_MAX', '', 'made again'),
  ],
};
