import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ComponentStatus } from './accounts.ts';
import { parseExposition, type Exposed } from '../testing/exposition.ts';
import { ProcessWatch } from './process-figures.ts';
import { renderMetrics, type Snapshot } from './prometheus.ts';
import { StallWatch } from './stalls.ts';

const component = (part: Partial<ComponentStatus>): ComponentStatus => ({
  id: 'es',
  kind: 'output',
  type: 'elasticsearch',
  worker: 0,
  in: 10,
  created: 0,
  out: 6,
  pending: 3,
  dropped: { refused: 1 },
  bytesIn: 1000,
  bytesOut: 600,
  errors: 2,
  state: 'ok',
  metrics: {},
  ...part,
});

const snapshot = (part: Partial<Snapshot> = {}): Snapshot => ({
  version: '1.2.3',
  startedMs: 1_700_000_000_500,
  components: [component({})],
  stalls: [],
  imbalances: [],
  rules: [],
  zabbix: undefined,
  process: { cpuSeconds: 1.25, residentBytes: 9e7, heapUsedBytes: 1e7, openFiles: 21, loopDelaySeconds: { p99: 0.02 } },
  specs: () => ({}),
  ...part,
});

const expose = (part: Partial<Snapshot> = {}): Exposed => parseExposition(renderMetrics(snapshot(part)));
const ES = 'component="es",kind="output",type="elasticsearch",worker="0"';

describe('the exposition', () => {
  for (const [series, want] of [
    [`millrace_component_events_in_total{${ES}}`, 10],
    [`millrace_component_events_out_total{${ES}}`, 6],
    [`millrace_component_events_pending{${ES}}`, 3],
    [`millrace_component_events_dropped_total{${ES},reason="refused"}`, 1],
    [`millrace_component_bytes_out_total{${ES}}`, 600],
    [`millrace_component_errors_total{${ES}}`, 2],
    [`millrace_component_ok{${ES}}`, 1],
    [`millrace_component_stalled_seconds{${ES}}`, 0],
    ['millrace_build_info{version="1.2.3"}', 1],
    ['process_cpu_seconds_total', 1.25],
    ['process_open_fds', 21],
    ['process_start_time_seconds', 1_700_000_000.5],
    ['millrace_event_loop_delay_seconds{statistic="p99"}', 0.02],
  ] as const)
    test(series, () => assert.equal(expose().series.get(series), want));

  test('every counter ends in _total, nothing else does; every family has help, type and unit', () => {
    const { families } = expose({
      zabbix: { sent: 1, refused: 2, dropped: 3, pending: 4 },
      rules: [{ status: 'firing' }, { status: 'ok' }, { status: 'ok' }],
    });
    for (const [name, { type, help, unit }] of families) {
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      assert.ok(help.endsWith('.') && unit !== '', name);
    }
    assert.ok(families.size > 18);
  });

  test('of a stall', () => {
    const watch = new StallWatch();
    const stuck = component({ state: 'stalled', reason: '401' });
    for (const ms of [1000, 31_000]) watch.observe(ms, [stuck], 1);
    const { series } = expose({ components: [stuck], stalls: watch.stalls(31_000) });
    assert.equal(series.get(`millrace_component_stalled_seconds{${ES}}`), 30);
    assert.equal(series.get(`millrace_component_ok{${ES}}`), 0);
    assert.equal(series.get('millrace_stalls'), 1);
  });

  test('figures: declared by the component, by the engine, by nobody', () => {
    const { series, families } = expose({
      components: [component({ metrics: { requests: 5, nodes_alive: 2, dead_letters: 7, toString: 9 } })],
      specs: (kind, type) =>
        kind === 'output' && type === 'elasticsearch'
          ? {
              requests: { type: 'counter', unit: 'requests', help: 'Requests \\ sent\nand more.' },
              nodes_alive: { type: 'gauge', unit: 'nodes', help: 'Nodes that answer.' },
            }
          : {},
    });
    assert.equal(series.get('millrace_output_elasticsearch_requests_total{component="es",worker="0"}'), 5);
    assert.equal(families.get('millrace_output_elasticsearch_requests_total')?.help, 'Requests \\ sent\nand more.');
    assert.equal(series.get('millrace_output_elasticsearch_nodes_alive{component="es",worker="0"}'), 2);
    assert.equal(series.get('millrace_output_dead_letters_total{component="es",type="elasticsearch",worker="0"}'), 7);
    assert.equal(series.get(`millrace_component_figure{${ES},name="toString"}`), 9);
    const log = component({ id: 'entrance-log', kind: 'log', type: 'log', metrics: { bytes: 3, log_commit_ms: 1500 } });
    const ofLog = expose({ components: [log] }).series;
    assert.equal(ofLog.get('millrace_log_bytes{component="entrance-log",type="log",worker="0"}'), 3);
    assert.equal(ofLog.get('millrace_log_commit_seconds_total{component="entrance-log",type="log",worker="0"}'), 1.5);
  });

  test('label values: escaped, cut, Chinese as it is', () => {
    const id = 'a"b\\c\nd 中国';
    assert.equal([...(expose({ components: [component({ id })] }).labels.get('component') ?? [])].join(), id);
    const long = [...(expose({ components: [component({ dropped: { ['x'.repeat(500)]: 1 } })] }).labels.get('reason') ?? [])];
    assert.equal(long[0]?.length, 129);
  });

  test('any ids, reasons and values: a text that can be read, each series once', () => {
    const value = fc.oneof(fc.nat(), fc.double(), fc.constantFrom(Infinity, -Infinity, Number.NaN));
    const status = fc.record({
      id: fc.string({ unit: 'binary' }),
      type: fc.string(),
      worker: fc.nat(3),
      pending: value,
      dropped: fc.dictionary(fc.string(), value),
      metrics: fc.dictionary(fc.string(), value),
    });
    fc.assert(
      fc.property(fc.array(status, { maxLength: 4 }), (parts) => {
        parseExposition(renderMetrics(snapshot({ components: parts.map((part) => component(part)) })));
      }),
    );
  });

  test('the process knows itself', () => {
    const watch = new ProcessWatch();
    const { cpuSeconds, residentBytes, heapUsedBytes, loopDelaySeconds } = watch.read();
    watch.stop();
    assert.ok(cpuSeconds > 0 && residentBytes > heapUsedBytes && heapUsedBytes > 0);
    for (const delay of Object.values(loopDelaySeconds)) assert.ok(delay >= 0 && delay < 3600);
  });
});
