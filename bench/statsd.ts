/**
 * `npm run bench statsd`: nanoseconds for each metric from a datagram to the aggregate, and the pause of a flush, beside
 * the way of splitting strings into plain objects. Socket reads are left out: both need them.
 */
import { Aggregate } from '../engine/metrics/aggregate.ts';
import { StatsdParser } from '../collectors/statsd/parse.ts';
import { Namer } from '../collectors/statsd/naming.ts';

const NAMES = 1000;
const METRICS = 400_000;
const ROUNDS = 5;

/** 40 % counters, 40 % timers, 20 % gauges over 1000 names. */
function line(n: number, tags: string): string {
  const name = `service.shop.endpoint${(n * 7919) % NAMES}`;
  const kind = n % 5;
  if (kind < 2) return `${name}.hits:1|c${tags}`;
  return kind < 4 ? `${name}.time:${(n * 31) % 1000}.${n % 10}|ms${tags}` : `${name}.level:${n % 100}|g${tags}`;
}

function packets(linesEach: number, tags: string): Buffer[] {
  const made: Buffer[] = [];
  for (let n = 0; n < METRICS; n += linesEach)
    made.push(Buffer.from(Array.from({ length: linesEach }, (_, k) => line(n + k, tags)).join('\n')));
  return made;
}

interface Reader {
  packet(bytes: Buffer): void;
}

function bytesReader(): Reader & { aggregate: Aggregate } {
  const aggregate = new Aggregate();
  const parser = new StatsdParser(aggregate);
  return { aggregate, packet: (bytes) => parser.packet(bytes, 0, bytes.length) };
}

/** What a server does that takes a datagram as a string: split, clean, look up in a map. */
function stringReader(): Reader {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  const timers = new Map<string, number[]>();
  const add = (key: string, [value = '', type = '', rate]: readonly string[]): void => {
    const scale = rate === undefined ? 1 : 1 / Number(rate.slice(1));
    if (type === 'c') counters.set(key, (counters.get(key) ?? 0) + Number(value) * scale);
    else if (type === 'g') gauges.set(key, Number(value));
    else {
      const values = timers.get(key);
      if (values === undefined) timers.set(key, [Number(value)]);
      else values.push(Number(value));
    }
  };
  return {
    packet(bytes) {
      for (const text of bytes.toString().split('\n')) {
        const [head = '', tags = ''] = text.split('|#');
        const [name = '', ...samples] = head.split(':');
        const pairs =
          tags === ''
            ? ''
            : `;${tags
                .split(',')
                .map((tag) => tag.replace(';', '_').replace(':', '='))
                .join(';')}`;
        const key = `${name}${pairs}`
          .replace(/\s+/g, '_')
          .replace(/\//g, '-')
          .replace(/[^a-zA-Z_\-0-9.;=]/g, '');
        for (const sample of samples) add(key, sample.split('|'));
      }
    },
  };
}

function measure(make: () => Reader, datagrams: readonly Buffer[]): number {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const reader = make();
    const start = process.cpuUsage();
    for (const datagram of datagrams) reader.packet(datagram);
    const { user, system } = process.cpuUsage(start);
    return ((user + system) * 1000) / METRICS;
  });
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}

console.log(`node ${process.version}, ${METRICS} metrics over ${NAMES} names, CPU, median of ${ROUNDS}`);
for (const [title, linesEach, tags] of [
  ['one metric a datagram', 1, ''],
  ['40 metrics a datagram', 40, ''],
  ['40 metrics a datagram, tags', 40, '|#env:prod,region:eu'],
] as const) {
  const datagrams = packets(linesEach, tags);
  const [strings, bytes] = [measure(stringReader, datagrams), measure(bytesReader, datagrams)];
  console.log(
    `${title}: ${bytes.toFixed(0)} ns a metric, by strings ${strings.toFixed(0)} ns: ${(strings / bytes).toFixed(1)} times`,
  );
}

const naming = { legacy: false, globalPrefix: 'stats', prefixCounter: 'counters', prefixTimer: 'timers', prefixGauge: 'gauges' };
const namer = new Namer(
  { ...naming, prefixSet: 'sets', globalSuffix: '', prefixStats: 'statsd', flushCounts: true, isClean: true },
  { intervalMs: 10_000, percentThreshold: [90], histogram: [], keep: undefined },
);
const reader = bytesReader();
for (const datagram of packets(40, '')) reader.packet(datagram);
const start = performance.now();
const flushed = reader.aggregate.flush({ deleteCounters: false, deleteTimers: false, deleteSets: false, deleteGauges: false });
const taken = performance.now();
let points = 0;
for (const series of flushed.series) namer.series(series, () => points++);
const done = performance.now();
console.log(
  `flush: ${(taken - start).toFixed(1)} ms to take ${flushed.series.length} series out, ${(done - taken).toFixed(1)} ms for ${points} points`,
);
