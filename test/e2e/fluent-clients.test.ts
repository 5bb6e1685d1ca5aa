/** Loggers that are not ours, as services use them, against a running millrace: every event arrives as it was sent. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EventTime, FluentClient, type FluentClientOptions } from '@fluent-org/logger';
import { Running, total } from './running.ts';

const EVENTS = 200;
/** 2024-03-01T00:00:00Z */
const START = 1_709_251_200;

interface Line {
  readonly n: number;
  readonly [field: string]: unknown;
}

// Text that a careless receiver spoils: Chinese, an astral character, controls, an empty text; numbers of every width.
const record = (n: number): Line => ({
  n,
  message: `订单 ${n} 已支付，金额 ￥${n}.00 😀`,
  user: { name: '王小明', tags: ['北京', '', 'a"b\\c\n'] },
  big: 2 ** 40 + n,
  negative: -1 - n,
  ratio: n / 8,
  ok: n % 2 === 0,
  nothing: null,
});
const isoOf = (seconds: number, milliseconds = 0): string => new Date(seconds * 1000 + milliseconds).toISOString();

const CONFIG = `<source>
  @type forward
  @id in
  port 0
</source>
<filter **>
  @type record_transformer
  <record>
    tag \${tag}
  </record>
</filter>
<match **>
  @type file
  @id out
  path events/\${tag}.log
  <format>
    @type json
    time_key time
  </format>
  <buffer tag>
    flush_interval 100ms
  </buffer>
</match>
`;

describe('loggers that are not ours', () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-clients-'));
  let millrace: Running;
  let port = 0;
  let sent = 0;
  before(async () => {
    millrace = await Running.start({ directory, config: CONFIG });
    port = await millrace.port('in');
  });
  after(async () => {
    await millrace.kill();
    rmSync(directory, { recursive: true });
  });

  /** Everything that arrived under a tag, in order, once it is all there. */
  async function arrived(tag: string, count = EVENTS): Promise<Line[]> {
    sent += count;
    const { imbalances } = await millrace.until(`${sent} events in the file`, (status) => total(status, 'out', 'out') >= sent);
    assert.deepEqual(imbalances, []);
    const text = readFileSync(join(directory, 'events', `${tag}.log`), 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
  }

  /** `time` of the n-th event; the same for all clients that let one say it. */
  const wanted = (tag: string, time: (n: number) => string): Line[] =>
    Array.from({ length: EVENTS }, (_, n) => ({ time: time(n), ...record(n), tag }));

  const sameTimes = (lines: readonly Line[]): Line[] =>
    lines.map((line) => ({ ...line, time: String(line['time']).replace(/(\.\d{3})\d*Z$/, '$1Z') }));

  describe('@fluent-org/logger', () => {
    for (const eventMode of ['Message', 'Forward', 'PackedForward', 'CompressedPackedForward'] as const)
      for (const isAcknowledged of [false, true])
        test(`${eventMode}${isAcknowledged ? ', acknowledged' : ''}`, async () => {
          const tag = `org.${eventMode}.${isAcknowledged}`;
          const options: FluentClientOptions = {
            eventMode,
            socket: { host: '127.0.0.1', port },
            milliseconds: true,
            flushInterval: 20,
            disconnect: { waitForPending: true, waitForPendingDelay: 10_000, socketDisconnectDelay: 100 },
            ...(isAcknowledged ? { ack: { ackTimeout: 20_000 } } : {}),
          };
          const client = new FluentClient('org', options);
          const emits = Array.from({ length: EVENTS }, (_, n) =>
            client.emit(tag.slice('org.'.length), record(n), new EventTime(START + n, 123_000_000)),
          );
          // With acknowledgements a promise is kept only when the right id came back.
          await Promise.all(emits);
          await client.disconnect();
          assert.deepEqual(
            sameTimes(await arrived(tag)),
            wanted(tag, (n) => isoOf(START + n, 123)),
          );
        });
  });

  describe('fluent-logger (npm)', () => {
    const require = createRequire(import.meta.url);
    const fluentLogger = require('fluent-logger') as {
      createFluentSender(
        tag: string,
        options: Record<string, unknown>,
      ): {
        emit(label: string, record: unknown, time: unknown, callback: (error?: Error) => void): void;
        end(label: undefined, record: undefined, callback: () => void): void;
        on(event: string, handler: (error: Error) => void): void;
      };
      EventTime: new (seconds: number, nanoseconds: number) => unknown;
    };
    for (const eventMode of ['Message', 'PackedForward', 'CompressedPackedForward'])
      for (const requireAckResponse of [false, true])
        test(`${eventMode}${requireAckResponse ? ', acknowledged' : ''}`, async () => {
          const tag = `npm.${eventMode}.${requireAckResponse}`;
          const sender = fluentLogger.createFluentSender('npm', {
            host: '127.0.0.1',
            port,
            timeout: 20,
            eventMode,
            requireAckResponse,
            ackResponseTimeout: 20_000,
            flushInterval: 20,
          });
          const errors: Error[] = [];
          sender.on('error', (error) => errors.push(error));
          await Promise.all(
            Array.from(
              { length: EVENTS },
              (_, n) =>
                new Promise<void>((done, refuse) =>
                  sender.emit(tag.slice('npm.'.length), record(n), new fluentLogger.EventTime(START + n, 123_456_789), (error) =>
                    error === undefined ? done() : refuse(error),
                  ),
                ),
            ),
          );
          await new Promise<void>((done) => sender.end(undefined, undefined, done));
          assert.deepEqual(errors, []);
          assert.deepEqual(
            sameTimes(await arrived(tag)),
            wanted(tag, (n) => isoOf(START + n, 123)),
          );
        });
  });

  describe('python3-fluent-logger (Debian)', () => {
    const python = '/usr/bin/python3';
    const isThere = existsSync(python) && spawnSync(python, ['-c', 'import fluent.sender']).status === 0;
    const skip = isThere ? false : 'the package python3-fluent-logger is not installed';
    for (const kind of ['sender', 'asyncsender'])
      test(kind, { skip }, async () => {
        const tag = `python.${kind}`;
        const program = `
import json, sys
from fluent import ${kind} as module, sender
logger = module.FluentSender('python', host='127.0.0.1', port=${port}, timeout=10, nanosecond_precision=True)
for line in sys.stdin:
    record = json.loads(line)
    assert logger.emit_with_time('${kind}', sender.EventTime(${START} + record['n'] + 0.125), record), logger.last_error
logger.close()
assert logger.last_error is None, logger.last_error
`;
        const child = spawn(python, ['-c', program], { stdio: ['pipe', 'inherit', 'inherit'] });
        child.stdin.end(Array.from({ length: EVENTS }, (_, n) => `${JSON.stringify(record(n))}\n`).join(''));
        assert.equal(await new Promise((done) => child.once('close', done)), 0);
        assert.deepEqual(
          sameTimes(await arrived(tag)),
          wanted(tag, (n) => isoOf(START + n, 125)),
        );
      });
  });

  test('every event is accounted for, and the end is in order', async () => {
    const status = await millrace.until('nothing pending', (books) => total(books, 'out', 'pending') === 0);
    assert.deepEqual(status.imbalances, []);
    assert.deepEqual([total(status, 'in', 'out'), total(status, 'out', 'out')], [sent, sent]);
    await millrace.stop();
    const lines = readdirSync(join(directory, 'events')).map(
      (name) => readFileSync(join(directory, 'events', name), 'utf8').split('\n').length - 1,
    );
    assert.equal(
      lines.reduce((sum, count) => sum + count, 0),
      sent,
    );
  });
});
