/** Rows as text, and what is demanded of them. */
import type { Figure } from './footprint.ts';
import type { Machine } from './machine.ts';
import type { Row } from './throughput.ts';

export interface Results extends Machine {
  readonly how: string;
  readonly rounds: number;
  readonly rows: readonly Row[];
  readonly figures: readonly Figure[];
}

export interface Gate {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  /** `most`: the value may reach the limit; `least`: it must. */
  readonly bound: 'most' | 'least';
}

export const isMet = ({ value, limit, bound }: Gate): boolean => (bound === 'most' ? value <= limit : value >= limit);

const HELD_MB = 60;

/** Those whose scenarios were run. Ratios within one run first; absolute figures depend on the machine. */
export function gatesOf({ rows, figures }: Results): Gate[] {
  const cpu = (scenario: string, subject = 'millrace'): number =>
    rows.find((row) => row.scenario === scenario && row.subject === subject)?.cpu ?? Number.NaN;
  const figure = (scenario: string, subject = 'millrace'): number =>
    figures.find((one) => one.scenario === scenario && one.subject === subject)?.value ?? Number.NaN;
  const lost = (scenario: string): number =>
    rows.find((row) => row.scenario === scenario && row.subject === 'millrace')?.lost ?? Number.NaN;
  const most = (what: string, value: number, limit: number): Gate => ({ what, value, limit, bound: 'most' });
  const least = (what: string, value: number, limit: number): Gate => ({ what, value, limit, bound: 'least' });
  return [
    most('bulk at fsync: times the calibration loop', cpu('bulk-fsync') / cpu('bulk-fsync', 'calibration'), 8),
    least('bulk at fsync: plain objects cost times as much', cpu('bulk-fsync', 'plain objects') / cpu('bulk-fsync'), 2.5),
    least('geo and two fields dropped: plain objects cost times as much', cpu('geo', 'plain objects') / cpu('geo'), 2.5),
    most('frames of 10: times the cost of frames of 2,000', cpu('frames-10') / cpu('bulk-fsync'), 2.5),
    most('fsync: times memory', cpu('bulk-fsync') / cpu('bulk-memory'), 1.35),
    most('tail -> apache2 -> geo -> bulk: CPU seconds for a million lines', cpu('tail'), 6),
    most('statsd, single datagrams: times an empty receiver', cpu('statsd-single') / cpu('statsd-single', 'calibration'), 1.5),
    most('statsd, packed: CPU seconds for a million metrics', cpu('statsd-packed'), 0.8),
    most('statsd at 30,000 datagrams/s: lost of a million', lost('statsd-single'), 0),
    most('start: ms until the first event is acknowledged', figure('start'), 500),
    most('idle: MB', figure('idle'), 90),
    most('20,000 events/s with geo: MB', figure('paced'), 170),
    most('output stopped: MB more than under load before', figure('hold', 'while held, more than before'), HELD_MB),
    most('output stopped: acknowledged and not delivered', figure('hold', 'acknowledged and not delivered'), 0),
  ].filter(({ value }) => !Number.isNaN(value));
}

const times = (value: number): string => (value >= 10 ? value.toFixed(0) : value.toFixed(1));
const number = (value: number): string => Math.round(value).toLocaleString('en-US');

/** Markdown, since it reads well in a terminal too. */
export function render(results: Results): string {
  const { machine, node, commit, how, rounds, rows, figures } = results;
  const parts = [
    `${machine}; Node ${node}; millrace ${commit}, ${how}; median of ${rounds}, subjects in turn; sender and sink on the same cores.`,
  ];
  if (rows.length > 0) parts.push(throughputTable(rows));
  if (figures.length > 0)
    parts.push(
      table(
        ['figure', 'of', 'value', 'range'],
        figures.map(({ title, subject, unit, value, rounds: all }) => [
          title,
          subject,
          `${number(value)} ${unit}`,
          all.length > 1 ? `${number(Math.min(...all))}-${number(Math.max(...all))}` : '',
        ]),
      ),
    );
  const gates = gatesOf(results);
  if (gates.length > 0)
    parts.push(
      table(
        ['demanded', 'found', 'at most / at least', ''],
        gates.map((gate) => [
          gate.what,
          gate.value.toFixed(2),
          `${gate.bound === 'most' ? '<=' : '>='} ${gate.limit}`,
          isMet(gate) ? 'met' : 'NOT MET',
        ]),
      ),
    );
  return `${parts.join('\n\n')}\n`;
}

function throughputTable(rows: readonly Row[]): string {
  const against = (row: Row, subject: string): string => {
    const rival = rows.find((one) => one.scenario === row.scenario && one.subject === subject);
    return rival === undefined || rival === row ? '' : times(row.cpu / rival.cpu);
  };
  return table(
    ['scenario', 'subject', 'CPU s/M', 'range', 'events/s', 'x calibration', 'x plain objects', 'peak MB', 'lost/M'],
    rows.map((row) => [
      row.title,
      row.subject,
      row.cpu.toFixed(2),
      `${Math.min(...row.rounds).toFixed(2)}-${Math.max(...row.rounds).toFixed(2)}`,
      number(row.rate),
      against(row, 'calibration'),
      against(row, 'plain objects'),
      number(row.peakMb),
      row.lost === 0 ? '' : number(row.lost),
    ]),
  );
}

function table(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const widths = head.map((name, n) => Math.max(name.length, 3, ...rows.map((row) => (row[n] ?? '').length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join(' | ')} |`;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n');
}
