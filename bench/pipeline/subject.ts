/** What is measured: millrace itself, its two rivals, and another agent that was named on the command line. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './machine.ts';
import { Agent, Program, freePort } from './program.ts';
import type { RivalQuestion } from './programs/rival.ts';
import type { SinkAnswer, SinkQuestion } from './programs/sink.ts';
import { configOf, geoOf, type Throughput } from './scenarios.ts';

export interface Subject {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  /** Share of the events of a round that it gets: a slow one would take all the time, a quick one could not be measured. */
  readonly share: number;
  readonly sink: Program<SinkQuestion, SinkAnswer> | undefined;
  /** Whether documents are counted; the calibration loop sends bytes as they came. */
  readonly counts: 'documents' | 'bytes';
  stop(): Promise<void>;
}

/** How millrace is run. */
export interface Millrace {
  /** The launcher, beside the compiled files or beside the sources. */
  readonly entry: string;
  readonly how: 'compiled' | 'stripped';
  /** Directory that belongs to the run; each scenario gets a folder in it. */
  readonly folder: string;
}

/**
 * Makes of this checkout what the package holds, in a folder that has to lie where its packages are found.
 *
 * @returns the launcher
 */
export function compile(folder: string): string {
  // It says that the compiled files are modules, and which version they are.
  for (const name of ['package.json', 'bin']) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.ts'), join(folder, 'dist')], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (status !== 0) throw new Error('the sources cannot be compiled');
  return join(folder, 'bin', 'millrace.cjs');
}

export function millraceArgs({ entry, folder }: Millrace, config: string, name: string): string[] {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const path = join(own, 'millrace.conf');
  writeFileSync(path, config);
  const data = join(own, 'data');
  // The data of the world are compacted once for all scenarios: that is measured elsewhere.
  if (existsSync(geoFolder(folder))) cpSync(geoFolder(folder), join(data, 'geo'), { recursive: true });
  return [entry, 'run', '-c', path, '--data', data];
}

const geoFolder = (folder: string): string => join(folder, 'prepared', 'geo');

export function prepareGeo({ entry, folder }: Millrace): void {
  const { status, stderr } = spawnSync(
    process.execPath,
    [entry, 'geo', 'lookup', '114.114.114.114', '--data', join(folder, 'prepared')],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`the IP data cannot be made: ${stderr}`);
}

export async function openSink(): Promise<{ readonly sink: Program<SinkQuestion, SinkAnswer>; readonly port: number }> {
  const sink = new Program<SinkQuestion, SinkAnswer>('sink');
  const { port } = await sink.ask({ type: 'listen', port: 0 });
  return { sink, port };
}

/** @param tailPath  an empty file, for scenarios that follow one */
export async function startMillrace(millrace: Millrace, scenario: Throughput, tailPath: string): Promise<Subject> {
  const opened = scenario.output === 'bulk' ? await openSink() : undefined;
  const ports = { input: await freePort(), control: await freePort(), sink: opened?.port ?? 0 };
  const args = millraceArgs(millrace, configOf(scenario, ports, tailPath), scenario.name);
  const agent = new Agent(process.execPath, args);
  try {
    // The control API listens last, behind all sources.
    await agent.listening(ports.control);
  } catch (error) {
    await opened?.sink.stop();
    throw error;
  }
  return {
    name: 'millrace',
    pid: agent.pid,
    port: ports.input,
    share: 1,
    sink: opened?.sink,
    counts: 'documents',
    async stop() {
      await agent.stop();
      await opened?.sink.stop();
    },
  };
}

export async function startRival(
  program: 'plain-objects' | 'calibration' | 'plain-statsd',
  scenario: Throughput,
  paths: { readonly tail: string; readonly log: string },
): Promise<Subject> {
  const opened = scenario.output === 'bulk' ? await openSink() : undefined;
  const port = await freePort();
  const rival = new Program<RivalQuestion, { received: number }>(program);
  await rival.ask({
    type: 'start',
    input: scenario.input,
    port,
    path: paths.tail,
    sinkPort: opened?.port ?? 0,
    level: scenario.level,
    logPath: paths.log,
    ...(scenario.geo ? { geo: geoOf(scenario) } : {}),
  });
  const isCalibration = program === 'calibration';
  return {
    name: isCalibration ? 'calibration' : 'plain objects',
    pid: rival.pid,
    port,
    share: scenario.rate !== undefined ? 1 : isCalibration ? 3 : 0.5,
    sink: opened?.sink,
    counts: isCalibration ? 'bytes' : 'documents',
    async stop() {
      await rival.stop();
      await opened?.sink.stop();
    },
  };
}

/** @param template  command line with `{port}`, `{sink}` (a URL), `{sink_port}` and `{dir}` */
export async function startOther(template: string, scenario: Throughput, folder: string): Promise<Subject> {
  const opened = await openSink();
  const port = await freePort();
  const own = join(folder, `other-${scenario.name}`);
  mkdirSync(own, { recursive: true });
  const command = template
    .replaceAll('{port}', String(port))
    .replaceAll('{sink}', `http://127.0.0.1:${opened.port}`)
    .replaceAll('{sink_port}', String(opened.port))
    .replaceAll('{dir}', own);
  const agent = new Agent('/bin/sh', ['-c', `exec ${command}`]);
  try {
    await agent.listening(port);
  } catch (error) {
    await opened.sink.stop();
    throw error;
  }
  return {
    name: 'other',
    pid: agent.pid,
    port,
    share: 1,
    sink: opened.sink,
    counts: 'documents',
    async stop() {
      await agent.stop();
      await opened.sink.stop();
    },
  };
}
