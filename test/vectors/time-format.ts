import { isTimezone, timeFormatter, timeParser, timeProblem, type TimeOptions, type TimeType } from '../../engine/time-format.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';

type Time = { readonly sec: number; readonly nsec: number };

/** A case is deviated from when it shows a defect that its note describes. */
function deviation(item: Case): string | undefined {
  const note = item['note'];
  return typeof note === 'string' && note.startsWith('known defect') ? note : undefined;
}

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    const now = Date.parse(file.json['assumed_now'] as string);
    for (const item of casesOf(file)) {
      const skipped = deviation(item);
      yield skipped === undefined ? runCase(item, now) : { id: item.id, skipped };
    }
  },
};

function runCase(item: Case, now: number): CaseResult {
  if (item.group === 'timezone-valid') return compared(item.id, isTimezone(item['timezone'] as string), item.expected);
  const options = optionsOf(item, now);
  if (item.group.startsWith('format')) {
    const time = item['time'] as Time | number;
    const print = timeFormatter(options);
    return compared(item.id, typeof time === 'number' ? print(time, 0) : print(time.sec, time.nsec), item.expected);
  }
  const problem = timeProblem(options);
  if (problem !== undefined || item.group === 'time-parser-config')
    return expectsError(item.expected) === (problem !== undefined)
      ? { id: item.id }
      : { id: item.id, difference: problem ?? 'no problem found' };
  const time = timeParser(options)(item['input']);
  if (expectsError(item.expected))
    return time === undefined ? { id: item.id } : { id: item.id, difference: `expected a refusal, got ${shown(time)}` };
  return compared(item.id, time && { sec: time.seconds, nsec: time.nanoseconds }, item.expected);
}

function optionsOf(item: Case, now: number): TimeOptions {
  const text = (name: string): string | undefined => (item[name] as string | null | undefined) ?? undefined;
  const type = item.group === 'parse-mixed' ? 'mixed' : ((text('time_type') ?? 'string') as TimeType);
  return {
    type,
    format: text('format') ?? text('time_format'),
    fallbacks: item['time_format_fallbacks'] as string[] | undefined,
    localtime: (item['localtime'] as boolean | undefined) ?? true,
    timezone: text('timezone'),
    now: () => now,
  };
}
