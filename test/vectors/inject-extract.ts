import type { EventView } from '../../engine/component.ts';
import { sectionToInput } from '../../engine/config/section.ts';
import { extractConfig, injectConfig, makeExtractor, makeInjector, type Extracted } from '../../engine/inject.ts';
import { runFilter } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';
import { bytesOf, sectionOf, spelled } from './plugin-cases.ts';

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield item.group === 'inject' ? runInject(item) : runExtract(item);
  },
};

/** The name of the machine of the cases, where none is given. */
const HOSTNAME = 'testhost';

function runInject(item: Case): CaseResult {
  const config = injectConfig.parse({ hostname: HOSTNAME, ...sectionToInput(sectionOf(item['config'])) });
  const time = item['time'] as number | { sec: number; nsec: number };
  const [seconds, nanoseconds] = typeof time === 'number' ? [time, 0] : [time.sec, time.nsec];
  const inject = makeInjector(config, 0);
  const record = bytesOf(item['record']) as Record<string, unknown>;
  const { events } = runFilter({ reads: [], process: inject }, [{ record, time: { seconds, nanoseconds } }], String(item['tag']));
  return compared(item.id, spelled(events[0]?.record), item.expected);
}

function runExtract(item: Case): CaseResult {
  const extract = makeExtractor(extractConfig.parse(sectionToInput(sectionOf(item['config']))));
  let extracted: Extracted | undefined;
  const process = (event: EventView): void => void (extracted = extract(event));
  const { events } = runFilter({ reads: [], process }, [{ record: item['record'] as Record<string, unknown> }]);
  if (expectsError(item.expected))
    return extracted === undefined ? { id: item.id } : { id: item.id, difference: `expected an error, got ${shown(extracted)}` };
  const time = extracted?.time && { sec: extracted.time.seconds, nsec: extracted.time.nanoseconds };
  return compared(
    item.id,
    { tag: extracted?.tag ?? null, time: time ?? null, record: spelled(events[0]?.record) },
    item.expected,
  );
}
