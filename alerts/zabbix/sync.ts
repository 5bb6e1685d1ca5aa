import { MillraceError } from '../../engine/errors.ts';
import { isInStep, type Step } from '../../engine/sync.ts';
import type { Rule } from '../rule.ts';
import { isAtLeast, ZabbixApi } from './api.ts';
import { readComparison, type Surplus } from './compare.ts';
import { groupUuid, importRules, MARK, marksOf, OWNER_TAG, renderImport, type Tag, type ZabbixNames } from './plan.ts';
import { namesOf, type ZabbixTarget } from './target.ts';

type Row = Readonly<Record<string, unknown>>;

/**
 * What `apply` would change in Zabbix, in the order in which it would.
 *
 * @throws MillraceError MR_CONNECT, MR_AUTH, MR_PROTOCOL; MR_REFUSED when something of the same name is not ours
 */
export async function planZabbix(target: ZabbixTarget, rules: readonly Rule[]): Promise<Step[]> {
  return withApi(target, async (api) => (await lookAt(api, namesOf(target), rules)).steps);
}

/**
 * Brings Zabbix in step with the rules; changes nothing when it is. Needs a Super admin where a group has to be made,
 * an Admin with write access to the groups otherwise.
 *
 * @returns the steps that were done
 */
export async function applyZabbix(target: ZabbixTarget, rules: readonly Rule[]): Promise<Step[]> {
  return withApi(target, async (api) => {
    const names = namesOf(target);
    const found = await lookAt(api, names, rules);
    if (isInStep(found.steps)) return found.steps;
    if (!found.isTemplateInStep) {
      const source = renderImport(rules, names, api.version, found.templateGroup);
      await api.call('configuration.import', {
        format: 'json',
        source,
        rules: importRules(api.version, { deleteMissing: false }),
      });
      if (found.surplus.length > 0) await deleteSurplus(api, names, found.surplus);
    }
    await bringHost(api, names, found.host);
    return found.steps;
  });
}

async function withApi<T>(target: ZabbixTarget, use: (api: ZabbixApi) => Promise<T>): Promise<T> {
  const { url, user, password, token, timeout } = target;
  const api = await ZabbixApi.connect({ url, user, password, token, timeoutMs: timeout });
  try {
    return await use(api);
  } finally {
    await api.close();
  }
}

interface Found {
  readonly steps: Step[];
  readonly isTemplateInStep: boolean;
  readonly surplus: readonly Surplus[];
  /** uuid of the group that is to hold the template, when it is there. */
  readonly templateGroup: string | undefined;
  readonly host: Row | undefined;
}

async function lookAt(api: ZabbixApi, names: ZabbixNames, rules: readonly Rule[]): Promise<Found> {
  // Names first: an import takes over whatever bears the name of ours.
  const template = await findOurs(api, 'template', names.template, names);
  const host = await findOurs(api, 'host', names.host, names);
  const templateGroups = await groupsNamed(
    api,
    isAtLeast(api.version, 6, 2) ? 'templategroup.get' : 'hostgroup.get',
    names.hostGroup,
  );
  const templateGroup = textOf(templateGroups[0]?.['uuid']);
  const source = renderImport(rules, names, api.version, templateGroup);
  const answer = await api.call('configuration.importcompare', {
    format: 'json',
    source,
    rules: importRules(api.version, { deleteMissing: true }),
  });
  const { steps: compared, surplus } = readComparison(answer);
  const steps = [...compared];
  if (isAtLeast(api.version, 6, 2) && (await groupsNamed(api, 'hostgroup.get', names.hostGroup)).length === 0)
    steps.unshift(step('create', `host group ${names.hostGroup}`));
  const isTemplateInStep = compared.length === 0 && template !== undefined;
  if (isTemplateInStep) steps.push({ ...step('keep', `template ${names.template}`), detail: `${rules.length} rules` });
  steps.push(hostStep(names, host));
  return { steps, isTemplateInStep, surplus, templateGroup, host };
}

const step = (action: Step['action'], what: string): Step => ({ target: 'zabbix', action, what });

function hostStep(names: ZabbixNames, host: Row | undefined): Step {
  const what = `host ${names.host}`;
  if (host === undefined) return { ...step('create', what), detail: `linked to template ${names.template}` };
  if (isLinked(names, host)) return step('keep', what);
  return { ...step('change', what), detail: `link template ${names.template}` };
}

const isLinked = (names: ZabbixNames, host: Row): boolean =>
  rowsOf(host['parentTemplates']).some((row) => row['host'] === names.template);

/** The template or host of that name; refused when it lacks our mark, or bears the mark of another owner. */
async function findOurs(api: ZabbixApi, kind: 'template' | 'host', name: string, names: ZabbixNames): Promise<Row | undefined> {
  const other = kind === 'template' ? 'host' : 'template';
  if ((await named(api, other, name)).length > 0)
    throw new MillraceError(
      'MR_REFUSED',
      `a ${other} named "${name}" is in Zabbix already, where our ${kind} of that name would go; nothing was changed`,
    );
  const row = (await named(api, kind, name))[0];
  if (row === undefined) return undefined;
  const tags = rowsOf(row['tags']);
  const has = ({ tag, value }: Tag): boolean => tags.some((own) => own['tag'] === tag && own['value'] === value);
  if (!has(MARK))
    throw new MillraceError(
      'MR_REFUSED',
      `the ${kind} "${name}" in Zabbix is not ours (it lacks the tag ${MARK.tag}: ${MARK.value}); nothing was changed. Choose another \`${kind}\` in targets.zabbix, or rename that one`,
    );
  if (!marksOf(names).every(has)) {
    const owner = textOf(tags.find((own) => own['tag'] === OWNER_TAG)?.['value']) ?? 'nobody';
    throw new MillraceError(
      'MR_REFUSED',
      `the ${kind} "${name}" in Zabbix belongs to the owner "${owner}", not to "${names.owner}"; nothing was changed`,
    );
  }
  return row;
}

async function named(api: ZabbixApi, kind: 'template' | 'host', name: string): Promise<readonly Row[]> {
  const rows = await api.list(`${kind}.get`, {
    output: [`${kind}id`, 'host'],
    filter: { host: [name] },
    selectTags: ['tag', 'value'],
    ...(kind === 'host' ? { selectParentTemplates: ['templateid', 'host'] } : {}),
  });
  // Some versions ignore a filter they do not know and return everything.
  return rows.filter((row) => row['host'] === name);
}

async function groupsNamed(api: ZabbixApi, method: string, name: string): Promise<readonly Row[]> {
  const rows = await api.list(method, { output: ['groupid', 'name', 'uuid'], filter: { name: [name] } });
  return rows.filter((row) => row['name'] === name);
}

async function bringHost(api: ZabbixApi, names: ZabbixNames, host: Row | undefined): Promise<void> {
  if (host !== undefined && isLinked(names, host)) return;
  const templateid = textOf((await named(api, 'template', names.template))[0]?.['templateid']);
  if (templateid === undefined)
    throw new MillraceError('MR_PROTOCOL', `Zabbix took the template "${names.template}" and does not have it`);
  if (host !== undefined) {
    // The list is replaced as a whole: templates that somebody else linked stay.
    const templates = rowsOf(host['parentTemplates']).map((row) => ({ templateid: row['templateid'] }));
    await api.call('host.update', { hostid: host['hostid'], templates: [...templates, { templateid }] });
    return;
  }
  await api.call('host.create', {
    host: names.host,
    groups: [{ groupid: await bringHostGroup(api, names) }],
    templates: [{ templateid }],
    tags: marksOf(names),
    description: 'Stands for a millrace: its rules send their states and values here.',
  });
}

async function bringHostGroup(api: ZabbixApi, names: ZabbixNames): Promise<string> {
  const known = textOf((await groupsNamed(api, 'hostgroup.get', names.hostGroup))[0]?.['groupid']);
  if (known !== undefined) return known;
  const made = (await api.call('hostgroup.create', { name: names.hostGroup, uuid: groupUuid(names, 'host') })) as {
    groupids?: unknown;
  };
  const groupid = Array.isArray(made?.groupids) ? textOf(made.groupids[0]) : undefined;
  if (groupid === undefined)
    throw new MillraceError('MR_PROTOCOL', `Zabbix did not say which host group it made for "${names.hostGroup}"`);
  return groupid;
}

/** Looks each object up within our template by its uuid; nothing else can be hit. */
async function deleteSurplus(api: ZabbixApi, names: ZabbixNames, surplus: readonly Surplus[]): Promise<void> {
  const templateid = textOf((await named(api, 'template', names.template))[0]?.['templateid']);
  if (templateid === undefined) return;
  for (const [kind, get, remove, id] of [
    ['discovery rule', 'discoveryrule.get', 'discoveryrule.delete', 'itemid'],
    ['trigger', 'trigger.get', 'trigger.delete', 'triggerid'],
    ['item', 'item.get', 'item.delete', 'itemid'],
  ] as const) {
    const uuids = new Set(surplus.filter((object) => object.kind === kind).map((object) => object.uuid));
    if (uuids.size === 0) continue;
    const rows = await api.list(get, { output: [id, 'uuid'], templateids: [templateid], inherited: false });
    const ids = rows.filter((row) => typeof row['uuid'] === 'string' && uuids.has(row['uuid'])).map((row) => row[id]);
    if (ids.length > 0) await api.call(remove, ids);
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const rowsOf = (value: unknown): readonly Row[] =>
  Array.isArray(value) ? value.filter((row): row is Row => typeof row === 'object' && row !== null) : [];
