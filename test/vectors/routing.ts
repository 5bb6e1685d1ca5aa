import * as z from 'zod';
import { defineFilter, defineOutput, type Definition, type Registered } from '../../engine/component.ts';
import { checkConfig } from '../../engine/config/check.ts';
import { loadConfigText } from '../../engine/config/load.ts';
import { hasErrors } from '../../engine/config/problems.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { field } from '../../engine/events/field.ts';
import { Registry } from '../../engine/registry.ts';
import { openBench } from '../../engine/testing/bench.ts';
import { readBatch } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, type Case } from './compare.ts';

interface Delivered {
  readonly output: string;
  readonly tag: string;
  readonly record: Fields;
}

export const adapter: VectorAdapter = {
  async *run(file): AsyncIterable<CaseResult> {
    for (const item of casesOf(file)) {
      const reason = deviation(item['config'] as string);
      yield reason === undefined ? await runCase(item) : { id: item.id, skipped: reason };
    }
  },
};

function deviation(config: string): string | undefined {
  if (/^\s*fail true$/m.test(config))
    return 'an output that fails keeps its chunk and tries again; it never fails the emit, nor the stores beside it';
  if (config.includes('ignore_if_prev_success')) return 'ignore_if_prev_success is not supported';
  return undefined;
}

async function runCase(item: Case): Promise<CaseResult> {
  const config = item['config'] as string;
  const emits = item['emits'] as { tag: string; record: Fields; label?: string }[];
  const delivered: Delivered[] = [];
  const components = componentsOf(delivered);
  const isRefused = await isInvalid(config, components);
  if (expectsError(item.expected) || isRefused)
    return compared(item.id, { refused: isRefused }, { refused: expectsError(item.expected) });
  const labels = [...new Set(emits.map(({ label }) => label ?? ''))];
  const sources = labels.map(
    (label, n) => `<source>\n@type feed\n@id in${n}\n${label === '' ? '' : `@label ${label}\n`}</source>\n`,
  );
  const bench = await openBench(`${sources.join('')}${config}`, { more: components });
  for (const { tag, record, label } of emits) {
    bench.feed(tag, [record], `in${labels.indexOf(label ?? '')}`);
    await bench.settle();
  }
  await bench.pipeline.stop();
  const differing = bench.imbalances();
  if (differing.length > 0) return { id: item.id, difference: differing.join('; ') };
  return compared(
    item.id,
    sorted(delivered),
    sorted(withoutFailed(config, (item.expected as { delivered: Delivered[] }).delivered)),
  );
}

/** Outputs work side by side: their order among each other says nothing. */
const sorted = (list: readonly Delivered[]): Delivered[] => list.toSorted((a, b) => a.output.localeCompare(b.output));

/**
 * Fluentd 1.19 lets an event on which a filter raised pass on unchanged (a defect that the vectors note themselves);
 * here it goes to @ERROR, if that is there, and nowhere else.
 */
function withoutFailed(config: string, expected: readonly Delivered[]): Delivered[] {
  const keys = [...config.matchAll(/@type raisef\s+key (\S+)/g)].map(([, key]) => key ?? '');
  const errorLabel = /<label @ERROR>(.*?)<\/label>/s.exec(config)?.[1] ?? '';
  const takesFailed = new Set([...errorLabel.matchAll(/^\s*name (\S+)$/gm)].map(([, name]) => name));
  return expected.filter(({ output, record }) => takesFailed.has(output) || !keys.some((key) => key in record));
}

async function isInvalid(config: string, components: readonly Registered[]): Promise<boolean> {
  const { root, problems } = loadConfigText('fluent.conf', config, { type: 'v1' });
  const registry = new Registry(components);
  return hasErrors([...problems, ...(await checkConfig(root, { registry, isFluentd: true }))]);
}

/** The test plugins of the vectors; `copy` and `relabel` are markers that the engine carries out itself. */
function componentsOf(delivered: Delivered[]): Registered[] {
  const TRAIL = field('trail');
  const name = z.strictObject({ name: z.string() });
  const key = z.strictObject({ key: z.string() });
  const definitions: unknown[] = [
    defineOutput({
      name: 'rec',
      summary: '',
      config: name,
      flush: 'immediate',
      create: (config) => ({
        write(chunk) {
          for (const batch of chunk.batches)
            delivered.push(...readBatch(batch).map(({ tag, record }) => ({ output: config.name, tag, record })));
          return Promise.resolve('delivered');
        },
      }),
    }),
    defineFilter({
      name: 'add',
      summary: '',
      config: name,
      create: (config) => ({
        reads: [],
        process: (event) => event.set(TRAIL, [...((event.value(TRAIL) ?? []) as string[]), config.name]),
      }),
    }),
    defineFilter({
      name: 'dropf',
      summary: '',
      config: key,
      create: (config) => ({
        reads: [],
        process(event) {
          if (event.has(field(config.key))) event.drop('has the key');
        },
      }),
    }),
    defineFilter({
      name: 'raisef',
      summary: '',
      config: key,
      create: (config) => ({
        reads: [],
        process(event) {
          if (event.has(field(config.key))) throw new Error('boom');
        },
      }),
    }),
    ...['copy', 'relabel'].map((marker) =>
      defineOutput({
        name: marker,
        summary: '',
        config: z.looseObject({}),
        create: () => ({ write: () => Promise.resolve('delivered') }),
      }),
    ),
  ];
  return (definitions as Definition[]).map((definition) => ({
    kind: definition.kind,
    name: definition.name,
    aliases: [],
    summary: '',
    load: () => Promise.resolve(definition),
  }));
}
