import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ComponentStatus } from './accounts.ts';
import { explainDrop, remedyFor } from './reasons.ts';
import { durationText, StallWatch } from './stalls.ts';

const NOW = 1_700_000_000_000;
type Part = Partial<ComponentStatus>;

const component = (kind: string, part: Part = {}): ComponentStatus => ({
  id: `${kind}-1`,
  kind,
  type: kind,
  worker: 0,
  in: 0,
  created: 0,
  out: 0,
  pending: 0,
  dropped: {},
  bytesIn: 0,
  bytesOut: 0,
  errors: 0,
  state: 'ok',
  metrics: {},
  ...part,
});

/** What is seen at the given seconds; the sentences at the last of them. */
function watch(seen: readonly (readonly [second: number, ...components: ComponentStatus[]])[], workers = 1): string[] {
  const stalls = new StallWatch();
  let nowMs = NOW;
  for (const [second, ...components] of seen) {
    nowMs = NOW + second * 1000;
    stalls.observe(nowMs, components, workers);
  }
  return stalls.stalls(nowMs).map(({ sentence }) => sentence);
}

const output = (part: Part): ComponentStatus => component('output', { id: 'es', ...part });
const log = (part: Part): ComponentStatus => component('log', { id: 'entrance-log', ...part });
const retrying = { state: 'retrying', reason: 'connect ECONNREFUSED 127.0.0.1:9200' };
const full = { state: 'stalled', reason: 'log_limit_size reached' };

describe('a stall', () => {
  for (const [name, seen, want] of [
    [
      'nothing waits',
      [
        [0, output({})],
        [99, output({})],
      ],
      [],
    ],
    [
      'work waits and moves',
      [
        [0, output({ pending: 5 })],
        [9, output({ pending: 5, out: 1 })],
        [18, output({ pending: 5, out: 2 })],
      ],
      [],
    ],
    [
      'an output that retries',
      [
        [0, output({ pending: 5, out: 7, ...retrying })],
        [42, output({ pending: 1200, out: 7, ...retrying })],
      ],
      ['output es has delivered nothing for 42 s while 1200 events wait, because connect ECONNREFUSED 127.0.0.1:9200'],
    ],
    [
      'it has only begun',
      [
        [0, output({ pending: 5, ...retrying })],
        [9, output({ pending: 9, ...retrying })],
      ],
      [],
    ],
    [
      'right after a restart that takes in and delivers nothing',
      [
        [0, output({ in: 10, pending: 10, ...retrying })],
        [12, output({ in: 50, pending: 50, ...retrying })],
      ],
      ['output es has delivered nothing for 12 s while 50 events wait, because connect ECONNREFUSED 127.0.0.1:9200'],
    ],
    [
      'time is counted from when work began to wait',
      [
        [0, output({})],
        [100, output({ pending: 1, ...retrying })],
        [115, output({ pending: 1, ...retrying })],
      ],
      ['output es has delivered nothing for 15 s while 1 event waits, because connect ECONNREFUSED 127.0.0.1:9200'],
    ],
    [
      'it waits for people',
      [0, 10].map((second) => [second, output({ pending: 3, state: 'stalled', reason: '401: wrong password' })] as const),
      ['output es has delivered nothing for 10 s while 3 events wait, because 401: wrong password'],
    ],
    [
      'it is over its limit and moves',
      [0, 10].map(
        (second) =>
          [second, output({ pending: 3, out: second, state: 'stalled', reason: 'total_limit_size is reached' })] as const,
      ),
      [],
    ],
    [
      'a log that is not read on, because outputs hold as much as they may',
      [0, 99].map((second) => [second, log({ pending: 1, state: 'waiting', reason: 'x' })] as const),
      [],
    ],
    [
      'an answer that takes its time',
      [
        [0, output({ pending: 3 })],
        [59, output({ pending: 3 })],
      ],
      [],
    ],
    [
      'an answer that never comes',
      [
        [0, output({ pending: 3 })],
        [60, output({ pending: 3 })],
      ],
      ['output es has delivered nothing for 1 min while 3 events wait, because the server has not answered yet'],
    ],
    [
      'chunks that are open until tonight',
      [0, 9000].map((second) => [second, output({ pending: 3, metrics: { chunks_in_flight: 0, chunks_waiting: 0 } })] as const),
      [],
    ],
    [
      'it takes, and all of it is dropped',
      [
        [0, output({ in: 4, dropped: { refused: 4 } })],
        [20, output({ in: 9, dropped: { refused: 9 } })],
      ],
      ['output es has delivered nothing for 20 s, because everything that it took was dropped (refused: 9)'],
    ],
    [
      'some of it arrives',
      [
        [0, output({ dropped: { refused: 4 } })],
        [20, output({ out: 1, dropped: { refused: 9 } })],
      ],
      [],
    ],
    [
      'the log is full, and that is why the source is held back',
      [0, 30].map(
        (second) =>
          [
            second,
            output({ pending: 9, ...retrying }),
            log({ in: 100, pending: 9, ...full }),
            component('source', { id: 'in', out: 100 }),
          ] as const,
      ),
      [
        'output es has delivered nothing for 30 s while 9 events wait, because connect ECONNREFUSED 127.0.0.1:9200',
        'log entrance-log has taken nothing for 30 s while 9 events wait, because log_limit_size reached; output es holds it up: connect ECONNREFUSED 127.0.0.1:9200',
        'source in is held back and has taken nothing for 30 s, because the entrance log takes nothing: log_limit_size reached; output es holds it up: connect ECONNREFUSED 127.0.0.1:9200',
      ],
    ],
    [
      'a full log that still moves is only slow',
      [
        [0, log({ in: 1, pending: 1, ...full })],
        [30, log({ in: 2, pending: 1, ...full })],
      ],
      [],
    ],
    [
      'the disk is full: no output is blamed',
      [0, 11].map(
        (second) =>
          [
            second,
            output({ pending: 1, ...retrying }),
            log({ pending: 1, state: 'stalled', reason: 'disk full: ENOSPC' }),
          ] as const,
      ),
      [
        'output es has delivered nothing for 11 s while 1 event waits, because connect ECONNREFUSED 127.0.0.1:9200',
        'log entrance-log has taken nothing for 11 s while 1 event waits, because disk full: ENOSPC',
      ],
    ],
    [
      'a source without work',
      [
        [0, component('source'), log({})],
        [3600, component('source'), log({})],
      ],
      [],
    ],
    [
      'rules that are behind',
      [
        [0, component('rules', { pending: 8 })],
        [10, component('rules', { pending: 8 })],
      ],
      [
        'rules rules-1 has passed nothing on for 10 s while 8 events wait, because it is behind: what comes in is more than it can do',
      ],
    ],
  ] as const)
    test(name, () => assert.deepEqual(watch(seen as never), want));

  test('of a worker that does not answer is one sentence', () => {
    const two = [log({}), log({ worker: 1 }), output({ worker: 1, pending: 1 })] as const;
    assert.deepEqual(
      watch(
        [
          [0, ...two],
          [15, log({})],
        ],
        2,
      ),
      ['worker 1 has not answered for 15 s, because its thread is busy or hangs'],
    );
  });

  test('of a component that is gone is gone, too', () => {
    const stuck = output({ pending: 5, ...retrying });
    assert.deepEqual(
      watch([
        [0, stuck, log({})],
        [20, stuck, log({})],
        [25, log({})],
      ]),
      [],
    );
    assert.deepEqual(
      watch([
        [0, { ...stuck, worker: 3 }, log({})],
        [20, log({})],
      ]),
      [],
    );
  });

  test('is gone as soon as something moves', () => {
    const stalls = new StallWatch();
    stalls.observe(NOW, [output({ pending: 5, ...retrying })], 1);
    stalls.observe(NOW + 20_000, [output({ pending: 5, ...retrying })], 1);
    assert.equal(stalls.stalls(NOW + 20_000).length, 1);
    stalls.observe(NOW + 21_000, [output({ pending: 4, out: 1 })], 1);
    assert.deepEqual(stalls.stalls(NOW + 21_000), []);
  });

  test('says where the component stands, and what to do', () => {
    const stalls = new StallWatch();
    const stuck = output({ pending: 5, state: 'stalled', reason: '403 forbidden', place: 'millrace.yaml:12:3' });
    for (const ms of [NOW, NOW + 15_000]) stalls.observe(ms, [stuck], 1);
    const [stall] = stalls.stalls(NOW + 15_000);
    assert.equal(stall?.place, 'millrace.yaml:12:3');
    assert.equal(stall.remedy, 'check user, password or key in the configuration and what they may do on the server');
  });

  test('any books: no throw, and nothing is said of what has nothing waiting', () => {
    const status = fc.record({
      kind: fc.constantFrom('output', 'router', 'filter', 'consumer'),
      pending: fc.constant(0),
      out: fc.nat(9),
      state: fc.constantFrom('ok', 'retrying', 'stalled'),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(100), status), { maxLength: 20 }), (seen) => {
        let second = 0;
        const rows = seen.map(([gap, part]) => [(second += gap), component(part.kind, part)] as const);
        for (const sentence of watch(rows)) assert.match(sentence, /has not answered/);
      }),
    );
  });
});

describe('remedies', () => {
  for (const [reason, want] of [
    ['getaddrinfo ENOTFOUND es.internal', /DNS/],
    ['503: no shard available', /state of the server/],
    ['429: rejected execution', /takes less/],
    [
      'index [logs] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]',
      /room on the disks of the server/,
    ],
    ['dead letters cannot be written', /data directory/],
    ['self-signed certificate', /ca_file/],
    ['who knows', /act on/],
  ] as const)
    test(reason, () => assert.match(remedyFor(reason), want));

  test('a reason for drops that nobody knows', () => assert.match(explainDrop('toString').meaning, /for this reason/));
});

describe('durations', () => {
  for (const [ms, want] of [
    [0, '0 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [185_000, '3 min 5 s'],
    [7_800_000, '2 h 10 min'],
    [7_200_000, '2 h'],
    [176_400_000, '2 d 1 h'],
    [-5, '0 s'],
  ] as const)
    test(want, () => assert.equal(durationText(ms), want));
});
