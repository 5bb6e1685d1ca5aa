/** What is measured. A scenario is data; throughput.ts, footprint.ts and hold.ts know how to run it. */

export type Level = 'memory' | 'os' | 'fsync';

/** Events through an agent, CPU for each. */
export interface Throughput {
  readonly kind: 'throughput';
  readonly name: string;
  readonly title: string;
  readonly input: 'forward' | 'tail' | 'statsd';
  /** Events of a frame, metrics of a datagram. */
  readonly eventsEach: number;
  readonly acks: boolean;
  readonly level: Level;
  readonly geo: boolean;
  readonly output: 'bulk' | 'null';
  /** Of one round; the rivals get the shares below, so that each round lasts about as long. */
  readonly events: number;
  /** Events a second, for senders that cannot be held back. */
  readonly rate?: number;
  /** Of the entrance log on the disk, in bytes; absent: the default. */
  readonly logLimit?: number;
}

/** One figure of a process that is started for it. */
export interface Footprint {
  readonly kind: 'footprint';
  readonly name: 'start' | 'idle' | 'paced';
  readonly title: string;
}

export interface Hold {
  readonly kind: 'hold';
  readonly name: 'hold';
  readonly title: string;
  readonly events: number;
}

export type Scenario = Throughput | Footprint | Hold;

const forward = {
  kind: 'throughput',
  input: 'forward',
  eventsEach: 2000,
  acks: true,
  level: 'memory',
  geo: false,
  output: 'bulk',
  events: 400_000,
} as const;

export const SCENARIOS: readonly Scenario[] = [
  { ...forward, name: 'null', title: 'forward -> null, memory', output: 'null', events: 1_000_000 },
  { ...forward, name: 'bulk-memory', title: 'forward -> bulk, memory' },
  { ...forward, name: 'bulk-os', title: 'forward -> bulk, os', level: 'os' },
  { ...forward, name: 'bulk-fsync', title: 'forward -> bulk, fsync', level: 'fsync' },
  { ...forward, name: 'geo', title: 'forward -> geo, two fields dropped -> bulk, fsync', level: 'fsync', geo: true },
  { ...forward, name: 'frames-10', title: 'frames of 10 events -> bulk, fsync', level: 'fsync', eventsEach: 10 },
  {
    ...forward,
    name: 'frames-1',
    title: 'messages of 1 event, no acknowledgement -> bulk, fsync',
    level: 'fsync',
    eventsEach: 1,
    acks: false,
    events: 200_000,
  },
  {
    ...forward,
    name: 'tail',
    title: 'tail -> apache2 -> geo -> bulk',
    input: 'tail',
    level: 'os',
    geo: true,
    acks: false,
    events: 300_000,
  },
  ...statsd(),
  { kind: 'footprint', name: 'start', title: 'start: first event acknowledged' },
  { kind: 'footprint', name: 'idle', title: 'memory: forward -> bulk, idle' },
  { kind: 'footprint', name: 'paced', title: 'memory: forward -> geo -> bulk, 20,000 events/s' },
  { kind: 'hold', name: 'hold', title: 'output stopped, then resumed', events: 1_000_000 },
];

function statsd(): Throughput[] {
  const base = { ...forward, input: 'statsd', acks: false, output: 'null' } as const;
  return [
    {
      ...base,
      name: 'statsd-single',
      title: 'statsd, 1 metric a datagram, 30,000/s',
      eventsEach: 1,
      // Ten seconds: one flush is in each round.
      events: 300_000,
      rate: 30_000,
    },
    {
      ...base,
      name: 'statsd-packed',
      title: 'statsd, 40 metrics a datagram, 400,000 metrics/s',
      eventsEach: 40,
      events: 4_000_000,
      rate: 400_000,
    },
  ];
}

export interface Ports {
  readonly input: number;
  readonly control: number;
  readonly sink: number;
}

const DROPPED = { forward: ['user', 'referer'], tail: ['user', 'referer'] } as const;

/** The field with the address, and the two that are taken out. */
export function geoOf({ input }: Throughput): { readonly key: string; readonly drop: readonly string[] } {
  return { key: input === 'tail' ? 'host' : 'remote', drop: DROPPED[input === 'tail' ? 'tail' : 'forward'] };
}

/** The configuration of millrace. `tailPath` is the file to follow. */
export function configOf(scenario: Throughput, ports: Ports, tailPath: string): string {
  const { input, geo, output, level } = scenario;
  const source = {
    forward: ['@type forward', `port ${ports.input}`, 'bind 127.0.0.1', `durability ${level}`],
    tail: ['@type tail', `path ${tailPath}`, 'tag web.access', 'read_from_head true', '<parse>', '  @type apache2', '</parse>'],
    statsd: ['@type statsd', `port ${ports.input}`, 'bind 127.0.0.1', 'flush_interval 10s'],
  }[input];
  const { key, drop } = geoOf(scenario);
  const filters = geo
    ? [
        ...section('filter **', ['@type geo', `key ${key}`]),
        ...section('filter **', ['@type record_transformer', `remove_keys ${drop.join(',')}`]),
      ]
    : [];
  const match =
    output === 'null'
      ? ['@type null']
      : [
          '@type elasticsearch',
          `hosts http://127.0.0.1:${ports.sink}`,
          'index_name bench',
          '<buffer>',
          '  flush_interval 1s',
          '  retry_max_interval 1s',
          '</buffer>',
        ];
  return [
    ...section('system', [
      `port ${ports.control}`,
      'log_level warn',
      ...(scenario.logLimit === undefined ? [] : [`log_limit_size ${scenario.logLimit}`]),
    ]),
    ...section('source', source),
    ...filters,
    ...section('match **', match),
    '',
  ].join('\n');
}

const section = (head: string, lines: readonly string[]): string[] => [
  `<${head}>`,
  ...lines.map((line) => `  ${line}`),
  `</${head.split(' ')[0]}>`,
];
