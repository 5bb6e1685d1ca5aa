import type { Definition, Filter } from '../../engine/component.ts';
import { FakeClock, runFilter, type SeenEvent } from '../../engine/testing/driver.ts';
import { grepFilter } from '../../plugins/filter/grep.ts';
import { parserFilter } from '../../plugins/filter/parser.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';
import { NOW_MS, Pending, bytesOf, makeFrom, sectionOf, spelled } from './plugin-cases.ts';

const FILTERS: Readonly<Record<string, unknown>> = { grep: grepFilter, parser: parserFilter };

interface ExpectedEvent {
  readonly tag?: string;
  readonly time: unknown;
  readonly record: unknown;
}

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield runCase(item);
  },
};

function runCase(item: Case): CaseResult {
  let filter: Filter;
  try {
    const definition = FILTERS[item.group] as Definition;
    ({ made: filter } = makeFrom<Filter>(definition, sectionOf(item['config']), { clock: new FakeClock(NOW_MS) }));
  } catch (error) {
    if (error instanceof Pending) return { id: item.id, skipped: `pending: ${error.message}` };
    if (expectsError(item.expected)) return { id: item.id };
    return { id: item.id, difference: `refused: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (expectsError(item.expected)) return { id: item.id, difference: 'the configuration was accepted' };
  const time = item['time'] as { sec: number; nsec: number } | undefined;
  const record = bytesOf(item['record']) as Record<string, unknown>;
  const seconds = time?.sec ?? 1_700_000_000;
  const { events, created } = runFilter(
    filter,
    [{ record, time: { seconds, nanoseconds: time?.nsec ?? 0 } }],
    (item['tag'] as string | undefined) ?? 'test',
  );
  if (typeof item.expected === 'string') return compared(item.id, events.length === 1 ? 'keep' : 'drop', item.expected);
  const expected = item.expected as { events: ExpectedEvent[]; error_events?: ExpectedEvent[] };
  const errors = created.filter(({ label }) => label === '@ERROR');
  const wantedErrors = (expected.error_events ?? []).map(({ tag, time: at, record: sent }) => ({ tag, time: at, record: sent }));
  const gotErrors = errors.map((one) => ({ tag: one.tag, ...shape(one) }));
  if (shown(gotErrors) !== shown(wantedErrors))
    return { id: item.id, difference: `expected to @ERROR ${shown(wantedErrors)}, got ${shown(gotErrors)}` };
  return compared(item.id, events.map(shape), expected.events);
}

const shape = ({ seconds, nanoseconds, record }: SeenEvent): { time: unknown; record: unknown } => ({
  time: seconds * 1000 === NOW_MS ? 'now' : { sec: seconds, nsec: nanoseconds },
  record: spelled(record),
});
