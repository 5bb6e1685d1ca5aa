import type { Step } from '../../engine/sync.ts';
import { GROUPS_KEY_START } from '../keys.ts';
import { MARK } from './plan.ts';

type Json = Readonly<Record<string, unknown>>;

/** An object in our template that no rule wants any more. */
export interface Surplus {
  readonly kind: 'item' | 'trigger' | 'discovery rule';
  readonly uuid: string;
}

export interface Comparison {
  readonly steps: readonly Step[];
  readonly surplus: readonly Surplus[];
}

/** The lists of an answer and what one of their objects is called; the order is the one in which steps are shown. */
const KINDS = new Map([
  ['groups', 'host group'],
  ['template_groups', 'template group'],
  ['templates', 'template'],
  ['valuemaps', 'value map'],
  ['items', 'item'],
  ['triggers', 'trigger'],
  ['discovery_rules', 'discovery rule'],
  ['item_prototypes', 'item prototype'],
  ['trigger_prototypes', 'trigger prototype'],
]);
/** Answers nest template, discovery rule, item prototype, trigger prototype. */
const DEPTH_MAX = 8;

/**
 * Turns an answer of `configuration.importcompare` into steps.
 *
 * What stands in our template without our mark (somebody added an item by hand) gives no step and is left alone.
 * @param answer  compared with deletion on, so that what is surplus shows
 */
export function readComparison(answer: unknown): Comparison {
  const steps: Step[] = [];
  const surplus: Surplus[] = [];
  walk(answer, steps, surplus, 0);
  return { steps, surplus };
}

function walk(node: unknown, steps: Step[], surplus: Surplus[], depth: number): void {
  if (!isMap(node) || depth > DEPTH_MAX) return;
  for (const [list, kind] of KINDS) {
    const changes = node[list];
    if (!isMap(changes)) continue;
    for (const entry of entriesOf(changes['added'])) {
      const after = isMap(entry['after']) ? entry['after'] : {};
      steps.push({ target: 'zabbix', action: 'create', what: `${kind} ${nameOf(kind, after)}`, ...detailOf(kind, after) });
      walk(entry, steps, surplus, depth + 1);
    }
    for (const entry of entriesOf(changes['updated'])) {
      const before = isMap(entry['before']) ? entry['before'] : {};
      const after = isMap(entry['after']) ? entry['after'] : {};
      const detail = differences(before, after);
      // A template is listed as updated when only something below it is.
      if (detail.length > 0)
        steps.push({ target: 'zabbix', action: 'change', what: `${kind} ${nameOf(kind, after)}`, detail: detail.join('\n') });
      walk(entry, steps, surplus, depth + 1);
    }
    for (const entry of entriesOf(changes['removed'])) removed(kind, entry, steps, surplus);
  }
}

function removed(kind: string, entry: Json, steps: Step[], surplus: Surplus[]): void {
  const before = isMap(entry['before']) ? entry['before'] : {};
  const { uuid } = before;
  if (typeof uuid !== 'string' || !isOurs(kind, before)) return;
  if (kind === 'item' || kind === 'trigger' || kind === 'discovery rule') {
    surplus.push({ kind, uuid });
    steps.push({ target: 'zabbix', action: 'delete', what: `${kind} ${nameOf(kind, before)}` });
  }
}

/** Discovery rules carry no tags in Zabbix: theirs is the key. */
function isOurs(kind: string, object: Json): boolean {
  if (kind === 'discovery rule') return typeof object['key'] === 'string' && object['key'].startsWith(GROUPS_KEY_START);
  return entriesOf(object['tags']).some(({ tag, value }) => tag === MARK.tag && value === MARK.value);
}

function nameOf(kind: string, object: Json): string {
  const name = kind.startsWith('item') || kind === 'discovery rule' ? object['key'] : object['name'];
  return typeof name === 'string' ? name : '?';
}

function detailOf(kind: string, after: Json): { detail?: string } {
  return kind.startsWith('trigger') && typeof after['priority'] === 'string'
    ? { detail: `severity ${after['priority'].toLowerCase()}` }
    : {};
}

function differences(before: Json, after: Json): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return Array.from(names)
    .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
    .map((name) => `${name}: ${shown(before[name])} -> ${shown(after[name])}`);
}

const SHOWN_MAX = 120;

function shown(value: unknown): string {
  if (value === undefined) return '(none)';
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replaceAll(/\s+/g, ' ');
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;
}

const isMap = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const entriesOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isMap) : []);
