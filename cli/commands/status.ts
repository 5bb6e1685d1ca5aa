import { resolve } from 'node:path';
import { request } from 'undici';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { sumOf } from '../../engine/telemetry/accounts.ts';
import type { DaemonStatus } from '../daemon.ts';
import { controlOf, dataDirOf } from '../data-dir.ts';
import { paint, table, type Streams } from '../output.ts';

export interface StatusOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** @throws MillraceError MR_NO_STATUS, MR_AUTH */
export async function fetchStatus(data: string | undefined): Promise<DaemonStatus> {
  const directory = data === undefined ? dataDirOf(undefined) : resolve(data);
  const control = controlOf(directory);
  if (control === undefined) throw new MillraceError('MR_NO_STATUS', `no millrace runs on the data directory ${directory}`);
  let response: Awaited<ReturnType<typeof request>>;
  try {
    response = await request(`${control.address}/api/v1/status`, {
      headers: { authorization: `Bearer ${control.token}` },
      headersTimeout: 10_000,
      bodyTimeout: 10_000,
    });
  } catch (cause) {
    throw new MillraceError(
      'MR_NO_STATUS',
      `nobody answers on ${control.address}; the process that wrote ${directory}/control.json is gone`,
      { cause },
    );
  }
  if (response.statusCode === 401) throw new MillraceError('MR_AUTH', `${control.address} refused the token of ${directory}`);
  return (await response.body.json()) as DaemonStatus;
}

export async function status(options: StatusOptions, { out }: Streams): Promise<number> {
  const found = await fetchStatus(options.data);
  out(
    options.json === true ? `${JSON.stringify({ schema: 'millrace/status@1', ...found }, undefined, 2)}\n` : renderStatus(found),
  );
  return found.imbalances.length === 0 ? EXIT.ok : EXIT.no;
}

export function renderStatus({ version, pid, startedMs, control, components, imbalances, rules, zabbix }: DaemonStatus): string {
  const seconds = Math.round((Date.now() - startedMs) / 1000);
  const several = new Set(components.map(({ worker }) => worker)).size > 1;
  const rows = components.map((component) => {
    const { kind, id, worker, created, out, pending, dropped, state, reason } = component;
    const name = several ? `${id}@${worker}` : id;
    return [
      kind,
      name,
      component.in,
      created,
      out,
      sumOf(dropped),
      pending,
      reason === undefined ? state : `${state}: ${reason}`,
    ];
  });
  let text = `millrace ${version}, process ${pid}, up ${seconds} s${control === undefined ? '' : `, ${control}`}\n\n`;
  text += table(['KIND', 'ID', 'IN', 'CREATED', 'OUT', 'DROPPED', 'PENDING', 'STATE'], rows);
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
