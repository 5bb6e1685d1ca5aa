import { Joiner, joiningOf, type Holder } from '../../collectors/tail/join.ts';
import { Lines } from '../../collectors/tail/lines.ts';
import { tagOf } from '../../collectors/tail/paths.ts';
import { Positions, printPositions, readPositions, type Keeper } from '../../collectors/tail/positions.ts';
import { tailSource, type TailConfig } from '../../collectors/tail/tail.ts';
import type { Parser } from '../../engine/component.ts';
import { sectionToInput } from '../../engine/config/section.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { FakeClock, readBatch } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, type Case } from './compare.ts';
import { NOW_MS, Pending, parserOf, sectionOf, spelled } from './plugin-cases.ts';

/** The file of the cases of lines. */
const PATH = '/var/log/app.log';

export const adapter: VectorAdapter = {
  async *run(file): AsyncIterable<CaseResult> {
    for (const item of casesOf(file)) {
      if (item.group === 'tag') yield compared(item.id, tagOf(String(item['tag_param']), String(item['path'])), item.expected);
      else yield item.group === 'pos_file' ? await runPositions(item) : runLines(item);
    }
  },
};

async function runPositions(item: Case): Promise<CaseResult> {
  const followsInodes = item['follow_inodes'] === true;
  const existing = item['existing_files'] as { path: string; inode: number }[];
  const content = String(item['content']);
  let after = content;
  const keeper: Keeper = {
    load: () => Promise.resolve(content),
    replace: (text) => void (after = text),
    patch: () => undefined,
    close: () => Promise.resolve(),
  };
  await Positions.load(keeper, followsInodes, ({ path, inode }) =>
    existing.some((one) => (followsInodes ? BigInt(one.inode) === inode : one.path === path)),
  );
  const { positions } = readPositions(after, followsInodes);
  const entries = positions.map(({ path, offset, inode }) => ({
    key: followsInodes ? Number(inode) : path,
    pos: offset,
    inode: Number(inode),
  }));
  return compared(item.id, { entries, file_after_load: printPositions(positions) }, item.expected);
}

function runLines(item: Case): CaseResult {
  let parser: Parser;
  let config: TailConfig;
  try {
    const input = sectionToInput(sectionOf(item['config']));
    config = tailSource.config.parse({ path: PATH, tag: 't', ...input });
    parser = parserOf(config.parse, 'none', { clock: new FakeClock(NOW_MS) });
  } catch (error) {
    if (error instanceof Pending) return { id: item.id, skipped: `pending: ${error.message}` };
    if (expectsError(item.expected)) return { id: item.id };
    return { id: item.id, difference: error instanceof Error ? error.message : String(error) };
  }
  const { lines, joiner, holder } = takers(config, parser);
  const emitted = (): unknown[] => {
    const batch = lines.writer.take('t');
    return (batch === undefined ? [] : readBatch(batch)).map(({ seconds, nanoseconds, record }) => ({
      time: seconds * 1000 === NOW_MS ? 'now' : { sec: seconds, nsec: nanoseconds },
      record: spelled(record),
    }));
  };
  const batches = (item['line_batches'] as string[][]).map((texts) => {
    for (const text of texts) {
      const bytes = Buffer.from(text, 'utf8');
      if (joiner === undefined) lines.take(bytes, 0, bytes.length, false, PATH);
      else joiner.take(bytes, 0, bytes.length, false, PATH, holder);
    }
    // An incomplete line is kept by the reader; lines that are whole leave nothing.
    const pending = holder.held.length === 0 ? null : holder.held.copy().toString('utf8');
    return { emitted: emitted(), pending };
  });
  joiner?.flush(PATH, holder);
  const hasEnd = typeof item.expected === 'object' && item.expected !== null && 'flushed_at_end' in item.expected;
  return compared(item.id, hasEnd ? { batches, flushed_at_end: emitted() } : { batches }, item.expected);
}

function takers(config: TailConfig, parser: Parser): { lines: Lines; joiner: Joiner | undefined; holder: Holder } {
  const none = (): void => undefined;
  const lines = new Lines({
    parser,
    maxLine: Infinity,
    encoding: undefined,
    pathKey: config.path_key,
    keepsUnmatched: config.emit_unmatched_lines,
    maxEntries: Infinity,
    onFull: none,
    onUnmatched: none,
    onTooLong: none,
    onRepaired: none,
  });
  lines.writer.defaultTimeMs(NOW_MS);
  const joining = joiningOf(config.parse);
  const options = {
    firstLine: joining?.firstLine,
    maxBytes: Infinity,
    keepsUnmatched: config.emit_unmatched_lines,
    onTooLong: none,
    onStray: none,
    now: () => NOW_MS,
  };
  const held = new ByteWriter();
  const holder = { held, heldSince: 0, tries: 0, isGroupTooLong: false, release: () => held.reset() };
  return { lines, joiner: joining && new Joiner(options, lines), holder };
}
