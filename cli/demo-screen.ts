/** What the demo shows: one screen on a terminal, plain lines elsewhere. Pure: state in, text out. */
import type { Transition } from '../alerts/evaluate.ts';
import type { VisitorStats } from '../service/visitors.ts';
import type { DaemonStatus } from './daemon.ts';
import { paint, table, visible, widthOf } from './output.ts';
import type { WatchSummary, WatchedEvent } from './watch.ts';

export interface DemoPlaces {
  readonly service: string;
  readonly forward: string;
  readonly statsd: string;
  readonly control: string;
  readonly events: string;
  readonly metrics: string;
}

const RATE_SECONDS = 10;
const TRANSITIONS_SHOWN = 6;
const PLACES_SHOWN = 8;
const PHASES: Readonly<Record<string, string>> = {
  calm: 'calm',
  burst: 'a burst of visitors',
  bank: 'incident: the bank does not answer',
  guessing: 'incident: somebody guesses passwords',
};

/** Gathers what the workers publish. */
export class DemoBoard {
  events = 0;
  located = 0;
  readonly #places = new Map<string, number>();
  readonly #statuses = new Map<string, number>();
  readonly #seconds: { readonly atMs: number; readonly events: number }[] = [];
  readonly transitions: Transition[] = [];
  latest: readonly WatchedEvent[] = [];

  add(summary: WatchSummary, nowMs: number): void {
    this.events += summary.events;
    this.located += summary.located;
    for (const [place, count] of summary.places) this.#places.set(place, (this.#places.get(place) ?? 0) + count);
    for (const [status, count] of summary.statuses) this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + count);
    this.#seconds.push({ atMs: nowMs, events: summary.events });
    while ((this.#seconds[0]?.atMs ?? nowMs) < nowMs - RATE_SECONDS * 1000) this.#seconds.shift();
    if (summary.latest.length > 0) this.latest = summary.latest;
  }

  perSecond(nowMs: number): number {
    const recent = this.#seconds.filter(({ atMs }) => atMs >= nowMs - RATE_SECONDS * 1000);
    return recent.reduce((sum, second) => sum + second.events, 0) / RATE_SECONDS;
  }

  topPlaces(count: number): (readonly [string, number])[] {
    return [...this.#places].toSorted((a, b) => b[1] - a[1]).slice(0, count);
  }

  statuses(): (readonly [string, number])[] {
    return [...this.#statuses].toSorted((a, b) => a[0].localeCompare(b[0]));
  }

  get serverErrors(): number {
    return this.statuses().reduce((sum, [status, count]) => sum + (status.startsWith('5') ? count : 0), 0);
  }
}

const clockOf = (ms: number): string => new Date(ms).toTimeString().slice(0, 8);
const percent = (part: number, whole: number): string => (whole === 0 ? '-' : `${((part / whole) * 100).toFixed(1)} %`);

/** For output that is no terminal: a line of sums, a line with one event, and what the rules said since. */
export function renderPlain(board: DemoBoard, since: readonly Transition[], stats: VisitorStats, nowMs: number): string {
  const places = board.topPlaces(3).map(([place, count]) => `${place} ${count}`);
  const sums = [
    `enriched ${board.located} of ${board.events} events`,
    `${board.perSecond(nowMs).toFixed(1)}/s`,
    `5xx ${percent(board.serverErrors, board.events)}`,
    places.join(', '),
    PHASES[stats.phase] ?? stats.phase,
  ];
  const lines = [`${clockOf(nowMs)} ${sums.join(' | ')}`];
  const [event] = board.latest;
  if (event !== undefined) lines.push(`         ${visible(oneEvent(event))}`);
  for (const transition of since) lines.push(`         ${oneTransition(transition)}`);
  return `${lines.join('\n')}\n`;
}

function oneEvent({ address, place, isp, method, path, status }: WatchedEvent): string {
  return `${address} source.geo.name=${JSON.stringify(place)} ${isp} ${method} ${path} ${status}`.replaceAll(/ +/g, ' ');
}

function oneTransition({ rule, group, to, at }: Transition): string {
  const name = group === '' ? rule : `${rule} (${visible(group)})`;
  return to === 'firing'
    ? `${clockOf(at)} ${paint('red', 'PROBLEM')}   ${name}`
    : `${clockOf(at)} ${paint('green', 'recovered')} ${name}`;
}

/** The whole screen for a terminal, at most `rows` lines of at most `columns` cells. */
export function renderScreen(
  board: DemoBoard,
  places: DemoPlaces,
  stats: VisitorStats,
  status: DaemonStatus,
  size: { readonly rows: number; readonly columns: number },
  nowMs: number,
): string {
  const lines = [
    `${paint('bold', 'millrace demo')}   up ${Math.round((nowMs - status.startedMs) / 1000)} s   visitors: ${PHASES[stats.phase] ?? stats.phase}   Ctrl-C ends it`,
    '',
    `${board.events} requests logged, ${board.located} with a place, ${board.perSecond(nowMs).toFixed(1)}/s, server errors ${percent(board.serverErrors, board.events)}`,
    `by status: ${board
      .statuses()
      .map(([code, count]) => `${code} ${count}`)
      .join('   ')}`,
    '',
    ...two(table(['FROM', 'REQUESTS'], board.topPlaces(PLACES_SHOWN)), rulesText(status, board)),
    '',
    ...table(
      ['LATEST', 'FROM', 'ISP', 'REQUEST', 'STATUS'],
      board.latest.map((event) => [event.address, event.place, event.isp, `${event.method} ${event.path}`, event.status]),
    )
      .trimEnd()
      .split('\n'),
    '',
    ...where(places, status),
  ];
  return lines
    .slice(0, size.rows - 1)
    .map((line) => cut(line, size.columns))
    .join('\n');
}

function rulesText(status: DaemonStatus, board: DemoBoard): string {
  const shown = status.rules.filter(({ group, status: state }) => group === '' || state !== 'ok').slice(0, 5);
  const rules = table(
    ['RULE', 'STATE', 'VALUE'],
    shown.map((rule) => [rule.group === '' ? rule.rule : `${rule.rule} ${rule.group}`, rule.status, rule.shown]),
  );
  const history = board.transitions.slice(-TRANSITIONS_SHOWN).map(oneTransition);
  return `${rules}${history.join('\n')}`;
}

function where(places: DemoPlaces, { imbalances }: DaemonStatus): string[] {
  return [
    `service ${places.service}   forward ${places.forward}   statsd ${places.statsd}   API ${places.control}`,
    `events  ${places.events}`,
    `metrics ${places.metrics}`,
    imbalances.length === 0
      ? 'every event is accounted for (millrace status --data .millrace)'
      : paint('red', imbalances[0] ?? ''),
  ];
}

/** Two blocks side by side. */
function two(left: string, right: string): string[] {
  const [a, b] = [left.trimEnd().split('\n'), right.trimEnd().split('\n')];
  const width = Math.max(...a.map(widthOf)) + 4;
  return Array.from({ length: Math.max(a.length, b.length) }, (_, n) => {
    const first = a[n] ?? '';
    return `${first}${' '.repeat(width - widthOf(first))}${b[n] ?? ''}`.trimEnd();
  });
}

/** Cuts what would wrap; colours count nothing. */
function cut(line: string, columns: number): string {
  let width = 0;
  let result = '';
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b')) {
      result += part;
      continue;
    }
    for (const char of part) {
      width += widthOf(char);
      if (width > columns - 1) return `${result}…\u001b[0m`;
      result += char;
    }
  }
  return result;
}
