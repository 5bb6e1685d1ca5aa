import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Chunk, Output, Verdict } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { skipValue } from '../events/msgpack.ts';
import { FakeClock, makeBatch } from '../testing/driver.ts';
import { DeadLetters, type DeadLetterOptions } from './dead-letters.ts';
import { LetterWriter, parseLetter, readEvent, type DeadLetter, type Letter } from './dead-letters-format.ts';
import { lettersDir } from './dead-letters-names.ts';
import { replayLetters } from './dead-letters-replay.ts';
import { DeadLetterStore } from './dead-letters-store.ts';

const place = { incarnation: 0xabcdef0123n, segment: 1_700_000_000_123, offset: 4096, enteredMs: 1_700_000_000_456 };
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const never = new AbortController().signal;

const letterOf = (n: number, reason = 'bad', offset = n): DeadLetter => ({
  batch: { ...makeBatch([{ record: { n } }], 'web'), place: { ...place, offset } },
  reason,
});
const numberOf = ({ event }: Letter): unknown => (readEvent(event).record as { n: number }).n;

function linesOf(letter: DeadLetter): string[] {
  const lines: string[] = [];
  new LetterWriter().lines(letter, 'es', 1_700_000_001_000, (line) => lines.push(line));
  return lines;
}

/** A batch of one entry with these bytes as its record. */
const rawBatch = (...record: number[]): Batch => {
  const bytes = Uint8Array.of(0x92, 0xd7, 0x00, 0x65, 0x53, 0xf1, 0x00, 0x00, 0x00, 0x00, 0x07, ...record);
  return { tag: '网站', bytes, start: 0, end: bytes.length, count: 1, place };
};

describe('a letter', () => {
  for (const [name, record, want] of [
    ['bin', [0x81, 0xa1, 0x61, 0xc4, 0x02, 0xff, 0x00], { a: { base64: '/wA=' } }],
    ['ext', [0x81, 0xa1, 0x61, 0xd4, 0x05, 0x09], { a: { ext: 5, base64: 'CQ==' } }],
    ['EventTime inside', [0x81, 0xa1, 0x61, 0xd7, 0x00, 0, 0, 0, 1, 0, 0, 0, 2], { a: '1.000000002' }],
    ['text in GBK', [0x81, 0xa1, 0x61, 0xa4, 0xd6, 0xd0, 0xb9, 0xfa], { a: '中国' }],
    ['64 bits', [0x81, 0xa1, 0x61, 0xcf, 255, 255, 255, 255, 255, 255, 255, 255], { a: '18446744073709551615' }],
    ['not a number', [0x81, 0xa1, 0x61, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], { a: 'NaN' }],
  ] as const)
    test(`keeps ${name} as it was, and shows it`, () => {
      const batch = rawBatch(...record);
      const [line = ''] = linesOf({ batch, reason: '格式', status: 400, tries: 3, metadata: { tag: '网站', timekey: 60 } });
      const letter = parseLetter(line.trimEnd());
      assert.ok(letter);
      assert.deepEqual(Buffer.from(letter.event), Buffer.from(batch.bytes));
      assert.deepEqual(readEvent(letter.event), { time: '2023-11-14T22:13:20.000000007Z', record: want });
      const { id, event: _event, ...rest } = letter;
      assert.match(id, /^[0-9a-v]{32}$/);
      assert.deepEqual(rest, {
        buriedMs: 1_700_000_001_000,
        output: 'es',
        reason: '格式',
        status: 400,
        tries: 3,
        tag: '网站',
        place,
        index: 0,
        metadata: { tag: '网站', timekey: 60 },
      });
    });

  test('is one a event of the batch, each with the id of its event', () => {
    const batch = { ...makeBatch([{ record: { n: 1 } }, { record: { n: 2 } }]), place, ids: Uint32Array.of(257, 513) };
    const letters = linesOf({ batch, reason: 'x' }).map((line) => parseLetter(line.trimEnd()));
    assert.deepEqual(
      letters.map((one) => one?.index),
      [257, 513],
    );
    assert.notEqual(letters[0]?.id, letters[1]?.id);
  });

  test('without a place has an id all the same', () => {
    const [line = ''] = linesOf({ batch: makeBatch([{ record: {} }]), reason: 'x' });
    assert.equal(parseLetter(line.trimEnd())?.place, undefined);
    assert.match(parseLetter(line.trimEnd())?.id ?? '', /^[0-9a-v]{32}$/);
  });

  test('cuts a reason that quotes whole documents', () => {
    const [line = ''] = linesOf({ batch: rawBatch(0x80), reason: 'y'.repeat(100_000) });
    assert.equal(parseLetter(line.trimEnd())?.reason.length, 2001);
  });

  test('that is spoilt anywhere is none', () => {
    const [line = ''] = linesOf({ batch: rawBatch(0x80), reason: 'x' });
    const text = line.trimEnd();
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('0', 'z', '"', '}'), (at, char) => {
        fc.pre(text[at] !== char);
        assert.equal(parseLetter(`${text.slice(0, at)}${char}${text.slice(at + 1)}`), undefined);
      }),
    );
    for (let length = 0; length < text.length; length++) assert.equal(parseLetter(text.slice(0, length)), undefined);
  });

  test('any text: no throw', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseLetter(text)));
  });
});

describe('the graveyard', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dead-letters-'));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;
  const fresh = (more: Partial<DeadLetterOptions> = {}) => {
    const directory = join(folder, String(made++));
    const clock = new FakeClock(Date.now());
    const open = (also: Partial<DeadLetterOptions> = {}): DeadLetters =>
      new DeadLetters({ directory, output: 'es', log: silent, clock, ...more, ...also });
    return { directory, clock, open, store: new DeadLetterStore(directory), place: lettersDir(directory, 'es') };
  };
  const numbers = async (store: DeadLetterStore, output = 'es'): Promise<unknown[]> => {
    const found: unknown[] = [];
    for await (const { letter } of store.letters(output)) found.push(numberOf(letter));
    return found;
  };

  test('gives back what was buried, newest first', async () => {
    const { open, store } = fresh();
    const letters = open();
    assert.equal(letters.bury([letterOf(1), letterOf(2)]), true);
    assert.equal(letters.bury([letterOf(3)]), true);
    letters.close();
    assert.deepEqual(await numbers(store), [3, 2, 1]);
    assert.deepEqual(await store.outputs(), ['es']);
  });

  test('an event that is set aside twice is one letter, with the newer reason', async () => {
    const { open, store } = fresh();
    open().bury([letterOf(1, 'old'), letterOf(2)]);
    open().bury([letterOf(1, 'new')]);
    const found = [];
    for await (const { letter } of store.letters('es')) found.push([numberOf(letter), letter.reason]);
    assert.deepEqual(found, [
      [1, 'new'],
      [2, 'bad'],
    ]);
  });

  test('after a kill in the middle of a line: what was whole is there, the rest is counted, new letters follow', async () => {
    const { open, store, place: at } = fresh();
    open().bury([letterOf(1), letterOf(2)]);
    const [name = ''] = readdirSync(at);
    const whole = readFileSync(join(at, name));
    const second = whole.indexOf(0x0a) + 1;
    for (const cut of [second + 1, second + 40, whole.length - 1]) {
      writeFileSync(join(at, name), whole);
      truncateSync(join(at, name), cut);
      assert.deepEqual(await numbers(store), [1], `cut at ${cut}`);
    }
    open().bury([letterOf(3)]);
    const damage: number[] = [];
    const found = [];
    for await (const { letter } of store.letters('es', ({ lines }) => damage.push(lines))) found.push(numberOf(letter));
    assert.deepEqual([found, damage], [[3, 1], [1]]);
  });

  test('zeros that a loss of power left behind are counted, not shown', async () => {
    const { open, store, place: at } = fresh();
    open().bury([letterOf(1)]);
    appendFileSync(join(at, readdirSync(at)[0] ?? ''), `${'\0'.repeat(64)}\n`);
    const damage: number[] = [];
    for await (const _one of store.letters('es', ({ lines }) => damage.push(lines)));
    assert.deepEqual(damage, [1]);
  });

  test('at the limit the oldest go and are counted', async () => {
    const metrics: Record<string, number> = {};
    const { open, store } = fresh({ limits: { limitBytes: 8000, maxAgeMs: 1e12 }, metrics });
    const letters = open();
    for (let n = 0; n < 100; n++) letters.bury([letterOf(n)]);
    const found = await numbers(store);
    assert.equal(found[0], 99);
    assert.deepEqual(
      found,
      Array.from(found, (_, n) => 99 - n),
    );
    assert.ok(found.length > 10 && found.length < 40, String(found.length));
    assert.deepEqual(metrics, { dead_letters: 100, dead_letters_removed: 100 - found.length, dead_letters_failed: 0 });
  });

  test('beyond the age they go, too', async () => {
    const { open, store, place: at, clock } = fresh({ limits: { limitBytes: 1e9, maxAgeMs: 3_600_000 } });
    const letters = open();
    letters.bury([letterOf(1)]);
    const then = (clock.now() - 4_000_000) / 1000;
    utimesSync(join(at, readdirSync(at)[0] ?? ''), then, then);
    clock.advance(600_000);
    letters.bury([letterOf(2)]);
    assert.deepEqual(await numbers(store), [2]);
  });

  test('workers keep to their own files; those of a worker that is no more are looked after by the first', async () => {
    const limits = { limitBytes: 4000, maxAgeMs: 1e12 };
    const { open, store } = fresh({ limits });
    open({ worker: { id: 1, count: 2 } }).bury([letterOf(100)]);
    const first = open({ worker: { id: 0, count: 2 } });
    for (let n = 0; n < 20; n++) first.bury([letterOf(n)]);
    assert.ok((await numbers(store)).includes(100));
    const alone = open({ worker: { id: 0, count: 1 } });
    for (let n = 20; n < 60; n++) alone.bury([letterOf(n)]);
    assert.ok(!(await numbers(store)).includes(100));
  });

  test('what cannot be written is said, and half of it does not stay', async () => {
    const { directory, open, store } = fresh();
    writeFileSync(directory, 'a file where the folder should be');
    const lines: unknown[] = [];
    const metrics: Record<string, number> = {};
    const letters = open({ metrics, log: { ...silent, error: (fields, message) => lines.push(message, fields['events']) } });
    assert.equal(letters.bury([letterOf(1)]), false);
    assert.equal(letters.bury([letterOf(1)]), false);
    assert.deepEqual(lines, ['dead letters cannot be written', 1]);
    assert.equal(metrics['dead_letters_failed'], 2);
    rmSync(directory);
    assert.equal(letters.bury([letterOf(1)]), true);
    assert.deepEqual(await numbers(store), [1]);
  });

  test('without a directory they are logged, a few of them', () => {
    const lines: string[] = [];
    const letters = new DeadLetters({
      directory: undefined,
      output: 'es',
      log: { ...silent, error: (_fields, message) => lines.push(message) },
    });
    assert.equal(letters.bury(Array.from({ length: 30 }, (_, n) => letterOf(n))), true);
    assert.equal(lines.length, 10);
  });

  for (const output of ['..', '.', '../../etc', 'a/b', '弹性', 'x'.repeat(5000), ''])
    test(`an output named ${JSON.stringify(output.slice(0, 20))} stays in its folder`, async () => {
      const { directory, store } = fresh();
      new DeadLetters({ directory, output, log: silent }).bury([letterOf(1)]);
      assert.deepEqual(readdirSync(directory), ['dead-letters']);
      assert.deepEqual(readdirSync(join(directory, 'dead-letters')).length, 1);
      assert.deepEqual(await store.outputs(), [output]);
      assert.deepEqual(await numbers(store, output), [1]);
    });

  describe('marks', () => {
    const all = async (store: DeadLetterStore): Promise<Letter[]> => {
      const found = [];
      for await (const { letter } of store.letters('es')) found.push(letter);
      return found;
    };

    test('hide a letter; the same event set aside later is a letter again', async () => {
      const { open, store, clock } = fresh();
      const letters = open();
      letters.bury([letterOf(1), letterOf(2)]);
      clock.advance(10);
      const [newest] = await all(store);
      store.mark('es', [newest as Letter], 'replayed', clock.now());
      assert.deepEqual(await numbers(store), [1]);
      clock.advance(10);
      letters.bury([letterOf(2, 'again')]);
      assert.deepEqual(await numbers(store), [2, 1]);
    });

    test('hold when the clock has been set back', async () => {
      const { open, store, clock } = fresh();
      open().bury([letterOf(1)]);
      store.mark('es', await all(store), 'dropped', clock.now() - 86_400_000);
      assert.deepEqual(await numbers(store), []);
    });

    test('a torn mark counts for nothing and does not swallow the next', async () => {
      const { open, store, clock, place: at } = fresh();
      open().bury([letterOf(1), letterOf(2)]);
      const [second, first] = await all(store);
      store.mark('es', [first as Letter], 'replayed', clock.now());
      const bytes = readFileSync(join(at, 'marks'));
      truncateSync(join(at, 'marks'), bytes.length - 3);
      assert.deepEqual(await numbers(store), [2, 1]);
      store.mark('es', [second as Letter], 'replayed', clock.now());
      assert.deepEqual(await numbers(store), [1]);
    });

    test('letters that are marked are not picked', async () => {
      const { open, store, clock } = fresh();
      open().bury([letterOf(1), letterOf(2)]);
      const found = [];
      for await (const one of store.letters('es')) found.push(one);
      const ids = new Set(found.map(({ letter }) => letter.id));
      const file = found[0]?.file ?? '';
      assert.deepEqual((await store.pick('es', file, ids)).map(numberOf), [1, 2]);
      store.mark('es', [(found[0] as { letter: Letter }).letter], 'replayed', clock.now());
      assert.deepEqual((await store.pick('es', file, ids)).map(numberOf), [1]);
      assert.deepEqual(await store.pick('es', '../../token', ids), []);
    });

    test('files with nothing left in them go, but not the one that may be written', async () => {
      const { open, store, clock, place: at } = fresh();
      open().bury([letterOf(1)]);
      open().bury([letterOf(2)]);
      store.mark('es', await all(store), 'dropped', clock.now());
      await store.tidy('es', false);
      assert.deepEqual(readdirSync(at), ['marks', 'w0-000002.ndjson']);
      await store.tidy('es', true);
      assert.deepEqual(readdirSync(at), []);
    });

    test('a large file of marks is written anew with those that are needed', async () => {
      const { open, store, clock, place: at } = fresh();
      open().bury([letterOf(1), letterOf(2)]);
      const [newest] = await all(store);
      const gone = Array.from({ length: 6000 }, (_, n) => ({ id: n.toString(32).padStart(32, '0'), buriedMs: 1 }));
      store.mark('es', [newest as Letter, ...gone], 'dropped', clock.now());
      await store.tidy('es', false);
      assert.ok(readFileSync(join(at, 'marks')).length < 100);
      assert.deepEqual(await numbers(store), [1]);
    });
  });
});

describe('replay', () => {
  const letters = [0, 1, 2, 3].map((n) => {
    const metadata = n < 3 ? { tag: 'web' } : { tag: 'web', timekey: 60 };
    return parseLetter((linesOf({ ...letterOf(n), metadata })[0] ?? '').trimEnd()) as Letter;
  });
  const saying = (answers: (Verdict | Error)[]): { output: Output; chunks: Chunk[] } => {
    const chunks: Chunk[] = [];
    const write = (chunk: Chunk): Promise<Verdict> => {
      chunks.push(chunk);
      const answer = answers[chunks.length - 1] ?? 'delivered';
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
    return { output: { write }, chunks };
  };

  for (const [name, answers, want] of [
    ['delivered', [], ['delivered', 'delivered', 'delivered', 'delivered']],
    ['refused again', [{ refused: [{ index: 1, reason: 'no' }] }], ['delivered', 'refused', 'delivered', 'delivered']],
    ['some later', [{ retry: [0] }], ['waiting', 'delivered', 'delivered', 'delivered']],
    [
      'all later, one refused',
      [{ retry: 'all', refused: [{ index: 2, reason: 'no' }] }],
      ['waiting', 'waiting', 'refused', 'delivered'],
    ],
    ['a throw', ['delivered', new Error('gone')], ['delivered', 'delivered', 'delivered', 'waiting']],
    [
      'an index beyond',
      [{ retry: [7], refused: [{ index: 9, reason: 'no' }] }],
      ['delivered', 'delivered', 'delivered', 'delivered'],
    ],
  ] as const)
    test(name, async () => {
      const { output, chunks } = saying([...answers] as (Verdict | Error)[]);
      assert.deepEqual(
        (await replayLetters(output, letters, never)).map(({ kind }) => kind),
        want,
      );
      assert.deepEqual(
        chunks.map(({ count, metadata }) => [count, metadata]),
        [
          [3, { tag: 'web' }],
          [1, { tag: 'web', timekey: 60 }],
        ],
      );
    });

  test('the events go with the places and ids they had', async () => {
    const { output, chunks } = saying([]);
    await replayLetters(output, letters.slice(0, 1), never);
    const [batch] = chunks[0]?.batches ?? [];
    assert.deepEqual(batch?.place, { ...place, offset: 0 });
    assert.deepEqual(batch?.ids, Uint32Array.of(0));
    assert.equal(skipValue(batch?.bytes ?? Buffer.of(), 0, batch?.end ?? 0), batch?.end);
  });
});
