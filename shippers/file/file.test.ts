import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { Definition, Formatter, Output, Verdict } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, makeBatch, makeChunk, testContext } from '../../engine/testing/driver.ts';
import { fileOutput } from './file.ts';

const formatter: Formatter = { format: (event, into) => void into.utf8(`${JSON.stringify(event.toObject())}\n`) };
const definition = fileOutput as unknown as Definition;
const signal = new AbortController().signal;

describe('file', () => {
  const baseDir = mkdtempSync(join(tmpdir(), 'millrace-file-'));
  after(() => rmSync(baseDir, { recursive: true, force: true }));
  const make = (config: Fields): Output =>
    create<Output>(definition, { utc: true, ...config }, testContext(definition, { baseDir, formatter: () => formatter }));
  const chunk = makeChunk([
    makeBatch(
      [
        { record: { a: '中' }, time: 1_700_000_000 },
        { record: { b: 2 }, time: 1_700_100_000 },
      ],
      'app.web',
    ),
    makeBatch([{ record: { c: 3 }, time: 1_700_000_000 }], 'app.db'),
  ]);
  const write = async (config: Fields): Promise<Verdict> => make(config).write(chunk, signal);
  const read = (name: string): string => readFileSync(join(baseDir, name), 'utf8');

  test('all in one file, chunk after chunk', async () => {
    assert.equal(await write({ path: 'one/all.log' }), 'delivered');
    assert.equal(await write({ path: 'one/all.log', fsync: true }), 'delivered');
    assert.equal(read('one/all.log'), '{"a":"中"}\n{"b":2}\n{"c":3}\n'.repeat(2));
  });

  test('two workers and one file: chunks of more than one write of the library come whole', async () => {
    const long = 'x'.repeat(1000);
    const of = (who: string) =>
      makeChunk([
        makeBatch(
          Array.from({ length: 3000 }, (_, n) => ({ record: { who, n, long } })),
          't',
        ),
      ]);
    const outputs = ['a', 'b'].map((who) => ({ output: make({ path: 'two/all.log' }), chunk: of(who) }));
    await Promise.all(outputs.map(({ output, chunk: each }) => output.write(each, signal)));
    const lines = read('two/all.log').trimEnd().split('\n');
    const whos = lines.map((line) => (JSON.parse(line) as { who: string }).who);
    assert.equal(lines.length, 6000);
    assert.equal(whos.filter((who, n) => n > 0 && who !== whos[n - 1]).length, 1);
  });

  test('by tag and by the time of each event', async () => {
    assert.equal(await write({ path: 'by/${tag}/%Y%m%d', add_path_suffix: true }), 'delivered');
    assert.equal(read('by/app.web/20231114.log'), '{"a":"中"}\n');
    assert.equal(read('by/app.web/20231116.log'), '{"b":2}\n');
    assert.equal(read('by/app.db/20231114.log'), '{"c":3}\n');
  });

  test('by the fields that are chunk keys', async () => {
    const output = make({ path: 'keys/${host}/${$.a.b}.log' });
    for (const host of ['web-1', '上海', '../up']) {
      const verdict = await output.write({ ...chunk, metadata: { variables: { host, '$.a.b': 'x' } } }, signal);
      assert.equal(verdict === 'delivered', host !== '../up');
    }
    assert.deepEqual(readdirSync(join(baseDir, 'keys')).toSorted(), ['web-1', '上海']);
    assert.equal(read('keys/上海/x.log').length, read('keys/web-1/x.log').length);
  });

  test('in another zone the day is another', async () => {
    assert.equal(await write({ path: 'zone/%Y%m%d', utc: false, timezone: 'Asia/Shanghai' }), 'delivered');
    assert.deepEqual(readdirSync(join(baseDir, 'zone')), ['20231115', '20231116']);
  });

  test('compressed, appended as members of one file', async () => {
    await write({ path: 'gz/x', compress: 'gz' });
    await write({ path: 'gz/x', compress: 'gz' });
    const text = gunzipSync(readFileSync(join(baseDir, 'gz/x.gz'))).toString('utf8');
    assert.equal(text, '{"a":"中"}\n{"b":2}\n{"c":3}\n'.repeat(2));
  });

  test('numbered files when nothing is to be appended', async () => {
    await write({ path: 'n/x.log', append: false });
    await write({ path: 'n/x.log', append: false });
    await write({ path: 'n/x.log', append: false, compress: 'gz' });
    assert.deepEqual(readdirSync(join(baseDir, 'n')), ['x_0.log', 'x_0.log.gz', 'x_1.log']);
  });

  test('what cannot be written is tried again, the rest is not', async () => {
    mkdirSync(join(baseDir, 'mixed/app.db'), { recursive: true });
    const verdict = await write({ path: 'mixed/${tag}' });
    assert.ok(typeof verdict === 'object');
    assert.deepEqual([verdict.retry, verdict.refused], [[2], []]);
    assert.match(verdict.reason ?? '', /EISDIR/);
    assert.equal(read('mixed/app.web'), '{"a":"中"}\n{"b":2}\n');
  });

  test('a tag cannot lead out of the folder', async () => {
    const hostile = makeChunk([makeBatch([{ record: {} }], '../../etc')]);
    const verdict = await make({ path: 'safe/${tag}' }).write(hostile, signal);
    assert.ok(typeof verdict === 'object');
    assert.match(verdict.refused?.[0]?.reason ?? '', /out of the directory/);
  });

  test('probe says what is wrong', async () => {
    writeFileSync(join(baseDir, 'taken'), '');
    await assert.rejects(async () => make({ path: 'taken/x' }).probe?.(signal), { code: 'MR_DISK' });
    await make({ path: 'fine/x' }).probe?.(signal);
  });
});
