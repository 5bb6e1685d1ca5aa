import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Fields } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { field, fragment } from './field.ts';
import { EventCursor } from './view.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';

const open = (record: Fields): EventCursor => {
  const cursor = new EventCursor();
  cursor.open(makeBatch([{ record, time: { seconds: 12, nanoseconds: 34 } }]));
  cursor.next(0);
  return cursor;
};

/** What the entry looks like after it was written and read again. */
const written = (cursor: EventCursor): Fields => {
  const into = new ByteWriter(16);
  cursor.write(into);
  const [event] = readBatch({ tag: 't', bytes: into.copy(), start: 0, end: into.length, count: 1 });
  assert.ok(event);
  assert.deepEqual([event.seconds, event.nanoseconds], [12, 34]);
  return event.record;
};

describe('reading', () => {
  const record = {
    a: 'x',
    n: 7,
    f: 1.5,
    t: true,
    z: null,
    s: '12.5',
    source: { ip: '1.2.3.4', list: ['p', 'q'] },
    'dot.key': 'literal',
    dot: { key: 'path' },
  };
  for (const [name, text, number] of [
    ['a', 'x', undefined],
    ['n', '7', 7],
    ['f', '1.5', 1.5],
    ['t', 'true', undefined],
    ['z', undefined, undefined],
    ['s', '12.5', 12.5],
    ['source', undefined, undefined],
    ['source.ip', '1.2.3.4', undefined],
    ['source.none', undefined, undefined],
    ['a.b', undefined, undefined],
    ['dot.key', 'literal', undefined],
    [['dot', 'key'], 'path', undefined],
    [['source', 'list', 1], 'q', undefined],
    [['source', 'list', -1], 'q', undefined],
    [['source', 'list', 5], undefined, undefined],
  ] as const) {
    test(JSON.stringify(name), () => {
      const cursor = open(record);
      assert.equal(cursor.str(field(name)), text);
      assert.equal(cursor.num(field(name)), number);
    });
  }

  test('locate gives the bytes of a text and refuses the rest', () => {
    const cursor = open(record);
    assert.ok(cursor.locate(field('source.ip')));
    assert.equal(Buffer.from(cursor.bytes.subarray(cursor.from, cursor.to)).toString(), '1.2.3.4');
    assert.equal(cursor.locate(field('n')), false);
    assert.equal(cursor.locate(field('none')), false);
  });
});

describe('editing', () => {
  for (const [name, edit, want] of [
    ['set a new key', (c: EventCursor) => c.set(field('b'), 2), { a: 1, m: { x: 1 }, b: 2 }],
    ['set an old key', (c: EventCursor) => c.set(field('a'), '中文'), { a: '中文', m: { x: 1 } }],
    ['set in a map', (c: EventCursor) => c.set(field('m.y'), 2), { a: 1, m: { x: 1, y: 2 } }],
    ['set a path that is not there', (c: EventCursor) => c.set(field('p.q.r'), 2), { a: 1, m: { x: 1 }, p: { q: { r: 2 } } }],
    ['set through a value that is no map', (c: EventCursor) => c.set(field('a.b'), 2), { a: { b: 2 }, m: { x: 1 } }],
    ['delete', (c: EventCursor) => c.delete(field('a')), { m: { x: 1 } }],
    ['delete in a map', (c: EventCursor) => c.delete(field('m.x')), { a: 1, m: {} }],
    ['delete what is not there', (c: EventCursor) => c.delete(field('m.q')), { a: 1, m: { x: 1 } }],
    ['append to the record', (c: EventCursor) => c.append(fragment(undefined, { a: 9, b: 2 })), { a: 9, m: { x: 1 }, b: 2 }],
    ['append under a new key', (c: EventCursor) => c.append(fragment('g', { x: 1 })), { a: 1, m: { x: 1 }, g: { x: 1 } }],
    ['append under an old key', (c: EventCursor) => c.append(fragment('m', { x: 2, y: 3 })), { a: 1, m: { x: 2, y: 3 } }],
    ['append under a value that is no map', (c: EventCursor) => c.append(fragment('a', { x: 2 })), { a: { x: 2 }, m: { x: 1 } }],
    ['replace', (c: EventCursor) => c.replace({ only: [1] }), { only: [1] }],
  ] as const) {
    test(name, () => {
      const cursor = open({ a: 1, m: { x: 1 } });
      edit(cursor);
      assert.deepEqual(cursor.toObject(), want);
      assert.deepEqual(written(cursor), want);
    });
  }

  test('append to a map of more fields than a short header can count', () => {
    const wide = Object.fromEntries(Array.from({ length: 65_536 }, (_, n) => [`k${n}`, 1]));
    const cursor = open({ a: 1, m: wide, z: 2 });
    cursor.append(fragment('m', { k0: 2, y: 3 }));
    assert.deepEqual(written(cursor), { a: 1, m: { ...wide, k0: 2, y: 3 }, z: 2 });
  });

  test('any sequence of edits gives what the same edits on an object give', () => {
    const key = fc.constantFrom('a', 'b', 'c', 'dd', 'source');
    const value = fc.oneof(
      fc.integer(),
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true }),
      fc.dictionary(
        fc.string({ maxLength: 3 }).filter((k) => k !== '__proto__'),
        fc.integer(),
        { noNullPrototype: true },
      ),
    );
    const edit = fc.oneof(
      fc.record({ op: fc.constant('set' as const), key, value }),
      fc.record({ op: fc.constant('delete' as const), key, value }),
      fc.record({ op: fc.constant('append' as const), key, value }),
      fc.record({ op: fc.constant('under' as const), key, value }),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value, { noNullPrototype: true }), fc.array(edit, { maxLength: 8 }), (record, edits) => {
        const cursor = open(record);
        const model: Fields = { ...record };
        for (const { op, key: name, value: to } of edits) {
          if (op === 'set') {
            model[name] = to;
            cursor.set(field([name]), to);
          } else if (op === 'delete') {
            delete model[name];
            cursor.delete(field([name]));
          } else if (op === 'append') {
            model[name] = to;
            cursor.append(fragment(undefined, { [name]: to }));
          } else {
            const old = model[name];
            model[name] = { ...(typeof old === 'object' ? old : {}), inner: to };
            cursor.append(fragment(name, { inner: to }));
          }
        }
        assert.deepEqual(cursor.toObject(), model);
        assert.deepEqual(written(cursor), model);
      }),
      { numRuns: 300 },
    );
  });
});
