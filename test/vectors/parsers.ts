import type { Parser } from '../../engine/component.ts';
import { FakeClock, runParser } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';
import { NOW_MS, PARSERS, makeFrom, sectionOf, spelled } from './plugin-cases.ts';

interface ExpectedEvent {
  readonly time: unknown;
  readonly record: unknown;
}

/** No line has this time: it tells which events took the time of reading. */
const NOW_SECONDS = NOW_MS / 1000;

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield runCase(item);
  },
};

function runCase(item: Case): CaseResult {
  const type = String(item['parser']);
  const definition = PARSERS.get(type);
  if (definition === undefined) return { id: item.id, skipped: `pending: ${type}` };
  let parser: Parser;
  try {
    ({ made: parser } = makeFrom<Parser>(definition, sectionOf(item['config']), { clock: new FakeClock(NOW_MS) }));
  } catch (error) {
    if (expectsError(item.expected)) return { id: item.id };
    return { id: item.id, difference: `refused: ${error instanceof Error ? error.message : String(error)}` };
  }
  const { input } = item as unknown as { input: string | { $bin_hex: string } };
  const { events, failure } = runParser(
    parser,
    typeof input === 'string' ? input : Buffer.from(input.$bin_hex, 'hex'),
    NOW_SECONDS,
  );
  if (expectsError(item.expected))
    return failure !== undefined ? { id: item.id } : { id: item.id, difference: `expected an error, got ${shown(events)}` };
  const expected = (item.expected as { events: ExpectedEvent[] }).events;
  // Columns beyond the keys go to a key that is nil in Fluentd; no event here can have one, and they are left out.
  if (expected.some(({ record }) => record !== null && Object.hasOwn(record as object, '(non-string key)nil')))
    return { id: item.id, skipped: 'a key that is nil' };
  // Items of a list that are no map are left out here, where Fluentd yields nothing for them.
  const wanted = expected.filter(({ record }) => record !== null);
  if (wanted.length === 0) return failure !== undefined && events.length === 0 ? { id: item.id } : compared(item.id, events, []);
  const got = events.map(({ seconds, nanoseconds, record }, n) => ({
    // No time (estimate_current_event false) is the time of reading here: an event always has one.
    time: seconds === NOW_SECONDS ? (wanted[n]?.time === null ? null : 'now') : { sec: seconds, nsec: nanoseconds },
    record: spelled(record),
  }));
  return compared(item.id, got, wanted);
}
