/** Why something does not move, and why events were dropped: a sentence each, with the place and the remedy. */
import { suggest } from '../../engine/config/problems.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import type { ComponentStatus } from '../../engine/telemetry/accounts.ts';
import { explainDrop, remedyFor } from '../../engine/telemetry/reasons.ts';
import type { Stall } from '../../engine/telemetry/stalls.ts';
import { columnsOf, paint, visible, wrapped, type Streams } from '../output.ts';
import { fetchStatus } from './status.ts';

export interface WhyOptions {
  readonly data?: string;
  readonly json?: boolean;
}

interface Drop {
  readonly component: string;
  readonly kind: string;
  readonly worker: number;
  readonly place?: string;
  readonly reason: string;
  readonly events: number;
  readonly meaning: string;
  readonly remedy: string;
  readonly intended: boolean;
}

/** One that is in trouble and has not stood still long enough for a stall. */
interface Trouble {
  readonly component: string;
  readonly kind: string;
  readonly worker: number;
  readonly place?: string;
  readonly state: string;
  readonly reason: string;
  readonly remedy: string;
}

/** @returns 0 when everything moves, 1 when something does not */
export async function why(component: string | undefined, options: WhyOptions, { out }: Streams): Promise<number> {
  const status = await fetchStatus(options.data);
  const known = [...new Set(status.components.map(({ id }) => id))];
  if (component !== undefined && !known.includes(component)) {
    const hint = suggest(component, known);
    throw new MillraceError('MR_USAGE', `no component ${component} runs${hint === undefined ? '' : `; ${hint}`}`);
  }
  const isMeant = (id: string): boolean => component === undefined || id === component;
  const components = status.components.filter(({ id }) => isMeant(id));
  const stalls = status.stalls.filter((stall) => isMeant(stall.component) || stall.kind === 'worker');
  const troubles = components.flatMap((one) => troubleOf(one, stalls));
  const drops = components.flatMap(dropsOf);
  if (options.json === true) out(`${JSON.stringify({ schema: 'millrace/why@1', stalls, troubles, drops }, undefined, 2)}\n`);
  else out(renderWhy({ components, stalls, troubles, drops }, columnsOf()));
  return stalls.length === 0 ? EXIT.ok : EXIT.no;
}

function troubleOf({ id, kind, worker, place, state, reason = state }: ComponentStatus, stalls: readonly Stall[]): Trouble[] {
  if (state === 'ok' || stalls.some((one) => one.component === id && one.worker === worker && one.kind === kind)) return [];
  return [{ component: id, kind, worker, state, reason, remedy: remedyFor(reason), ...(place === undefined ? {} : { place }) }];
}

function dropsOf({ id, kind, worker, place, dropped }: ComponentStatus): Drop[] {
  return Object.entries(dropped)
    .filter(([, events]) => events > 0)
    .map(([reason, events]) => {
      const { meaning, remedy, intended = false } = explainDrop(reason);
      const at = place === undefined ? {} : { place };
      return { component: id, kind, worker, reason, events, meaning, remedy, intended, ...at };
    });
}

export interface Findings {
  readonly components: readonly ComponentStatus[];
  readonly stalls: readonly Stall[];
  readonly troubles: readonly Trouble[];
  readonly drops: readonly Drop[];
}

export function renderWhy({ components, stalls, troubles, drops }: Findings, width: number): string {
  const parts = [
    ...stalls.map((stall) => entry(paint('red', '✖'), stall.sentence, stall, width)),
    ...troubles.map((one) => {
      const { kind, component, state, reason } = one;
      return entry(paint('yellow', '▲'), `${kind} ${component} moves, but is ${state}: ${reason}`, one, width);
    }),
    ...drops.map((drop) => {
      const { kind, component, events, reason, meaning, intended } = drop;
      const sentence = `${kind} ${component} dropped ${counted(events)}: ${reason === meaning ? reason : `${reason}, that is: ${meaning}`}`;
      // What was wanted needs no remedy.
      return entry(intended ? '-' : paint('yellow', '▲'), sentence, intended ? {} : drop, width);
    }),
  ];
  if (stalls.length === 0) parts.unshift(movesText(components));
  return `${parts.join('\n')}\n`;
}

function movesText(components: readonly ComponentStatus[]): string {
  const [only] = components;
  if (components.length !== 1 || only === undefined)
    return `${paint('green', '●')} everything moves: nothing has waited for long`;
  const { kind, id, out, pending } = only;
  return `${paint('green', '●')} ${kind} ${visible(id)} moves: ${counted(out)} passed on, ${pending} waiting`;
}

const counted = (events: number): string => (events === 1 ? '1 event' : `${events} events`);

function entry(mark: string, sentence: string, { place, remedy }: { place?: string; remedy?: string }, width: number): string {
  const lines = [`${mark} ${wrapped(visible(sentence).replaceAll('\n', ' '), width - 2, 0).replaceAll('\n', '\n  ')}`];
  if (place !== undefined) lines.push(`    at   ${visible(place)}`);
  if (remedy !== undefined) lines.push(`    fix  ${wrapped(visible(remedy), width - 9).replaceAll('\n', '\n         ')}`);
  return lines.join('\n');
}
