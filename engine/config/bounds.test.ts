/** What a configuration may ask for at most. Each answer is a problem of `check`, never a throw, and never a long wait. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { diskFiles, MAX_FILE_BYTES, memoryFiles } from './files.ts';
import { loadConfig, loadConfigText } from './load.ts';
import { translateRubyRegexp } from './ruby-regexp.ts';

const problemsOf = (name: string, text: string): string[] => loadConfigText(name, text).problems.map(({ message }) => message);
const nested = (depth: number): string => '<a>\n'.repeat(depth) + '</a>\n'.repeat(depth);
/** Each level has the one below nine times. */
const laughs = (levels: number): string =>
  Array.from(
    { length: levels },
    (_, n) =>
      `l${n}: &l${n} [${
        n === 0
          ? 'x'
          : Array(9)
              .fill(`*l${n - 1}`)
              .join(', ')
      }]\n`,
  ).join('');

describe('bounds of a configuration', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bounds-'));
  after(() => rmSync(folder, { recursive: true }));

  for (const [name, file, text, want] of [
    ['sections inside each other', 'a.conf', nested(64), undefined],
    ['sections inside each other, one more', 'a.conf', nested(65), /nested deeper than 64/],
    ['sections inside each other, without an end', 'a.conf', '<a>\n'.repeat(5000), /nested deeper than 64/],
    ['problems', 'a.conf', '</a>\n'.repeat(5000), /./],
    ['lists inside each other in YAML', 'a.yaml', `a: ${'['.repeat(65)}${']'.repeat(65)}\n`, /nested deeper than 64/],
    ['far more of them', 'a.yaml', `a: ${'['.repeat(5000)}${']'.repeat(5000)}\n`, /nested deeper than 64/],
    ['aliases of aliases', 'a.yaml', laughs(9), /more than 200000 values/],
  ] as const)
    test(name, () => {
      const problems = problemsOf(file, text);
      assert.ok(problems.length <= 101, `${problems.length} problems`);
      if (want === undefined) assert.deepEqual(problems, []);
      else
        assert.ok(
          problems.some((message) => want.test(message)),
          problems.slice(0, 3).join('\n'),
        );
    });

  test('files that include each other', () => {
    const files = memoryFiles({ '/a.conf': '@include /b.conf\n', '/b.conf': '@include /a.conf\n' });
    const problems = loadConfig('/a.conf', { files }).problems.map(({ message }) => message);
    assert.equal(problems.length, 1, problems.join('\n'));
  });

  test('a large file is not even parsed', () => {
    const path = join(folder, 'large.conf');
    writeFileSync(path, '');
    truncateSync(path, MAX_FILE_BYTES + 1);
    assert.deepEqual(diskFiles.read(path), { error: `${path} is larger than ${MAX_FILE_BYTES} bytes` });
  });

  test('a long regular expression', () => {
    assert.equal(typeof translateRubyRegexp('a'.repeat(65_536), ''), 'object');
    assert.match(String(translateRubyRegexp('a'.repeat(65_537), '')), /more than 65536 characters/);
  });
});
