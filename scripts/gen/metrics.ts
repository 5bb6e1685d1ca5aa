/** The page of everything that `/metrics` says: what the engine counts, and what components declare. */
import {
  BOOKS,
  DROPPED,
  ENGINE_METRICS,
  engineName,
  familyName,
  PROCESS,
  STALLED,
  type Family,
} from '../../engine/telemetry/metric-table.ts';
import { UNDECLARED } from '../../engine/telemetry/prometheus.ts';
import type { Found } from './definitions.ts';
import { HEAD } from './registry.ts';

type Row = readonly [name: string, family: Family, labels: string];

const COMPONENT = '`component`, `kind`, `type`, `worker`';

export function renderMetricsPage(found: readonly Found[]): string {
  const ofComponents: Row[] = [
    ...Object.entries(BOOKS).map(([name, family]): Row => [name, family, COMPONENT]),
    ...Object.entries(DROPPED).map(([name, family]): Row => [name, family, `${COMPONENT}, \`${family.label}\``]),
    ...Object.entries(STALLED).map(([name, family]): Row => [name, family, COMPONENT]),
    ['millrace_component_figure', UNDECLARED, `${COMPONENT}, \`name\``],
  ];
  const ofEngine = Object.entries(ENGINE_METRICS).flatMap(([kind, families]) =>
    Object.entries(families).map(([name, family]): Row => [
      engineName(kind, name, family),
      family,
      '`component`, `type`, `worker`',
    ]),
  );
  const ofProcess = Object.entries(PROCESS).map(([name, family]): Row => [
    name,
    family,
    family.label === undefined ? '' : `\`${family.label}\``,
  ]);
  const own = found.flatMap(({ definition: { kind, name: type, metrics } }) =>
    Object.entries(metrics).map(([name, spec]): Row => [
      familyName(kind, type, name, spec.type === 'counter'),
      spec,
      '`component`, `worker`',
    ]),
  );
  return `<!-- ${HEAD} Source: engine/telemetry/metric-table.ts -->
# Metrics

\`GET /metrics\` on the control server answers in Prometheus' text format 0.0.4. On a loopback address it needs no token; elsewhere the token of the data directory:

\`\`\`yaml
scrape_configs:
  - job_name: millrace
    authorization: { credentials_file: /var/lib/millrace/token }
    static_configs: [{ targets: ['127.0.0.1:24230'] }]
\`\`\`

\`GET /health\` says 200 as long as the process lives. \`GET /ready\` says 503, with the reasons, when events cannot be taken: a worker does not answer, the disk takes nothing, or the entrance log has been full for 10 seconds. An output that is down is no reason: what it would get is kept.

For every component \`in + created = out + dropped + pending\`. Names have few values by design: an id comes from the configuration, a component has at most 32 reasons for drops, and a value longer than 128 characters is cut.

## Components
${table(ofComponents)}
## Log and outputs
${table(ofEngine)}
## The process
${table(ofProcess)}
## What components count themselves
${table(own)}
## Alerts worth having

| when | means |
| --- | --- |
| \`millrace_component_stalled_seconds > 60\` | something has not moved for a minute while work waits; \`millrace why\` has the cause and the remedy |
| \`increase(millrace_output_dead_letters_total[10m]) > 0\` | a server refuses events for good; \`millrace dlq ls\` |
| \`millrace_log_bytes / millrace_log_limit_bytes > 0.8\` | soon sources are held back |
| \`millrace_imbalances > 0\` | a defect: the books do not balance |
`;
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(([name, { type, unit, help }, labels]) => {
    const text = help.endsWith('.') ? help : `${help}.`;
    const shown = `${(text[0] ?? '').toUpperCase()}${text.slice(1)}`.replaceAll('|', String.raw`\|`);
    return `| \`${name}\` | ${type} | ${unit.replaceAll(/[{}]/g, '')} | ${labels} | ${shown} |\n`;
  });
  return `\n| name | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n${lines.join('')}`;
}
