import { readRules } from '../alerts/alerts.ts';
import { createRuleConsumer } from '../alerts/samples.ts';
import type { LoadedConfig } from '../engine/config/load.ts';
import type { TapSpec } from '../engine/pipeline/pipeline.ts';
import { createWatchConsumer, WATCH_CONSUMER } from './watch.ts';

/** Name under which the rules' counts travel to the main thread. */
export const RULES_CONSUMER = 'rules';

/** Rules look at every event that reaches the end of a chain; each picks its tags itself. */
export function ruleTaps(config: LoadedConfig): readonly TapSpec[] {
  const { rules } = readRules(config.extras.get('alerts'));
  if (rules.length === 0) return [];
  return [{ id: RULES_CONSUMER, matches: () => true, keeps: true, create: (publish) => createRuleConsumer(rules, { publish }) }];
}

/** What the screen of the demo shows. */
export const watchTap: TapSpec = { id: WATCH_CONSUMER, matches: () => true, keeps: false, create: createWatchConsumer };
