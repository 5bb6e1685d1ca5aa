import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DeadLetters } from '../../engine/delivery/dead-letters.ts';
import { Progress } from '../../engine/delivery/progress.ts';
import { eventId } from '../../engine/events/event-id.ts';
import { openDiskLog } from '../../engine/log/disk-log.ts';
import type { Frame } from '../../engine/log/entrance-log.ts';
import { FakeClock, makeBatch } from '../../engine/testing/driver.ts';
import { main } from '../main.ts';
import { widthOf } from '../output.ts';
import { renderEvent, type EventAnswer } from './why-event.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };

const CONFIG = `
<source>
  @type forward
</source>
<filter web.**>
  @type record_transformer
  <record>
    greeting 你好 \${record["name"]}
  </record>
  remove_keys secret
</filter>
<filter **>
  @id only-known
  @type grep
  <regexp>
    key name
    pattern /./
  </regexp>
</filter>
<filter web.**>
  @type parser
  key_name raw
  reserve_data true
  <parse>
    @type json
  </parse>
</filter>
<match web.**>
  @type copy
  <store>
    @type null
    @id one
  </store>
  <store>
    @type relabel
    @label @LATER
  </store>
</match>
<match app>
  @type null
  @id app
</match>
<label @LATER>
  <match **>
    @type null
    @id two
  </match>
</label>
`;

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const streams = { out: (text: string) => void (out += text), err: (text: string) => void (err += text), isTerminal: false };
  const code = await main(['why', ...args], streams);
  return { code, out, err };
}

interface Json {
  readonly state: string;
  readonly worker: number;
  readonly isOtherConfiguration?: boolean;
  readonly event?: { readonly id: string; readonly tag: string; readonly record: unknown };
  readonly steps?: readonly {
    kind: string;
    component: string;
    label: string;
    isDropped: boolean;
    reasons: string[];
    changes: unknown;
  }[];
  readonly outputs: readonly { output: string; state: string; behindBytes?: number; reason?: string }[];
}

const idOf = ({ batch: { place } }: Frame, index = 0): string => {
  assert.ok(place !== undefined);
  return eventId(place, index * 256);
};

describe('millrace why --event', () => {
  const folder = mkdtempSync(join(tmpdir(), 'why-event-'));
  after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'fluent.conf');
  writeFileSync(config, CONFIG);
  let made = 0;

  const EVENTS = [
    ['web.a', { name: '小明', secret: 'x\u001b[2J', raw: '{"status":200}' }],
    ['web.a', { nobody: true }],
    ['web.a', { name: 'n', raw: 'no json' }],
    ['app', { name: 'n' }],
    ['other', { name: 'n' }],
  ] as const;

  /** A log with a frame for each of the events, the first one twice in its frame; output one has come to the third frame. */
  async function fresh(): Promise<{ data: string; frames: Frame[] }> {
    const data = join(folder, String(made++));
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const log = await openDiskLog({
      directory: join(data, 'worker-0', 'log'),
      clock,
      log: silent,
      limitBytes: 1 << 20,
      header: { configHash: 'ab'.repeat(32), geoHash: '' },
      incarnation: () => 5n,
    });
    for (const [n, [tag, record]] of EVENTS.entries()) {
      log.append(makeBatch(n === 0 ? [{ record }, { record: { name: 'second' } }] : [{ record }], tag), 'os', '');
      await log.flush();
    }
    const reader = log.reader(undefined, () => undefined);
    const frames = EVENTS.map(() => reader.next() as Frame);
    await log.close();
    for (const [output, frame] of [
      ['one', frames[2]],
      ['two', frames[0]],
      ['app', frames[4]],
    ] as const)
      await Progress.open(join(data, 'worker-0', 'progress', output), {
        clock,
        log: silent,
        start: frame?.position ?? 0,
      }).close();
    return { data, frames };
  }

  async function ask(data: string, id: string, ...more: string[]): Promise<{ code: number; answer: Json }> {
    const { code, out, err } = await call('--event', id, '--data', data, '--json', ...more);
    assert.equal(err, '');
    return { code, answer: JSON.parse(out) as Json };
  }

  const way = ({ steps = [] }: Json): string =>
    steps
      .map(
        ({ kind, component, label, isDropped, reasons }) =>
          `${label}${kind} ${component}${isDropped ? ` ✖ ${reasons.join()}` : ''}`,
      )
      .join(', ');

  const LATER = 'relabel @LATER, @LATERoutput two';
  const FIRST = 'filter record_transformer-1, filter only-known';
  for (const [n, index, want, outputs] of [
    [0, 0, `${FIRST}, filter parser-1, output one, ${LATER}`, 'one delivered, two waiting'],
    [0, 1, `${FIRST}, filter parser-1, @ERRORlost router ✖ no match, output one, ${LATER}`, 'one delivered, two waiting'],
    [1, 0, 'filter record_transformer-1, filter only-known ✖ filtered', ''],
    [3, 0, 'filter only-known, output app', 'app delivered'],
    [4, 0, 'filter only-known, lost router ✖ no match', ''],
  ] as const)
    test(`event ${index} of frame ${n}`, async () => {
      const { data, frames } = await fresh();
      const { code, answer } = await ask(data, idOf(frames[n] as Frame, index), '-c', config);
      assert.equal(code, 0);
      assert.equal(answer.state, 'found');
      assert.equal(answer.event?.tag, EVENTS[n][0]);
      assert.equal(way(answer), want);
      assert.equal(answer.outputs.map(({ output, state }) => `${output} ${state}`).join(', '), outputs);
    });

  test('what a filter changes is shown field by field, and nothing on the disk changes', async () => {
    const { data, frames } = await fresh();
    const files = (): string[] =>
      readdirSync(data, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.name} ${readFileSync(join(entry.parentPath, entry.name)).toString('base64')}`);
    const before = files();
    const { answer } = await ask(data, idOf(frames[0] as Frame), '-c', config);
    assert.deepEqual(answer.steps?.[0]?.changes, [
      { field: 'secret', before: 'x\u001b[2J' },
      { field: 'greeting', after: '你好 小明' },
    ]);
    assert.equal(answer.isOtherConfiguration, true);
    assert.deepEqual(files(), before);
  });

  test('by its place; without a configuration the outputs of the log', async () => {
    const { data, frames } = await fresh();
    const place = frames[3]?.batch.place;
    const { answer } = await ask(data, `0/${place?.segment}/${place?.offset}`);
    assert.deepEqual([answer.event?.tag, answer.steps], ['app', undefined]);
    assert.equal(
      answer.outputs
        .map(({ output, state }) => `${output} ${state}`)
        .toSorted((a, b) => (a < b ? -1 : 1))
        .join(', '),
      'app delivered, one waiting, two waiting',
    );
    const bytes = answer.outputs.find(({ output }) => output === 'one')?.behindBytes;
    assert.equal(bytes, (frames[3]?.position ?? 0) - (frames[2]?.position ?? 0));
  });

  test('a dead letter says why', async () => {
    const { data, frames } = await fresh();
    const clock = new FakeClock(Date.UTC(2026, 0, 2));
    const graveyard = new DeadLetters({ directory: data, output: 'app', log: silent, clock });
    graveyard.bury([{ batch: frames[3]?.batch as Frame['batch'], reason: 'mapper_parsing_exception' }]);
    graveyard.close();
    const { answer } = await ask(data, idOf(frames[3] as Frame), '-c', config);
    assert.deepEqual(answer.outputs, [
      {
        output: 'app',
        event: idOf(frames[3] as Frame),
        state: 'dead letter',
        reason: 'mapper_parsing_exception',
        since: '2026-01-02T00:00:00.000Z',
      },
    ]);
  });

  for (const [name, change, state, code] of [
    ['an older segment', { segment: -1 }, 'trimmed', 0],
    ['a newer segment', { segment: 1 }, 'unknown', 1],
    ['another log', { incarnation: 6n }, 'unknown', 1],
    ['no frame at the place', { offset: 1 }, 'damaged', 1],
  ] as const)
    test(`${name}: ${state}`, async () => {
      const { data, frames } = await fresh();
      const place = frames[1]?.batch.place;
      assert.ok(place !== undefined);
      const id = eventId(
        {
          ...place,
          segment: place.segment + ('segment' in change ? change.segment : 0),
          incarnation: 'incarnation' in change ? change.incarnation : place.incarnation,
          offset: place.offset + ('offset' in change ? change.offset : 0),
        },
        0,
      );
      const found = await ask(data, id);
      assert.deepEqual([found.answer.state, found.code], [state, code]);
    });

  test('an index that the frame has not', async () => {
    const { data, frames } = await fresh();
    assert.equal((await ask(data, idOf(frames[1] as Frame, 7))).code, 1);
  });

  for (const text of ['x', '0'.repeat(31), '0/1', '0/1/2/3/4', '0/1/-2'])
    test(`${text} is no event`, async () => {
      const { code, err } = await call('--event', text, '--data', folder);
      assert.equal(code, 64);
      assert.match(err, /MR_USAGE/);
    });

  test('for people: 80 columns, Chinese in step, nothing of the event reaches the terminal as it is', async () => {
    const { data, frames } = await fresh();
    const id = idOf(frames[0] as Frame);
    const { out } = await call('--event', id, '--data', data, '-c', config);
    assert.ok(out.includes('\\u001b[2J') && !out.includes('\u001b[2J'), out);
    const { answer } = await ask(data, id, '-c', config);
    const long = '很长的中文'.repeat(30);
    const nasty: EventAnswer = {
      ...(answer as unknown as EventAnswer),
      event: { id, tag: `web.${long}`, time: 't', record: { 名字: long, b: 1, 'k\n': '\u202e' } },
    };
    const text = renderEvent(id, nasty, 80);
    for (const line of text.split('\n'))
      assert.ok(widthOf(line) <= 80 || !line.trim().includes(' ') || line.includes('tag web.'), `${widthOf(line)}: ${line}`);
    assert.ok(!text.includes('\u202e'));
    // The values of the record stand below each other.
    const columns = text
      .split('\n')
      .filter((line) => /^ {2}(名字|b|k ) /.test(line))
      .map((line) => widthOf(/^ {2}\S+ +/.exec(line)?.[0] ?? ''));
    assert.equal(new Set(columns.slice(0, 2)).size, 1, text);
  });
});
