import { Intake } from '../../collectors/syslog/intake.ts';
import { syslogSource } from '../../collectors/syslog/syslog.ts';
import type { Context, Definition, SourceContext } from '../../engine/component.ts';
import { sectionToInput } from '../../engine/config/section.ts';
import type { Batch } from '../../engine/events/batch.ts';
import { FakeClock, readBatch, testContext } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, type Case } from './compare.ts';
import { NOW_MS, parserOf, sectionOf, spelled } from './plugin-cases.ts';

type Ctx = SourceContext<typeof syslogSource.metrics>;

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    const sender = file.json['sender'] as { address: string; hostname: string };
    for (const item of casesOf(file)) yield runCase(item, sender);
  },
};

function runCase(item: Case, sender: { address: string; hostname: string }): CaseResult {
  const section = sectionOf(`tag sys\n${String(item['config'])}`);
  const config = syslogSource.config.parse(sectionToInput(section));
  const clock = new FakeClock(NOW_MS);
  const parser: Context['parser'] = (parse, type) => parserOf(parse, type, { clock });
  const ctx = testContext(syslogSource as unknown as Definition, { clock, parser }) as unknown as Ctx;
  const batches: Batch[] = [];
  const intake = new Intake(config, ctx, (batch) => void batches.push(batch));
  const { datagram } = item as unknown as { datagram: string | { $bin_hex: string } };
  const bytes = typeof datagram === 'string' ? Buffer.from(datagram) : Buffer.from(datagram.$bin_hex, 'hex');
  intake.take(bytes, 0, bytes.length, intake.hasSender ? sender : undefined, false);
  intake.flush();
  const events = batches.flatMap(readBatch).map(({ tag, seconds, nanoseconds, record }) => ({
    tag,
    time: seconds * 1000 === NOW_MS ? 'now' : { sec: seconds, nsec: nanoseconds },
    record: spelled(record),
  }));
  return compared(item.id, events, item.expected);
}
