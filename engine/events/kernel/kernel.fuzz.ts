import assert from 'node:assert/strict';
import { makeBatch } from '../../testing/driver.ts';
import type { FuzzTarget } from '../../testing/fuzz.ts';
import type { Batch } from '../batch.ts';
import { ByteWriter } from '../byte-writer.ts';
import { checkEntries } from '../entries.ts';
import { INVALID } from '../msgpack.ts';
import { FieldIndex, NO_PAIRS, ROW_COUNT, ROW_END, ROW_HEAD, ROW_PAIR } from './field-index.ts';
import { kernelState } from './kernel.ts';
import { PLACE, sourceOf, takeUnchecked } from './lines.cases.ts';
import { writeLines } from './lines.ts';

/** Entries long enough for the kernel stand before what is made up. */
const usual = makeBatch([
  { record: { host: 'web-1', message: `"中文"\n${'x'.repeat(200)}`, code: 200, time: 0.25, ok: true, nil: null } },
  { record: { '@timestamp': 'then', list: [1, -2, [3.5, 1e300]], nested: { a: { b: 'c' } }, big: 2n ** 63n } },
]);
const head = Buffer.from(usual.bytes.subarray(usual.start, usual.end));
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const seeds = [
  head,
  hex('92d700655374000000000782a4686f7374a161a178c0'),
  hex('92ce6553740083a4686f7374da000161a163c4020a22a164d70065537400000000ff'),
  hex('92d7006553740000000007de0002a161cb3fd5555555555555d90161dc000191c2'),
  hex('92d700655374000000000781a16191919191919191919191cfffffffffffffffff'),
  hex('92d700655374000000000782016101c40161c7030501020380'),
];
const words = [
  '92d700',
  '81a161',
  'd90161',
  'da0001',
  'dbffffffff',
  'dfffffffff',
  'ddffffffff',
  'c6ffffffff',
  'c1',
  'cb7ff8000000000000',
  '91',
  '80',
].map(hex);

function withHead(bytes: Buffer): Buffer {
  return Buffer.concat([head, bytes]);
}

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'events/kernel/lines',
    seeds,
    words,
    run(made) {
      const bytes = withHead(made);
      const checked = checkEntries('fuzz', bytes, 0, bytes.length, undefined, 1_700_000_000_000);
      // As it comes in: the same as plain code.
      let left = -1;
      if (checked !== INVALID && checked.batch !== undefined) left = compare(checked.batch);
      // As it must never come in: the kernel keeps to its memory, and what it takes becomes JSON.
      takeUnchecked(bytes, 0, bytes.length);
      assert.equal(kernelState(), 'on');
      return left;
    },
  },
  {
    name: 'events/kernel/fields',
    seeds,
    words,
    run(made) {
      const bytes = withHead(made);
      const index = new FieldIndex();
      for (const name of ['host', 'a', 'message', '@timestamp', '']) index.knows(Buffer.from(name));
      index.read({ tag: 'fuzz', bytes, start: 0, end: bytes.length, count: bytes.length });
      assert.equal(kernelState(), 'on');
      let events = 0;
      for (let row = 0; row < index.end; events++) {
        const count = index.rows[row + ROW_COUNT] as number;
        const pairs = count === NO_PAIRS ? 0 : count;
        let at = count === NO_PAIRS ? 0 : (index.rows[row] as number);
        for (let pair = 0; pair < pairs * ROW_PAIR; pair++) {
          const next = index.rows[row + ROW_HEAD + pair] as number;
          assert.ok(next > at || (pair % ROW_PAIR === 0 && next >= at), 'offsets rise');
          at = next;
        }
        if (count !== NO_PAIRS) assert.ok(at <= (index.rows[row + ROW_END] as number));
        assert.ok(at <= bytes.length, 'no offset lies beyond the end');
        row += ROW_HEAD + pairs * ROW_PAIR;
      }
      return events;
    },
  },
];

/** @returns how many events the kernel left to plain code */
function compare(batch: Batch): number {
  const source = sourceOf({ place: PLACE });
  const [got, want] = [new ByteWriter(1024), new ByteWriter(1024)];
  writeLines(got, batch, source, new Uint32Array(batch.count), 0);
  const left = source.left();
  let at = batch.start;
  for (let event = 0; event < batch.count; event++) at = source.line(want, batch, event, at);
  assert.ok(got.copy().equals(want.copy()), 'the kernel writes what plain code writes');
  return left;
}
