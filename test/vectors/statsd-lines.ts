import { Aggregate } from '../../engine/metrics/aggregate.ts';
import { StatsdParser } from '../../collectors/statsd/parse.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { sameNumbers } from './numbers.ts';

interface State {
  readonly bad_lines: number;
  readonly packets: number;
  readonly metrics: number;
  readonly counters: Readonly<Record<string, unknown>>;
  readonly gauges: Readonly<Record<string, unknown>>;
  readonly timers: Readonly<Record<string, unknown>>;
  readonly timer_counters: Readonly<Record<string, unknown>>;
  readonly sets: Readonly<Record<string, unknown>>;
}

interface Case {
  readonly id: string;
  readonly packets: readonly (string | { readonly hex: string })[];
  readonly expect?: State;
  readonly recommended?: State;
  readonly must?: string;
}

const PARTS = ['counters', 'gauges', 'timers', 'timer_counters', 'sets'] as const;

function run(packets: Case['packets']): State {
  const aggregate = new Aggregate();
  const parser = new StatsdParser(aggregate);
  for (const packet of packets) {
    const bytes = typeof packet === 'string' ? Buffer.from(packet, 'utf8') : Buffer.from(packet.hex, 'hex');
    parser.packet(bytes, 0, bytes.length);
  }
  const lists = { counters: [], gauges: [], timers: [], timer_counters: [], sets: [] } as Record<
    (typeof PARTS)[number],
    [string, unknown][]
  >;
  for (const { name, ...series } of aggregate) {
    if (series.isCounter) lists.counters.push([name, series.counter]);
    if (series.isGauge) lists.gauges.push([name, series.gauge]);
    if (series.isSet) lists.sets.push([name, [...(series.members?.members ?? [])]]);
    if (!series.isTimer || series.samples === undefined) continue;
    const { values, weight } = series.samples.data();
    lists.timers.push([name, [...(values ?? [])]]);
    lists.timer_counters.push([name, weight]);
  }
  const state = { bad_lines: parser.bad, packets: packets.length, metrics: parser.lines };
  return {
    ...state,
    ...(Object.fromEntries(PARTS.map((part) => [part, Object.fromEntries(lists[part])])) as Pick<State, (typeof PARTS)[number]>),
  };
}

function differs(got: State, want: State, isDog: boolean): string | undefined {
  const keys = isDog ? (['bad_lines', ...PARTS] as const) : (['bad_lines', 'packets', 'metrics', ...PARTS] as const);
  for (const key of keys) {
    const [a, b] = key === 'sets' ? [sorted(got.sets), sorted(want.sets)] : [got[key], want[key]];
    if (!sameNumbers(a, b)) return `${key}: want ${JSON.stringify(want[key])}, got ${JSON.stringify(got[key])}`;
  }
  return undefined;
}

const sorted = (sets: State['sets']): unknown =>
  Object.fromEntries(Object.entries(sets).map(([name, members]) => [name, [...(members as string[])].sort()]));

export const adapter: VectorAdapter = {
  *run({ json }): Generator<CaseResult> {
    for (const { id, packets, expect, recommended, must } of json['cases'] as readonly Case[]) {
      const got = run(packets);
      const wanted = must === 'recommended' ? [recommended] : [expect, recommended];
      const differences = wanted.filter((want) => want !== undefined).map((want) => differs(got, want, id.startsWith('dog-')));
      yield { id, difference: differences.includes(undefined) ? undefined : differences.join(' | ') };
    }
  },
};
