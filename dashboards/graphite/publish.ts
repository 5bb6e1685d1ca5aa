/** `targets.graphite`: keeps dashboards of graphite-web in step. Its API has no login by default and answers 200 to failures. */
import * as z from 'zod';
import { httpUrl } from '../../engine/endpoint.ts';
import { MillraceError } from '../../engine/errors.ts';
import { differences, type Step, type TargetPlan } from '../../engine/sync.ts';
import { bool, oneOf, secret, text } from '../../engine/units.ts';
import { type Answer, createHttpClient, type HttpClient } from '../http.ts';
import type { Board } from '../model.ts';
import { type GraphiteDashboard, isOurs, renderGraphite } from './render.ts';

const path = () => text().pipe(z.string().regex(/^[^\s'"();,]+$/, { error: 'expected a path such as stats_counts.{name}' }));

export const graphiteTarget = z.strictObject({
  url: httpUrl().describe('URL of graphite-web'),
  user: text().optional().describe('Name of the user, where a proxy asks for one'),
  password: secret().optional().describe('Password of the user'),
  ssl_verify: bool().prefault(true).describe('Whether the certificate of the server is checked'),
  name: text()
    .pipe(z.string().regex(/^[a-z][a-z0-9-]*$/, { error: 'expected a name in lower case: letters, digits and -' }))
    .prefault('millrace')
    .describe('Prefix of the names of the dashboards'),
  counter_path: path().prefault('stats_counts.{name}').describe('Path under which the counts of a counter arrive'),
  timer_path: path().prefault('stats.timers.{name}.{stat}').describe('Path under which a statistic of a timer arrives'),
  labels: oneOf(['tags', 'path'])
    .prefault('tags')
    .describe('Place of labels: Graphite tags, or parts of the path behind the name'),
});
export type GraphiteTarget = z.output<typeof graphiteTarget>;

/**
 * @throws MillraceError MR_REFUSED naming every dashboard in the way that is not ours; MR_CONNECT, MR_AUTH, MR_PROTOCOL
 */
export async function planGraphite(target: GraphiteTarget, boards: readonly Board[], client: HttpClient): Promise<TargetPlan> {
  const { name, labels } = target;
  const options = { name, labels, counterPath: target.counter_path, timerPath: target.timer_path };
  const work: { step: Step; run?: () => Promise<void> }[] = [];
  const foreign: string[] = [];
  const wanted = boards.map((board) => renderGraphite(board, options));
  for (const dashboard of wanted) {
    const existing = await load(client, dashboard.name);
    if (existing !== undefined && !isOurs(existing, name)) foreign.push(dashboard.name);
    else work.push({ step: stepFor(dashboard, existing), run: () => save(client, dashboard) });
  }
  if (foreign.length > 0) {
    throw new MillraceError(
      'MR_REFUSED',
      `dashboard ${foreign.join(', ')} on ${client.address} was not made by this configuration, or was saved by hand since, and is left alone: ` +
        'delete it or choose another `name`',
    );
  }
  for (const stale of await ours(client, name)) {
    if (wanted.some((dashboard) => dashboard.name === stale)) continue;
    work.push({ step: { target: 'graphite', action: 'delete', what: `dashboard ${stale}` }, run: () => remove(client, stale) });
  }
  return {
    steps: work.map((item) => item.step),
    async apply() {
      for (const { step, run } of work) if (step.action !== 'keep') await run?.();
    },
  };
}

function stepFor(dashboard: GraphiteDashboard, existing: unknown): Step {
  const what = `dashboard ${dashboard.name}`;
  if (existing === undefined) return { target: 'graphite', action: 'create', what };
  const changes = differences(existing, dashboard.state).filter((line) => !line.startsWith('millrace.revision'));
  if (changes.length === 0) return { target: 'graphite', action: 'keep', what };
  return { target: 'graphite', action: 'change', what, detail: changes.join('\n') };
}

async function load(client: HttpClient, name: string): Promise<unknown> {
  const body = bodyOf(client, await client.send('GET', `/dashboard/load/${encodeURIComponent(name)}`));
  // A dashboard that is not there is `{"error": "... does not exist. "}` with status 200.
  if (typeof body['error'] !== 'string') return body['state'];
  if (body['error'].includes('does not exist')) return undefined;
  throw new MillraceError('MR_REFUSED', `${client.address} refused to load dashboard ${name}: ${body['error']}`);
}

async function save(client: HttpClient, dashboard: GraphiteDashboard): Promise<void> {
  const form = new URLSearchParams({ state: JSON.stringify(dashboard.state) }).toString();
  const path = `/dashboard/save/${encodeURIComponent(dashboard.name)}`;
  expectDone(
    client,
    await client.send('POST', path, form, 'application/x-www-form-urlencoded'),
    `save dashboard ${dashboard.name}`,
  );
  const after = await load(client, dashboard.name);
  const [difference] = differences(after, dashboard.state);
  if (difference !== undefined)
    throw new MillraceError('MR_PROTOCOL', `${client.address} did not keep dashboard ${dashboard.name} as sent: ${difference}`);
}

async function remove(client: HttpClient, name: string): Promise<void> {
  expectDone(client, await client.send('GET', `/dashboard/delete/${encodeURIComponent(name)}`), `delete dashboard ${name}`);
}

/** Names of the dashboards that carry our mark; `find` looks for the words anywhere in a name. */
async function ours(client: HttpClient, owner: string): Promise<string[]> {
  const { dashboards } = bodyOf(client, await client.send('GET', `/dashboard/find/?query=${encodeURIComponent(`${owner}-`)}`));
  const names = Array.isArray(dashboards) ? dashboards.map((each: unknown) => (isRecord(each) ? each['name'] : undefined)) : [];
  const found: string[] = [];
  for (const name of names) {
    if (typeof name === 'string' && name.startsWith(`${owner}-`) && isOurs(await load(client, name), owner)) found.push(name);
  }
  return found;
}

function expectDone(client: HttpClient, answer: Answer, what: string): void {
  const { success, error } = bodyOf(client, answer);
  if (success === true) return;
  const reason = typeof error === 'string' ? error : `status ${answer.status}`;
  const code = reason.includes('logged in') ? 'MR_AUTH' : 'MR_REFUSED';
  throw new MillraceError(code, `${client.address} refused to ${what}: ${reason}`);
}

function bodyOf(client: HttpClient, answer: Answer): Record<string, unknown> {
  if (isRecord(answer.json)) return answer.json;
  throw new MillraceError(
    'MR_PROTOCOL',
    `${client.address} does not answer as graphite-web does (status ${answer.status}): check the URL`,
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Opens a client, plans, and hands the plan to `use`; closes the client in any case. */
export async function withGraphite<T>(
  target: GraphiteTarget,
  boards: readonly Board[],
  use: (plan: TargetPlan) => Promise<T>,
): Promise<T> {
  const client = createHttpClient({ url: target.url, user: target.user, password: target.password, verify: target.ssl_verify });
  try {
    return await use(await planGraphite(target, boards, client));
  } finally {
    await client.close();
  }
}
