/**
 * The books as Prometheus reads them, text format 0.0.4; `# UNIT` is a comment there.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { MetricSpecs } from '../component.ts';
import type { ControlFigures } from '../server/admission.ts';
import type { ComponentStatus } from './accounts.ts';
import { BOOKS, DROPPED, ENGINE_METRICS, engineName, familyName, PROCESS, STALLED, type Family } from './metric-table.ts';
import type { ProcessFigures } from './process-figures.ts';
import type { Stall } from './stalls.ts';

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface Snapshot {
  readonly version: string;
  readonly startedMs: number;
  readonly components: readonly ComponentStatus[];
  readonly stalls: readonly Stall[];
  readonly imbalances: readonly string[];
  /** State of every rule and group. */
  readonly rules: readonly { readonly status: string }[];
  readonly zabbix:
    | { readonly sent: number; readonly refused: number; readonly dropped: number; readonly pending: number }
    | undefined;
  readonly process: ProcessFigures;
  /** Of the server that gives out this text. */
  readonly control?: ControlFigures | undefined;
  /** Declared metrics of a component. */
  readonly specs: (kind: string, type: string) => MetricSpecs;
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** A label value is cut here: an id comes from a configuration, but a reason may come from anywhere. */
const LABEL_MAX = 128;

/** One text for one scrape. Families appear only with samples. */
export function renderMetrics(snapshot: Snapshot): string {
  const families = new Map<string, { readonly family: Family; readonly samples: Sample[] }>();
  const put = (name: string, family: Family, labels: Sample[0], value: number | undefined): void => {
    if (value === undefined) return;
    const present = families.get(name) ?? { family, samples: [] };
    families.set(name, present);
    present.samples.push([labels, value]);
  };
  putProcess(snapshot, put);
  for (const status of snapshot.components) {
    const labels = labelsOf(status);
    for (const [name, book] of Object.entries(BOOKS)) put(name, book, labels, book.value(status));
    for (const [name, family] of Object.entries(DROPPED))
      for (const [reason, count] of Object.entries(status.dropped))
        put(name, family, { ...labels, [family.label]: reason }, count);
    for (const [name, family] of Object.entries(STALLED)) put(name, family, labels, stalledSeconds(status, snapshot.stalls));
    putOwn(status, snapshot.specs(status.kind, status.type), put);
  }
  return Array.from(families, ([name, { family, samples }]) => renderFamily(name, family, samples)).join('');
}

type Put = (name: string, family: Family, labels: Sample[0], value: number | undefined) => void;

function putProcess({ version, startedMs, stalls, imbalances, rules, zabbix, process, control }: Snapshot, put: Put): void {
  const states = new Map<string, number>();
  for (const { status } of rules) states.set(status, (states.get(status) ?? 0) + 1);
  const values: Readonly<Record<string, number | undefined | readonly (readonly [string, number])[]>> = {
    millrace_build_info: [[version, 1]],
    millrace_stalls: stalls.length,
    millrace_imbalances: imbalances.length,
    millrace_rules: [...states],
    millrace_zabbix_values_sent_total: zabbix?.sent,
    millrace_zabbix_values_refused_total: zabbix?.refused,
    millrace_zabbix_values_dropped_total: zabbix?.dropped,
    millrace_zabbix_values_pending: zabbix?.pending,
    millrace_control_refused_connections_total: control?.refusedConnections,
    millrace_control_refused_requests_total: control?.refusedRequests,
    millrace_control_requests_waiting: control?.requestsWaiting,
    millrace_event_loop_delay_seconds: Object.entries(process.loopDelaySeconds),
    millrace_heap_used_bytes: process.heapUsedBytes,
    process_cpu_seconds_total: process.cpuSeconds,
    process_resident_memory_bytes: process.residentBytes,
    process_start_time_seconds: startedMs / 1000,
    process_open_fds: process.openFiles,
  };
  for (const [name, family] of Object.entries(PROCESS)) {
    const value = values[name];
    if (typeof value === 'number' || value === undefined) put(name, family, {}, value);
    else for (const [label, one] of value) put(name, family, { [family.label ?? 'label']: label }, one);
  }
}

/** What a component counts itself, what the engine counts around it, and what nobody has declared. */
function putOwn(status: ComponentStatus, specs: MetricSpecs, put: Put): void {
  const { id, kind, type, worker, metrics } = status;
  const around = Object.hasOwn(ENGINE_METRICS, kind) ? ENGINE_METRICS[kind as keyof typeof ENGINE_METRICS] : {};
  for (const [name, value] of Object.entries(metrics)) {
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    const engine = Object.hasOwn(around, name) ? around[name] : undefined;
    if (spec !== undefined)
      put(familyName(kind, type, name, spec.type === 'counter'), spec, { component: id, worker: String(worker) }, value);
    else if (engine !== undefined)
      put(engineName(kind, name, engine), engine, { component: id, type, worker: String(worker) }, value * (engine.factor ?? 1));
    else put('millrace_component_figure', UNDECLARED, { ...labelsOf(status), name }, value);
  }
}

/** Figures without a declaration, by `name`. */
export const UNDECLARED: Family = {
  type: 'gauge',
  unit: 'figures',
  help: 'Figures of a component by name, as `millrace status --json` shows them.',
};

function labelsOf({ id, kind, type, worker }: ComponentStatus): Record<string, string> {
  return { component: id, kind, type, worker: String(worker) };
}

function stalledSeconds({ id, kind, worker }: ComponentStatus, stalls: readonly Stall[]): number {
  const stall = stalls.find((one) => one.component === id && one.kind === kind && one.worker === worker);
  return stall === undefined ? 0 : stall.forMs / 1000;
}

function renderFamily(name: string, { type, unit, help }: Family, samples: readonly Sample[]): string {
  let text = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n# UNIT ${name} ${unit}\n`;
  const seen = new Set<string>();
  for (const [labels, value] of samples) {
    const shown = Object.entries(labels).map(([label, one]) => `${label}="${escaped(one)}"`);
    const key = shown.length === 0 ? name : `${name}{${shown.join(',')}}`;
    // Two reasons that differ behind the cut: one series may not be said twice.
    if (seen.has(key)) continue;
    seen.add(key);
    text += `${key} ${numberText(value)}\n`;
  }
  return text;
}

function escaped(value: string): string {
  const cut = value.length > LABEL_MAX ? `${value.slice(0, LABEL_MAX)}…` : value;
  return cut.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
