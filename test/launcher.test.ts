/** The launcher in an installation made of stubs; an old Node.js is played by a preloaded file. */
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { once } from 'node:events';

const LAUNCHER = resolve(import.meta.dirname, '..', 'bin', 'millrace.cjs');
const STUB = `
export async function main([what, value]) {
  if (what === 'exit') return Number(value);
  if (what === 'print') console.log(JSON.stringify(process.argv.slice(2)));
  if (what === 'die') process.kill(process.pid, value);
  if (what === 'wait') {
    const { promise, resolve } = Promise.withResolvers();
    const timer = setInterval(() => {}, 1000);
    process.on(value, () => { console.log('got ' + value); clearInterval(timer); resolve(); });
    console.log('ready ' + process.pid);
    await promise;
    return 7;
  }
  return 0;
}
if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
`;

describe('launcher', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-launcher-'));
    writeFileSync(join(folder, 'old.cjs'), "Object.defineProperty(process.versions, 'node', { value: '20.20.2' });\n");
    // installed: hoisted Node.js above the package; checkout: sources beside it; bare: no Node.js; empty: no program.
    for (const name of ['installed/node_modules/millrace', 'checkout', 'bare', 'empty']) {
      mkdirSync(join(folder, name, 'bin'), { recursive: true });
      copyFileSync(LAUNCHER, join(folder, name, 'bin', 'millrace.cjs'));
    }
    write('installed/node_modules/millrace/dist/cli/main.js', STUB);
    write('installed/node_modules/millrace/package.json', '{"type":"module"}');
    write('checkout/package.json', '{"type":"module"}');
    write('checkout/cli/main.ts', `const typed: string = 'x';\n${STUB}`);
    write('checkout/dist/cli/main.js', "console.log('stale build');");
    write('bare/dist/cli/main.js', STUB);
    linkNode('installed');
    linkNode('checkout');
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function write(path: string, text: string): void {
    mkdirSync(resolve(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }

  function linkNode(place: string): void {
    const bin = join(folder, place, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, join(bin, 'node'));
  }

  function launch(place: string, isOld: boolean, args: readonly string[]): ChildProcess {
    const launcher = join(folder, place, 'bin', 'millrace.cjs');
    const preload = isOld ? ['--require', join(folder, 'old.cjs')] : [];
    return spawn(process.execPath, [...preload, launcher, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async function result(child: ChildProcess): Promise<{ code: number | string; out: string; err: string }> {
    let [out, err] = ['', ''];
    child.stdout?.on('data', (data: Buffer) => (out += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (err += data.toString()));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code: code ?? signal ?? '', out, err };
  }

  for (const place of ['installed/node_modules/millrace', 'checkout'])
    for (const isOld of [false, true])
      test(`${place}, ${isOld ? 'old' : 'recent'} Node.js: arguments and exit code pass through`, async () => {
        const printed = await result(launch(place, isOld, ['print', 'a b', '--x=日志']));
        assert.deepEqual([printed.code, JSON.parse(printed.out)], [0, ['print', 'a b', '--x=日志']]);
        assert.equal((await result(launch(place, isOld, ['exit', '42']))).code, 42);
      });

  test('the end by a signal passes through', async () => {
    assert.equal((await result(launch('checkout', true, ['die', 'SIGKILL']))).code, 'SIGKILL');
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const)
    test(`${signal} reaches the program, and nothing is left`, async () => {
      const child = launch('checkout', true, ['wait', signal]);
      const ended = result(child);
      const [ready] = (await once(child.stdout ?? child, 'data')) as [Buffer];
      const pid = Number(/ready (\d+)/.exec(ready.toString())?.[1]);
      child.kill(signal);
      const { code, out } = await ended;
      assert.deepEqual([code, out.includes(`got ${signal}`)], [7, true]);
      assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    });

  for (const [place, wanted] of [
    ['bare', /^error\[MR_NODE\]: millrace needs Node\.js 24\.12 or later and this is 20\.20\.2; .*\n$/],
    ['empty', /^error\[MR_NODE\]: this installation is not complete: .*\n$/],
  ] as const)
    test(`${place}: one sentence and exit 69`, async () => {
      const { code, err } = await result(launch(place, true, ['print']));
      assert.equal(code, 69);
      assert.match(err, wanted);
    });
});
