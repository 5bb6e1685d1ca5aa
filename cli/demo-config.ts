/** The pipeline of the demo: the service's logs and metrics, enriched, counted, watched by rules, kept in a file. */
export interface DemoSetup {
  readonly forward: number;
  readonly statsd: number;
  /** Folder for what the demo keeps; absolute. */
  readonly folder: string;
}

/** @returns a configuration as YAML */
export function renderDemoConfig({ forward, statsd, folder }: DemoSetup): string {
  return `# The pipeline of \`millrace demo\`.
config:
  - source:
      $type: forward
      bind: 127.0.0.1
      port: ${forward}
  - source:
      $type: statsd
      bind: 127.0.0.1
      port: ${statsd}
      flush_interval: 10s
  - filter:
      $type: geo
      $tag: core.access
  - filter:
      $type: log_to_metric
      $tag: core.access
      prefix: core.access
      metric:
        - name: status.\${http.response.status_code}
  - match:
      $type: file
      $tag: metrics.**
      path: ${JSON.stringify(`${folder}/metrics.ndjson`)}
  - match:
      $type: file
      $tag: core.**
      path: ${JSON.stringify(`${folder}/events.ndjson`)}
alerts:
  - name: error-ratio
    summary: share of server errors
    from: core.access
    measure: { ratio: 'http.response.status_code >= 500' }
    every: 10s
    min_events: 20
    condition: '> 5%'
    recovery: '< 2%'
    severity: high
  - name: no-events
    summary: no events arrive
    from: core.access
    measure: count
    every: 10s
    condition: '== 0'
    for: 30s
    severity: average
  - name: login-failures
    summary: log-in failures from one province
    from: core.access
    where: 'event.action: login and event.outcome: failure'
    measure: count
    by: source.geo.region_name
    max_groups: 100
    every: 10s
    condition: '>= 20'
    recovery: '< 5'
    severity: warning
`;
}
