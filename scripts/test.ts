/**
 * `npm test [-- FILE|FOLDER...]`: runs the tests that need nothing but this checkout. Those beside the sources share one
 * process (a process each costs 140 ms); those in test/ get a process per file, because they start processes and servers.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { run } from 'node:test';
import type { EventData } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const ALL_MS = 480_000;
const SHARED = '--in-this-process';
const SEED = new URL('seed-properties.ts', import.meta.url).href;
/** How a child hands its sums over: the last line it prints. */
const SUMS = '# sums ';

interface Sums {
  tests: number;
  pass: number;
  fail: number;
  skipped: number;
}

const ZERO: Sums = { tests: 0, pass: 0, fail: 0, skipped: 0 };
const started = performance.now();
const wanted = process.argv.slice(2).filter((argument) => argument !== SHARED);
const files = selectFiles(wanted);

if (process.argv.includes(SHARED)) {
  await import('./seed-properties.ts');
  const sums = await runGroup(files.shared, 'none');
  process.stdout.write(`${SUMS}${JSON.stringify(sums)}\n`, () => {
    reportLeftovers();
    process.exit(sums.fail > 0 ? 1 : 0);
  });
} else {
  const watchdog = setTimeout(() => {
    console.log(`not ok: the tests took longer than ${ALL_MS / 1000} s`);
    finish({ tests: 0, pass: 0, fail: 1, skipped: 0 });
  }, ALL_MS);
  const sums = add(files.shared.length > 0 ? await runShared() : ZERO, await runGroup(files.own, 'process'));
  clearTimeout(watchdog);
  if (sums.tests === 0) {
    console.log(`not ok: no test was found${wanted.length > 0 ? ` for ${wanted.join(' ')}` : ''}`);
    finish({ ...sums, fail: 1 });
  } else finish(sums);
}

function selectFiles(paths: readonly string[]): { shared: string[]; own: string[] } {
  const all = globSync('**/*.test.ts', { cwd: ROOT, exclude: ['node_modules/**', 'dist/**', '.millrace/**'] }).sort();
  const places = paths.map((path) => relative(ROOT, resolve(path)));
  const chosen =
    places.length === 0 ? all : all.filter((file) => places.some((p) => p === '' || file === p || file.startsWith(`${p}/`)));
  const isOwn = (file: string): boolean => file.startsWith('test/');
  return { shared: chosen.filter((file) => !isOwn(file)), own: chosen.filter(isOwn) };
}

/** The tests beside the sources, in one child: what they leave behind cannot keep the runner from ending. */
async function runShared(): Promise<Sums> {
  const child = spawn(process.execPath, [import.meta.filename, SHARED, ...wanted], { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = setTimeout(() => child.kill('SIGKILL'), ALL_MS - 5000);
  let sums: Sums | undefined;
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith(SUMS)) sums = JSON.parse(line.slice(SUMS.length)) as Sums;
      else console.log(line);
    }
  });
  const code = await new Promise<number | string>((done) =>
    child.once('close', (exit, signal) => done(exit ?? signal ?? 'unknown')),
  );
  clearTimeout(kill);
  if (sums) return sums;
  console.log(`not ok: the process of the unit tests ended (${code}) before its sums`);
  return { tests: 1, pass: 0, fail: 1, skipped: 0 };
}

async function runGroup(group: readonly string[], isolation: 'none' | 'process'): Promise<Sums> {
  if (group.length === 0) return ZERO;
  const stream = run({
    cwd: ROOT,
    files: group.map((file) => resolve(ROOT, file)),
    isolation,
    ...(isolation === 'process' ? { concurrency: 2, execArgv: ['--import', SEED] } : {}),
    timeout: 120_000,
  });
  return await new Promise((done, refuse) => {
    let sums = ZERO;
    let suitesSkipped = 0;
    stream.on('test:pass', (event) => {
      if (event.skip === undefined || event.skip === false) return;
      console.log(`skipped: ${nameOf(event)}${reason(event.skip)}`);
      if (event.details.type === 'suite') suitesSkipped++;
    });
    stream.on('test:fail', (event) => {
      // A suite fails because a test in it fails; that one has been printed.
      if (!isOnlySubtests(event.details.error)) printFailure(event);
    });
    stream.on('test:stderr', (event) => process.stderr.write(event.message));
    stream.on('test:summary', (event) => {
      if (event.file !== undefined) return;
      const { counts } = event;
      sums = {
        tests: counts.tests,
        pass: counts.passed,
        fail: counts.tests - counts.passed - counts.skipped - counts.todo,
        skipped: counts.skipped + counts.todo,
      };
    });
    // node:test counts tests only; a suite that is skipped as a whole is one of ours.
    stream.once('end', () => done(add(sums, { tests: suitesSkipped, pass: 0, fail: 0, skipped: suitesSkipped })));
    stream.once('error', refuse);
    stream.resume();
  });
}

function printFailure(event: EventData.TestFail): void {
  const { error } = event.details;
  const cause: unknown = error.cause instanceof Error ? error.cause.stack : (error.cause ?? error.message);
  console.log(`not ok: ${nameOf(event)}\n${stripVTControlCharacters(String(cause)).replaceAll(/^/gm, '    ')}`);
}

function isOnlySubtests(error: Error): boolean {
  return 'failureType' in error && error.failureType === 'subtestsFailed';
}

function nameOf(event: { name: string; file?: string; line?: number }): string {
  const place =
    event.file === undefined ? '' : `${relative(ROOT, event.file)}${event.line === undefined ? '' : `:${event.line}`}: `;
  return `${place}${event.name}`;
}

function reason(skip: string | boolean): string {
  return typeof skip === 'string' && skip !== '' ? ` (${skip})` : '';
}

/** Timers and sockets that a test forgot; the process is ended all the same. */
function reportLeftovers(): void {
  const left = process
    .getActiveResourcesInfo()
    .filter((kind) => !['TTYWrap', 'PipeWrap', 'Immediate', 'FSReqCallback'].includes(kind));
  if (left.length > 0) process.stderr.write(`left running by unit tests: ${[...new Set(left)].join(', ')}\n`);
}

function finish(sums: Sums): never {
  const ms = Math.round(performance.now() - started);
  console.log(`# tests ${sums.tests}\n# pass ${sums.pass}\n# fail ${sums.fail}\n# skipped ${sums.skipped}\n# duration_ms ${ms}`);
  console.log(`${sums.pass} passed, ${sums.fail} failed, ${sums.skipped} skipped`);
  process.exit(sums.fail > 0 ? 1 : 0);
}

function add(a: Sums, b: Sums): Sums {
  return { tests: a.tests + b.tests, pass: a.pass + b.pass, fail: a.fail + b.fail, skipped: a.skipped + b.skipped };
}
