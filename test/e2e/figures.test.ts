/**
 * The same log gives the same figures, however it is cut up: by the size of the blocks it is read in, by rotations in the middle of it,
 * by workers. Real processes; the outputs are files, so no server is needed.
 */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createRequire } from 'node:module';
import { seededCorpus, type Corpus, type Figures } from './mission-corpus.ts';
import { endAll, eventually, startMillrace, type Running } from './mission-process.ts';

const WAIT_MS = 60_000;
const DRAINS = `
<filter access>
  @type log_to_metric
  flush_interval 1s
  <metric>
    name requests.\${code}
  </metric>
  <metric>
    name bytes
    type count
    value_key size
    if_key size
  </metric>
</filter>
<match access>
  @type file
  path events.ndjson
  <buffer>
    flush_interval 0.2s
  </buffer>
</match>
<match metrics.**>
  @type file
  path metrics.ndjson
</match>
`;

interface Line {
  readonly host?: string;
  readonly code?: number;
  readonly size?: number | null;
  readonly name?: string;
  readonly value?: number;
}

/** Figures, and the sums of the metrics that were derived beside them. */
interface Found extends Figures {
  readonly bytes: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** A file that is not there yet has no lines; a line that is torn is an error, not nothing. */
const linesOf = (path: string): Line[] => {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
};
const sorted = (counts: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).sort(([a], [b]) => a.localeCompare(b)));

function found(folder: string): Found {
  const events = linesOf(join(folder, 'events.ndjson'));
  const byStatus: Record<string, number> = {};
  for (const { code } of events) byStatus[String(code)] = (byStatus[String(code)] ?? 0) + 1;
  const metrics: Record<string, number> = {};
  for (const { name = '', value = 0 } of linesOf(join(folder, 'metrics.ndjson'))) metrics[name] = (metrics[name] ?? 0) + value;
  return {
    lines: events.length,
    distinctAddresses: new Set(events.map(({ host }) => host)).size,
    byStatus: sorted(byStatus),
    bytes: events.reduce((sum, { size }) => sum + (size ?? 0), 0),
    metrics: sorted(metrics),
  };
}

function wanted({ text, figures }: Corpus): Found {
  const bytes = [...text.matchAll(/" \d{3} (\d+) /g)].reduce((sum, [, size]) => sum + Number(size), 0);
  const counts = Object.entries(figures.byStatus).map(([status, count]): [string, number] => [`requests.${status}`, count]);
  return {
    ...figures,
    byStatus: sorted({ ...figures.byStatus }),
    bytes,
    metrics: sorted({ ...Object.fromEntries(counts), bytes }),
  };
}

describe('the same figures', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-figures-'));
  });
  after(async () => {
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  });

  const start = async (name: string, source: string, workers: number): Promise<[string, Running]> => {
    const home = mkdtempSync(join(folder, `${name}-`));
    writeFileSync(join(home, 'fluent.conf'), `<system>\n  port 0\n</system>\n${source}${DRAINS}`);
    return [home, await startMillrace(['-c', join(home, 'fluent.conf'), '--workers', String(workers)], join(home, 'data'), {})];
  };
  const delivered = (home: string, lines: number): Promise<true> =>
    eventually(`${lines} lines of ${home}`, WAIT_MS, () =>
      Promise.resolve(linesOf(join(home, 'events.ndjson')).length >= lines || undefined),
    );
  /** The last interval ends, and is delivered, while it runs; what is open when it is stopped is for the next start. */
  const counted = (home: string): Promise<true> =>
    eventually(`the counts of ${home}`, WAIT_MS, () => {
      const { lines, metrics } = found(home);
      const sum = Object.entries(metrics).reduce((total, [name, value]) => total + (name === 'bytes' ? 0 : value), 0);
      return Promise.resolve(sum >= lines || undefined);
    });
  const finish = async (running: Running, home: string): Promise<Found> => {
    await counted(home);
    const status = await running.status();
    assert.deepEqual(status.imbalances, []);
    const { code, err } = await running.stop();
    assert.equal(code, 0, err);
    assert.doesNotMatch(err, /"level":"error"/);
    return found(home);
  };

  // 10,000 lines in blocks of 1 are two million reads, 20 s of a processor: small blocks get a twentieth of the corpus.
  const whole = seededCorpus(10_000, 7);
  const small = seededCorpus(500, 7);
  for (const [blockSize, workers, corpus] of [
    [1, 1, small],
    [7, 2, small],
    [4096, 1, whole],
    [4096, 2, whole],
    [262_144, 1, whole],
    [262_144, 2, whole],
  ] as const) {
    test(`tail: blocks of ${blockSize}, ${workers} workers, ${corpus.figures.lines} lines, both rotations`, async () => {
      const bytes = Buffer.from(corpus.text);
      // Parts end in the middle of lines, but for the last before copytruncate, which would cut a line in two by itself.
      const third = Math.floor(bytes.length / 3);
      const lastLine = bytes.indexOf('\n', 2 * third) + 1;
      const source = `<source>\n  @type tail\n  path access.log\n  tag access\n  read_from_head true\n  rotate_wait 1s\n  read_block_size ${blockSize}\n  refresh_interval 0.5s\n  <parse>\n    @type apache2\n  </parse>\n</source>\n`;
      const [home, running] = await start('tail', source, workers);
      const log = join(home, 'access.log');
      writeFileSync(log, bytes.subarray(0, third));
      const before = corpus.text.slice(0, third).split('\n').length - 1;
      await delivered(home, before);
      // By rename: the writer still has the old file open and ends its line there.
      const endOfLine = bytes.indexOf('\n', third) + 1;
      renameSync(log, `${log}.1`);
      appendFileSync(`${log}.1`, bytes.subarray(third, endOfLine));
      writeFileSync(log, bytes.subarray(endOfLine, lastLine));
      await delivered(home, bytes.subarray(0, lastLine).toString('latin1').split('\n').length - 1);
      // By copy and truncate.
      copyFileSync(log, `${log}.2`);
      truncateSync(log);
      appendFileSync(log, bytes.subarray(lastLine, lastLine + 1000));
      appendFileSync(log, bytes.subarray(lastLine + 1000));
      await delivered(home, corpus.figures.lines);
      assert.deepEqual(await finish(running, home), wanted(corpus));
    });
  }

  test('tail: stopped and started again at any moment, while the log is written', async () => {
    const source =
      '<source>\n  @type tail\n  path access.log\n  tag access\n  read_from_head true\n  read_block_size 4096\n  <parse>\n    @type apache2\n  </parse>\n</source>\n';
    const bytes = Buffer.from(whole.text);
    const home = mkdtempSync(join(folder, 'restart-'));
    const conf = join(home, 'fluent.conf');
    const log = join(home, 'access.log');
    writeFileSync(conf, `<system>\n  port 0\n</system>\n${source}${DRAINS}`);
    writeFileSync(log, '');
    const parts = 40;
    const write = (from: number, to: number): void =>
      appendFileSync(log, bytes.subarray(Math.floor((bytes.length * from) / parts), Math.floor((bytes.length * to) / parts)));
    for (const [round, waitMs] of [0, 5, 20, 60, 150].entries()) {
      write(round * 8, round * 8 + 5);
      const running = await startMillrace(['-c', conf], join(home, 'data'), {});
      write(round * 8 + 5, round * 8 + 6);
      await new Promise((done) => setTimeout(done, waitMs));
      write(round * 8 + 6, round * 8 + 7);
      const ending = running.stop();
      write(round * 8 + 7, round * 8 + 8);
      const { code, err } = await ending;
      assert.equal(code, 0, err);
      assert.doesNotMatch(err, /"level":"error"/);
    }
    const last = await startMillrace(['-c', conf], join(home, 'data'), {});
    await delivered(home, whole.figures.lines);
    await counted(home);
    assert.equal((await last.stop()).code, 0);
    assert.deepEqual(found(home), wanted(whole));
  });

  for (const workers of [1, 2]) {
    test(`forward: ${workers} workers, four connections`, async () => {
      const source =
        '<source>\n  @type forward\n  port 0\n</source>\n' +
        '<filter access>\n  @type parser\n  key_name log\n  reserve_time true\n  <parse>\n    @type apache2\n  </parse>\n</filter>\n';
      const [home, running] = await start('forward', source, workers);
      const { components } = await running.status();
      const addresses = components.filter(({ kind }) => kind === 'source').flatMap((each) => each.addresses ?? []);
      const ports = addresses.map((address) => Number(address.split(':').at(-1)));
      const lines = whole.text.trimEnd().split('\n');
      await Promise.all(
        [0, 1, 2, 3].map((n) =>
          send(
            ports[n % ports.length] ?? 0,
            lines.filter((_, at) => at % 4 === n),
          ),
        ),
      );
      await delivered(home, whole.figures.lines);
      assert.deepEqual(await finish(running, home), wanted(whole));
    });
  }
});

interface Sender {
  emit(record: object, done: (error?: Error) => void): void;
  end(label: null, data: null, done: () => void): void;
}

/** Through `fluent-logger`, which waits for the acknowledgement of each. */
async function send(port: number, lines: readonly string[]): Promise<void> {
  const library = createRequire(import.meta.url)('fluent-logger') as { createFluentSender(tag: string, options: object): Sender };
  const sender = library.createFluentSender('access', {
    host: '127.0.0.1',
    port,
    timeout: 10,
    requireAckResponse: true,
    eventMode: 'PackedForward',
  });
  await Promise.all(
    lines.map((log) => new Promise<void>((done, fail) => sender.emit({ log }, (error) => (error ? fail(error) : done())))),
  );
  await new Promise<void>((done) => sender.end(null, null, done));
}
