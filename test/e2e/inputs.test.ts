/** What a newcomer tries first, with the programs of Debian: curl, logger, rsyslog, and a Java stack trace in a file. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Running, total } from './running.ts';

const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
const without = (program: string): { skip?: string } => (has(program) ? {} : { skip: `there is no ${program} here` });
const RSYSLOGD = process.env['RSYSLOGD'] ?? '/usr/sbin/rsyslogd';

const MESSAGES = 100;

const config = (directory: string): string => `<source>
  @type http
  @id http
  port 0
  add_remote_addr true
</source>
<source>
  @type syslog
  @id udp
  port 0
  tag udp
  <parse>
    message_format auto
  </parse>
</source>
<source>
  @type syslog
  @id tcp
  port 0
  tag tcp
  severity_key severity
  source_address_key source
  <transport tcp>
  </transport>
  <parse>
    message_format auto
  </parse>
</source>
<source>
  @type tail
  @id java
  path ${directory}/app.log
  tag java
  read_from_head true
  multiline_flush_interval 1s
  <parse>
    @type multiline
    format_firstline /^\\d{4}-\\d\\d-\\d\\d/
    format1 /^(?<time>\\S+ \\S+) \\[(?<thread>[^\\]]*)\\] (?<level>\\w+) (?<message>.*)/
    time_format %Y-%m-%d %H:%M:%S
    timezone +08:00
  </parse>
</source>
<match **>
  @type file
  @id out
  path events/\${tag}.log
  <format>
    @type json
    time_key at
  </format>
  <buffer tag>
    flush_interval 100ms
  </buffer>
</match>
`;

type Line = Readonly<Record<string, unknown>>;

describe('what a newcomer tries first', () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-inputs-'));
  let millrace: Running;
  let sent = 0;
  before(async () => {
    writeFileSync(join(directory, 'app.log'), '');
    millrace = await Running.start({ directory, config: config(directory) });
  });
  after(async () => {
    await millrace.kill();
    rmSync(directory, { recursive: true });
  });

  /** Waits for `count` more events; gives those of one tag. */
  async function arrived(tag: string, count: number): Promise<Line[]> {
    sent += count;
    const { imbalances } = await millrace.until(`${sent} events in the file`, (status) => total(status, 'out', 'out') >= sent);
    assert.deepEqual(imbalances, []);
    return linesOf(tag);
  }
  const linesOf = (tag: string): Line[] => {
    const text = readFileSync(join(directory, 'events', `${tag}.log`), 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
  };

  const run = (program: string, words: readonly string[], input: string | Buffer = ''): string => {
    const { status, stdout, stderr } = spawnSync(program, words, { input });
    assert.equal(status, 0, stderr.toString());
    return stdout.toString();
  };

  describe('curl', without('curl'), () => {
    const post = (url: string, words: readonly string[], body?: Buffer): string =>
      run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', ...words, url], body);

    test('JSON, a form, NDJSON in gzip, lines of a pipe', async () => {
      const url = `http://127.0.0.1:${await millrace.port('http')}`;
      const isJson = ['-H', 'content-type: application/json'];
      assert.equal(post(`${url}/curl.a`, [...isJson, '-d', '{"message":"订单","n":1}']), '200');
      assert.equal(post(`${url}/curl/a?time=1700000000.5`, ['--data-urlencode', 'json={"n":2}']), '200');
      assert.equal(post(`${url}/curl.a`, ['-F', 'json={"n":3}']), '200');
      const lines = gzipSync('{"n":4}\n{"n":5}\n');
      const packed = ['-H', 'content-type: application/x-ndjson', '-H', 'content-encoding: gzip', '--data-binary', '@-'];
      assert.equal(post(`${url}/curl.a`, packed, lines), '200');
      // Larger than 1 MiB: curl asks with Expect: 100-continue.
      const many = Array.from({ length: 20_000 }, (_, n) => ({ n: n + 6, text: 'x'.repeat(60) }));
      assert.equal(post(`${url}/curl.many`, [...isJson, '--data-binary', '@-'], Buffer.from(JSON.stringify(many))), '200');
      assert.equal(post(`${url}/curl.a`, ['-d', 'nothing=1']), '400');
      await arrived('curl.many', 20_005);
      const got = linesOf('curl.a').toSorted((a, b) => Number(a['n']) - Number(b['n']));
      assert.deepEqual(
        got.map(({ n, REMOTE_ADDR }) => [n, REMOTE_ADDR]),
        [1, 2, 3, 4, 5].map((n) => [n, '127.0.0.1']),
      );
      assert.equal(got[0]?.['message'], '订单');
      assert.equal(got[1]?.['at'], '2023-11-14T22:13:20.500000000Z');
      assert.equal(linesOf('curl.many').length, 20_000);
    });
  });

  describe('logger', without('logger'), () => {
    test('both forms, over UDP and TCP, with lengths in front', async () => {
      const [udp, tcp] = [String(await millrace.port('udp')), String(await millrace.port('tcp'))];
      const common = ['-n', '127.0.0.1', '-t', 'pay', '-p', 'local3.warning', '--id=77'];
      run('logger', [...common, '-d', '-P', udp, '--rfc3164', '支付 1']);
      run('logger', [...common, '-d', '-P', udp, '--rfc5424', '支付 2']);
      run('logger', [...common, '-T', '-P', tcp, '--rfc5424', '支付 3']);
      run('logger', [...common, '-T', '-P', tcp, '--octet-count', '--rfc3164', '支付 4']);
      await arrived('udp.local3.warn', 4);
      const seen = [...linesOf('udp.local3.warn'), ...linesOf('tcp.local3.warn')].toSorted((a, b) =>
        String(a['message']).localeCompare(String(b['message'])),
      );
      assert.deepEqual(
        seen.map(({ ident, pid, message, severity, source }) => [ident, pid, message, severity, source]),
        [
          ['pay', '77', '支付 1', undefined, undefined],
          ['pay', '77', '支付 2', undefined, undefined],
          ['pay', '77', '支付 3', 'warn', '127.0.0.1'],
          ['pay', '77', '支付 4', 'warn', '127.0.0.1'],
        ],
      );
      for (const { at } of seen) assert.ok(Math.abs(Date.parse(String(at)) - Date.now()) < 120_000, String(at));
    });
  });

  describe('rsyslog', existsSync(RSYSLOGD) && has('logger') ? {} : { skip: `there is no ${RSYSLOGD} or no logger here` }, () => {
    let daemon: ChildProcess | undefined;
    after(() => daemon?.kill('SIGKILL'));

    test('what programs write to the log socket goes on in three ways', async () => {
      const socket = join(directory, 'log.sock');
      const [udp, tcp] = [await millrace.port('udp'), await millrace.port('tcp')];
      const file = join(directory, 'rsyslog.conf');
      writeFileSync(
        file,
        `global(workDirectory="${directory}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${socket}" CreatePath="on" RateLimit.Interval="0")
if $programname == 'old' then action(type="omfwd" target="127.0.0.1" port="${udp}" protocol="udp" template="RSYSLOG_TraditionalForwardFormat")
if $programname == 'new' then action(type="omfwd" target="127.0.0.1" port="${tcp}" protocol="tcp" template="RSYSLOG_SyslogProtocol23Format")
if $programname == 'counted' then action(type="omfwd" target="127.0.0.1" port="${tcp}" protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
`,
      );
      daemon = spawn(RSYSLOGD, ['-n', '-f', file, '-i', join(directory, 'rsyslog.pid')], { stdio: 'ignore' });
      const late = performance.now() + 10_000;
      while (!existsSync(socket)) {
        assert.ok(performance.now() < late, 'rsyslog did not start');
        await new Promise((done) => setTimeout(done, 50));
      }
      const lines = Array.from({ length: MESSAGES }, (_, n) => `订单 ${n}: 已支付`).join('\n');
      for (const name of ['old', 'new', 'counted']) run('logger', ['-u', socket, '-t', name, '-p', 'daemon.info'], lines);
      await arrived('tcp.daemon.info', 3 * MESSAGES);
      const seen = [...linesOf('udp.daemon.info'), ...linesOf('tcp.daemon.info')];
      for (const name of ['old', 'new', 'counted']) {
        const messages = seen.filter(({ ident }) => ident === name).map(({ message }) => String(message).trim());
        assert.deepEqual(messages, lines.split('\n'));
      }
    });
  });

  test('a Java stack trace is one event', async () => {
    const log = join(directory, 'app.log');
    appendFileSync(log, '2023-11-15 06:13:20 [main] ERROR 支付失败\njava.lang.IllegalStateException: 余额不足\n');
    appendFileSync(log, '\tat cn.shop.Pay.charge(Pay.java:42)\n\tat cn.shop.Main.main(Main.java:7)\n');
    appendFileSync(log, '2023-11-15 06:13:21 [main] INFO 重试\n');
    const lines = await arrived('java', 2);
    assert.deepEqual(lines, [
      {
        thread: 'main',
        level: 'ERROR',
        message:
          '支付失败\njava.lang.IllegalStateException: 余额不足\n\tat cn.shop.Pay.charge(Pay.java:42)\n\tat cn.shop.Main.main(Main.java:7)',
        at: '2023-11-14T22:13:20.000000000Z',
      },
      { thread: 'main', level: 'INFO', message: '重试', at: '2023-11-14T22:13:21.000000000Z' },
    ]);
  });

  test('the books balance at the end', () => millrace.stop());
});
