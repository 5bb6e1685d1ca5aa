import { bufferConfig, flushModeOf } from '../../engine/delivery/buffer-config.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { getAt, parseAccessor } from '../../engine/events/record-accessor.ts';
import {
  compilePlaceholders,
  parseChunkKeys,
  placeholderProblems,
  timekeyOf,
  timekeyZone,
  type ChunkKeys,
  type ChunkValues,
} from '../../engine/placeholders.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { parseDuration } from '../../engine/units.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';

type Params = Readonly<Record<string, string | number>>;

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield item.group === 'buffer-config' ? runConfig(item) : runCase(item);
  },
};

function runConfig({ id, buffer_arg: arg, buffer_params: params, expected }: Case): CaseResult {
  const parsed = bufferConfig.safeParse({ ...(params as Params), '@arg': arg });
  if (expectsError(expected)) return parsed.success ? { id, difference: `expected an error, got ${shown(parsed.data)}` } : { id };
  if (!parsed.success) return { id, difference: shown(parsed.error.issues) };
  const keys = parseChunkKeys(parsed.data['@arg']);
  if ('error' in keys) return { id, difference: keys.error };
  const { fields: chunk_keys, tag, time } = keys;
  return compared(id, { chunk_keys, tag, time, flush_mode: flushModeOf(parsed.data, 'interval') }, expected);
}

function runCase(item: Case): CaseResult {
  const { id } = item;
  const params = item['buffer_params'] as Params;
  const useUtc = params['timekey_use_utc'];
  const zone = timekeyZone({
    timekey_zone: params['timekey_zone'] as string | undefined,
    timekey_use_utc: useUtc === undefined ? undefined : String(useUtc) === 'true',
  });
  const keys = parseChunkKeys((item['buffer_arg'] as string | undefined) ?? '');
  if ('error' in zone) return { id, difference: zone.error };
  if ('error' in keys) return { id, difference: keys.error };
  const width = (parseDuration(params['timekey'] ?? 0) ?? 0) / 1000;
  if (item.group === 'timekey') return compared(id, timekeyOf(item['time'] as number, width, zone), item.expected);
  const template = item['template'] as string;
  if (item.group === 'validate') {
    const problems = placeholderProblems('path', template, keys, width === 0 ? undefined : width);
    return problems.length > 0 === expectsError(item.expected) ? { id } : { id, difference: shown(problems) };
  }
  const values =
    item.group === 'extract-from-event'
      ? valuesOfEvent(item, keys, (seconds) => timekeyOf(seconds, width, zone))
      : valuesOfMetadata(item);
  const result = compilePlaceholders(template, keys, zone)(values);
  if (expectsError(item.expected))
    return typeof result === 'string' ? { id, difference: `expected an error, got ${result}` } : { id };
  return compared(id, result, item.expected);
}

function valuesOfEvent(item: Case, keys: ChunkKeys, sliceOf: (seconds: number) => number): ChunkValues {
  const variables = keys.fields.map((name): [string, string] => {
    const accessor = parseAccessor(name);
    return [name, typeof accessor === 'object' && 'error' in accessor ? '' : rubyText(getAt(item['record'] as Fields, accessor))];
  });
  return {
    tag: item['tag'] as string,
    timekey: keys.time ? sliceOf(item['time'] as number) : undefined,
    variables: Object.fromEntries(variables),
  };
}

function valuesOfMetadata(item: Case): ChunkValues {
  const metadata = item['metadata'] as { timekey?: number; tag?: string; variables?: Record<string, unknown> };
  return {
    ...metadata,
    variables: Object.fromEntries(Object.entries(metadata.variables ?? {}).map(([name, value]) => [name, rubyText(value)])),
  };
}
