/** Reference pages of what is no component: `<system>`, `<buffer>`, rules and targets. */
import type * as z from 'zod';
import { RULE_SCHEMA } from '../../alerts/rule.ts';
import { targetsSchema } from '../../cli/targets.ts';
import { systemConfig } from '../../engine/config/system.ts';
import { injectConfig } from '../../engine/inject.ts';
import { bufferConfig } from '../../engine/delivery/buffer-config.ts';
import { fieldsOf } from './fields.ts';
import { renderFields } from './reference.ts';
import { HEAD } from './registry.ts';

interface SectionPage {
  readonly title: string;
  readonly source: string;
  readonly schema: z.ZodType;
  readonly intro: string;
  readonly after?: string;
}

const RULES_AFTER = `
## Measures

| form | value of an interval |
| --- | --- |
| \`count\` | number of events |
| \`rate\` | events a second |
| \`{ count: WHERE }\`, \`{ rate: WHERE }\` | the same over events that meet a condition |
| \`{ rate: { where: WHERE, per: 1m } }\` | events a minute |
| \`{ ratio: WHERE }\` | share of the events that meet a condition |
| \`{ ratio: { part: WHERE, whole: WHERE } }\` | share of \`part\` in \`whole\` |

An absence is \`measure: count\` with \`condition: '== 0'\`.

## Conditions on events

The part of KQL that a rule needs, for \`where\` and inside measures:

\`\`\`
http.response.status_code >= 500
url.path: /api/* and not http.request.method: (GET or HEAD)
event.action: login and event.outcome: failure
user.id: *
\`\`\`

## Example

\`\`\`yaml
alerts:
  - name: error-ratio
    summary: share of server errors
    from: access.**
    measure: { ratio: 'http.response.status_code >= 500' }
    every: 10s
    min_events: 20
    condition: '> 5%'
    recovery: '< 2%'
    severity: high
  - name: login-failures
    from: service.**
    where: 'event.action: login and event.outcome: failure'
    measure: count
    by: source.geo.region_name
    over: 1m
    condition: '>= 20'
    recovery: '< 5'
    severity: warning
\`\`\`

\`millrace test FILE -c millrace.yaml\` replays a log and prints when each rule would have fired. \`millrace apply\` writes one
template for all rules to Zabbix; the daemon sends state and value of every rule and group each interval.
`;

const PAGES: Readonly<Record<string, SectionPage>> = {
  'system.md': {
    title: '`<system>`',
    source: 'engine/config/system.ts',
    schema: systemConfig,
    intro: 'What concerns the whole process. In YAML: `system:`.',
  },
  'buffer.md': {
    title: '`<buffer>`',
    source: 'engine/delivery/buffer-config.ts',
    schema: bufferConfig,
    intro:
      'How an output gathers events into chunks and how it tries again; inside any `<match>` or `<store>`. The argument names the chunk keys: `<buffer time,tag,$.source.ip>`. Files of chunks that stay open for long are described in [chunk-files.md](../chunk-files.md).',
  },
  'inject.md': {
    title: '`<inject>`',
    source: 'engine/inject.ts',
    schema: injectConfig,
    intro:
      'Fields that are put into the events of one output, inside its `<match>` or `<store>`; other outputs get the events without.',
  },
  'alerts.md': {
    title: 'Rules',
    source: 'alerts/rule.ts',
    schema: RULE_SCHEMA,
    intro:
      'A list under `alerts:` of a `millrace.yaml`. A rule takes a measure per interval, and per group when `by` names a field, and is a problem while its condition holds.',
    after: RULES_AFTER,
  },
  'targets.md': {
    title: 'Targets',
    source: 'cli/targets.ts',
    schema: targetsSchema,
    intro:
      'What `millrace plan` compares and `millrace apply` brings in step: `targets:` of a `millrace.yaml`. Every part may be left out. What carries no mark of ours is never touched; when it stands in the way, the plan says so.',
  },
};

/** @returns path below docs/reference/ → text */
export function renderSections(): Map<string, string> {
  return new Map(
    Object.entries(PAGES).map(([page, { title, source, schema, intro, after }]) => [
      page,
      `<!-- ${HEAD} Source: ${source} -->\n# ${title}\n\n${intro}\n\n## Parameters\n${renderFields(fieldsOf(schema))}${after ?? ''}`,
    ]),
  );
}
