import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventView } from '../component.ts';
import { field } from '../events/field.ts';
import type { Fields } from '../events/batch.ts';
import { openBench, type Bench, type BenchOptions } from '../testing/bench.ts';

const TRAIL = field('trail');
const KEY = field('key');

const FILTERS: NonNullable<BenchOptions['filters']> = {
  /** Writes down that the event came by. */
  mark: (event, { name }) => event.set(TRAIL, `${event.str(TRAIL) ?? ''}${String(name)}`),
  drop: (event) => {
    if (event.has(KEY)) event.drop('has key');
  },
  fail: (event) => {
    if (event.has(KEY)) throw new Error('boom');
  },
  split: (event, { tag, label, parts }) => {
    for (let n = 0; n < Number(parts ?? 1); n++)
      event.emit(String(tag), { part: n }, typeof label === 'string' ? label : undefined);
    event.drop('split');
  },
};

/** `tag:key` events in, what each output kept out: `id: tag(trail) ...`. */
async function route(conf: string, events: string, options: BenchOptions = {}): Promise<{ bench: Bench; seen: string }> {
  const outputs = [...conf.matchAll(/@id (\S+)/g)].map(([, id]) => id ?? '');
  const bench = await openBench(
    `<source>\n@type feed\n@id in\n</source>\n<source>\n@type feed\n@id labelled\n@label @A\n</source>\n${conf}`,
    {
      filters: FILTERS,
      ...options,
    },
  );
  for (const event of events.split(' ')) {
    const [tag = '', key] = event.replace('@A/', '').split(':');
    const record: Fields = key === undefined ? {} : { key };
    bench.feed(tag, [record], event.startsWith('@A/') ? 'labelled' : 'in');
  }
  await bench.settle();
  assert.deepEqual(bench.imbalances(), []);
  await bench.pipeline.stop();
  const seen = outputs
    .map((id) =>
      [
        id,
        ...bench
          .kept(id)
          .map(({ tag, record }) => `${tag}${record['trail'] === undefined ? '' : `(${record['trail'] as string})`}`),
      ].join(' '),
    )
    .filter((text) => text.includes(' '))
    .join('; ');
  return { bench, seen };
}

const match = (pattern: string, id: string): string => `<match ${pattern}>\n@type keep\n@id ${id}\n</match>\n`;
const mark = (pattern: string, name: string): string => `<filter ${pattern}>\n@type mark\nname ${name}\n</filter>\n`;
const relabel = (pattern: string, label: string): string => `<match ${pattern}>\n@type relabel\n@label ${label}\n</match>\n`;
const label = (name: string, body: string): string => `<label ${name}>\n${body}</label>\n`;

describe('where events go', () => {
  for (const [name, conf, events, want] of [
    [
      'the first match wins',
      match('a.*', 'one') + match('a.**', 'two') + match('**', 'rest'),
      'a.b a.b.c a z',
      'one a.b; two a.b.c a; rest z',
    ],
    ['nobody takes it', match('a', 'one'), 'b', ''],
    ['only filters before the match', match('a', 'one') + mark('**', 'f') + match('**', 'two'), 'a b', 'one a; two b(f)'],
    ['only filters whose pattern fits', mark('a', 'x') + mark('b a', 'y') + match('**', 'one'), 'a b c', 'one a(xy) b(y) c'],
    ['a filter behind the match', match('**', 'one') + mark('**', 'f'), 'a', 'one a'],
    [
      'labels stand apart',
      mark('**', 'r') + match('**', 'root') + label('@A', mark('**', 'l') + match('**', 'inner')),
      'a @A/a',
      'root a(r); inner a(l)',
    ],
    [
      'relabel keeps what filters did',
      mark('**', 'r') + relabel('**', '@A') + label('@A', mark('**', 'l') + match('**', 'inner')),
      'a',
      'inner a(rl)',
    ],
    ['back to the root', match('**', 'root') + label('@A', relabel('**', '@ROOT')), '@A/a', 'root a'],
    [
      'copy',
      `<match **>\n@type copy\n<store>\n@type keep\n@id one\n</store>\n<store>\n@type keep\n@id two\n</store>\n</match>\n`,
      'a b',
      'one a b; two a b',
    ],
    [
      'copy within copy',
      `<match **>\n@type copy\n<store>\n@type copy\n<store>\n@type keep\n@id one\n</store>\n</store>\n<store>\n@type keep\n@id two\n</store>\n</match>\n`,
      'a',
      'one a; two a',
    ],
    [
      'copy to an output and a label',
      `<match **>\n@type copy\n<store>\n@type keep\n@id one\n</store>\n<store>\n@type relabel\n@label @A\n</store>\n</match>\n${label('@A', mark('**', 'l') + match('**', 'two'))}`,
      'a',
      'one a; two a(l)',
    ],
    ['a dropped event', `<filter **>\n@type drop\n</filter>\n${match('**', 'one')}`, 'a a:1 b', 'one a b'],
    ['a failing filter, no @ERROR', `<filter **>\n@type fail\n</filter>\n${match('**', 'one')}`, 'a a:1 b', 'one a b'],
    [
      'a failing filter, @ERROR',
      `${mark('**', 'f')}<filter **>\n@type fail\n</filter>\n${match('**', 'one')}${label('@ERROR', match('**', 'err'))}`,
      'a a:1 b',
      'one a(f) b(f); err a(f)',
    ],
    [
      'a filter that fails inside @ERROR',
      `<filter **>\n@type fail\n</filter>\n${match('**', 'one')}${label('@ERROR', `<filter **>\n@type fail\n</filter>\n${match('**', 'err')}`)}`,
      'a:1 b',
      'one b',
    ],
    [
      'an event under another tag starts anew',
      `<filter a>\n@type split\ntag b\n</filter>\n${mark('**', 'f')}${match('a', 'one')}${match('b', 'two')}`,
      'a',
      'two b(f)',
    ],
    [
      'an event for another label',
      `<filter a>\n@type split\ntag b\nlabel @A\nparts 2\n</filter>\n${match('**', 'one')}${label('@A', match('**', 'two'))}`,
      'a c',
      'one c; two b b',
    ],
    [
      'an event for a label that is not there',
      `<filter a>\n@type split\ntag b\nlabel @NONE\n</filter>\n${match('**', 'one')}`,
      'a',
      '',
    ],
    [
      'an event from a label for the root',
      `${match('**', 'root')}${label('@A', `<filter a>\n@type split\ntag b\nlabel @ROOT\n</filter>\n${match('**', 'inner')}`)}`,
      '@A/a',
      'root b',
    ],
  ] as const)
    test(name, async () => assert.equal((await route(conf, events)).seen, want));
});

describe('what is booked', () => {
  test('no match: warned of at the first and second time, counted always', async () => {
    const { bench } = await route(match('a', 'one'), 'b b b');
    assert.deepEqual(bench.status('router').dropped, { 'no match': 3 });
    assert.deepEqual(
      bench.lines.map(({ fields, message }) => [message, fields['times']]),
      [
        ['no match takes events of this tag, dropped', 1],
        ['no match takes events of this tag, dropped', 2],
      ],
    );
  });

  test('a circle of labels ends', async () => {
    const { bench, seen } = await route(
      relabel('**', '@A') + label('@A', relabel('**', '@B')) + label('@B', relabel('**', '@A')),
      'a',
    );
    assert.equal(seen, '');
    assert.equal(bench.status('router').dropped['routed in a circle'], 1);
  });

  test('a filter that emits what it takes ends too', async () => {
    const { bench } = await route(`<filter **>\n@type split\ntag a\n</filter>\n${match('**', 'one')}`, 'a');
    assert.equal(bench.status('router').dropped['routed in a circle'], 1);
    assert.equal(bench.status('entrance-log').pending, 0);
  });

  test('a circle that doubles at every turn is cut off by the number of parts', async () => {
    const { bench } = await route(`<filter **>\n@type split\ntag a\nparts 2\n</filter>\n${match('**', 'one')}`, 'a');
    const { dropped } = bench.status('router');
    assert.ok((dropped['split into more than 255 parts'] ?? 0) > 0, JSON.stringify(dropped));
    assert.equal(bench.status('entrance-log').pending, 0);
  });

  test('a failing filter says so a few times, whatever the number of events', async () => {
    const { bench } = await route(
      `<filter **>\n@type fail\n@id f\n</filter>\n${match('**', 'one')}`,
      Array.from({ length: 20 }, () => 'a:1').join(' '),
    );
    assert.equal(bench.status('f').errors, 20);
    assert.deepEqual(bench.status('f').dropped, { 'filter error': 20 });
    assert.deepEqual(
      bench.lines.map(({ fields }) => fields['count']),
      [1, 2, 4, 8, 16],
    );
  });

  test('a copy to outputs and a consumer', async () => {
    let seen = 0;
    const conf = `<match **>\n@type copy\n<store>\n@type keep\n@id one\n</store>\n<store>\n@type count\n@id two\n</store>\n</match>\n`;
    const { bench } = await route(conf, 'a b', { consumers: { count: () => void seen++ } });
    assert.equal(seen, 2);
    assert.deepEqual([bench.status('two').in, bench.status('two').out, bench.status('router').out], [2, 2, 2]);
  });
});

describe('ids', () => {
  test('parts of one event, and events beside it, never share one', async () => {
    const filters: BenchOptions['filters'] = {
      ...FILTERS,
      /** Goes through the chain several times, making parts at every stage. */
      again: (event: EventView) => {
        event.emit('b', { from: event.tag });
        if (event.tag === 'a') event.emit('c', {});
      },
    };
    const conf = `<filter {a,c}>\n@type again\n</filter>\n<filter b>\n@type drop\n</filter>\n${match('**', 'one')}`;
    const bench = await openBench(`<source>\n@type feed\n@id in\n</source>\n${conf}`, { filters });
    bench.feed('a', [{}, { key: 1 }, {}]);
    bench.feed('a', [{}]);
    await bench.settle();
    const ids = bench.kept('one').map(({ id }) => id);
    // Of each event: itself, a b, a c, and the b of the c.
    assert.equal(ids.length, 16);
    assert.equal(new Set(ids).size, 16);
    assert.deepEqual(bench.imbalances(), []);
    await bench.pipeline.stop();
  });

  test('filters that drop do not change the ids of the others', async () => {
    const bench = await openBench(
      `<source>\n@type feed\n@id in\n</source>\n<filter **>\n@type drop\n</filter>\n${match('**', 'one')}`,
      { filters: FILTERS },
    );
    bench.feed('a', [{ key: 1 }, { n: 1 }, { key: 1 }, { n: 3 }]);
    await bench.settle();
    assert.deepEqual(
      bench.kept('one').map(({ id, record }) => [id.split('/')[1], record['n']]),
      [
        [String(1 << 8), 1],
        [String(3 << 8), 3],
      ],
    );
    await bench.pipeline.stop();
  });

  test('256 parts are one too many', async () => {
    const { bench } = await route(`<filter a>\n@type split\ntag b\nparts 256\n</filter>\n${match('**', 'one')}`, 'a');
    assert.equal(bench.kept('one').length, 255);
    assert.deepEqual(bench.status('router').dropped, { 'by filters': 1, 'split into more than 255 parts': 1 });
  });
});

describe('taps', () => {
  const tapped = async (conf: string, events: string): Promise<string[]> => {
    const seen: string[] = [];
    const tap = {
      id: 'rules',
      matches: (tag: string) => tag !== 'quiet',
      keeps: true,
      create: () => ({ reads: [], observe: (event: EventView) => void seen.push(`${event.tag}(${event.str(TRAIL) ?? ''})`) }),
    };
    await route(conf, events, { taps: [tap] });
    return seen;
  };
  for (const [name, conf, events, want] of [
    ['see events as they leave the chain', mark('**', 'f') + match('**', 'one'), 'a b', ['a(f)', 'b(f)']],
    ['only of their tags', match('**', 'one'), 'quiet a', ['a()']],
    ['once, in the last label', relabel('**', '@A') + label('@A', mark('**', 'l') + match('**', 'one')), 'a', ['a(l)']],
    ['not what nobody takes', match('a', 'one'), 'b', []],
    [
      'not what failed',
      `<filter **>\n@type fail\n</filter>\n${match('**', 'one')}${label('@ERROR', match('**', 'err'))}`,
      'a:1 b',
      ['b()'],
    ],
  ] as const)
    test(name, async () => assert.deepEqual(await tapped(conf, events), want));
});
