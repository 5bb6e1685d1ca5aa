import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Progress } from '../../engine/delivery/progress.ts';
import { decode } from '../../engine/events/msgpack.ts';
import { openDiskLog } from '../../engine/log/disk-log.ts';
import type { Position } from '../../engine/log/entrance-log.ts';
import { FakeClock, makeBatch } from '../../engine/testing/driver.ts';
import { takeDataDir } from '../data-dir.ts';
import { main } from '../main.ts';
import { bufferExport } from './buffer.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const NASTY = 'web.\u001b[2J坏';

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(['buffer', ...args], { out: (text) => (out += text), err: (text) => (err += text), isTerminal: true });
  return { code, out, err };
}

describe('millrace buffer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'buffer-'));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;

  /** Five frames with six events of three tags in worker 0; an output needs the last two frames. */
  async function fresh(): Promise<{ data: string; segment: string; positions: Position[] }> {
    const data = join(folder, String(made++));
    const directory = join(data, 'worker-0', 'log');
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const open = { directory, clock, log: silent, limitBytes: 1 << 20, header: { configHash: 'ab', geoHash: '' } };
    const log = await openDiskLog({ ...open, incarnation: () => 5n });
    for (const [n, tag] of ['web.a', NASTY, 'app', 'web.a', 'web.a'].entries()) {
      const records = n === 0 ? [{ n }, { n: 9 }] : [{ n, text: '坏\u001b[2J' }];
      log.append(
        makeBatch(
          records.map((record) => ({ time: { seconds: 1_700_000_000, nanoseconds: 5 }, record })),
          tag,
        ),
        'os',
        '',
      );
      clock.advance(n === 2 ? 3_600_000 : 0);
      await log.flush();
    }
    const reader = log.reader(undefined, () => undefined);
    const positions = [0, 1, 2, 3, 4].map(() => reader.next()?.position ?? 0);
    await log.close();
    const progress = Progress.open(join(data, 'worker-0', 'progress', 'es%2F1'), {
      clock,
      log: silent,
      start: positions[3] as Position,
    });
    await progress.close();
    return { data, segment: join(directory, '000000000001.log'), positions };
  }

  const damage = (segment: string, at: number): void => {
    const bytes = readFileSync(segment);
    bytes[at] = (bytes[at] as number) ^ 0xff;
    writeFileSync(segment, bytes);
  };

  test('ls shows segments, times, and who needs them', async () => {
    const { data, positions } = await fresh();
    const { code, out } = await call('ls', '--data', data);
    assert.equal(code, 0);
    assert.match(out, /000000000001\.log +5 +6 +\d+ +2026-01-01 00:00:00Z +2026-01-01 01:00:00Z +5 +ok +es\/1/);
    assert.ok(out.includes(`es/1 needs position ${positions[3]}`));
    const json = JSON.parse((await call('ls', '--data', data, '--json')).out) as { workers: { segments: object[] }[] };
    assert.equal(json.workers[0]?.segments.length, 1);
  });

  test('check finds a damaged frame, repair sets it aside, and the others stay where they are', async () => {
    const { data, segment, positions } = await fresh();
    assert.equal((await call('check', '--data', data)).code, 0);
    damage(segment, (positions[2] as Position) + 45);
    const found = await call('check', '--data', data);
    assert.equal(found.code, 1);
    assert.match(found.out, new RegExp(`bytes ${positions[2]} to ${positions[3]} are damaged\n5 events in 4 frames are whole`));
    const repaired = await call('repair', '--data', data);
    assert.match(repaired.out, /1 damaged parts \(\d+ bytes\) set aside/);
    assert.deepEqual(readdirSync(join(segment, '..', 'damaged')), [`000000000001-${positions[2]}.bin`]);
    const { code, out } = await call('check', '--data', data);
    assert.deepEqual([code, out], [0, '5 events in 4 frames are whole\n']);
  });

  test('repair cuts a torn end off', async () => {
    const { data, segment } = await fresh();
    writeFileSync(segment, readFileSync(segment).subarray(0, -3));
    assert.equal((await call('check', '--data', data)).code, 0);
    assert.match((await call('repair', '--data', data)).out, /bytes of a torn end cut off/);
    assert.match((await call('check', '--data', data)).out, /^5 events in 4 frames/);
  });

  test('repair does nothing while millrace runs', async () => {
    const { data } = await fresh();
    writeFileSync(join(data, 'lock'), String(process.ppid));
    const { code, err } = await call('repair', '--data', data);
    assert.equal(code, 74);
    assert.match(err, /in use by process/);
    rmSync(join(data, 'lock'));
    takeDataDir(data).release();
  });

  test('export gives every event with its tag and time, nothing of it as an escape sequence', async () => {
    const { data } = await fresh();
    const { code, out, err } = await call('export', '--data', data);
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { tag: string; time: string; record: { n: number } });
    assert.deepEqual([code, err, lines.map(({ record }) => record.n)], [0, '6 events\n', [0, 9, 1, 2, 3, 4]]);
    assert.deepEqual(lines[0], { tag: 'web.a', time: '2023-11-14T22:13:20.000000005Z', record: { n: 0 } });
    assert.ok(!out.includes('\u001b'));
    assert.deepEqual((await call('export', '--data', data, '--tag', 'app')).out.split('\n').length, 2);
    assert.equal((await call('export', '--data', data, '--since', 'never')).code, 64);
  });

  test('export --msgpack gives messages that forward takes', async () => {
    const { data } = await fresh();
    const messages: Buffer[] = [];
    const streams = { out: () => undefined, err: () => undefined, isTerminal: false };
    await bufferExport({ data, msgpack: true, tag: 'web.a' }, streams, (bytes) => void messages.push(Buffer.from(bytes)));
    assert.deepEqual(
      messages.map((bytes) => (decode(bytes) as [string, Uint8Array])[0]),
      ['web.a', 'web.a', 'web.a'],
    );
  });

  test('a data directory without a log', async () => {
    const { code, err } = await call('ls', '--data', join(folder, 'none'));
    assert.equal(code, 66);
    assert.match(err, /no log on disk/);
  });
});
