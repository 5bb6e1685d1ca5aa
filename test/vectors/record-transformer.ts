import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import type { Definition, Filter } from '../../engine/component.ts';
import type { Section } from '../../engine/config/model.ts';
import { runFilter } from '../../engine/testing/driver.ts';
import { recordTransformerFilter } from '../../plugins/filter/record-transformer.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, type Case } from './compare.ts';
import { bytesOf, makeFrom, sectionOf, spelled } from './plugin-cases.ts';

/** Behaviour that is different on purpose, by the case's id. */
const DEVIATIONS: ReadonlyMap<string, string> = new Map([
  ['own-record-nested-bracket', 'nested fields are read; Fluentd gives null without Ruby'],
]);

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    // The host name of the vectors, while they run.
    const { hostname } = os;
    // "the machine host name is NAME".
    os.hostname = () => String(file.json['hostname']).split(' ').at(-1) ?? '';
    syncBuiltinESMExports();
    try {
      for (const item of casesOf(file)) yield runCase(item);
    } finally {
      os.hostname = hostname;
      syncBuiltinESMExports();
    }
  },
};

function runCase(item: Case): CaseResult {
  const { id } = item;
  const deviation = DEVIATIONS.get(id) ?? (hasSymbols(item) ? 'the symbols of the Ruby test are lost in JSON' : undefined);
  if (deviation !== undefined) return { id, skipped: deviation };
  let filter: Filter;
  try {
    const section: Section = sectionOf(item['config'] ?? item['config_tree']);
    ({ made: filter } = makeFrom<Filter>(recordTransformerFilter as unknown as Definition, section));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (expectsError(item.expected)) return { id };
    if (item['requires_ruby_eval'] === true) return { id, skipped: `refused: ${reason}` };
    return { id, difference: `refused: ${reason}` };
  }
  if (expectsError(item.expected)) return { id, difference: 'the configuration was accepted' };
  const time = item['time'] as { sec: number; nsec: number };
  const record = bytesOf(item['record']) as Record<string, unknown>;
  const { events } = runFilter(filter, [{ record, time: { seconds: time.sec, nanoseconds: time.nsec } }], String(item['tag']));
  const got = events.map((one) => ({ time: { sec: one.seconds, nsec: one.nanoseconds }, record: spelled(one.record) }));
  return compared(id, got, (item.expected as { events: unknown }).events);
}

/** `{:a=>1}`: the record of the test had symbols for keys. */
const hasSymbols = (item: Case): boolean => JSON.stringify(item.expected).includes('{:');
