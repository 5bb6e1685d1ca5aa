import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readConfiguration, requireConfiguration } from './configuration.ts';

const read = async (text: string, type: 'yaml' | 'v1' = 'yaml') => readConfiguration({ path: 'm.yaml', text, type });
const problemsOf = async (text: string, type?: 'yaml' | 'v1'): Promise<string[]> =>
  (await read(text, type)).problems.map(({ place, severity, message }) => `${place.line}:${place.column} ${severity} ${message}`);

describe('a configuration as a whole', () => {
  test('pipeline, rules and targets', async () => {
    const { system, rules, targets, problems } = await read(`
system: { workers: 2 }
config:
  - source: { $type: sample, tag: t }
  - match: { $type: "null", $tag: '**' }
alerts:
  - { name: quiet, measure: count, condition: '== 0' }
targets:
  graphite: { url: 'http://127.0.0.1:8080' }
  kibana: { file: boards.ndjson }
`);
    assert.deepEqual(problems, []);
    assert.equal(system.workers, 2);
    assert.deepEqual(
      rules.map(({ name }) => name),
      ['quiet'],
    );
    assert.deepEqual(Object.keys(targets).sort(), ['graphite', 'kibana']);
  });

  test('wrong things of every part, at once, each with its place', async () => {
    const found = await problemsOf(`system: { workers: none }
config:
  - source: { $type: sampel }
  - match: { $type: stdout, $tag: '**', colour: red }
alerts:
  - { name: quiet, measure: count }
targets:
  graphite: { url: 'ftp://nowhere' }
  zabix: {}
`);
    for (const [line, about] of [
      [1, 'workers'],
      [3, 'sampel'],
      [4, 'colour'],
      [6, 'condition'],
      [8, 'graphite'],
      [9, 'zabix'],
    ] as const)
      assert.ok(
        found.some((problem) => problem.startsWith(`${line}:`) && problem.includes(' error ') && problem.includes(about)),
        `${about} in line ${line}:\n${found.join('\n')}`,
      );
    assert.equal(new Set(found).size, found.length);
  });

  test('no secret in what is said', async () => {
    const found = await problemsOf(`
config:
  - match: { $type: elasticsearch, $tag: '**', hosts: 'http://u:sesame@127.0.0.1:99999', password: sesame, pasword: sesame }
targets:
  zabbix: { url: 'nowhere', user: a, password: [sesame] }
`);
    assert.ok(found.length > 0);
    assert.doesNotMatch(found.join('\n'), /sesame/);
  });

  test('warnings do not keep it from running, errors do', async () => {
    const sound = await requireConfiguration({
      path: 'm.conf',
      text: '<source>\n  @type forward\n  port 0\n</source>\n<match **>\n  @type null\n</match>\n',
      type: 'v1',
    });
    assert.deepEqual(
      sound.problems.map(({ severity }) => severity),
      ['warning'],
    );
    await assert.rejects(requireConfiguration({ path: 'm.conf', text: '<source>\n</source>\n', type: 'v1' }), {
      code: 'MR_CONFIG',
      message: /^m\.conf:1:/,
    });
  });

  test('a file that is not there, and a folder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-configuration-'));
    try {
      const missing = join(folder, 'nowhere.yaml');
      await assert.rejects(readConfiguration({ path: missing }), {
        code: 'MR_NO_INPUT',
        message: `cannot read the configuration ${missing}: there is no such file`,
      });
      await assert.rejects(readConfiguration({ path: folder }), { code: 'MR_NO_INPUT', message: /it is a folder$/ });
      writeFileSync(join(folder, 'empty.conf'), '');
      assert.deepEqual((await readConfiguration({ path: join(folder, 'empty.conf') })).rules, []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
