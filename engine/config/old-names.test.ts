import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfigText } from './load.ts';
import { sectionToData } from './section.ts';

describe('spellings of Fluentd 0.12', () => {
  const CASES: ReadonlyArray<readonly [string, unknown, readonly number[]]> = [
    [
      '<source>\n  type forward\n  id in\n  log_level debug\n</source>\n',
      { source: { '@type': 'forward', '@id': 'in', '@log_level': 'debug' } },
      [2, 3, 4],
    ],
    ['<source>\n  @type forward\n  type x\n</source>\n', { source: { '@type': 'forward' } }, []],
    [
      '<source>\n  type tail\n  path /a\n  format json\n  time_format %s\n  keys a,b\n</source>\n',
      { source: { '@type': 'tail', path: '/a', parse: { '@type': 'json', time_format: '%s', keys: 'a,b' } } },
      [2, 4],
    ],
    [
      '<source>\n  @type tail\n  format /^(?<a>.)/\n</source>\n',
      { source: { '@type': 'tail', parse: { '@type': 'regexp', expression: '/^(?<a>.)/' } } },
      [3],
    ],
    [
      '<source>\n  @type tail\n  format x\n  <parse>\n    @type json\n  </parse>\n</source>\n',
      { source: { '@type': 'tail', format: 'x', parse: { '@type': 'json' } } },
      [],
    ],
    [
      '<match a>\n  type copy\n  <store>\n    type file\n    format json\n    flush_interval 5s\n    num_threads 2\n    buffer_queue_full_action block\n  </store>\n</match>\n',
      {
        match: {
          '@type': 'copy',
          store: {
            '@type': 'file',
            format: { '@type': 'json' },
            buffer: { flush_interval: '5s', flush_thread_count: '2', overflow_action: 'block' },
          },
        },
      },
      [2, 4, 5, 6],
    ],
    [
      '<match a>\n  @type file\n  flush_interval 5s\n  <buffer>\n  </buffer>\n</match>\n',
      { match: { '@type': 'file', flush_interval: '5s', buffer: {} } },
      [],
    ],
    ['<filter a>\n  @type grep\n  format x\n</filter>\n', { filter: { '@type': 'grep', format: 'x' } }, []],
  ];
  for (const [text, want, lines] of CASES)
    test(JSON.stringify(text), () => {
      const { root, problems } = loadConfigText('f.conf', text);
      assert.deepEqual(sectionToData(root), want);
      assert.deepEqual(
        problems.map((problem) => [problem.severity, problem.place.line]),
        [...lines].sort((a, b) => a - b).map((line) => ['warning', line]),
      );
    });

  test('they can be kept', () => {
    assert.deepEqual(sectionToData(loadConfigText('f.conf', '<source>\n  type x\n</source>\n', { keepOldNames: true }).root), {
      source: { type: 'x' },
    });
  });
});
