import { createHash } from 'node:crypto';
import { ALIVE_KEY, GROUP_MACRO, groupsKey, stateKey, valueKey } from '../keys.ts';
import type { Rule, Severity } from '../rule.ts';
import { isAtLeast, type ZabbixVersion } from './api.ts';

/** What a rule set is called in Zabbix. */
export interface ZabbixNames {
  /** Value of the tag `millrace-owner`: whose objects these are when several millraces share a Zabbix. */
  readonly owner: string;
  readonly hostGroup: string;
  /** Technical name; also the name of the group of templates from 6.2 on is `hostGroup`. */
  readonly template: string;
  readonly host: string;
}

export interface Tag {
  readonly tag: string;
  readonly value: string;
}

export const MARK: Tag = { tag: 'managed-by', value: 'millrace' };
export const OWNER_TAG = 'millrace-owner';
export const marksOf = (names: ZabbixNames): readonly Tag[] => [MARK, { tag: OWNER_TAG, value: names.owner }];

/** Zabbix's limits, the same from 6.0 to 7.0. */
const NAME_MAX = 255;
const TAG_MAX = 255;
const STATE_MAP = 'millrace state';

/** A number that is always the same for the same thing, in the shape of a version-4 UUID as imports demand. */
export function uuidOf(...path: readonly string[]): string {
  const bytes = createHash('sha256')
    .update(JSON.stringify(['millrace', ...path]))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex');
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The wanted template with all below it, as `configuration.import` reads it; the same rules give the same bytes.
 *
 * @param groupId  uuid of the group of templates when it is there already, ours or not
 */
export function renderImport(
  rules: readonly Rule[],
  names: ZabbixNames,
  version: ZabbixVersion,
  groupId: string = groupUuid(names, isAtLeast(version, 6, 2) ? 'template' : 'host'),
): string {
  const context: RenderContext = {
    names,
    trapper: trapper(version),
    id: (...path) => uuidOf(names.owner, names.template, ...path),
  };
  const items = [
    ...(rules.length === 0 ? [] : [aliveItem(rules, context)]),
    ...rules.filter((rule) => rule.by === undefined).flatMap((rule) => ruleItems(rule, context)),
  ];
  const discoveryRules = rules.filter((rule) => rule.by !== undefined).map((rule) => discoveryRule(rule, context));
  const template = {
    uuid: templateUuid(names),
    template: names.template,
    name: names.template,
    description: 'Kept in step by millrace: change the rules in its configuration, not here.',
    groups: [{ name: names.hostGroup }],
    // A list that is empty would differ from one that the server leaves out.
    ...(items.length === 0 ? {} : { items }),
    ...(discoveryRules.length === 0 ? {} : { discovery_rules: discoveryRules }),
    tags: marksOf(names),
    valuemaps: [
      {
        uuid: context.id('valuemap', STATE_MAP),
        name: STATE_MAP,
        mappings: [
          { value: '0', newvalue: 'ok' },
          { value: '1', newvalue: 'firing' },
        ],
      },
    ],
  };
  const groups = isAtLeast(version, 6, 2) ? 'template_groups' : 'groups';
  const head = { version: `${version.major}.${version.minor}`, [groups]: [{ uuid: groupId, name: names.hostGroup }] };
  return JSON.stringify({ zabbix_export: { ...head, templates: [template] } });
}

export const groupUuid = (names: ZabbixNames, kind: 'host' | 'template'): string =>
  uuidOf(names.owner, `${kind} group`, names.hostGroup);
export const templateUuid = (names: ZabbixNames): string => uuidOf(names.owner, names.template, 'template');

/** What an import may do. Nothing is deleted by it: what is surplus is looked at one by one, for its mark. */
export function importRules(version: ZabbixVersion, options: { readonly deleteMissing: boolean }): Json {
  const write = { createMissing: true, updateExisting: true };
  const all = { ...write, deleteMissing: options.deleteMissing };
  // A group that is there already is used as it is, never renamed: `updateExisting` stays off.
  const groups = isAtLeast(version, 6, 2)
    ? {
        template_groups: { createMissing: true, updateExisting: false },
        host_groups: { createMissing: false, updateExisting: false },
      }
    : { groups: { createMissing: true, updateExisting: false } };
  return { ...groups, templates: write, items: all, triggers: all, discoveryRules: all, valueMaps: all };
}

// ---- objects -----------------------------------------------------------------------------------

/** What all objects of one import share. */
interface RenderContext {
  readonly names: ZabbixNames;
  readonly trapper: Json;
  id(...path: string[]): string;
}

/** Up to 6.4 a trapper compares equal only with a delay of 0, from 7.0 on it has none. */
const trapper = (version: ZabbixVersion): Json => (isAtLeast(version, 7, 0) ? { type: 'TRAP' } : { type: 'TRAP', delay: '0' });

function aliveItem(rules: readonly Rule[], context: RenderContext): Json {
  // Three evaluations may fail before somebody is called, and never sooner than the server looks (30 s).
  const seconds = Math.max(120, Math.ceil((3 * Math.min(...rules.map((rule) => rule.everyMs))) / 1000) + 60);
  return {
    uuid: context.id('item', ALIVE_KEY),
    name: 'millrace: rules are evaluated',
    ...context.trapper,
    key: ALIVE_KEY,
    history: '1d',
    trends: '0',
    description: 'Sent with each evaluation.',
    tags: [MARK],
    triggers: [
      {
        uuid: context.id('trigger', ALIVE_KEY),
        expression: `nodata(/${context.names.template}/${ALIVE_KEY},${seconds}s)=1`,
        name: 'millrace sends no values, rules are not watched',
        priority: 'AVERAGE',
        description:
          'The daemon has stopped, cannot reach this server, or this host has another name than its configuration says.',
        manual_close: 'YES',
        tags: [MARK],
      },
    ],
  };
}

function ruleItems(rule: Rule, context: RenderContext): Json[] {
  return [
    { ...stateItem(rule, context, undefined), triggers: [trigger(rule, context, undefined)] },
    valueItem(rule, context, undefined),
  ];
}

function discoveryRule(rule: Rule, context: RenderContext): Json {
  return {
    uuid: context.id('discovery', groupsKey(rule.name)),
    name: cut(`${rule.name}: groups by ${rule.by ?? ''}`),
    ...context.trapper,
    key: groupsKey(rule.name),
    lifetime: '14d',
    description: 'Kept in step by millrace.',
    item_prototypes: [
      { ...stateItem(rule, context, GROUP_MACRO), trigger_prototypes: [trigger(rule, context, GROUP_MACRO)] },
      valueItem(rule, context, GROUP_MACRO),
    ],
  };
}

const ofGroup = (group: string | undefined): string => (group === undefined ? '' : ` ${group}`);

function stateItem(rule: Rule, context: RenderContext, group: string | undefined): Json {
  return {
    uuid: context.id('item', stateKey(rule.name, group)),
    name: cut(`${rule.name}${ofGroup(group)}: state`),
    ...context.trapper,
    key: stateKey(rule.name, group),
    history: '30d',
    description: cut(rule.summary),
    valuemap: { name: STATE_MAP },
    tags: [MARK, { tag: 'rule', value: rule.name }],
  };
}

function valueItem(rule: Rule, context: RenderContext, group: string | undefined): Json {
  const { measure } = rule;
  const units =
    measure.kind === 'ratio' ? { units: '%' } : measure.kind === 'rate' ? { units: `!/${measure.perMs / 1000}s` } : {};
  return {
    uuid: context.id('item', valueKey(rule.name, group)),
    name: cut(`${rule.name}${ofGroup(group)}: ${measure.kind}`),
    ...context.trapper,
    key: valueKey(rule.name, group),
    history: '30d',
    value_type: 'FLOAT',
    ...units,
    description: cut(`A problem when ${rule.condition.text}`),
    tags: [MARK, { tag: 'rule', value: rule.name }],
  };
}

function trigger(rule: Rule, context: RenderContext, group: string | undefined): Json {
  const state = `last(/${context.names.template}/${stateKey(rule.name, group)})`;
  const tags: Tag[] = [
    MARK,
    { tag: 'rule', value: rule.name },
    ...(group === undefined || rule.by === undefined ? [] : [{ tag: rule.by.slice(0, TAG_MAX), value: group }]),
    ...Object.entries(rule.tags).map(([tag, value]) => ({ tag, value: value.slice(0, TAG_MAX) })),
  ];
  return {
    uuid: context.id('trigger', stateKey(rule.name, group)),
    expression: `${state}=1`,
    name: cut(group === undefined ? rule.summary : `${rule.summary}: ${group}`),
    priority: PRIORITIES[rule.severity],
    description: describe(rule),
    manual_close: 'YES',
    tags,
  };
}

function describe(rule: Rule): string {
  const seconds = (ms: number): string => `${ms / 1000} s`;
  const lines = [
    `Rule ${rule.name} of millrace, evaluated every ${seconds(rule.everyMs)}${rule.intervals > 1 ? ` over ${seconds(rule.intervals * rule.everyMs)}` : ''}.`,
    `A problem when ${rule.measure.kind} ${rule.condition.text}${rule.forMs > 0 ? ` for ${seconds(rule.forMs)}` : ''}, over when ${rule.recovery?.text ?? 'that does not hold any more'}.`,
  ];
  return lines.join('\n');
}

const PRIORITIES: Readonly<Record<Severity, string>> = {
  not_classified: 'NOT_CLASSIFIED',
  information: 'INFO',
  warning: 'WARNING',
  average: 'AVERAGE',
  high: 'HIGH',
  disaster: 'DISASTER',
};

/** Names count characters; macros that Zabbix would expand in a text of ours are the group's alone. */
const cut = (text: string): string => Array.from(text).slice(0, NAME_MAX).join('');
