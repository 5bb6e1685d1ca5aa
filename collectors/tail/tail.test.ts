import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { Ack, Definition, Parser } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { create, readBatch, testContext, type TestContext, type TestContextOptions } from '../../engine/testing/driver.ts';
import { tailSource, type TailSource } from './tail.ts';

/** A stand-in: the line as `message`; lines that begin with `!` are refused. */
const parser: Parser = {
  parse(bytes, start, end, into) {
    if (bytes[start] === 0x21) return 'refused';
    into.begin();
    into.keyName('message');
    into.utf8(bytes, start, end);
    into.commit();
    return undefined;
  },
};

const definition = tailSource as unknown as Definition;
const root = mkdtempSync(join(tmpdir(), 'millrace-tail-'));
let dir = root;
let running: TailSource[] = [];
let folders = 0;

interface Tailing {
  readonly ctx: TestContext;
  readonly source: TailSource;
  /** Lets a second go by and everything that follows from it happen. */
  look(ms?: number): Promise<void>;
  messages(): unknown[];
}

/** Some turns of the event loop: enough for the pump to run dry over small files. */
async function settle(): Promise<void> {
  for (let n = 0; n < 40; n++) await setImmediate();
}

function make(config: Fields, options: TestContextOptions = {}): Tailing {
  const ctx = testContext(definition, { baseDir: dir, dataDir: dir, parser: () => parser, ...options });
  const source = create<TailSource>(definition, { tag: 't', enable_stat_watcher: false, ...config }, ctx);
  running.push(source);
  return {
    ctx,
    source,
    async look(ms = 1000) {
      ctx.clock.advance(ms);
      await settle();
    },
    messages: () => ctx.events().map(({ record }) => record['message']),
  };
}

async function start(config: Fields, options: TestContextOptions = {}): Promise<Tailing> {
  const tailing = make(config, options);
  await tailing.source.start();
  await settle();
  return tailing;
}

async function finish({ source }: Tailing): Promise<void> {
  await source.drain?.();
  await source.stop();
}

const at = (name: string): string => join(dir, name);
const write = (name: string, text: string | Uint8Array): void => writeFileSync(at(name), text);
const append = (name: string, text: string): void => appendFileSync(at(name), text);

describe('tail', () => {
  beforeEach(() => {
    dir = join(root, String(folders++));
    mkdirSync(dir);
    running = [];
  });
  afterEach(async () => {
    for (const source of running) {
      await source.stop();
      await source.stop();
    }
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  describe('the same events whatever the block size', () => {
    const lines = Array.from({ length: 300 }, (_, n) => `${n} ${'中文x'.repeat(n % 40)}`);
    const text = `\uFEFF${lines.map((line, n) => line + (n % 3 === 0 ? '\r\n' : '\n')).join('')}\n${'y'.repeat(5000)}\n!no\nlast`;
    for (const read_block_size of [1, 7, 4096, 262_144]) {
      test(`${read_block_size} bytes`, async () => {
        write('a.log', text);
        const tailing = make({ path: 'a.log', exit_at_eof: true, read_block_size, max_line_size: 4000 });
        await tailing.source.start();
        await tailing.source.finished;
        assert.deepEqual(tailing.messages(), [...lines, '', 'last']);
        assert.deepEqual(tailing.ctx.drops, { 'line too long': 1, refused: 1 });
        assert.equal(tailing.ctx.values['bytes'], Buffer.byteLength(text));
      });
    }
  });

  test('starts at the end, and at the head of files that come later', async () => {
    write('a.log', 'old\n');
    const tailing = await start({ path: 'a.log,*.txt' });
    append('a.log', 'new\n');
    write('b.txt', 'first\n');
    await tailing.look();
    assert.deepEqual(tailing.messages(), ['new']);
    await tailing.look(60_000);
    assert.deepEqual(tailing.messages(), ['new', 'first']);
  });

  test('an incomplete last line waits for its end', async () => {
    write('a.log', 'one\ntw');
    const tailing = await start({ path: 'a.log', read_from_head: true });
    assert.deepEqual(tailing.messages(), ['one']);
    append('a.log', 'o');
    await tailing.look();
    append('a.log', '\nthree\n');
    await tailing.look();
    assert.deepEqual(tailing.messages(), ['one', 'two', 'three']);
  });

  test('the system tells of changes, without the timer', async () => {
    write('a.log', '');
    const tailing = make({ path: 'a.log', enable_stat_watcher: true, enable_watch_timer: false });
    await tailing.source.start();
    append('a.log', 'now\n');
    await tailing.ctx.waitForEvents(1);
    assert.deepEqual(tailing.messages(), ['now']);
  });

  describe('rotation', () => {
    test('by renaming: the old file to its end, then the new one', async () => {
      write('a.log', '1\n');
      const tailing = await start({ path: 'a.log', read_from_head: true, pos_file: 'pos' });
      renameSync(at('a.log'), at('a.log.1'));
      append('a.log.1', '2\n');
      write('a.log', '4\n');
      await tailing.look();
      append('a.log.1', '3\nrest');
      append('a.log', '5\n');
      await tailing.look();
      const inode = statSync(at('a.log.1')).ino;
      assert.match(readFileSync(at('pos'), 'utf8'), new RegExp(`^${at('a.log')}\t0{15}6\t0*${inode.toString(16)}\n$`));
      await tailing.look(5000);
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1', '2', '4', '3', '5', 'rest']);
      const next = statSync(at('a.log')).ino;
      assert.match(readFileSync(at('pos'), 'utf8'), new RegExp(`^${at('a.log')}\t0{15}4\t0*${next.toString(16)}\n$`));
      assert.equal(tailing.ctx.values['rotations'], 1);
    });

    test('twice within the wait', async () => {
      write('a.log', '1\n');
      const tailing = await start({ path: 'a.log', read_from_head: true });
      renameSync(at('a.log'), at('a.log.1'));
      write('a.log', '2\n');
      await tailing.look();
      renameSync(at('a.log.1'), at('a.log.2'));
      renameSync(at('a.log'), at('a.log.1'));
      write('a.log', '3\n');
      await tailing.look();
      append('a.log', '4\n');
      await tailing.look(10_000);
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1', '2', '3', '4']);
    });

    test('under a pattern that finds the new name too: nothing is read twice', async () => {
      write('a.log', '1\n');
      const tailing = await start({ path: '*.log*', read_from_head: true, tag: 'x.*', pos_file: 'pos' });
      renameSync(at('a.log'), at('a.log.1'));
      write('a.log', '2\n');
      await tailing.look(60_000);
      append('a.log.1', 'late\n');
      await tailing.look();
      await tailing.look(60_000);
      assert.deepEqual(tailing.messages().map(String).toSorted(), ['1', '2', 'late']);
      await finish(tailing);
      const again = await start({ path: '*.log*', read_from_head: true, pos_file: 'pos' });
      assert.deepEqual(again.messages(), []);
    });

    test('by copying and cutting', async () => {
      write('a.log', 'one\ntwo\nthree\n');
      const tailing = await start({ path: 'a.log', read_from_head: true });
      copyFileSync(at('a.log'), at('a.log.1'));
      truncateSync(at('a.log'));
      await tailing.look();
      append('a.log', 'four\n');
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['one', 'two', 'three', 'four']);
    });

    test('cut and grown beyond its old length before anybody looked', async () => {
      write('a.log', 'one\n');
      const tailing = await start({ path: 'a.log', read_from_head: true });
      truncateSync(at('a.log'));
      append('a.log', 'two\nthree\nfour\n');
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['one', 'two', 'three', 'four']);
    });

    test('while nobody looked: the rest of the old file comes first', async () => {
      write('a.log', '1\n');
      const first = await start({ path: 'a.log', read_from_head: true, pos_file: 'pos' });
      await finish(first);
      append('a.log', '2\n');
      renameSync(at('a.log'), at('a.log.1'));
      write('a.log', '3\n');
      const second = await start({ path: 'a.log', pos_file: 'pos' });
      assert.deepEqual(second.messages(), ['2', '3']);
    });

    test('a file that is gone is let go, and one of that name read anew', async () => {
      write('a.log', '1\n');
      const tailing = await start({ path: '*.log', read_from_head: true });
      rmSync(at('a.log'));
      await tailing.look();
      await tailing.look(6000);
      write('a.log', '2\n');
      await tailing.look(60_000);
      assert.deepEqual(tailing.messages(), ['1', '2']);
    });
  });

  describe('positions', () => {
    test('Fluentd stopped in the middle: on from there', async () => {
      write('a.log', 'one\ntwo\n');
      const inode = statSync(at('a.log')).ino.toString(16).padStart(16, '0');
      write('pos', `${at('a.log')}\t0000000000000004\t${inode}\n/gone\t0000000000000001\t0000000000000001\n`);
      const tailing = await start({ path: 'a.log', pos_file: 'pos' });
      assert.deepEqual(tailing.messages(), ['two']);
      await finish(tailing);
      assert.equal(readFileSync(at('pos'), 'utf8'), `${at('a.log')}\t0000000000000008\t${inode}\n`);
    });

    test('without pos_file the data directory keeps them', async () => {
      write('a.log', 'one\n');
      const first = await start({ path: 'a.log', read_from_head: true });
      await finish(first);
      append('a.log', 'two\n');
      const ctx = testContext(definition, { baseDir: dir, dataDir: dir, parser: () => parser });
      const second = create<TailSource>(
        definition,
        { tag: 't', path: 'a.log', enable_stat_watcher: false },
        { ...ctx, kv: first.ctx.kv },
      );
      running.push(second);
      await second.start();
      await settle();
      assert.deepEqual(
        ctx.events().map(({ record }) => record['message']),
        ['two'],
      );
    });

    test('and without one a warning says so', async () => {
      write('a.log', '');
      const { ctx } = await start({ path: 'a.log' }, { dataDir: undefined as never });
      assert.match(ctx.lines[0]?.message ?? '', /no pos_file and no data directory/);
    });

    test('move in order, when what was read is acknowledged', async () => {
      const acks: Ack[] = [];
      write('a.log', '1\n22\n');
      await start(
        { path: 'a.log', read_from_head: true, pos_file: 'pos', read_block_size: 2 },
        { emit: (_batch, ack) => acks.push(ack as Ack) > 0 },
      );
      const offset = (): number => Number.parseInt(readFileSync(at('pos'), 'utf8').split('\t')[1] ?? '', 16);
      assert.deepEqual([acks.length, offset()], [2, 0]);
      acks[1]?.();
      assert.equal(offset(), 0);
      acks[0]?.();
      assert.equal(offset(), 5);
    });

    test('stay where they are after a failure, and the lines are read again', async () => {
      let failures = 1;
      const emit = (_batch: Batch, ack?: Ack): boolean => {
        ack?.(failures-- > 0 ? new MillraceError('MR_DISK', 'no space') : undefined);
        return true;
      };
      write('a.log', '1\n2\n');
      const tailing = await start({ path: 'a.log', read_from_head: true }, { emit });
      assert.deepEqual(tailing.messages(), ['1', '2']);
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1', '2', '1', '2']);
      append('a.log', '3\n');
      await tailing.look();
      assert.deepEqual(tailing.messages().slice(4), ['3']);
    });

    test('a drain waits for what is on its way', async () => {
      const acks: Ack[] = [];
      write('a.log', '1\n');
      const tailing = await start({ path: 'a.log', read_from_head: true }, { emit: (_batch, ack) => acks.push(ack as Ack) > 0 });
      let isDrained = false;
      const drained = Promise.resolve(tailing.source.drain?.()).then(() => (isDrained = true));
      await settle();
      assert.equal(isDrained, false);
      acks[0]?.();
      await drained;
    });
  });

  test('when the pipeline is full nothing more is read until it is ready', async () => {
    const ready = Promise.withResolvers<void>();
    const ctx = {
      ...testContext(definition, { baseDir: dir, dataDir: dir, parser: () => parser, emit: () => false }),
      ready: () => ready.promise,
    };
    write('a.log', '1\n2\n3\n');
    const source = create<TailSource>(
      definition,
      { tag: 't', path: 'a.log', read_from_head: true, read_block_size: 2, enable_stat_watcher: false },
      ctx,
    );
    running.push(source);
    await source.start();
    await settle();
    assert.equal(ctx.emitted.length, 1);
    ready.resolve();
    await settle();
    assert.equal(ctx.emitted.length, 3);
  });

  describe('lines', () => {
    const gbk = Buffer.from('d6d0b9fa20d2f8d0d00a', 'hex');
    for (const [name, config, bytes, want] of [
      ['GBK', { from_encoding: 'GBK' }, gbk, [{ message: '中国 银行' }]],
      ['GBK as the encoding alone', { encoding: 'gb2312' }, gbk, [{ message: '中国 银行' }]],
      [
        'Shift_JIS by its name in Ruby',
        { from_encoding: 'Windows-31J', encoding: 'UTF-8' },
        Buffer.from('93fa967b0a', 'hex'),
        [{ message: '日本' }],
      ],
      ['bytes that are no UTF-8', {}, Buffer.from('61ff0a62e4b8ad0a', 'hex'), [{ message: 'a\uFFFD' }, { message: 'b中' }]],
      ['the path as a field', { path_key: 'file' }, 'x\n', [{ message: 'x', file: 'DIR/a.log' }]],
      ['the path not over a field', { path_key: 'message' }, 'x\n', [{ message: 'x' }]],
      [
        'refused lines as events',
        { emit_unmatched_lines: true, path_key: 'f' },
        '!x\n',
        [{ unmatched_line: '!x', f: 'DIR/a.log' }],
      ],
    ] as const) {
      test(name, async () => {
        write('a.log', bytes);
        const { ctx } = await start({ path: 'a.log', read_from_head: true, ...config });
        const records = ctx.events().map(({ record }) => record);
        assert.deepEqual(records, JSON.parse(JSON.stringify(want).replaceAll('DIR', dir)));
      });
    }

    test('refused lines are counted and told now and then', async () => {
      write('a.log', '!a\n!b\n!c\n!d\n!e\nok\n');
      const { ctx } = await start({ path: 'a.log', read_from_head: true });
      assert.deepEqual(ctx.drops, { refused: 5 });
      assert.deepEqual(
        ctx.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields['times']),
        [1, 2, 4],
      );
    });

    test('read_lines_limit bounds a batch', async () => {
      write('a.log', '1\n2\n3\n4\n5\n');
      const { ctx } = await start({ path: 'a.log', read_from_head: true, read_lines_limit: 2 });
      assert.deepEqual(
        ctx.emitted.map((batch) => readBatch(batch).length),
        [2, 2, 1],
      );
    });

    test('read_bytes_limit_per_second spreads a file over time', async () => {
      write('a.log', 'x\n'.repeat(10));
      const tailing = await start({ path: 'a.log', read_from_head: true, read_block_size: 4, read_bytes_limit_per_second: 8 });
      const first = tailing.messages().length;
      assert.ok(first < 10, `${first} lines at once`);
      for (let n = 0; n < 10 && tailing.messages().length < 10; n++) await tailing.look();
      assert.equal(tailing.messages().length, 10);
    });
  });

  test('files take turns', async () => {
    write('a.log', 'a\n'.repeat(150_000));
    write('b.log', 'b\n');
    const tailing = make({ path: '*.log', exit_at_eof: true });
    await tailing.source.start();
    await tailing.source.finished;
    const order = tailing.ctx.emitted.map((batch) => readBatch({ ...batch, count: 1 })[0]?.record['message']);
    assert.deepEqual(order.slice(0, 3), ['a', 'b', 'a']);
    assert.equal(tailing.ctx.events().length, 150_001);
  });

  describe('files that cannot be read', () => {
    test('a file that is not there is waited for, with one warning', async () => {
      const tailing = await start({ path: 'a.log' });
      await tailing.look();
      await tailing.look();
      assert.equal(tailing.ctx.lines.length, 1);
      write('a.log', '1\n');
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1']);
    });

    test('no file at all is counted and tried again', async () => {
      mkdirSync(at('a.log'));
      const tailing = await start({ path: 'a.log' });
      await tailing.look();
      assert.equal(tailing.ctx.values['unreadable'], 2);
      rmSync(at('a.log'), { recursive: true });
      write('a.log', '1\n');
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1']);
    });

    test('of more files than max_files the rest is not read, until there are fewer', async () => {
      for (const name of ['a', 'b', 'c']) write(`${name}.log`, `${name}\n`);
      write('x.gz', '');
      const config = { path: '*', exclude_path: `["${at('*.gz')}"]`, max_files: 2, read_from_head: true, refresh_interval: '5s' };
      const tailing = await start(config);
      const { ctx } = tailing;
      const messages = (): string[] => tailing.messages().map(String);
      assert.equal(messages().length, 2);
      assert.deepEqual([ctx.values['over_max_files'], ctx.values['files']], [1, 2]);
      assert.deepEqual(
        ctx.lines.map(({ level, fields }) => [level, fields]),
        [['warn', { limit: 2 }]],
      );
      rmSync(at(`${messages()[0]}.log`));
      await tailing.look(5000);
      await tailing.look(5000);
      assert.equal(messages().sort().join(''), 'abc');
      assert.deepEqual([ctx.values['over_max_files'], ctx.values['files']], [0, 2]);
    });

    for (const [path, message] of [
      ['none.log', /cannot read .*none\.log: there is no such file/],
      ['*.none', /no file matches \*\.none/],
      ['.', /it cannot be read/],
    ] as const) {
      test(`with exit_at_eof ${path} is an error`, async () => {
        await assert.rejects(make({ path, exit_at_eof: true }).source.start(), { code: 'MR_NO_INPUT', message });
      });
    }

    test('a position file that is a folder is an error', async () => {
      mkdirSync(at('pos'));
      await assert.rejects(make({ path: 'a.log', pos_file: 'pos' }).source.start(), { code: 'MR_DISK' });
    });
  });

  describe('check', () => {
    for (const [config, problem] of [
      [{ from_encoding: 'klingon' }, /klingon cannot be read/],
      [{ from_encoding: 'UTF-16LE' }, /UTF-16LE cannot be read/],
      [{ from_encoding: 'GBK', encoding: 'Big5' }, /events are UTF-8/],
      [{ enable_watch_timer: false, enable_stat_watcher: false }, /at least one of them/],
      [{ path: ' , ' }, /names no file/],
      [{ path: `/l/${'{a,b}'.repeat(30)}`, path_delimiter: ';', glob_policy: 'always' }, /stands for more than 100/],
      [{ exclude_path: [`/l/${'{a,b}'.repeat(7)}`] }, /stands for more than 100/],
      [{ follow_inodes: true }, /needs pos_file/],
    ] as const) {
      test(JSON.stringify(config), () => {
        const parsed = tailSource.config.parse({ path: 'x', tag: 't', ...config });
        assert.match(tailSource.check?.(parsed).join('\n') ?? '', problem);
      });
    }
  });

  describe('events of several lines', () => {
    /** A line that begins with a digit begins an event; the stand-in takes any text but `!`. */
    const multiline = { path: 'a.log', read_from_head: true, parse: { '@type': 'multiline', format_firstline: '/^\\d/' } };

    for (const read_block_size of [1, 5, 4096]) {
      test(`joined, in blocks of ${read_block_size}`, async () => {
        write('a.log', 'stray\n1 支付失败\r\n  at a\n  at b\n2 one\n3 last\n  at c');
        const tailing = make({ ...multiline, exit_at_eof: true, read_block_size });
        await tailing.source.start();
        await tailing.source.finished;
        assert.deepEqual(tailing.messages(), ['1 支付失败\r\n  at a\n  at b', '2 one', '3 last\n  at c']);
        assert.deepEqual(tailing.ctx.drops, { 'no first line': 1 });
      });
    }

    test('the last one waits for the next, or for multiline_flush_interval, and more that comes in between', async () => {
      write('a.log', '1 a\n');
      const tailing = await start({ ...multiline, multiline_flush_interval: '3s' });
      await tailing.look();
      append('a.log', ' b\n');
      await tailing.look();
      await tailing.look();
      assert.deepEqual(tailing.messages(), []);
      await tailing.look(3000);
      assert.deepEqual(tailing.messages(), ['1 a\n b']);
      append('a.log', '2 c\n3 d\n');
      await tailing.look();
      assert.deepEqual(tailing.messages(), ['1 a\n b', '2 c']);
      await finish(tailing);
    });

    test('what waits at the end is read again after a restart, whole', async () => {
      write('a.log', '1 a\n2 b\n  b2\n');
      const config = { ...multiline, pos_file: 'a.pos' };
      const before = await start(config);
      await before.look();
      assert.deepEqual(before.messages(), ['1 a']);
      await finish(before);
      append('a.log', '  b3\n3 c\n');
      const after_ = await start(config);
      await after_.look();
      assert.deepEqual(after_.messages(), ['2 b\n  b2\n  b3']);
      await finish(after_);
    });

    test('the event at the end of a file that was rotated away', async () => {
      write('a.log', '1 a\n  a2\n');
      const tailing = await start({ ...multiline, rotate_wait: '2s' });
      await tailing.look();
      renameSync(at('a.log'), at('a.log.1'));
      write('a.log', '2 b\n3 c\n');
      await tailing.look();
      await tailing.look(3000);
      await tailing.look();
      assert.deepEqual(new Set(tailing.messages()), new Set(['1 a\n  a2', '2 b']));
      await finish(tailing);
    });

    test('an event longer than max_line_size is left out, to its end', async () => {
      write('a.log', `1 a\n2 ${'x\n '.repeat(30)}\n3 c\n`);
      const tailing = make({ ...multiline, exit_at_eof: true, max_line_size: 40 });
      await tailing.source.start();
      await tailing.source.finished;
      assert.deepEqual(tailing.messages(), ['1 a', '3 c']);
      assert.deepEqual(tailing.ctx.drops, { 'line too long': 1 });
    });

    test('without a first line the parser says when the text is whole', async () => {
      const whole: Parser = {
        parse: (bytes, start, end, into) =>
          bytes[end - 1] === 0x3b ? parser.parse(bytes, start, end, into) : 'pattern not matched',
      };
      write('a.log', 'a\nb;\nc;\nd\n');
      const tailing = make({ ...multiline, exit_at_eof: true, parse: { '@type': 'multiline' } }, { parser: () => whole });
      await tailing.source.start();
      await tailing.source.finished;
      assert.deepEqual(tailing.messages(), ['a\nb;', 'c;']);
      assert.deepEqual(tailing.ctx.drops, { 'pattern not matched': 1 });
    });
  });
});
