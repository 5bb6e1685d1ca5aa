/** Each wrong thing gives one clear sentence and the right exit code, whatever else is wrong; real processes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cli, endAll, eventually, startMillrace, type Ended } from './mission-process.ts';

/** Files of the folder that the commands below work in; PORT is taken by another process, FREE by nobody. */
const FILES: Readonly<Record<string, string | Buffer>> = {
  'good.conf':
    '<system>\n  port 0\n</system>\n<source>\n  @type sample\n  tag t\n</source>\n<match **>\n  @type null\n</match>\n',
  'forward-port.conf':
    '<system>\n  port 0\n</system>\n<source>\n  @type forward\n  port PORT\n</source>\n<match **>\n  @type null\n</match>\n',
  'control-port.conf':
    '<system>\n  port PORT\n</system>\n<source>\n  @type sample\n  tag t\n</source>\n<match **>\n  @type null\n</match>\n',
  'statsd-port.conf':
    '<system>\n  port 0\n</system>\n<source>\n  @type statsd\n  port PORT\n  protocol tcp\n</source>\n<match **>\n  @type null\n</match>\n',
  'unknown-plugin.conf': '<source>\n  @type forwrad\n</source>\n<match **>\n  @type null\n</match>\n',
  'unknown-parameter.conf':
    '<source>\n  @type sample\n  tag t\n</source>\n<match **>\n  @type elasticsearch\n  hots http://127.0.0.1:9200\n</match>\n',
  'wrong-value.conf': '<source>\n  @type forward\n  port eighty\n</source>\n<match **>\n  @type null\n</match>\n',
  'open-section.conf': '<source>\n  @type sample\n  tag t\n<match **>\n  @type null\n</match>\n',
  'ruby.conf': '<source>\n  @type sample\n  tag "#{`id`}"\n</source>\n<match **>\n  @type null\n</match>\n',
  'bad.yaml': 'config:\n  - source:\n      $type: sample\n     tag: t\n',
  'two-wrongs.yaml':
    'config:\n  - source: { $type: sampel }\n  - match: { $type: nul, $tag: "**" }\nalerts:\n  - name: a\n    condition: "> 1"\n',
  'no-geo.conf': geo('nowhere/qqwry.dat'),
  'corrupt-geo.conf': geo('corrupt.dat'),
  'corrupt.dat': Buffer.from(Array.from({ length: 4096 }, (_, n) => (n * 37) % 256)),
  // A header that points behind the end.
  'short.dat': Buffer.from([0, 0, 1, 0, 7, 0, 1, 0, 1, 2, 3]),
  'empty.dat': '',
  'no-targets.yaml': 'config: []\n',
  'zabbix.yaml': 'config: []\ntargets:\n  zabbix: { url: "http://127.0.0.1:FREE/", user: Admin, password: sesame }\n',
  'elastic.yaml': 'config: []\ntargets:\n  elasticsearch: { hosts: "http://127.0.0.1:FREE" }\n',
  'kibana.yaml': 'config: []\ntargets:\n  kibana: { file: boards.ndjson }\n',
  'no-rules.yaml': 'config: []\n',
  'rules.yaml': 'config: []\nalerts:\n  - { name: a, measure: count, condition: "> 1" }\n',
};

function geo(database: string): string {
  return `<system>\n  port 0\n</system>\n<source>\n  @type sample\n  tag t\n</source>\n<filter t>\n  @type geo\n  database ${database}\n</filter>\n<match **>\n  @type null\n</match>\n`;
}

const run = (file: string): string[] => ['run', '-c', file, '--data', 'data'];

/** Arguments, exit code, and what the message must say. */
const WRONG: readonly (readonly [what: string, args: readonly string[], code: number, says: readonly RegExp[]])[] = [
  ['port of forward taken', run('forward-port.conf'), 69, [/PORT/, /another process/]],
  ['port of statsd taken', run('statsd-port.conf'), 69, [/PORT/, /another process/]],
  ['port of the control API taken', run('control-port.conf'), 69, [/PORT/, /another process/]],
  ['configuration that is not there', run('nowhere.yaml'), 66, [/nowhere\.yaml/]],
  ['configuration that is a folder', ['check', '-c', '.'], 66, [/folder|directory|EISDIR/i]],
  [
    'unknown plugin',
    ['check', '-c', 'unknown-plugin.conf'],
    78,
    [/unknown-plugin\.conf:2:/, /forwrad/, /did you mean "?forward/],
  ],
  ['unknown plugin, run', run('unknown-plugin.conf'), 78, [/unknown-plugin\.conf:2:/, /did you mean "?forward/]],
  ['unknown parameter', run('unknown-parameter.conf'), 78, [/unknown-parameter\.conf:7:/, /hots/, /did you mean "?hosts/]],
  ['wrong value', run('wrong-value.conf'), 78, [/wrong-value\.conf:3:/, /port/, /eighty/]],
  ['section without an end', run('open-section.conf'), 78, [/open-section\.conf:/]],
  ['Ruby', run('ruby.conf'), 78, [/ruby\.conf:3:/, /known are/]],
  ['bad YAML', run('bad.yaml'), 78, [/bad\.yaml:[34]:/]],
  ['everything at once', run('two-wrongs.yaml'), 78, [/two-wrongs\.yaml:2:/, /two-wrongs\.yaml:3:/, /two-wrongs\.yaml:5:/]],
  ['no such IP database', run('no-geo.conf'), 66, [/nowhere\/qqwry\.dat/]],
  ['corrupt IP database', run('corrupt-geo.conf'), 65, [/corrupt\.dat/]],
  ['corrupt IP database, geo check', ['geo', 'check', 'corrupt.dat'], 65, [/corrupt\.dat/]],
  ['short IP database, geo check', ['geo', 'check', 'short.dat'], 65, [/short\.dat/]],
  ['empty IP database, geo check', ['geo', 'check', 'empty.dat'], 65, [/empty\.dat/]],
  ['IP database that is not there, geo check', ['geo', 'check', 'nowhere.dat'], 66, [/nowhere\.dat/]],
  ['corrupt IP database, geo lookup', ['geo', 'lookup', '--database', 'corrupt.dat', '114.114.114.114'], 65, [/corrupt\.dat/]],
  ['no such IP database, geo lookup', ['geo', 'lookup', '--database', 'nowhere.dat', '114.114.114.114'], 66, [/nowhere\.dat/]],
  ['unknown option', ['run', '--form', 'tail:x'], 64, [/--form/, /--from/]],
  ['unknown command', ['chekc'], 64, [/chekc/, /check/]],
  ['option without its value', ['run', '-c'], 64, [/argument missing/]],
  ['no workers', ['run', '-c', 'good.conf', '--workers', '0'], 64, [/1 to 64/]],
  ['nothing to run', ['run'], 64, [/-c FILE/, /--from/]],
  ['two things to run', ['run', '-c', 'good.conf', '--from', 'sample'], 64, [/one of them/]],
  ['unknown input', ['run', '--from', 'kafka:x'], 64, [/kafka:x/, /tail:PATH/]],
  ['unknown output', ['run', '--from', 'sample', '--to', 'kafka'], 64, [/kafka/, /stdout/]],
  ['unknown parser', ['run', '--from', 'tail:x', '--format', 'apache3'], 78, [/apache3/, /did you mean "?apache2/]],
  ['nothing to apply', ['apply', '-c', 'no-targets.yaml'], 78, [/no targets/]],
  ['nobody can be asked', ['apply', '-c', 'kibana.yaml'], 64, [/nobody can be asked/, /--yes/]],
  ['Zabbix down', ['plan', '-c', 'zabbix.yaml'], 69, [/127\.0\.0\.1:FREE/]],
  ['Elasticsearch down', ['plan', '-c', 'elastic.yaml'], 69, [/127\.0\.0\.1:FREE/]],
  ['nothing runs here', ['status', '--data', 'data-of-nobody'], 69, [/data-of-nobody/]],
  ['unknown word', ['describe', 'elasticseach'], 64, [/elasticseach/]],
  ['no rules to test', ['test', 'good.conf', '-c', 'no-rules.yaml'], 78, [/no rules/]],
  ['no lines to test', ['test', 'nowhere.log', '-c', 'rules.yaml', '--format', 'apache2'], 66, [/nowhere\.log/]],
  ['no parser to test with', ['test', 'good.conf', '-c', 'rules.yaml'], 64, [/--format/]],
];

/** One sentence for people: how it starts, no trace of our code, no secret. */
function assertMessage({ out, err }: Ended): void {
  const shown = err + out;
  assert.doesNotMatch(shown, /^\s+at .*[:(]\d+/m, 'a stack trace');
  assert.doesNotMatch(shown, /sesame|MR_INTERNAL/);
  const heads = err.split('\n').filter((line) => /error\[MR_/.test(line));
  const problems = err.split('\n').filter((line) => /^(error: |board: )|: error: /.test(line));
  // What `check` and `geo check` find is their answer, not an error of theirs.
  const isAnswer = heads.length === 0 && (problems.length > 0 || /^[^\n]+\n$/.test(err));
  assert.ok(heads.length === 1 || isAnswer, `one error, found:\n${err}`);
}

describe('wrong things', { concurrency: 2 }, () => {
  let folder = '';
  let taken: Server;
  let port = 0;
  let free = 0;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-errors-'));
    taken = createServer().listen(0, '127.0.0.1');
    const other = createServer().listen(0, '127.0.0.1');
    await Promise.all([taken, other].map((server) => new Promise((done) => server.once('listening', done))));
    port = (taken.address() as AddressInfo).port;
    free = (other.address() as AddressInfo).port;
    await new Promise((done) => other.close(done));
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), fill(text));
  });
  after(async () => {
    await endAll();
    await new Promise((done) => taken.close(done));
    rmSync(folder, { recursive: true, force: true });
  });

  const fill = <T extends string | Buffer>(text: T): T =>
    (typeof text === 'string' ? text.replaceAll('PORT', String(port)).replaceAll('FREE', String(free)) : text) as T;

  for (const [n, [what, args, code, says]] of WRONG.entries()) {
    test(`${what}: exit ${code}`, async () => {
      const own = args.map((arg) => (arg === 'data' ? join(folder, `data-${n}`) : arg));
      const ended = await cli(own, {}, 30_000, folder);
      assert.equal(ended.code, code, ended.err);
      assertMessage(ended);
      for (const pattern of says) {
        const filled = new RegExp(fill(pattern.source), pattern.flags);
        assert.match(ended.err, filled);
      }
    });
  }

  test('data directory in use: exit 74', async () => {
    const data = join(folder, 'data-shared');
    const first = await startMillrace(['-c', join(folder, 'good.conf')], data, {});
    const second = await cli(['run', '-c', join(folder, 'good.conf'), '--data', data], {}, 30_000);
    assert.equal(second.code, 74, second.err);
    assertMessage(second);
    assert.match(second.err, /in use by process \d+/);
    // The first one is not disturbed.
    assert.deepEqual((await first.status()).imbalances, []);
    assert.equal((await first.stop()).code, 0);
  });

  test('Elasticsearch down: keeps trying, says so, loses nothing it could keep, ends with 0', async () => {
    const log = join(folder, 'down.log');
    writeFileSync(log, 'one\ntwo\n');
    writeFileSync(
      join(folder, 'down.conf'),
      `<system>\n  port 0\n  shutdown_timeout 1s\n</system>\n<source>\n  @type tail\n  path ${log}\n  tag t\n  read_from_head true\n</source>\n<match **>\n  @type elasticsearch\n  hosts http://127.0.0.1:${free}\n  <buffer>\n    flush_interval 0.1s\n    retry_wait 0.2s\n  </buffer>\n</match>\n`,
    );
    const running = await startMillrace(['-c', join(folder, 'down.conf')], join(folder, 'data-down'), {});
    const status = await eventually('a reason in the status', 15_000, async () => {
      const now = await running.status();
      const output = now.components.find(({ id }) => id === 'elasticsearch-1');
      return output !== undefined && output.pending === 2 && output.state !== 'ok' ? { now, output } : undefined;
    });
    assert.deepEqual(status.now.imbalances, []);
    assert.match(status.output.reason ?? '', new RegExp(`127\\.0\\.0\\.1:${free}`));
    assert.equal(status.output.out, 0);
    assert.match(running.err(), new RegExp(`127\\.0\\.0\\.1:${free}.*ECONNREFUSED|ECONNREFUSED.*127\\.0\\.0\\.1:${free}`));
    const { code, err } = await running.stop();
    assert.equal(code, 0, err);
    assert.doesNotMatch(err, /do not balance/);
  });

  test(
    'wrong Zabbix password: exit 77',
    { skip: process.env['ZABBIX_API'] === undefined ? 'needs ZABBIX_API' : false },
    async () => {
      const path = join(folder, 'password.yaml');
      writeFileSync(
        path,
        `config: []\nalerts:\n  - { name: a, measure: count, condition: "> 1" }\ntargets:\n  zabbix: { url: "${process.env['ZABBIX_API']}", user: Admin, password: sesame }\n`,
      );
      const ended = await cli(['plan', '-c', path]);
      assert.equal(ended.code, 77, ended.err);
      assertMessage(ended);
      assert.match(ended.err, /password/);
    },
  );

  test('a folder that cannot be made: exit 74', async () => {
    writeFileSync(join(folder, 'file'), '');
    const ended = await cli(['run', '-c', join(folder, 'good.conf'), '--data', join(folder, 'file', 'data')]);
    assert.equal(ended.code, 74, ended.err);
    assertMessage(ended);
  });
});
