import { statsd, type StatsdMetrics } from '../../collectors/statsd/statsd.ts';
import { StatsdServer } from '../../collectors/statsd/server.ts';
import type { ContextOf } from '../../engine/component.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { readBatch, testContext } from '../../engine/testing/driver.ts';
import { writeLine } from '../../shippers/graphite/plaintext.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';

interface Flush {
  readonly packets: readonly string[];
  readonly timestamp: number;
  readonly lines: readonly string[];
  readonly volatile_names: readonly string[];
}

interface Case {
  readonly id: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly flushes: readonly Flush[];
}

/** Upstream's camelCase keys are ours in snake_case; its `graphite` block stands at the top here. */
function configOf(upstream: Case['config']): Record<string, unknown> {
  const snake = (name: string): string => name.replace(/[A-Z]+/g, (upper) => `_${upper.toLowerCase()}`);
  const entries = Object.entries(upstream).flatMap(([name, value]) =>
    name === 'graphite' ? Object.entries(value as object) : [[name, value] as [string, unknown]],
  );
  const config = Object.fromEntries(entries.map(([name, value]): [string, unknown] => [snake(name), value]));
  const { flush_interval: interval, percent_threshold: percent } = config;
  if (interval !== undefined) config['flush_interval'] = Number(interval) / 1000;
  if (percent !== undefined && !Array.isArray(percent)) config['percent_threshold'] = [percent];
  const ttl = Number(config['gauges_max_ttl']);
  // Upstream takes anything that is no whole number above 1 as 1; our configuration refuses it.
  if (!Number.isInteger(ttl) || ttl < 1) delete config['gauges_max_ttl'];
  return config;
}

async function run({ config, flushes }: Case): Promise<string | undefined> {
  const parsed = statsd.config.parse(configOf(config));
  const ctx = testContext(statsd);
  const server = new StatsdServer(parsed, ctx as unknown as ContextOf<'source', StatsdMetrics>);
  for (const flush of flushes) {
    for (const packet of flush.packets) server.receive(Buffer.from(packet, 'utf8'));
    ctx.clock.advance(parsed.flush_interval);
    await server.flush();
    const problem = differs(printed(ctx.emitted.splice(0)), flush);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** What the Graphite shipper makes of the events. */
function printed(batches: readonly Batch[]): string[] {
  const into = new ByteWriter();
  for (const { record, seconds } of batches.flatMap(readBatch))
    writeLine(into, String(record['name']), record['tags'] as Fields | undefined, record['value'], seconds);
  return into.copy().toString('utf8').trimEnd().split('\n');
}

function differs(got: readonly string[], { lines, volatile_names: volatile, timestamp }: Flush): string | undefined {
  const isVolatile = new Set(volatile);
  const steady = got.filter((line) => !isVolatile.has(line.split(' ')[0] ?? ''));
  const names = new Set(got.map((line) => line.split(' ')[0]));
  const missing = [...lines.filter((line) => !steady.includes(line)), ...volatile.filter((name) => !names.has(name))];
  const extra = steady.filter((line) => !lines.includes(line));
  return missing.length + extra.length === 0
    ? undefined
    : `at ${timestamp}: missing ${JSON.stringify(missing)}, not wanted ${JSON.stringify(extra)}`;
}

export const adapter: VectorAdapter = {
  async *run({ json }): AsyncGenerator<CaseResult> {
    for (const each of json['cases'] as readonly Case[]) yield { id: each.id, difference: await run(each) };
  },
};
