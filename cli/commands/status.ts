import { EXIT } from '../../engine/errors.ts';
import { sumOf } from '../../engine/telemetry/accounts.ts';
import { durationText } from '../../engine/telemetry/stalls.ts';
import { askControl } from '../control-client.ts';
import type { DaemonStatus } from '../daemon.ts';
import { columnsOf, paint, table, visible, wrapped, type Streams } from '../output.ts';

export interface StatusOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** @throws MillraceError MR_NO_STATUS, MR_AUTH */
export async function fetchStatus(data: string | undefined): Promise<DaemonStatus> {
  return (await askControl(data, '/api/v1/status')) as DaemonStatus;
}

/** @returns 1 when the books do not balance; what stands still is the answer of `why` */
export async function status(options: StatusOptions, { out }: Streams): Promise<number> {
  const found = await fetchStatus(options.data);
  out(
    options.json === true
      ? `${JSON.stringify({ schema: 'millrace/status@1', ...found }, undefined, 2)}\n`
      : renderStatus(found, columnsOf()),
  );
  return found.imbalances.length === 0 ? EXIT.ok : EXIT.no;
}

/** @param width  columns that texts may take; the tables are as wide as they are */
export function renderStatus(
  { version, pid, startedMs, control, components, imbalances, stalls, rules, zabbix }: DaemonStatus,
  width = Infinity,
): string {
  const upText = durationText(Date.now() - startedMs);
  const several = new Set(components.map(({ worker }) => worker)).size > 1;
  const nameOf = (id: string, worker: number): string => (several ? `${id}@${worker}` : id);
  const rows = components.map(({ kind, id, worker, in: taken, created, out, dropped, pending, state }) => [
    kind,
    nameOf(id, worker),
    taken,
    created,
    out,
    sumOf(dropped),
    pending,
    stalls.some((stall) => stall.component === id && stall.worker === worker) ? 'stalled' : state,
  ]);
  let text = `millrace ${version}, process ${pid}, up ${upText}${control === undefined ? '' : `, ${control}`}\n\n`;
  text += table(['KIND', 'ID', 'IN', 'CREATED', 'OUT', 'DROPPED', 'PENDING', 'STATE'], rows);
  const lines = stalls.map(({ sentence, worker }) => `${paint('red', '✖')} ${line(sentence, worker, several, width)}`);
  for (const { kind, id, worker, state, reason } of components) {
    if (reason === undefined || stalls.some((stall) => stall.component === id && stall.worker === worker)) continue;
    lines.push(`${paint('yellow', '▲')} ${line(`${kind} ${id} is ${state}: ${reason}`, worker, several, width)}`);
  }
  if (lines.length > 0) text += `\n${lines.join('\n')}\n`;
  if (stalls.length > 0) text += '  `millrace why` has the remedies\n';
  if (rules.length > 0) {
    const shown = rules.map((rule) => [rule.rule, rule.group === '' ? '-' : rule.group, rule.status, rule.shown, rule.condition]);
    text += `\n${table(['RULE', 'GROUP', 'STATE', 'VALUE', 'CONDITION'], shown)}`;
  }
  if (zabbix !== undefined)
    text += `\nzabbix: ${zabbix.sent} sent, ${zabbix.refused} refused, ${zabbix.dropped} dropped, ${zabbix.pending} pending${zabbix.trouble === undefined ? '' : `; ${zabbix.trouble}`}\n`;
  text += '\n';
  if (imbalances.length === 0) text += 'every event is accounted for: in + created = out + dropped + pending\n';
  for (const sentence of imbalances) text += `${paint('red', sentence)}\n`;
  return text;
}

function line(sentence: string, worker: number, several: boolean, width: number): string {
  const named = several ? `worker ${worker}: ${sentence}` : sentence;
  return wrapped(visible(named).replaceAll('\n', ' '), width - 2).replaceAll('\n', '\n  ');
}
