import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { main } from './run.ts';

describe('the vector runner', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'vectors-'));
  });
  after(() => rmSync(dir, { recursive: true }));

  const run = async (files: Readonly<Record<string, unknown>>, ...args: string[]): Promise<[number, string[]]> => {
    const root = mkdtempSync(join(dir, 'case-'));
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(root, name, '..'), { recursive: true });
      writeFileSync(join(root, name), typeof content === 'string' ? content : JSON.stringify(content));
    }
    const lines: string[] = [];
    const code = await main([root, ...args], (line) => lines.push(line));
    return [code, lines];
  };
  const patterns = (matching: string[]): unknown => ({
    topic: 'match-patterns',
    vectors: [{ id: 'one', group: 'own', pattern: 'a.*', expected: { match: matching, no_match: [] } }],
  });

  test('a file that passes', async () => {
    assert.deepEqual(await run({ 'match-patterns.json': patterns(['a.b']) }), [
      0,
      ['match-patterns: 1 passed, 0 failed', '1 passed, 0 failed'],
    ]);
  });

  test('a failure is named with its difference', async () => {
    const [code, lines] = await run({ 'deep/match-patterns.json': patterns(['b']) });
    assert.equal(code, 1);
    assert.deepEqual(lines, [
      'match-patterns: 0 passed, 1 failed',
      '  one: expected {"match":["b"],"no_match":[]}, got {"match":[],"no_match":[]}',
      '0 passed, 1 failed',
    ]);
  });

  test('a file without an adapter fails unless it is named as pending', async () => {
    const files = { 'match-patterns.json': patterns(['a.b']), 'brand-new.json': { topic: 'x', vectors: [{ id: 'a' }] } };
    assert.deepEqual(await run(files), [1, ['pending: brand-new', 'match-patterns: 1 passed, 0 failed', '1 passed, 0 failed']]);
    assert.equal((await run(files, '--pending', 'brand-new'))[0], 0);
  });

  test('data beside the vectors are passed over, a damaged file is not', async () => {
    const files = {
      'match-patterns.json': patterns(['a.b']),
      'mmdb/source.json': [{ '1.1.1.1/32': {} }],
      'mmdb/other.json': { a: 1 },
    };
    assert.equal((await run(files))[0], 0);
    assert.equal((await run({ ...files, 'config-parse.json': '{"topic":' }))[0], 1);
  });

  test('an adapter that breaks off or finds no case is a failure', async () => {
    assert.equal((await run({ 'match-patterns.json': { topic: 'x', vectors: [{ id: 'a' }] } }))[0], 1);
    assert.equal((await run({ 'match-patterns.json': { topic: 'x', vectors: [] } }))[0], 1);
    assert.equal((await run({}))[0], 1);
  });
});
