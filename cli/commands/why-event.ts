/** What became of one event: its way through the filters, and where each output stands with it. Offline, and changes nothing. */
import { DeadLetterStore } from '../../engine/delivery/dead-letters-store.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { eventId, parseEventId } from '../../engine/events/event-id.ts';
import { realDisk } from '../../engine/log/disk.ts';
import type { Frame } from '../../engine/log/entrance-log.ts';
import { findFrame, type FoundFrame, type FramePlace, type NoFrame } from '../../engine/log/find-frame.ts';
import { configHash } from '../../engine/pipeline/open-log.ts';
import { explainDrop } from '../../engine/telemetry/reasons.ts';
import { requireConfiguration, type Configuration } from '../configuration.ts';
import { dataDirectory } from '../control-client.ts';
import { dataDirOf } from '../data-dir.ts';
import { eventsOf, onlyEvent, traceEvent, type Change, type EventStep, type SeenEvent } from '../event-trace.ts';
import { columnsOf, fitted, paint, visible, widthOf, wrapped, type Streams } from '../output.ts';
import { logsIn, progressIn, type OutputProgress, type WorkerLog } from '../stored-logs.ts';

export interface WhyEventOptions {
  readonly event: string;
  readonly config?: string;
  readonly data?: string;
  readonly json?: boolean;
}

/** Where an output stands with an event that reaches it. */
export interface Fate {
  readonly output: string;
  readonly event: string;
  /** `unknown`: the output has not run with this log. */
  readonly state: 'delivered' | 'waiting' | 'dead letter' | 'unknown';
  /** Bytes of the log that the output has to deliver first. */
  readonly behindBytes?: number;
  /** Why it is a dead letter, and since when. */
  readonly reason?: string;
  readonly since?: string;
}

export interface EventAnswer {
  readonly state: 'found' | NoFrame;
  readonly worker?: number;
  readonly entered?: string;
  readonly event?: SeenEvent;
  /** The configuration at hand is another one than that which ran when the event came. */
  readonly isOtherConfiguration?: boolean;
  /** Absent without a configuration. */
  readonly steps?: readonly EventStep[];
  readonly outputs: readonly Fate[];
}

interface Wanted extends FramePlace {
  readonly worker: number | undefined;
  /** `index in the frame << 8 | split ordinal`. */
  readonly index: number;
}

/** @returns 0, and 1 when no log and no dead letter knows of the event */
export async function whyEvent(options: WhyEventOptions, { out }: Streams): Promise<number> {
  const wanted = parseWanted(options.event);
  const configuration = options.config === undefined ? undefined : await requireConfiguration({ path: options.config });
  const root = configuration?.system.root_dir;
  const dataDir = options.data === undefined && root !== undefined ? dataDirOf(root) : dataDirectory(options.data);
  const answer = await answerOf(wanted, dataDir, configuration);
  if (options.json === true)
    out(`${JSON.stringify({ schema: 'millrace/why-event@1', id: options.event, ...answer }, undefined, 2)}\n`);
  else out(renderEvent(options.event, answer, columnsOf()));
  const isKnown = answer.state === 'found' || answer.state === 'trimmed' || answer.outputs.length > 0;
  return isKnown ? EXIT.ok : EXIT.no;
}

function parseWanted(text: string): Wanted {
  const parts = parseEventId(text);
  if (parts !== undefined) return { ...parts, worker: undefined };
  const place = /^(\d{1,3})\/(\d{1,15})\/(\d{1,13})(?:\/(\d{1,8}))?$/.exec(text);
  if (place === null)
    throw new MillraceError(
      'MR_USAGE',
      `--event ${text}: expected the _id of an event, 32 characters, or WORKER/SEGMENT/OFFSET or WORKER/SEGMENT/OFFSET/INDEX`,
    );
  const [, worker, segment, offset, index = 0] = place;
  return { worker: Number(worker), segment: Number(segment), offset: Number(offset), index: Number(index) * 256 };
}

async function answerOf(wanted: Wanted, dataDir: string, configuration: Configuration | undefined): Promise<EventAnswer> {
  const logs = logsIn(dataDir);
  const store = new DeadLetterStore(dataDir);
  const { found, log, why } = await search(
    logs.filter(({ worker }) => wanted.worker === undefined || worker === wanted.worker),
    wanted,
  );
  const frame = found === undefined ? undefined : onlyEvent(found.frame, wanted.index >>> 8);
  if (found === undefined || log === undefined || frame === undefined) {
    const id = wanted.incarnation === undefined ? undefined : eventIdOf(wanted, wanted.incarnation);
    const outputs = id === undefined ? [] : await buriedIn(store, await store.outputs(), new Set([id]));
    return { state: found === undefined ? why : 'unknown', outputs };
  }
  const [event] = eventsOf(frame.batch);
  const worker = { id: log.worker, count: Math.max(...logs.map((one) => one.worker)) + 1 };
  const steps = configuration === undefined ? undefined : await traceEvent(frame, { configuration, worker, dataDir });
  return {
    state: 'found',
    worker: log.worker,
    entered: new Date(frame.batch.place?.enteredMs ?? 0).toISOString(),
    ...(event !== undefined && { event }),
    ...(configuration !== undefined && { isOtherConfiguration: isOther(configuration, found) }),
    ...(steps !== undefined && { steps }),
    outputs: await fatesOf(store, frame, progressIn(log), reached(steps) ?? undefined, event?.id ?? ''),
  };
}

const eventIdOf = ({ segment, offset, index }: Wanted, incarnation: bigint): string =>
  eventId({ segment, offset, incarnation, enteredMs: 0 }, index);

const isOther = ({ loaded }: Configuration, { configHash: then }: FoundFrame): boolean =>
  then !== '' && !/^0+$/.test(then) && then !== configHash(loaded.root).slice(0, then.length);

async function search(
  logs: readonly WorkerLog[],
  wanted: Wanted,
): Promise<{ found?: FoundFrame; log?: WorkerLog; why: NoFrame }> {
  let why: NoFrame = 'unknown';
  for (const log of logs) {
    const found = await findFrame(realDisk, log.directory, wanted);
    if (typeof found === 'object') return { found, log, why };
    if (found !== 'unknown') why = found;
  }
  return { why };
}

/** Outputs that the event came to, with the ids under which they got it; undefined without a trace. */
function reached(steps: readonly EventStep[] | undefined): Map<string, Set<string>> | undefined {
  if (steps === undefined) return undefined;
  const outputs = new Map<string, Set<string>>();
  for (const { kind, component, event } of steps)
    if (kind === 'output') outputs.set(component, (outputs.get(component) ?? new Set()).add(event));
  return outputs;
}

async function fatesOf(
  store: DeadLetterStore,
  { position, end }: Frame,
  progress: readonly OutputProgress[],
  outputs: ReadonlyMap<string, ReadonlySet<string>> = new Map(progress.map(({ output }) => [output, new Set<string>()])),
  id: string,
): Promise<Fate[]> {
  const fates: Fate[] = [];
  for (const [output, ids] of outputs) {
    const wanted = ids.size === 0 ? new Set([id]) : ids;
    const buried = await buriedIn(store, [output], wanted);
    const saved = progress.find((one) => one.output === output);
    for (const event of wanted) {
      const letter = buried.find((one) => one.event === event);
      if (letter !== undefined) fates.push(letter);
      else if (saved === undefined) fates.push({ output, event, state: 'unknown' });
      else if (isDone(saved, position, end)) fates.push({ output, event, state: 'delivered' });
      else fates.push({ output, event, state: 'waiting', behindBytes: Math.max(0, position - saved.lowWater) });
    }
  }
  return fates;
}

function isDone({ lowWater, ranges }: OutputProgress, position: number, end: number): boolean {
  if (end <= lowWater) return true;
  for (let n = 0; n + 1 < ranges.length; n += 2)
    if ((ranges[n] as number) <= position && end <= (ranges[n + 1] as number)) return true;
  return false;
}

async function buriedIn(store: DeadLetterStore, outputs: readonly string[], ids: ReadonlySet<string>): Promise<Fate[]> {
  const fates: Fate[] = [];
  for (const output of outputs) {
    let missing = ids.size;
    for await (const { letter } of store.letters(output)) {
      if (!ids.has(letter.id)) continue;
      const since = new Date(letter.buriedMs).toISOString();
      fates.push({ output, event: letter.id, state: 'dead letter', reason: letter.reason, since });
      if (--missing === 0) break;
    }
  }
  return fates;
}

const MISSING: Readonly<Record<NoFrame, string>> = {
  trimmed: 'it is gone from the log: every output has delivered it, dropped it or set it aside',
  damaged: 'the log is damaged where it stood',
  unknown: 'no log in this data directory has it',
};

/** @param width  columns of the terminal; longer values are cut */
export function renderEvent(id: string, answer: EventAnswer, width: number): string {
  const { state, event, worker, entered, steps, outputs, isOtherConfiguration } = answer;
  const lines: string[] = [];
  const say = (text: string, indent = 0): void => {
    const pad = ' '.repeat(indent);
    lines.push(`${pad}${wrapped(oneLine(text), width - indent).replaceAll('\n', `\n${pad}  `)}`);
  };
  if (state !== 'found') say(`${mark(state === 'trimmed' ? 'green' : 'red')} event ${id}: ${MISSING[state]}`);
  if (event !== undefined) {
    say(`event ${event.id}`);
    say(`tag ${event.tag}, time ${event.time}, entered worker ${worker} ${entered}`, 2);
    lines.push(...fieldLines({ field: '', after: event.record }, width, 2));
  }
  if (isOtherConfiguration === true)
    say(`${mark('yellow')} the configuration was another one when the event came; this is the way that it would take now`);
  if (state === 'found' && steps === undefined) say('with -c FILE its way through the filters is shown');
  let number = 0;
  for (const step of steps ?? [])
    if (step.kind !== 'output' || step.changes.length > 0) lines.push(...stepLines(step, ++number, width));
  if (steps !== undefined && outputs.length === 0) say(`${mark('yellow')} no output gets it`);
  const isSplit = new Set(outputs.map((one) => one.event)).size > 1;
  for (const fate of outputs) say(fateText(fate, isSplit));
  return `${lines.join('\n')}\n`;
}

const mark = (colour: 'green' | 'yellow' | 'red'): string => paint(colour, { green: '●', yellow: '▲', red: '✖' }[colour]);
const oneLine = (text: string): string => visible(text).replaceAll(/[\n\t]/g, ' ');

function fateText({ output, event, state, behindBytes = 0, reason = '', since = '' }: Fate, isSplit: boolean): string {
  const name = isSplit ? `output ${output}, ${event}` : `output ${output}`;
  switch (state) {
    case 'delivered':
      return `${mark('green')} ${name}: delivered`;
    case 'waiting':
      return `${mark('yellow')} ${name}: waiting, ${behindBytes === 0 ? 'next in turn' : `${behindBytes} bytes of the log come first`}`;
    case 'dead letter':
      return `${mark('red')} ${name}: dead letter since ${since}: ${reason}`;
    default:
      return `${mark('yellow')} ${name}: not known, it has not run with this log`;
  }
}

function stepLines(step: EventStep, number: number, width: number): string[] {
  const { kind, component, place, label, isDropped, reasons, changes, made } = step;
  const where = `${label === '' ? '' : `, in ${label}`}${place === undefined ? '' : ` (${place})`}`;
  const name =
    kind === 'lost' ? `nobody${where}` : kind === 'relabel' ? `to label ${component || '@ROOT'}` : `${kind} ${component}${where}`;
  const why = reasons.map((reason) => explained(reason)).join('; ');
  const fate = isDropped
    ? `dropped${why === '' ? '' : `: ${why}`}`
    : changes.length > 0
      ? 'changed'
      : kind === 'filter'
        ? 'as it was'
        : '';
  const text = oneLine(`${number} ${name}${fate === '' ? '' : `: ${fate}`}`);
  const sign = isDropped ? mark(made.length > 0 ? 'yellow' : 'red') : ' ';
  return [
    `${sign} ${wrapped(text, width - 2).replaceAll('\n', '\n    ')}`,
    ...changes.flatMap((change) => fieldLines(change, width, 4)),
    ...made.flatMap(({ id, tag, label: to, record }) => [
      `    ${wrapped(oneLine(`made ${id}, tag ${tag}${to === undefined ? '' : `, for ${to === '' ? '@ROOT' : to}`}`), width - 4)}`,
      ...fieldLines({ field: '', after: record }, width, 6),
    ]),
  ];
}

function explained(reason: string): string {
  const { meaning } = explainDrop(reason);
  return meaning === reason ? reason : `${reason}, that is: ${meaning}`;
}

/** `+ field  value`, `- field  value`, or both; a whole record field by field. */
function fieldLines({ field, before, after }: Change, width: number, indent: number): string[] {
  const pad = ' '.repeat(indent);
  if (field === '' && before === undefined && typeof after === 'object' && after !== null && !Array.isArray(after)) {
    const entries = Object.entries(after);
    const room = Math.min(24, Math.max(0, ...entries.map(([key]) => widthOf(oneLine(key)))));
    return entries.map(([key, value]) => {
      const name = oneLine(key);
      return fitted(`${pad}${name}${' '.repeat(Math.max(0, room - widthOf(name)))}  ${oneLine(textOf(value))}`, width);
    });
  }
  return [
    ...(before === undefined ? [] : [fitted(`${pad}- ${oneLine(field)}  ${oneLine(textOf(before))}`, width)]),
    ...(after === undefined ? [] : [fitted(`${pad}+ ${oneLine(field)}  ${oneLine(textOf(after))}`, width)]),
  ];
}

const textOf = (value: unknown): string => JSON.stringify(value) ?? 'undefined';
