import type { Definition, Formatter } from '../../engine/component.ts';
import { runFormatter } from '../../engine/testing/driver.ts';
import { csvFormatter } from '../../plugins/format/csv.ts';
import { hashFormatter } from '../../plugins/format/hash.ts';
import { jsonFormatter } from '../../plugins/format/json.ts';
import { ltsvFormatter } from '../../plugins/format/ltsv.ts';
import { msgpackFormatter } from '../../plugins/format/msgpack.ts';
import { outFileFormatter } from '../../plugins/format/out-file.ts';
import { singleValueFormatter } from '../../plugins/format/single-value.ts';
import { stdoutFormatter } from '../../plugins/format/stdout.ts';
import { tsvFormatter } from '../../plugins/format/tsv.ts';
import { paramText, sectionFromData } from '../../engine/config/section.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, type Case } from './compare.ts';
import { bytesOf, makeFrom, sectionOf } from './plugin-cases.ts';

const FORMATTERS: ReadonlyMap<string, Definition> = new Map(
  [
    csvFormatter,
    hashFormatter,
    jsonFormatter,
    ltsvFormatter,
    msgpackFormatter,
    outFileFormatter,
    singleValueFormatter,
    stdoutFormatter,
    tsvFormatter,
  ].map((one) => [one.name, one as unknown as Definition]),
);

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield runCase(item);
  },
};

function runCase(item: Case): CaseResult {
  const definition = FORMATTERS.get(String(item['formatter']));
  if (definition === undefined) return { id: item.id, difference: `there is no formatter ${String(item['formatter'])}` };
  let formatter: Formatter;
  try {
    ({ made: formatter } = makeFrom<Formatter>(definition, sectionOf(item['config']), {
      formatter: (section) =>
        makeFrom<Formatter>(
          FORMATTERS.get(String(section && paramText(section, '@type'))) as Definition,
          sectionFromData('format', {}),
        ).made,
    }));
  } catch (error) {
    if (expectsError(item.expected)) return { id: item.id };
    return { id: item.id, difference: `refused: ${error instanceof Error ? error.message : String(error)}` };
  }
  const { sec, nsec } = item['time'] as { sec: number; nsec: number };
  const event = {
    tag: String(item['tag']),
    time: { seconds: sec, nanoseconds: nsec },
    record: bytesOf(item['record']) as Record<string, unknown>,
  };
  const bytes = inZoneOf(item.expected, () => runFormatter(formatter, event));
  const { $bin_hex: hex } = (typeof item.expected === 'object' ? item.expected : {}) as { $bin_hex?: string };
  return hex === undefined
    ? compared(item.id, bytes.toString('utf8'), item.expected)
    : compared(item.id, bytes.toString('hex'), hex);
}

/** Some cases were recorded by a test that had gone to California, which they do not say otherwise. */
function inZoneOf<T>(expected: unknown, run: () => T): T {
  if (typeof expected !== 'string' || !/T\d\d:\d\d:\d\d-07:00/.test(expected)) return run();
  const before = process.env['TZ'];
  process.env['TZ'] = 'America/Los_Angeles';
  try {
    return run();
  } finally {
    process.env['TZ'] = before;
  }
}
