/** What the command line needs of the rules, in one place: read them, count, decide, report to Zabbix. */
import type { Placed } from '../engine/config/yaml.ts';
import { parseServers, type Server } from '../shippers/zabbix/client.ts';
import { parseRules, type PlaceOf, type Rule } from './rule.ts';
import type { Problem } from '../engine/config/model.ts';
import type { ZabbixTarget } from './zabbix/target.ts';

/** The place of a value in what the loader kept of a file; the nearest one that is known. */
export function placesOf(root: Placed): PlaceOf {
  return (path) => {
    let at = root;
    for (const step of path) {
      const child = at.children.get(String(step));
      if (child === undefined) break;
      at = child;
    }
    return at.place;
  };
}

/** Rules of `alerts:` as the loader gives it; absent means none. */
export function readRules(alerts: Placed | undefined): { rules: Rule[]; problems: Problem[] } {
  return alerts === undefined ? { rules: [], problems: [] } : parseRules(alerts.value, placesOf(alerts));
}

/**
 * Where values are sent: `sender` of the target, else the host of its frontend at the usual port.
 *
 * @throws MillraceError MR_CONFIG when an address cannot be read
 */
export function sendersOf(target: ZabbixTarget): Server[] {
  return parseServers(target.sender ?? [new URL(target.url).hostname]);
}
