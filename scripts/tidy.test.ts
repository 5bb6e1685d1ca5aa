/** The rules of the house that a program can check. Each message says what to write instead. */
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ERROR_CODES } from '../engine/errors.ts';
import { checkFuzz } from './tidy/fuzz.ts';
import { checkImports, importsOf } from './tidy/imports.ts';
import { checkSource } from './tidy/source.ts';
import { checkPackage, checkLock } from './tidy/package.ts';
import { headings, codeBlocks } from './tidy/markdown.ts';
import { ROOT, trackedFiles } from './tidy/files.ts';

const read = (file: string): string => readFileSync(resolve(ROOT, file), 'utf8');
const tracked = trackedFiles();
const sources = tracked.filter((file) => /\.[cm]?ts$/.test(file));

const isComponent = (file: string): boolean => /\bdefine(?:Source|Filter|Consumer|Output|Parser|Formatter)\(/.test(read(file));

/** One assertion for many findings: all of them are shown at once. */
function assertNone(findings: readonly string[]): void {
  assert.equal(findings.length, 0, `\n${findings.join('\n')}\n`);
}

describe('tidy', () => {
  test('imports go down to the engine, never sideways', () => {
    assertNone(sources.flatMap((file) => checkImports(file, importsOf(file, read(file)), isComponent)));
  });

  test('sources are as the house writes them', () => {
    assertNone(sources.flatMap((file) => checkSource(file, read(file))));
  });

  test('no file holds a path of one machine or a registry', () => {
    const texts = tracked.filter((file) => !/(?:^|\/)testdata\/|\.(?:png|ico|dat|mmdb|gz|xdb|czdb)$/.test(file));
    assertNone(texts.flatMap((file) => machinePaths(file, read(file))));
  });

  test('versions are exact, the lock file names no host', () => {
    assertNone([...checkPackage(read('package.json')), ...checkLock(read('package-lock.json'))]);
  });

  test('every plugin has its test beside it', () => {
    const plugins = sources.filter((file) => /^plugins\/[^/]+\/[^/]+\.ts$/.test(file));
    const tested = new Set(
      plugins
        .filter((file) => file.endsWith('.test.ts'))
        .flatMap((file) => importsOf(file, read(file)).map((specifier) => join(dirname(file), specifier))),
    );
    assertNone(
      plugins
        .filter((file) => !/\.(?:test|cases|gen)\.ts$/.test(file) && isComponent(file) && !tested.has(file))
        .map((file) => `${file}: write ${file.replace(/\.ts$/, '.test.ts')}, or take it into a table of tests beside it`),
    );
  });

  test('every parser and framer has a fuzz target', () => {
    assertNone(checkFuzz(sources, read));
  });

  test('every error code is explained in docs/reference/errors.md', () => {
    const page = read('docs/reference/errors.md');
    assertNone(
      Object.keys(ERROR_CODES)
        .filter((code) => !page.includes(`\`${code}\``))
        .map((code) => `${code} is missing; run: npm run gen`),
    );
  });

  test('README.md and README.zh-CN.md have the same headings and the same code', () => {
    const [english, chinese] = [read('README.md'), read('README.zh-CN.md')];
    assert.deepEqual(
      headings(chinese).map(({ level }) => level),
      headings(english).map(({ level }) => level),
      'same headings in the same order',
    );
    assert.deepEqual(codeBlocks(chinese), codeBlocks(english), 'same code blocks');
    for (const [file, text] of [
      ['README.md', english],
      ['README.zh-CN.md', chinese],
    ] as const)
      assert.ok(text.split('\n').length <= 251, `${file} has more than 250 lines: move the rest to docs/`);
  });

  test('links in documents lead somewhere', () => {
    assertNone(
      tracked
        .filter((file) => file.endsWith('.md'))
        .flatMap((file) =>
          [...read(file).matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
            .map((found) => found[1] ?? '')
            .filter((target) => !existsSync(resolve(ROOT, file, '..', target)))
            .map((target) => `${file}: the link to ${target} leads nowhere; mend or remove it`),
        ),
    );
  });
});

function machinePaths(file: string, text: string): string[] {
  // Written in parts, so that this file does not find itself.
  const banned: readonly [RegExp, string][] = [
    [
      new RegExp(String.raw`(?:^|[^\w./-])/(?:${['work', 'farm'].join('|')})/(?:main|shared|steering|in|\.lib)`, 'm'),
      'use a path relative to the file',
    ],
    [new RegExp(String.raw`(?:^|[^\w.-])/(?:home|Users)/[a-z]\w*/`, 'm'), 'use a path relative to the file, or $HOME'],
    [new RegExp(['registry', 'npmjs'].join(String.raw`\.`)), 'leave the registry to the configuration of npm'],
    [/"resolved": *"http/, 'run npm with omit-lockfile-registry-resolved (see .npmrc)'],
  ];
  return banned
    .filter(([pattern]) => pattern.test(text))
    .map(([pattern, remedy]) => `${file}: ${String(pattern)} is the path of one machine; ${remedy}`);
}
