/** One event's way through the filters of a configuration, once more, with nothing at the other end. */
import { dirname, resolve } from 'node:path';
import type { Log } from '../engine/component.ts';
import { readEvent } from '../engine/delivery/dead-letters-format.ts';
import type { Batch } from '../engine/events/batch.ts';
import { eventId } from '../engine/events/event-id.ts';
import { skipValue } from '../engine/events/msgpack.ts';
import type { Frame } from '../engine/log/entrance-log.ts';
import { MemoryLog } from '../engine/log/memory-log.ts';
import { Pipeline } from '../engine/pipeline/pipeline.ts';
import type { Step } from '../engine/pipeline/router.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { REGISTRY } from './components.ts';
import type { Configuration } from './configuration.ts';

/** An event as people see it. */
export interface SeenEvent {
  readonly id: string;
  readonly tag: string;
  readonly time: string;
  readonly record: unknown;
}

/** One difference; a side that is undefined has no such field. Maps inside each other are compared field by field. */
export interface Change {
  readonly field: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface EventStep {
  readonly kind: Step['kind'];
  readonly component: string;
  /** `file:line:column`; absent for what the engine makes itself. */
  readonly place?: string;
  /** '' is the root. */
  readonly label: string;
  readonly event: string;
  readonly isDropped: boolean;
  readonly reasons: readonly string[];
  readonly changes: readonly Change[];
  readonly made: readonly (SeenEvent & { readonly label?: string })[];
}

export interface TraceOptions {
  readonly configuration: Configuration;
  readonly worker: { readonly id: number; readonly count: number };
  readonly dataDir: string;
}

/**
 * Filters are started (they may read their data), outputs and sources are not.
 *
 * @param frame  its batch holds one event
 * @throws MillraceError what keeps a filter from starting
 */
export async function traceEvent(frame: Frame, { configuration, worker, dataDir }: TraceOptions): Promise<EventStep[]> {
  const { loaded, source } = configuration;
  const failures: string[] = [];
  const quiet = (): void => undefined;
  const log: Log = { debug: quiet, info: quiet, warn: quiet, error: ({ reason }) => void failures.push(String(reason)) };
  const pipeline = await Pipeline.build({
    root: loaded.root,
    isFluentd: loaded.isFluentd,
    registry: REGISTRY,
    worker,
    baseDir: dirname(resolve(source.path)),
    dataDir,
    clock: systemClock,
    log,
    random: Math.random,
    signal: new AbortController().signal,
    entranceLog: new MemoryLog(systemClock, 0, 0n),
    stateDir: undefined,
    publish: () => undefined,
    onClosed: () => undefined,
    taps: [],
    isOrphan: true,
  });
  const places = new Map(pipeline.status().map(({ id, place }) => [id, place]));
  const steps: EventStep[] = [];
  try {
    await pipeline.trace(frame, (step) => {
      const place = step.kind === 'relabel' ? undefined : places.get(step.id);
      for (const one of stepsOf(step, failures.splice(0))) steps.push({ ...one, ...(place === undefined ? {} : { place }) });
    });
  } finally {
    await pipeline.stop();
  }
  return steps;
}

/** A step of each event of the batch. */
function stepsOf({ kind, id: component, label, before, after, reasons, made }: Step, failures: readonly string[]): EventStep[] {
  const left = after === undefined ? [] : eventsOf(after);
  const parts = made.flatMap(({ batch, label: to }) =>
    eventsOf(batch).map((event) => (to === undefined ? event : { ...event, label: to })),
  );
  return eventsOf(before).map((event, n) => {
    const now = left.find(({ id }) => id === event.id);
    return {
      kind,
      component,
      label,
      event: event.id,
      isDropped: now === undefined,
      reasons: now === undefined ? [...reasons, ...failures] : [],
      changes: now === undefined ? [] : changesOf(event, now),
      // Whose parts they are is not said: all have the index of the one event.
      made: n === 0 ? parts : [],
    };
  });
}

/** The events of a batch whose frame is known. */
export function eventsOf(batch: Batch): SeenEvent[] {
  const { tag, bytes, start, count, place, ids } = batch;
  const events: SeenEvent[] = [];
  if (place === undefined) return events;
  for (let n = 0, at = start; n < count; n++) {
    const end = skipValue(bytes, at, batch.end);
    events.push({ id: eventId(place, ids?.[n] ?? n * 256), tag, ...readEvent(bytes.subarray(at, end)) });
    at = end;
  }
  return events;
}

/** Only that event of a frame; undefined when it has fewer. */
export function onlyEvent(frame: Frame, index: number): Frame | undefined {
  const { batch } = frame;
  if (index >= batch.count) return undefined;
  let at = batch.start;
  for (let n = 0; n < index; n++) at = skipValue(batch.bytes, at, batch.end);
  const end = skipValue(batch.bytes, at, batch.end);
  return { ...frame, batch: { ...batch, start: at, end, count: 1, ids: Uint32Array.of(index * 256) } };
}

function changesOf(before: SeenEvent, after: SeenEvent): Change[] {
  return [
    ...(before.tag === after.tag ? [] : [{ field: '(tag)', before: before.tag, after: after.tag }]),
    ...(before.time === after.time ? [] : [{ field: '(time)', before: before.time, after: after.time }]),
    ...differences(before.record, after.record, ''),
  ];
}

function differences(before: unknown, after: unknown, path: string): Change[] {
  if (!isMap(before) || !isMap(after))
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ field: path, before, after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const field = path === '' ? key : `${path}.${key}`;
    if (!Object.hasOwn(before, key)) return [{ field, after: after[key] }];
    return Object.hasOwn(after, key) ? differences(before[key], after[key], field) : [{ field, before: before[key] }];
  });
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
