/** A board as data: what its panels ask, independent of where it is shown. Kibana and Graphite renderers read it. */

/** All conditions of a list must hold. */
export type Condition =
  | { readonly field: string; readonly is: string | number }
  /** From `from` to below `below`; one of them may be left out. */
  | { readonly field: string; readonly from?: number; readonly below?: number }
  | { readonly field: string; readonly exists: true };

export interface Group {
  readonly label: string;
  readonly where: readonly Condition[];
}

/** The series that `log_to_metric` (or a StatsD client) sends for the same question; how they are called in Graphite is the target's matter. */
export interface Metric {
  /** Dotted, without any prefix: `web.requests`. */
  readonly name: string;
  readonly kind: 'counter' | 'timer';
  /** Tag by which the series are told apart. */
  readonly by?: string;
  /** Only series whose tag matches: `{ status: '5*' }`. */
  readonly tags?: Readonly<Record<string, string>>;
}

interface Base {
  /** Unique on its board; lower case, digits and `-`. */
  readonly id: string;
  readonly title: string;
  /** Columns of 48. */
  readonly width: 12 | 16 | 24 | 32 | 48;
  /** Rows of about 20 pixels; panels that stand side by side have the same height. */
  readonly height: number;
}
type Of<K extends string, T> = Base & { readonly kind: K } & T;

export type Panel =
  | Of<'text', { readonly markdown: string }>
  /** Events over time in stacked bars, one colour per group. */
  | Of<'over-time', { readonly where: readonly Condition[]; readonly groups: readonly Group[]; readonly metric?: Metric }>
  /** Share of `part` in `whole` over time, in percent. */
  | Of<
      'ratio',
      {
        readonly part: readonly Condition[];
        readonly whole: readonly Condition[];
        readonly metric?: { readonly part: Metric; readonly whole: Metric };
      }
    >
  /** The values of a field with the most events. */
  | Of<'top', { readonly where: readonly Condition[]; readonly field: string; readonly size: number; readonly metric?: Metric }>
  /** Circles where the events come from; `field` is a geo_point. */
  | Of<'map', { readonly where: readonly Condition[]; readonly field: string }>
  /** Lines over time; values are divided by `divisor` to come out in `unit`. */
  | Of<
      'percentiles',
      {
        readonly where: readonly Condition[];
        readonly field: string;
        readonly percents: readonly number[];
        readonly divisor: number;
        readonly unit: string;
        readonly metric?: Metric;
      }
    >
  /** The events themselves, newest first. */
  | Of<'events', { readonly where: readonly Condition[]; readonly columns: readonly string[] }>;

export interface Board {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  /** Hours looked back at when it is opened. */
  readonly hours: number;
  /** In reading order: rows are filled from the left, 48 columns each. */
  readonly panels: readonly Panel[];
}

export interface Placed {
  readonly panel: Panel;
  readonly x: number;
  readonly y: number;
}

/** Places panels in rows of 48 columns; a panel that does not fit begins a row below the highest of the last one. */
export function place(panels: readonly Panel[]): readonly Placed[] {
  const placed: Placed[] = [];
  let x = 0;
  let y = 0;
  let height = 0;
  for (const panel of panels) {
    if (x + panel.width > 48) {
      x = 0;
      y += height;
      height = 0;
    }
    placed.push({ panel, x, y });
    x += panel.width;
    height = Math.max(height, panel.height);
  }
  return placed;
}

/** Every field that a panel asks for, and what it is asked for: counting values, percentiles, a place, or just a look. */
export function fieldsOf(
  panel: Panel,
): ReadonlyArray<readonly [field: string, use: 'values' | 'number' | 'place' | 'match' | 'column']> {
  const matched = (...lists: ReadonlyArray<readonly Condition[]>) =>
    lists.flat().map((condition) => [condition.field, 'from' in condition || 'below' in condition ? 'number' : 'match'] as const);
  if (panel.kind === 'text') return [];
  if (panel.kind === 'over-time') return matched(panel.where, ...panel.groups.map((group) => group.where));
  if (panel.kind === 'ratio') return matched(panel.part, panel.whole);
  if (panel.kind === 'top') return [...matched(panel.where), [panel.field, 'values']];
  if (panel.kind === 'map') return [...matched(panel.where), [panel.field, 'place']];
  if (panel.kind === 'percentiles') return [...matched(panel.where), [panel.field, 'number']];
  return [...matched(panel.where), ...panel.columns.map((column) => [column, 'column'] as const)];
}
