import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createSocket } from 'node:dgram';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { startService, type Service } from '../../service/start.ts';
import { startVisitors, type Visitors } from '../../service/visitors.ts';
import { requireConfiguration } from '../configuration.ts';
import { Daemon } from '../daemon.ts';
import { renderDemoConfig } from '../demo-config.ts';
import { DemoBoard, renderPlain, renderScreen, type DemoPlaces } from '../demo-screen.ts';
import type { Streams } from '../output.ts';
import { onSignals } from './run.ts';

export interface DemoOptions {
  readonly data: string;
  readonly rate: string;
  readonly seed: string;
  readonly seconds?: string;
}

const FORWARD_PORT = 24_224;
const STATSD_PORT = 8125;
/** A signal ends the demo within 5 s: this much for the pipeline, the rest for visitors and service. */
const SHUTDOWN_MS = 2000;
const SCREEN_MS = 1000;
const PLAIN_MS = 2000;
const PLAIN_TICK_MS = 200;
/** The rate of the visitors swings through a day in so many minutes. */
const DAY_MINUTES = 10;
/** A busy hour of that day to begin with. */
const START_HOUR = 10;

/** The core service, its visitors, and the whole pipeline on the embedded default. */
export async function demo(options: DemoOptions, streams: Streams): Promise<number> {
  const rate = numberOf(options.rate, '--rate', 1, 2000);
  const seed = numberOf(options.seed, '--seed', 0, 2 ** 31);
  const seconds = options.seconds === undefined ? undefined : numberOf(options.seconds, '--seconds', 1, 86_400);
  const ending = Promise.withResolvers<number>();
  onSignals(() => ending.resolve(EXIT.ok));
  const folder = resolve(options.data);
  const board = new DemoBoard();
  const running = await start(folder, rate, seed, board, (code) => ending.resolve(code), streams);
  if (seconds !== undefined) setTimeout(() => ending.resolve(EXIT.ok), seconds * 1000);
  const stopShowing = streams.isTerminal ? showScreen(running, board, streams) : showLines(running, board, streams);
  const code = await ending.promise;
  stopShowing();
  return (await end(running, board, streams)) && code === EXIT.ok ? EXIT.ok : code === EXIT.ok ? EXIT.software : code;
}

function numberOf(text: string, option: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new MillraceError('MR_USAGE', `${option}: expected a number from ${min} to ${max}, found "${text}"`);
}

interface Running {
  readonly daemon: Daemon;
  readonly service: Service;
  readonly visitors: Visitors;
  readonly places: DemoPlaces;
}

async function start(
  folder: string,
  rate: number,
  seed: number,
  board: DemoBoard,
  stop: (code: number) => void,
  { err }: Streams,
): Promise<Running> {
  const [forward, statsd] = [await freeTcpPort(FORWARD_PORT), await freeUdpPort(STATSD_PORT)];
  if (forward !== FORWARD_PORT) err(`port ${FORWARD_PORT} is taken, the demo listens for logs on ${forward}\n`);
  if (statsd !== STATSD_PORT) err(`port ${STATSD_PORT} is taken, the demo listens for metrics on ${statsd}\n`);
  mkdirSync(folder, { recursive: true });
  // Each demo starts with empty files; what the last one kept would grow without bound.
  for (const name of ['events.ndjson', 'metrics.ndjson']) rmSync(join(folder, name), { force: true });
  const configuration = await requireConfiguration({
    path: join(folder, 'demo.yaml'),
    text: renderDemoConfig({ forward, statsd, folder }),
    type: 'yaml',
  });
  const daemon = new Daemon({
    configuration,
    keeps: true,
    dataDir: folder,
    logLevel: 'warn',
    anyControlPort: true,
    onWatch: (summary) => board.add(summary, Date.now()),
    onTransition: (transition) => void board.transitions.push(transition),
    onCrash: (error) => {
      err(`a pipeline worker crashed: ${error.message}\n`);
      stop(EXIT.software);
    },
  });
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  // The IP data take seconds at the very first start; service and visitors begin meanwhile, and their log lines wait.
  const serving = startService({
    directory: join(folder, 'service'),
    fluent: { host: '127.0.0.1', port: forward },
    statsd: { host: '127.0.0.1', port: statsd },
    faults: true,
  }).then((service) => ({
    service,
    visitors: startVisitors({ url: url(service.port), rate, seed, dayMinutes: DAY_MINUTES, startHour: START_HOUR }),
  }));
  const [collecting, served] = await Promise.allSettled([daemon.start(), serving]);
  if (collecting.status === 'rejected' || served.status === 'rejected') {
    if (served.status === 'fulfilled') await stopService(served.value);
    if (collecting.status === 'fulfilled') await daemon.stop(0);
    throw collecting.status === 'rejected' ? collecting.reason : (served as PromiseRejectedResult).reason;
  }
  const { control } = await daemon.status();
  const places = {
    service: url(served.value.service.port),
    forward: `127.0.0.1:${forward}`,
    statsd: `127.0.0.1:${statsd}`,
    control: control ?? '-',
    events: join(folder, 'events.ndjson'),
    metrics: join(folder, 'metrics.ndjson'),
  };
  return { daemon, ...served.value, places };
}

async function stopService({ visitors, service }: Pick<Running, 'visitors' | 'service'>): Promise<void> {
  await Promise.race([visitors.stop(), new Promise((resolve) => setTimeout(resolve, 1000))]);
  await service.stop();
}

/** Visitors first, so that what they caused is still logged; then the service; then the pipeline. */
async function end({ daemon, service, visitors }: Running, board: DemoBoard, { out }: Streams): Promise<boolean> {
  await stopService({ visitors, service });
  const { imbalances } = await daemon.stop(SHUTDOWN_MS);
  out(
    `\n${board.events} requests logged, ${board.located} with a place; ${imbalances.length === 0 ? 'every event is accounted for' : imbalances.join('; ')}\n`,
  );
  return imbalances.length === 0;
}

function showLines({ visitors, places }: Running, board: DemoBoard, { out }: Streams): () => void {
  out(
    `service ${places.service}, forward ${places.forward}, statsd ${places.statsd}, API ${places.control}\nevents in ${places.events}, metrics in ${places.metrics}\n`,
  );
  let shown = 0;
  let shownMs = 0;
  const timer = setInterval(() => {
    // The first enriched events at once, then every other second.
    if (board.located === 0 || Date.now() - shownMs < PLAIN_MS) return;
    shownMs = Date.now();
    out(renderPlain(board, board.transitions.slice(shown), visitors.stats(), shownMs));
    shown = board.transitions.length;
  }, PLAIN_TICK_MS);
  return () => clearInterval(timer);
}

function showScreen({ daemon, visitors, places }: Running, board: DemoBoard, { out }: Streams): () => void {
  const draw = async (): Promise<void> => {
    const status = await daemon.status();
    const size = { rows: process.stdout.rows, columns: process.stdout.columns };
    // Home, then each line to its end, then what is left below: no flicker.
    out(
      `\u001b[H${renderScreen(board, places, visitors.stats(), status, size, Date.now()).replaceAll('\n', '\u001b[K\n')}\u001b[K\u001b[J`,
    );
  };
  out('\u001b[?1049h\u001b[?25l');
  const timer = setInterval(() => void draw(), SCREEN_MS);
  void draw();
  return () => {
    clearInterval(timer);
    out('\u001b[?25h\u001b[?1049l');
  };
}

/** The port when it is free, else any that is. */
async function freeTcpPort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const server = createServer();
    const found = await new Promise<number | undefined>((done) => {
      server.once('error', () => done(undefined));
      server.listen({ host: '127.0.0.1', port }, () => done((server.address() as { port: number }).port));
    });
    if (found === undefined) continue;
    await new Promise((done) => server.close(done));
    return found;
  }
  throw new MillraceError('MR_LISTEN', 'no port is free on 127.0.0.1');
}

async function freeUdpPort(wanted: number): Promise<number> {
  for (const port of [wanted, 0]) {
    const socket = createSocket('udp4');
    const found = await new Promise<number | undefined>((done) => {
      socket.once('error', () => done(undefined));
      socket.bind({ address: '127.0.0.1', port }, () => done(socket.address().port));
    });
    if (found !== undefined) {
      await new Promise<void>((done) => socket.close(done));
      return found;
    }
  }
  throw new MillraceError('MR_LISTEN', 'no UDP port is free on 127.0.0.1');
}
