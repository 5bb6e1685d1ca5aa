import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DeadLetters } from '../../engine/delivery/dead-letters.ts';
import { readEvent, type Letter } from '../../engine/delivery/dead-letters-format.ts';
import { lettersDir } from '../../engine/delivery/dead-letters-names.ts';
import type { Outcome } from '../../engine/delivery/dead-letters-replay.ts';
import { DeadLetterStore } from '../../engine/delivery/dead-letters-store.ts';
import { ControlServer } from '../../engine/server/control.ts';
import { DeadLetterService } from '../../engine/server/dead-letters.ts';
import { FakeClock, makeBatch } from '../../engine/testing/driver.ts';
import { main } from '../main.ts';

const TOKEN = 'a-token-of-sufficient-length-for-this';
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const NASTY = 'For input string: "\u001b[2J坏\u202e"';

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(args, { out: (text) => (out += text), err: (text) => (err += text), isTerminal: false });
  return { code, out, err };
}

describe('millrace dlq', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dlq-'));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;

  /** Five letters of `es` (three kinds of reasons), one of `gr`. */
  function fresh(): string {
    const data = join(folder, String(made++));
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const place = { incarnation: 1n, segment: 1_700_000_000_000, offset: 0, enteredMs: 1_700_000_000_000 };
    const letter = (n: number, reason: string, tag = 'web.a') => ({
      batch: {
        ...makeBatch([{ time: { seconds: 1_700_000_000, nanoseconds: 5 }, record: { n, msg: '坏\u001b[2J' } }], tag),
        place: { ...place, offset: n },
      },
      reason,
      status: 400,
    });
    const es = new DeadLetters({ directory: data, output: 'es', log: silent, clock });
    es.bury([0, 1, 2].map((n) => letter(n, `failed to parse field [f${n}] of type [long]`)));
    clock.advance(3_600_000);
    es.bury([letter(3, NASTY, 'web.b'), letter(4, 'strict_dynamic_mapping', 'app')]);
    es.close();
    const gr = new DeadLetters({ directory: data, output: 'gr', log: silent, clock });
    gr.bury([letter(9, 'no name')]);
    gr.close();
    return data;
  }

  /** A process that runs on the directory, with outputs `es` and `gr` that answer as they are told. */
  async function running(data: string, answer: (n: number) => Outcome, work: (sent: number[]) => Promise<void>): Promise<void> {
    const sent: number[] = [];
    const send = (output: string, letters: readonly Letter[]): Promise<readonly Outcome[] | undefined> => {
      const numbers = letters.map(({ event }) => (readEvent(event).record as { n: number }).n);
      sent.push(...numbers);
      return Promise.resolve(output === 'es' || output === 'gr' ? numbers.map(answer) : undefined);
    };
    const server = new ControlServer({
      bind: '127.0.0.1',
      port: 0,
      token: TOKEN,
      status: () => Promise.resolve({}),
      metrics: () => Promise.resolve(''),
      ready: () => Promise.resolve({ ready: true, reasons: [] }),
      deadLetters: new DeadLetterService({ store: new DeadLetterStore(data), clock: new FakeClock(Date.now()), send }),
    });
    const address = await server.start();
    writeFileSync(join(data, 'control.json'), JSON.stringify({ address }));
    writeFileSync(join(data, 'token'), TOKEN);
    try {
      await work(sent);
    } finally {
      await server.stop();
    }
  }

  const left = async (data: string): Promise<number> =>
    (await call('dlq', 'show', '--data', data, '--json', '--limit', '99')).out.split('\n').length - 1;

  test('ls: by output and reason, the commonest first; values do not make a reason another one', async () => {
    const { code, out } = await call('dlq', 'ls', '--data', fresh());
    assert.equal(code, 0);
    assert.deepEqual(out.split('\n').slice(0, 5), [
      'OUTPUT  LETTERS  OLDEST                NEWEST                REASON',
      'es            3  2026-01-01 00:00:00Z  2026-01-01 00:00:00Z  failed to parse field [f2] of type [long]',
      'es            1  2026-01-01 01:00:00Z  2026-01-01 01:00:00Z  strict_dynamic_mapping',
      'es            1  2026-01-01 01:00:00Z  2026-01-01 01:00:00Z  For input string: "\\u{1b}[2J坏\\u{202e}"',
      'gr            1  2026-01-01 01:00:00Z  2026-01-01 01:00:00Z  no name',
    ]);
  });

  test('ls --json', async () => {
    const { out } = await call('dlq', 'ls', 'gr', '--json', '--data', fresh());
    const time = '2026-01-01T01:00:00.000Z';
    assert.deepEqual(JSON.parse(out), {
      schema: 'millrace/dlq@1',
      groups: [{ output: 'gr', reason: 'no name', letters: 1, oldest: time, newest: time }],
    });
  });

  test('without any', async () => {
    const data = join(folder, 'none');
    for (const command of ['ls', 'show'])
      assert.deepEqual(await call('dlq', command, '--data', data), { code: 0, out: 'no dead letters\n', err: '' });
  });

  test('show: everything about it, nothing that acts on the terminal', async () => {
    const { code, out, err } = await call('dlq', 'show', 'es', '--tag', 'web.b', '--data', fresh());
    assert.deepEqual([code, err], [0, '']);
    const [id, ...lines] = out.split('\n');
    assert.match(id ?? '', /^letter {2}[0-9a-v]{32}$/);
    assert.deepEqual(lines, [
      'output  es',
      'buried  2026-01-01T01:00:00.000Z, after 1 try',
      'reason  400: For input string: "\\u{1b}[2J坏\\u{202e}"',
      'tag     web.b',
      'time    2023-11-14T22:13:20.000000005Z',
      'record  {"n":3,"msg":"坏\\u001b[2J"}',
      '',
    ]);
  });

  for (const [name, args, want] of [
    ['all, newest first of each output', [], [4, 3, 2, 1, 0, 9]],
    ['of an output', ['es'], [4, 3, 2, 1, 0]],
    ['by reason, in any case', ['--reason', 'FAILED TO'], [2, 1, 0]],
    ['by tag', ['--tag', 'web.*', '--reason', 'input'], [3]],
    ['some', ['es', '--limit', '2'], [4, 3]],
    ['of the last minutes', ['--since', '5m'], []],
  ] as const)
    test(`show ${name}`, async () => {
      const { out } = await call('dlq', 'show', ...args, '--json', '--data', fresh());
      const lines = out.split('\n').slice(0, -1);
      assert.deepEqual(
        lines.map((line) => (JSON.parse(line) as { record: { n: number } }).record.n),
        want,
      );
    });

  test('damaged lines are left out and said', async () => {
    const data = fresh();
    const [name = ''] = readdirSync(lettersDir(data, 'gr'));
    appendFileSync(join(lettersDir(data, 'gr'), name), 'not a letter\n');
    const { code, out, err } = await call('dlq', 'show', 'gr', '--json', '--data', data);
    assert.equal(code, 0);
    assert.equal(out.split('\n').length, 2);
    assert.match(err, /: 1 damaged line left out\n$/);
  });

  test('replay: what is taken is done with', async () => {
    const data = fresh();
    await running(
      data,
      () => ({ kind: 'delivered' }),
      async (sent) => {
        assert.deepEqual(await call('dlq', 'replay', 'es', '--dry-run', '--data', data), {
          code: 0,
          out: 'would send 5 letters to es; nothing was sent\n',
          err: '',
        });
        assert.deepEqual(sent, []);
        const { code, out } = await call('dlq', 'replay', 'es', '--reason', 'failed to parse', '--data', data);
        assert.deepEqual([code, out, sent], [0, '3 letters delivered to es, 0 refused again, 0 left\n', [0, 1, 2]]);
        await call('dlq', 'replay', 'es', '--data', data);
        assert.deepEqual(sent, [0, 1, 2, 3, 4]);
        assert.equal(
          (await call('dlq', 'replay', 'es', '--data', data)).out,
          '0 letters delivered to es, 0 refused again, 0 left\n',
        );
      },
    );
  });

  test('replay: what is refused again stays, and exit 1', async () => {
    const data = fresh();
    const answer = (n: number): Outcome => (n === 1 ? { kind: 'refused', reason: 'still\u001b no' } : { kind: 'delivered' });
    await running(data, answer, async () => {
      const { code, out, err } = await call('dlq', 'replay', 'es', '--data', data);
      assert.deepEqual([code, out, err], [1, '4 letters delivered to es, 1 refused again, 1 left\n', '1: still\\u{1b} no\n']);
      assert.equal(await left(data), 2);
    });
  });

  test('replay: a server that is down ends it, and nothing is lost', async () => {
    const data = fresh();
    await running(
      data,
      () => ({ kind: 'waiting', reason: 'ECONNREFUSED' }),
      async () => {
        const { code, out, err } = await call('dlq', 'replay', 'es', '--json', '--data', data);
        assert.equal(code, 1);
        assert.deepEqual(JSON.parse(out), {
          schema: 'millrace/dlq-replay@1',
          letters: 5,
          delivered: 0,
          refused: 0,
          waiting: 5,
          gone: 0,
          left: 5,
          reasons: { ECONNREFUSED: 5 },
        });
        assert.equal(err, '');
        assert.equal(await left(data), 6);
      },
    );
  });

  test('replay to another output, and to one that does not run', async () => {
    const data = fresh();
    await running(
      data,
      () => ({ kind: 'delivered' }),
      async (sent) => {
        assert.equal((await call('dlq', 'replay', 'gr', '--to', 'es', '--data', data)).code, 0);
        assert.deepEqual(sent, [9]);
        const { code, err } = await call('dlq', 'replay', 'es', '--to', 'nowhere', '--data', data);
        assert.equal(code, 65);
        assert.match(err, /no output nowhere runs/);
        assert.equal(await left(data), 5);
      },
    );
  });

  test('replay when nothing runs says so', async () => {
    const data = fresh();
    const { code, err } = await call('dlq', 'replay', 'es', '--data', data);
    assert.equal(code, 69);
    assert.match(err, /MR_NO_STATUS.*no millrace runs on the data directory/);
    assert.equal(await left(data), 6);
  });

  test('drop through the process that runs', async () => {
    const data = fresh();
    await running(
      data,
      () => ({ kind: 'delivered' }),
      async (sent) => {
        const { code, out } = await call('dlq', 'drop', 'es', '--tag', 'web.**', '--yes', '--data', data);
        assert.deepEqual([code, out, sent], [0, '4 letters dropped\n', []]);
        assert.equal(await left(data), 2);
      },
    );
  });

  test('drop when nothing runs: files that are empty then go, and the lock is given back', async () => {
    const data = fresh();
    for (const output of ['es', 'gr']) assert.equal((await call('dlq', 'drop', output, '--all', '-y', '--data', data)).code, 0);
    assert.equal(await left(data), 0);
    assert.deepEqual(readdirSync(lettersDir(data, 'es')), []);
    assert.ok(!readdirSync(data).includes('lock'));
  });

  for (const [name, args, want] of [
    ['drop of everything without --all', ['drop', 'es'], /--all/],
    ['drop where nobody can be asked', ['drop', 'es', '--all'], /say --yes/],
    ['an output that has none', ['ls', 'se'], /no dead letters; did you mean es\?/],
    ['a duration that is none', ['show', '--since', 'x'], /expected a duration/],
    ['a pattern that is none', ['show', '--tag', '/x(/'], /--tag/],
    ['a number that is none', ['show', '--limit', '0'], /expected a number/],
  ] as const)
    test(name, async () => {
      const data = fresh();
      const { code, err } = await call('dlq', ...args, '--data', data);
      assert.equal(code, 64);
      assert.match(err, want);
      assert.equal(await left(data), 6);
    });
});
