/** Names of what a rule has in Zabbix; the plan makes these items, the daemon sends to them. */

/** Sent with 1 at every evaluation; its silence is the problem "millrace has stopped". */
export const ALIVE_KEY = 'millrace.rules.alive';
/** The macro that a low-level discovery row carries. */
export const GROUP_MACRO = '{#GROUP}';

/** How the keys of our discovery rules begin; nothing else in Zabbix should. */
export const GROUPS_KEY_START = 'millrace.rule.groups[';

export const stateKey = (rule: string, group?: string): string => key('millrace.rule.state', rule, group);
export const valueKey = (rule: string, group?: string): string => key('millrace.rule.value', rule, group);
export const groupsKey = (rule: string): string => key('millrace.rule.groups', rule, undefined);

function key(name: string, rule: string, group: string | undefined): string {
  return group === undefined ? `${name}[${rule}]` : `${name}[${rule},"${group === GROUP_MACRO ? group : quoteInside(group)}"]`;
}

/** Zabbix knows one escape inside quotes; a backslash stands for itself unless a quote follows. */
function quoteInside(group: string): string {
  return group.replaceAll('"', String.raw`\"`);
}

/** The value of a discovery rule: always the whole list, since what is left out counts as lost. */
export function discoveryRows(groups: Iterable<string>): string {
  return JSON.stringify(Array.from(groups, (group) => ({ [GROUP_MACRO]: group })));
}
