import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readOptions } from './main.ts';
import { openLedger } from './ledger.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const DEFAULTS = {
  host: '127.0.0.1',
  port: 0,
  directory: '.core',
  statsdNaming: 'tags',
  trustProxy: 'loopback',
  faults: false,
  fsync: true,
  logFallback: 'stderr',
};

describe('options of the core service', () => {
  for (const [argv, env, want] of [
    [[], {}, {}],
    [['--port', '8080'], {}, { port: 8080 }],
    [
      [],
      { PORT: '8080', HOST: '0.0.0.0', DATA_DIR: '/tmp/x', FAULTS: '1' },
      { port: 8080, host: '0.0.0.0', directory: '/tmp/x', faults: true },
    ],
    [['--port', '1'], { PORT: '8080' }, { port: 1 }],
    [['--fluent', 'collector:24224'], {}, { fluent: { host: 'collector', port: 24_224 } }],
    [
      [],
      { FLUENT_PORT: '24224', STATSD_HOST: '::1', STATSD_PORT: '8125' },
      { fluent: { host: '127.0.0.1', port: 24_224 }, statsd: { host: '::1', port: 8125 } },
    ],
    [
      ['--statsd-naming', 'dotted', '--trust-proxy', 'none', '--no-fsync'],
      {},
      { statsdNaming: 'dotted', trustProxy: 'none', fsync: false },
    ],
  ] as const) {
    test(`${argv.join(' ')} ${JSON.stringify(env)}`, () => assert.deepEqual(readOptions(argv, env), { ...DEFAULTS, ...want }));
  }
  for (const [argv, message] of [
    [['--port', '70000'], /--port needs a port from 0 to 65535, not 70000/],
    [['--port', 'x'], /--port needs a port/],
    [['--fluent', 'here'], /--fluent is HOST:PORT, not here/],
    [['--fluent', 'here:0'], /--fluent needs a port from 1/],
    [['--statsd-naming', 'x'], /tags or dotted/],
    [['--wrong'], /Unknown option '--wrong'/],
  ] as const) {
    test(`${argv.join(' ')} is refused`, () => assert.throws(() => readOptions(argv, {}), message));
  }
});

describe('core service as a process', () => {
  let directory = '';
  const start = (...more: string[]): ChildProcess =>
    spawn(process.execPath, [MAIN, '--data', directory, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ready = async (child: ChildProcess): Promise<number> => {
    assert.ok(child.stdout !== null);
    child.stderr?.resume();
    let text = '';
    for await (const chunk of child.stdout) {
      text += String(chunk);
      if (text.includes('\n')) break;
    }
    return (JSON.parse(text) as { listening: number }).listening;
  };
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'core-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  test('says where it listens, is killed in the middle, goes on, and ends at SIGTERM within 2 s', async () => {
    const killed = start();
    const gone = once(killed, 'exit');
    const first = await ready(killed);
    assert.equal((await fetch(`http://127.0.0.1:${first}/health`)).status, 200);
    killed.kill('SIGKILL');
    await gone;

    const child = start();
    const ended = once(child, 'exit');
    const port = await ready(child);
    assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
    const second = start();
    let complaint = '';
    second.stderr?.on('data', (chunk) => (complaint += String(chunk)));
    const [code] = (await once(second, 'close')) as [number];
    assert.equal(code, 1);
    assert.match(complaint, /^core service: .* is in use by another service\n$/);

    const begin = performance.now();
    child.kill('SIGTERM');
    const [exitCode, signal] = (await ended) as [number, string | null];
    assert.ok(performance.now() - begin < 2000);
    assert.deepEqual([exitCode, signal], [0, null]);
    const ledger = openLedger({ directory, fsync: false, now: Date.now });
    assert.equal(ledger.recovery.redone, 0);
    ledger.close();
  });
});
