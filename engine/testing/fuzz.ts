/**
 * What a `X.fuzz.ts` beside a parser or framer declares, and what holds for every batch and every parser. The targets are
 * collected and run by test/fuzz/.
 */
import assert from 'node:assert/strict';
import type { Definition, Parser } from '../component.ts';
import type { Batch, Fields } from '../events/batch.ts';
import { ByteWriter } from '../events/byte-writer.ts';
import { EntryWriter } from '../events/entry-writer.ts';
import { headerBytes, skipValue } from '../events/msgpack.ts';
import { JsonWriter } from '../events/ndjson.ts';
import { EventCursor } from '../events/view.ts';
import { create, testContext } from './driver.ts';

export interface FuzzTarget {
  /** Unique; usually the path of the source without its ending. */
  readonly name: string;
  /** Good inputs of many kinds, from which bad ones are made. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Pieces that mean something in this format, to be put in anywhere. */
  readonly words?: readonly (string | Uint8Array)[];
  /** Longest input; default 2048. */
  readonly maxBytes?: number;
  /**
   * Takes any bytes. A throw is a finding, and so is a second without an answer; errors that the source declares are
   * caught here.
   *
   * @returns what kind of thing happened (a reason, a number of events): inputs that do something new are kept and varied
   */
  run(bytes: Buffer): unknown;
}

const cursor = new EventCursor();
const json = new JsonWriter();
const out = new ByteWriter(4096);

/**
 * Reads a batch in every way that the pipeline does: each event as a view and as an object, and each record as a JSON text
 * that must be JSON. The entries must end exactly where the batch does.
 *
 * @returns the number of its events and of bytes of JSON, roughly
 */
export function readWholeBatch(batch: Batch): string {
  const bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
  let size = 0;
  cursor.open(batch);
  let at = batch.start;
  for (let n = 0; n < batch.count; n++) {
    cursor.next(n);
    assert.equal(cursor.entryStart, at, 'an entry starts where the one before it ended');
    cursor.toObject();
    at = cursor.entryEnd;
  }
  assert.equal(at, batch.end, 'the entries end where the batch ends');
  const view = new EventCursor();
  view.open(batch);
  for (let n = 0; n < batch.count; n++) {
    view.next(n);
    out.reset();
    json.record(out, bytes, recordOf(bytes, view.entryStart), TIME_KEY, view.seconds, view.nanoseconds);
    const text = out.copy().toString('utf8');
    size += text.length;
    JSON.parse(text);
  }
  return `${magnitude(batch.count)}/${magnitude(size)}`;
}
const TIME_KEY = Buffer.from('@timestamp');

/** A number as a sign of something new: only its doubling is. */
export const magnitude = (value: number): number => 32 - Math.clz32(value);

/** Offset of the record of an entry: behind its head and its time. */
function recordOf(bytes: Buffer, entryAt: number): number {
  return skipValue(bytes, entryAt + headerBytes(bytes, entryAt), bytes.length);
}

/** A target for a parser: a line gives events that can be read, or a reason and no events. */
export function parserTarget(
  definition: Definition<'parser'>,
  config: Fields,
  seeds: FuzzTarget['seeds'],
  words: FuzzTarget['words'] = [],
  name: string = definition.name,
): FuzzTarget {
  const parser = create<Parser>(definition, config, testContext(definition));
  const into = new EntryWriter(4096);
  into.defaultTime(1_700_000_000, 0);
  return {
    name: `parse/${name}`,
    seeds,
    words,
    run(bytes) {
      const failure = parser.parse(bytes, 0, bytes.length, into);
      const batch = into.take('fuzz');
      if (batch === undefined) return failure ?? 'nothing';
      assert.equal(failure, undefined, 'a parser that fails has written nothing');
      return readWholeBatch(batch);
    },
  };
}
