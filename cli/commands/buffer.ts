/** The entrance log on disk: what is in it, whether it is whole, mending it, and taking its events out. */
import { readEvent } from '../../engine/delivery/dead-letters-format.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writeArrayHeader, writeBin, writeString } from '../../engine/events/msgpack-write.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { realDisk } from '../../engine/log/disk.ts';
import type { Frame } from '../../engine/log/entrance-log.ts';
import { inspectLog, repairLog, type LogReport, type SegmentReport } from '../../engine/log/inspect.ts';
import { compilePattern } from '../../engine/pipeline/match-pattern.ts';
import { parseDuration } from '../../engine/units.ts';
import { dataDirectory } from '../control-client.ts';
import { takeDataDir } from '../data-dir.ts';
import { table, visible, type Streams } from '../output.ts';
import { logsIn, progressIn, type OutputProgress, type WorkerLog } from '../stored-logs.ts';

export interface BufferOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** @throws MillraceError MR_NO_INPUT when the data directory holds no log */
function requireLogs(data: string | undefined): WorkerLog[] {
  const path = dataDirectory(data);
  const logs = logsIn(path);
  if (logs.length === 0) throw new MillraceError('MR_NO_INPUT', `there is no log on disk in the data directory ${path}`);
  return logs;
}

/** Segments, what is in them and who needs them. Exit 0, also while millrace runs. */
export async function bufferLs(options: BufferOptions, streams: Streams): Promise<number> {
  const logs: { log: WorkerLog; report: LogReport; needs: OutputProgress[] }[] = [];
  for (const log of requireLogs(options.data))
    logs.push({ log, report: await inspectLog(realDisk, log.directory), needs: progressIn(log) });
  if (options.json === true) {
    const workers = logs.map(({ log, report, needs }) => ({
      ...log,
      needs: needs.map(({ output, lowWater }) => ({ output, lowWater })),
      segments: report.segments.map((one) => segmentJson(one, needs)),
    }));
    streams.out(`${JSON.stringify({ schema: 'millrace/buffer@1', workers }, undefined, 2)}\n`);
    return EXIT.ok;
  }
  for (const { log, report, needs } of logs) {
    streams.out(`worker ${log.worker}: ${visible(log.directory)}\n`);
    const rows = report.segments.map((one) => [
      baseName(one.path),
      one.frames,
      one.events,
      one.sizeBytes,
      timeText(one.enteredMs?.[0]),
      timeText(one.enteredMs?.[1]),
      one.incarnation.toString(16),
      stateOf(one),
      neededBy(one, needs).join(', ') || '-',
    ]);
    streams.out(table(['SEGMENT', 'FRAMES', 'EVENTS', 'BYTES', 'FIRST', 'LAST', 'INCARNATION', 'STATE', 'NEEDED BY'], rows));
    for (const { output, lowWater } of needs) streams.out(`  ${visible(output)} needs position ${lowWater} and what follows\n`);
  }
  return EXIT.ok;
}

const neededBy = ({ end, events }: SegmentReport, needs: readonly OutputProgress[]): string[] =>
  events === 0 ? [] : needs.filter(({ lowWater }) => lowWater < end).map(({ output }) => output);

function stateOf({ damaged, tornBytes }: SegmentReport): string {
  if (damaged.length > 0) return `damaged in ${damaged.length === 1 ? '1 place' : `${damaged.length} places`}`;
  return tornBytes > 0 ? 'torn or being written' : 'ok';
}

function segmentJson(one: SegmentReport, needs: readonly OutputProgress[]): object {
  const { incarnation, enteredMs, createdMs, ...rest } = one;
  return {
    ...rest,
    incarnation: incarnation.toString(16),
    created: new Date(createdMs).toISOString(),
    ...(enteredMs !== undefined && { entered: enteredMs.map((ms) => new Date(ms).toISOString()) }),
    neededBy: neededBy(one, needs),
  };
}

/** Checks every frame. @returns 0 when the log is whole, 1 when something is damaged */
export async function bufferCheck(options: BufferOptions, streams: Streams): Promise<number> {
  const found: object[] = [];
  const lines: string[] = [];
  let frames = 0;
  let events = 0;
  for (const { worker, directory } of requireLogs(options.data)) {
    const { segments, headless } = await inspectLog(realDisk, directory);
    for (const { path, size } of headless) {
      found.push({ worker, path, kind: 'header', bytes: size });
      lines.push(`${path}: the header is damaged, nothing of its ${size} bytes can be read\n`);
    }
    for (const one of segments) {
      frames += one.frames;
      events += one.events;
      for (const { from, to } of one.damaged) {
        found.push({ worker, path: one.path, kind: 'frames', from, to });
        lines.push(`${one.path}: bytes ${from} to ${to} are damaged\n`);
      }
      if (one.tornBytes > 0)
        lines.push(`${one.path}: ${one.tornBytes} bytes at the end are no whole frame (cut off at the next start)\n`);
    }
  }
  if (options.json === true)
    streams.out(`${JSON.stringify({ schema: 'millrace/buffer-check@1', frames, events, damaged: found }, undefined, 2)}\n`);
  else {
    for (const line of lines) streams.out(visible(line));
    streams.out(`${events} events in ${frames} frames are whole${found.length === 0 ? '' : `, ${found.length} damaged`}\n`);
  }
  return found.length === 0 ? EXIT.ok : EXIT.no;
}

/**
 * Cuts torn ends off and sets damaged parts aside.
 *
 * @throws MillraceError MR_DATA_DIR while millrace runs on the directory
 */
export async function bufferRepair(options: BufferOptions, streams: Streams): Promise<number> {
  const logs = requireLogs(options.data);
  const lock = takeDataDir(dataDirectory(options.data));
  const done: object[] = [];
  try {
    for (const { worker, directory } of logs) {
      const say = (fields: object, message: string): void => streams.err(visible(`${message}: ${JSON.stringify(fields)}\n`));
      const quiet = (): void => undefined;
      const repaired = await repairLog(realDisk, directory, { debug: quiet, info: quiet, warn: say, error: say });
      done.push({ worker, ...repaired });
      if (options.json === true) continue;
      const { tornBytes, ranges, bytes, headless } = repaired;
      const parts = [
        ...(tornBytes > 0 ? [`${tornBytes} bytes of a torn end cut off`] : []),
        ...(ranges > 0 ? [`${ranges} damaged parts (${bytes} bytes) set aside`] : []),
        ...(headless > 0 ? [`${headless} segments with a damaged header set aside`] : []),
      ];
      streams.out(`worker ${worker}: ${parts.join(', ') || 'nothing to mend'}\n`);
    }
  } finally {
    lock.release();
  }
  if (options.json === true)
    streams.out(`${JSON.stringify({ schema: 'millrace/buffer-repair@1', workers: done }, undefined, 2)}\n`);
  return EXIT.ok;
}

export interface ExportOptions extends BufferOptions {
  readonly tag?: string;
  readonly since?: string;
  readonly msgpack?: boolean;
}

/** All events that are in the log, delivered or not, as NDJSON, or as messages of the forward protocol. */
export async function bufferExport(
  options: ExportOptions,
  streams: Streams,
  write: (bytes: Uint8Array) => void = (bytes) => void process.stdout.write(bytes),
): Promise<number> {
  const matches = frameMatcher(options, Date.now());
  const cursor = new EventCursor();
  const into = new ByteWriter();
  let events = 0;
  const logs = requireLogs(options.data);
  for (const { directory } of logs) {
    const report = await inspectLog(realDisk, directory, (frame) => {
      if (!matches(frame)) return;
      const { batch } = frame;
      events += batch.count;
      if (options.msgpack === true) {
        into.reset();
        writeArrayHeader(into, 2);
        writeString(into, batch.tag);
        writeBin(into, batch.bytes.subarray(batch.start, batch.end));
        write(into.copy());
        return;
      }
      cursor.open(batch);
      for (let n = 0; n < batch.count; n++) {
        cursor.next(n);
        const { time, record } = readEvent(batch.bytes.subarray(cursor.entryStart, cursor.entryEnd));
        const line = JSON.stringify({ tag: batch.tag, time, record });
        streams.out(`${streams.isTerminal ? visible(line) : line}\n`);
      }
    });
    const damaged = report.segments.reduce((sum, one) => sum + one.damaged.length, report.headless.length);
    if (damaged > 0) streams.err(visible(`${directory}: ${damaged} damaged parts left out\n`));
  }
  streams.err(`${events} events\n`);
  return EXIT.ok;
}

/** @throws MillraceError MR_USAGE for a pattern or a duration that is none */
function frameMatcher({ tag, since }: ExportOptions, nowMs: number): (frame: Frame) => boolean {
  const pattern = tag === undefined ? undefined : compilePattern(tag);
  if (pattern !== undefined && typeof pattern !== 'function')
    throw new MillraceError('MR_USAGE', `--tag ${tag}: ${pattern.error}`);
  const sinceMs = since === undefined ? undefined : parseDuration(since);
  if (since !== undefined && sinceMs === undefined)
    throw new MillraceError('MR_USAGE', `--since ${since}: expected a duration such as 90s, 30m, 2h or 1d`);
  return ({ batch }) =>
    (pattern === undefined || pattern(batch.tag)) && (sinceMs === undefined || (batch.place?.enteredMs ?? 0) >= nowMs - sinceMs);
}

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const timeText = (ms: number | undefined): string =>
  ms === undefined ? '-' : `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`;
