import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { findFiles, pathMatcher, tagOf, type GlobPolicy, type Search } from './paths.ts';

describe('files of patterns', () => {
  const root = mkdtempSync(join(tmpdir(), 'millrace-paths-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  for (const name of [
    'a.log',
    'b.log',
    'b.log.1',
    '.hidden.log',
    'sub/c.log',
    'sub/deep/d.log',
    'sub/.git/e.log',
    '日志.log',
    'x[1].log',
  ]) {
    mkdirSync(join(root, name, '..'), { recursive: true });
    writeFileSync(join(root, name), '');
  }
  mkdirSync(join(root, 'folder.log'));
  symlinkSync(join(root, 'a.log'), join(root, 'link.log'));
  symlinkSync(join(root, 'nowhere'), join(root, 'broken.log'));
  const all = { isWanted: () => true, max: 100 };
  const find = (patterns: readonly string[], policy: GlobPolicy = 'backward_compatible', search: Search = all): string[] =>
    findFiles(
      patterns.map((one) => join(root, one)),
      policy,
      search,
    ).map((path) => path.slice(root.length + 1));

  for (const [patterns, policy, want] of [
    [['*.log'], undefined, ['a.log', 'b.log', 'link.log', 'x[1].log', '日志.log']],
    [['b.*', '*.log.1'], undefined, ['b.log', 'b.log.1']],
    [['none.log'], undefined, ['none.log']],
    [['x[1].log'], undefined, ['x[1].log']],
    [['[ab].log'], 'extended', ['a.log', 'b.log']],
    [['[!ab]*.log'], 'extended', ['link.log', 'x[1].log', '日志.log']],
    [['?.log'], 'extended', ['a.log', 'b.log']],
    [['{a,sub/c}.log'], 'always', ['a.log', 'sub/c.log']],
    [['{a,sub/c}.log'], 'extended', ['{a,sub/c}.log']],
    [['sub/*/*.log'], undefined, ['sub/deep/d.log']],
    [['**/*.log'], undefined, ['a.log', 'b.log', 'link.log', 'sub/c.log', 'sub/deep/d.log', 'x[1].log', '日志.log']],
    [['nowhere/*'], undefined, []],
  ] as const) {
    test(`${patterns.join(',')} ${policy ?? ''}`, () => assert.deepEqual(find(patterns, policy), want));
  }

  for (const [patterns, max, want] of [
    [['*.log'], 4, 5],
    [['*.log'], 5, 5],
    [['**/*.log'], 5, 6],
    [['*.log', 'sub/**/*.log'], 5, 6],
    [['none.log', 'a.log', 'b.log'], 1, 2],
  ] as const) {
    test(`${patterns.join(',')}, at most ${max}`, () => {
      assert.equal(find(patterns, undefined, { ...all, max }).length, want);
    });
  }

  test('what is left out does not count', () => {
    const search = { isWanted: (path: string) => !path.includes('/sub/') && !path.endsWith('b.log'), max: 4 };
    assert.deepEqual(find(['**/*.log'], undefined, search), ['a.log', 'link.log', 'x[1].log', '日志.log']);
  });

  test('what is named in full is not pushed out by patterns', () => {
    assert.deepEqual(find(['*.log', '日志.log'], undefined, { ...all, max: 1 }).includes('日志.log'), true);
  });
});

describe('excluded paths', () => {
  for (const [pattern, path, want] of [
    ['/var/log/*.gz', '/var/log/a.gz', true],
    ['/var/log/*.gz', '/var/log/sub/a.gz', false],
    ['/var/**/*.gz', '/var/a.gz', true],
    ['/var/**/*.gz', '/var/log/sub/a.gz', true],
    ['/var/log/a.log', '/var/log/a.log', true],
    ['/var/log/a.log', '/var/log/a-log', false],
  ] as const) {
    test(`${pattern} ${path}`, () => assert.equal(pathMatcher([pattern])(path), want));
  }
});

describe('tags', () => {
  for (const [tag, path, want] of [
    ['app', '/var/log/a.log', 'app'],
    ['app.*', '/var/log/a.log', 'app.var.log.a.log'],
    ['*', '/x', 'x'],
    ['*.end', '/x//y..z', 'x.y.z.end'],
    ['a.*.b.*.c', '/x', 'a.x.b.'],
  ] as const) {
    test(`${tag} ${path}`, () => assert.equal(tagOf(tag, path), want));
  }
});
