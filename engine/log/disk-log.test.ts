import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock, type LogLine } from '../testing/driver.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';
import { openDiskLog, RESTART_GAP, type DiskLog, type DiskLogOptions } from './disk-log.ts';
import { defaultLimitBytes, replaceFile } from './disk.ts';
import type { Frame } from './entrance-log.ts';
import { batchOf, LOG_CASES, numberOf, numbersOf } from './log.cases.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nothing = (): void => undefined;

interface World {
  readonly disk: SimulatedDisk;
  readonly clock: FakeClock;
  readonly lines: LogLine[];
  readonly open: (more?: Partial<DiskLogOptions>) => Promise<DiskLog>;
}

function world(disk = new SimulatedDisk()): World {
  const clock = new FakeClock();
  const lines: LogLine[] = [];
  const at =
    (level: LogLine['level']) =>
    (fields: LogLine['fields'], message: string): void =>
      void lines.push({ level, fields, message });
  let incarnations = 7n;
  return {
    disk,
    clock,
    lines,
    open: (more) =>
      openDiskLog({
        directory: '/log',
        clock,
        log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
        limitBytes: 1 << 20,
        header: { configHash: 'c0ffee', geoHash: '' },
        incarnation: () => incarnations++,
        disk,
        ...more,
      }),
  };
}

/** Appends events with these numbers, a frame each, and waits until they are safe. */
async function fill(log: DiskLog, from: number, to: number, bytes = 0): Promise<void> {
  for (let n = from; n < to; n++) {
    log.append(batchOf(n, bytes), 'fsync', '');
    await turn();
  }
  await log.flush();
}

const framesOf = (log: DiskLog): Frame[] => {
  const reader = log.reader(undefined, nothing);
  const frames: Frame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  return frames;
};

const all = (log: DiskLog): number[] => numbersOf(log.reader(undefined, nothing));

describe('the log on disk', () => {
  for (const one of LOG_CASES)
    test(one.name, () =>
      one.run(async ({ clock = new FakeClock(), limitBytes = 1 << 20 } = {}) => ({
        clock,
        log: await world().open({ clock, limitBytes }),
      })),
    );
});

describe('frames', () => {
  test('small batches of one turn with the same tag, label and level share one', async () => {
    const log = await world().open();
    log.append(batchOf(0), 'os', '');
    log.append(batchOf(1), 'os', '');
    log.append(batchOf(2, 0, 'other'), 'os', '');
    log.append(batchOf(3), 'os', '');
    log.append(batchOf(4), 'memory', '');
    log.append(batchOf(5), 'memory', '@L');
    log.appendOnce(batchOf(6), 'memory', { consumer: 'c', intervalMs: 1 }, nothing);
    log.append(batchOf(7, 70_000), 'memory', '');
    log.append(batchOf(8), 'memory', '');
    await log.flush();
    assert.deepEqual(
      framesOf(log).map(({ batch }) => batch.count),
      [2, 1, 1, 1, 1, 1, 1, 1],
    );
    assert.deepEqual(all(log), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('batches of another turn begin another one', async () => {
    const log = await world().open();
    log.append(batchOf(0), 'os', '');
    await turn();
    log.append(batchOf(1), 'os', '');
    await log.flush();
    assert.equal(framesOf(log).length, 2);
  });
});

describe('a start', () => {
  test('goes on behind a gap, in the same incarnation, in a newer segment, whatever the clock says', async () => {
    const { open, clock } = world();
    const first = await open();
    await fill(first, 0, 2);
    const before = framesOf(first).at(-1) as Frame;
    await first.close();
    clock.advance(-1_000_000);
    const second = await open();
    assert.ok(second.first < before.position && second.head >= before.end + RESTART_GAP);
    await fill(second, 2, 3);
    const after = framesOf(second).at(-1) as Frame;
    assert.equal(after.batch.place?.incarnation, before.batch.place?.incarnation);
    assert.ok((after.batch.place?.segment ?? 0) > (before.batch.place?.segment ?? 0));
    assert.ok((after.batch.place?.enteredMs ?? 0) >= (before.batch.place?.enteredMs ?? 0));
    assert.deepEqual(all(second), [0, 1, 2]);
    assert.deepEqual(second.status.recovered.events, 2);
  });

  test('positions that somebody has written down are left behind, also when the log is gone', async () => {
    const log = await world().open({ above: 5000, needed: 100 });
    assert.ok(log.head > 5000 + RESTART_GAP);
    await fill(log, 0, 1);
    assert.deepEqual(all(log), [0]);
  });

  test('what an interval became is known over starts, and over segments that were given back', async () => {
    const { open } = world();
    let acks = 0;
    const once = (log: DiskLog, intervalMs: number, n: number): void =>
      log.appendOnce(batchOf(n), 'fsync', { consumer: 'c', intervalMs }, () => acks++);
    let log = await open({ segmentBytes: 200 });
    once(log, 10, 1);
    await fill(log, 100, 110);
    log.trim(log.head);
    await log.close();
    for (let start = 0; start < 3; start++) {
      log = await open({ segmentBytes: 200 });
      once(log, 10, 2);
      await log.flush();
      log.trim(log.head);
      await log.close();
    }
    assert.equal(acks, 4);
    log = await open();
    once(log, 20, 3);
    await log.flush();
    assert.deepEqual(
      all(log).filter((n) => n < 100),
      [3],
    );
  });

  test('looks only at what is needed, and takes the rest away', async () => {
    const { open, disk } = world();
    const first = await open({ segmentBytes: 300 });
    await fill(first, 0, 12, 50);
    const frames = framesOf(first);
    const files = disk.files.length;
    assert.ok(files > 4);
    await first.close();
    const needed = (frames[9] as Frame).position;
    const second = await open({ needed });
    assert.deepEqual(all(second), [9, 10, 11]);
    await second.flush();
    await turn();
    assert.ok(disk.files.length < files, disk.files.join(' '));
  });

  test('an empty log does not grow with starts', async () => {
    const { open, disk } = world();
    for (let n = 0; n < 5; n++) {
      const log = await open();
      await log.flush();
      await turn();
      await log.close();
    }
    assert.equal(disk.files.length, 1);
  });

  test('a newer format is refused in one sentence, and nothing is touched', async () => {
    const { open, disk } = world();
    const log = await open();
    await log.close();
    const [path] = disk.files as [string];
    const bytes = Buffer.from(disk.bytesOf(path));
    bytes.writeUInt16LE(2, 8);
    disk.put(path, bytes);
    await assert.rejects(open(), { code: 'MR_LOG_FORMAT', message: /has format 2 of the log, written by a newer millrace/ });
    assert.deepEqual(disk.files, [path]);
  });

  test('a segment with a damaged header is set aside, and a new incarnation begins', async () => {
    const { open, disk, lines } = world();
    const first = await open();
    await fill(first, 0, 3);
    await first.close();
    const [path] = disk.files as [string];
    disk.bytesOf(path)[20] = 0xff;
    const second = await open();
    assert.equal(second.incarnation, 8n);
    assert.deepEqual(disk.files, ['/log/000000000002.log', '/log/damaged/000000000001.log']);
    assert.equal(second.status.metrics['log_damaged_ranges'], 1);
    assert.ok(lines.some(({ level, message }) => level === 'error' && message.includes('damaged header')));
  });

  test('what is torn is cut off and told', async () => {
    const { open, disk, lines } = world();
    const first = await open();
    await fill(first, 0, 3);
    await first.close();
    const [path] = disk.files as [string];
    const bytes = disk.bytesOf(path);
    disk.put(path, bytes.subarray(0, bytes.length - 5));
    const second = await open();
    assert.deepEqual(all(second), [0, 1]);
    assert.ok((second.status.metrics['log_truncated_bytes'] ?? 0) > 0);
    assert.ok(lines.some(({ level, message }) => level === 'warn' && message.includes('cut off')));
  });
});

describe('damage', () => {
  test('in the middle is set aside, counted and named once, and reading goes on behind it', async () => {
    const { open, disk, lines } = world();
    const first = await open();
    await fill(first, 0, 5, 30);
    const frames = framesOf(first);
    await first.close();
    const [path] = disk.files as [string];
    const { position, end } = frames[2] as Frame;
    const at = position - (frames[0] as Frame).position + (frames[0]?.batch.place?.offset ?? 0);
    disk.bytesOf(path)[at + 60] = 0;
    const second = await open();
    assert.deepEqual(
      [all(second), all(second)],
      [
        [0, 1, 3, 4],
        [0, 1, 3, 4],
      ],
    );
    const copy = `/log/damaged/000000000001-${at}.bin`;
    assert.equal(disk.bytesOf(copy).length, end - position);
    assert.equal(second.status.metrics['log_damaged_ranges'], 1);
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error').map(({ fields }) => [fields['offset'], fields['bytes']]),
      [[at, end - position]],
    );
  });

  test('a frame inside a damaged frame is not taken for one', async () => {
    const { open, disk } = world();
    const first = await open();
    await fill(first, 0, 2);
    const [path] = disk.files as [string];
    const [inner] = framesOf(first) as [Frame];
    const offset = inner.batch.place?.offset ?? 0;
    const forged = Buffer.from(disk.bytesOf(path).subarray(offset, offset + inner.end - inner.position));
    // The bytes of a good frame of this very log, as the text of an event.
    first.append(batchOf(2, 0, forged.toString('latin1')), 'os', '');
    await fill(first, 3, 4);
    await first.close();
    const bytes = disk.bytesOf(path);
    const last = bytes.lastIndexOf(Buffer.from([0xf7, 0x4d, 0x52, 0xc1]), bytes.length - 60);
    bytes[last + 5] = (bytes[last + 5] ?? 0) ^ 1;
    const second = await open();
    assert.ok(all(second).every((n, index, numbers) => index === 0 || n > (numbers[index - 1] ?? 0)));
  });
});

describe('room', () => {
  test('a full disk holds sources back, and when there is room nothing is missing', async () => {
    const { open, disk, clock } = world();
    const log = await open();
    await log.flush();
    disk.capacityBytes = 1000;
    const acks: number[] = [];
    for (let n = 0; n < 3; n++) log.append(batchOf(n, 500), 'os', String(n), () => acks.push(n));
    for (let n = 0; n < 5; n++) await turn();
    assert.deepEqual([log.status.state, log.status.reason], ['stalled', 'disk full']);
    assert.equal(
      log.append(batchOf(3, 500), 'os', '', () => acks.push(3)),
      false,
    );
    assert.equal(log.tryAppend(batchOf(9), 'memory', ''), false);
    assert.ok(acks.length < 3);
    const ready = log.ready();
    disk.capacityBytes = Infinity;
    clock.advance(1000);
    await ready;
    await log.flush();
    assert.deepEqual(acks, [0, 1, 2, 3]);
    assert.equal(log.status.state, 'ok');
    assert.deepEqual(all(log), [0, 1, 2, 3]);
  });

  test('closing a log on a full disk ends, and what was not written is not acknowledged', async () => {
    const { open, disk } = world();
    const log = await open();
    await log.flush();
    disk.capacityBytes = 0;
    const failures: (string | undefined)[] = [];
    log.append(batchOf(0), 'fsync', '', (failure) => failures.push(failure?.code));
    await turn();
    await log.close();
    assert.deepEqual(failures, ['MR_DISK']);
  });

  test('segments are given back when nobody needs them', async () => {
    const { open, disk } = world();
    const log = await open({ segmentBytes: 400 });
    await fill(log, 0, 20, 50);
    assert.ok(log.status.segments > 3);
    log.trim(log.head);
    await fill(log, 20, 21);
    assert.ok(log.status.segments <= 2);
    assert.equal(disk.files.length, log.status.segments);
    assert.deepEqual(all(log), [20]);
  });

  test('an old segment is followed by a new one', async () => {
    const { open, clock } = world();
    const log = await open();
    await fill(log, 0, 1);
    assert.equal(log.status.segments, 1);
    clock.advance(3_600_000);
    await fill(log, 1, 2);
    await turn();
    await turn();
    assert.equal(log.status.segments, 2);
  });

  test('the default limit: 8 GiB, and at most half of what is free', async () => {
    const disk = new SimulatedDisk();
    assert.equal(await defaultLimitBytes('/', disk), 8 * 2 ** 30);
    disk.capacityBytes = 1001;
    assert.equal(await defaultLimitBytes('/', disk), 500);
  });
});

test('a slow reader gets from the file what is no longer in memory', async () => {
  const log = await world().open({ segmentBytes: 2000, tailBytes: 500 });
  const slow = log.reader(undefined, nothing);
  assert.equal(numberOf(slow.next()), undefined);
  await fill(log, 0, 30, 100);
  assert.equal(numberOf(slow.next()), 0);
  await fill(log, 30, 40, 100);
  assert.deepEqual(
    numbersOf(slow),
    Array.from({ length: 39 }, (_, n) => n + 1),
  );
  assert.equal(slow.position, log.head);
});

test('a file takes the place of another in one step', async () => {
  for (let n = 0; n < 12; n++) {
    const disk = new SimulatedDisk({ isManual: true });
    disk.put('/d/f', Buffer.from('old'));
    void replaceFile(disk, '/d/f', Buffer.from('new'));
    for (let step = 0; step < n; step++) {
      await turn();
      disk.step();
    }
    assert.match(disk.crash('power').bytesOf('/d/f').toString(), /^(old|new)$/);
  }
});
