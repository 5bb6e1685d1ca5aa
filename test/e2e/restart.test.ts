/** What a restart goes on from: logs of workers that are gone, intervals that were open, an output that was down. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Running } from './running.ts';

interface Line {
  readonly n?: number;
  readonly name?: string;
  readonly value?: number;
}

/** `ready` is a directory that is there, or one that cannot be written to: a file stands in its place. */
const config = (folder: string): string => `<source>
  @type forward
  bind 127.0.0.1
  port 0
</source>
<filter app.**>
  @type log_to_metric
  flush_interval 1s
  <metric>
    name seen
  </metric>
</filter>
<match app.**>
  @type file
  path ${folder}/events.log
  <buffer>
    flush_mode immediate
    retry_wait 0.2s
    retry_max_interval 0.5s
  </buffer>
</match>
<match metrics.**>
  @type file
  path ${folder}/metrics.log
  <inject>
    time_key time
    time_type unixtime
  </inject>
  <buffer>
    flush_mode immediate
    retry_wait 0.2s
    retry_max_interval 0.5s
  </buffer>
</match>
`;

const linesOf = (path: string): Line[] =>
  existsSync(path)
    ? readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Line)
    : [];

interface Sender {
  emit(record: object, done: (error?: Error) => void): void;
  end(label: null, data: null, done: () => void): void;
}

async function send(port: number, from: number, to: number): Promise<void> {
  const library = createRequire(import.meta.url)('fluent-logger') as { createFluentSender(tag: string, options: object): Sender };
  const sender = library.createFluentSender('app', {
    host: '127.0.0.1',
    port,
    requireAckResponse: true,
    eventMode: 'PackedForward',
  });
  const each = Array.from({ length: to - from }, (_, n) => from + n);
  await Promise.all(
    each.map((n) => new Promise<void>((done, fail) => sender.emit({ n }, (error) => (error ? fail(error) : done())))),
  );
  await new Promise<void>((done) => sender.end(null, null, done));
}

const portsOf = async (running: Running): Promise<number[]> => {
  const { components } = await running.status();
  const sources = components.filter(({ kind }) => kind === 'source');
  return sources.flatMap(({ addresses = [] }) => addresses).map((address) => Number(address.split(':').at(-1)));
};

describe('a restart', () => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-restart-'));
  after(() => rmSync(home, { recursive: true, force: true }));

  test('with fewer workers: the logs of those that are gone are delivered and removed, and all is counted once', async (t) => {
    const directory = join(home, 'fewer');
    const folder = join(directory, 'out');
    const first = await Running.start({ directory, config: config('/proc/nowhere'), args: ['--workers', '3'] });
    t.after(() => first.kill());
    const ports = await portsOf(first);
    assert.equal(ports.length, 3);
    await Promise.all(ports.map((port, worker) => send(port, worker * 100, worker * 100 + 100)));
    await first.kill();

    const second = await Running.start({ directory, config: config(folder), args: ['--workers', '1'] });
    t.after(() => second.kill());
    await second.until(
      'the events of all three are there',
      () => new Set(linesOf(join(folder, 'events.log')).map(({ n }) => n)).size === 300,
    );
    await second.until(
      'they are counted',
      () => linesOf(join(folder, 'metrics.log')).reduce((sum, { value = 0 }) => sum + value, 0) === 300,
    );
    await second.until(
      'the logs are gone',
      () => !existsSync(join(directory, 'data', 'worker-1')) && !existsSync(join(directory, 'data', 'worker-2')),
    );
    const [port = 0] = await portsOf(second);
    await send(port, 300, 310);
    await second.until('fresh events flow', () => linesOf(join(folder, 'events.log')).length >= 310);
    assert.deepEqual((await second.status()).imbalances, []);
    await second.stop();
    assert.equal(linesOf(join(folder, 'events.log')).length, 310, 'none is there twice');
  });

  test('in the middle of an interval: it is one interval, with one figure', async (t) => {
    const directory = join(home, 'interval');
    const folder = join(directory, 'out');
    const long = config(folder).replace('flush_interval 1s', 'flush_interval 5s');
    const total = (): number => linesOf(join(folder, 'metrics.log')).reduce((sum, { value = 0 }) => sum + value, 0);
    for (let round = 0; round < 3; round++) {
      const running = await Running.start({ directory, config: long });
      t.after(() => running.kill());
      const [port = 0] = await portsOf(running);
      await send(port, round * 10, round * 10 + 10);
      await running.until('the events are there', () => linesOf(join(folder, 'events.log')).length === round * 10 + 10);
      if (round === 1) await running.kill();
      else if (round === 0) await running.stop();
      else {
        await running.until('everything is counted', () => total() === 30);
        await running.stop();
      }
    }
    const times = linesOf(join(folder, 'metrics.log')).map((line) => JSON.stringify(line));
    assert.equal(new Set(times).size, times.length, 'no figure is there twice');
    assert.equal(total(), 30);
  });
});
