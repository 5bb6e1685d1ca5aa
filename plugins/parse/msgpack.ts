import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import { MsgpackReader, arrayCount, headerBytes, mapCount, skipValue } from '../../engine/events/msgpack.ts';
import { FAILURE, checkRules, makeRules, ruleFields, type Rules } from './rules.ts';

const INVALID = 'invalid MessagePack';

export const msgpackParser = defineParser({
  name: 'msgpack',
  summary: 'Reads MessagePack maps, or lists of maps, one after another.',
  config: z.object(ruleFields),
  examples: [{ title: 'Maps', config: '<parse>\n  @type msgpack\n</parse>' }],
  check: checkRules,
  create(config) {
    const rules = makeRules(config);
    const isCopied = !rules.hasConversions && rules.timeKey === undefined;
    return {
      parse(bytes, start, end, into) {
        let failure: string | undefined = start === end ? FAILURE.record : undefined;
        let written = 0;
        const one = (at: number, next: number): void => {
          const problem = isCopied ? copyRecord(bytes, at, next, into) : writeRecord(bytes, at, next, into, rules);
          if (problem === undefined) written++;
          else failure ??= problem;
        };
        for (let at = start; at < end;) {
          const next = skipValue(bytes, at, end);
          if (next < 0) {
            failure ??= INVALID;
            break;
          }
          const items = arrayCount(bytes, at, next);
          if (items < 0) one(at, next);
          else {
            if (items === 0) failure ??= FAILURE.record;
            let itemAt = at + headerBytes(bytes, at);
            for (let n = 0; n < items; n++) {
              const itemEnd = skipValue(bytes, itemAt, next);
              one(itemAt, itemEnd);
              itemAt = itemEnd;
            }
          }
          at = next;
        }
        // As with JSON: what is no map is passed over; bytes without any map have failed.
        return written > 0 ? undefined : failure;
      },
    };
  },
});

/** The pairs as they stand. */
function copyRecord(b: Uint8Array, at: number, end: number, into: EntryWriter): string | undefined {
  const count = mapCount(b, at, end);
  if (count < 0) return FAILURE.record;
  into.begin();
  into.pairs(count, b, at + headerBytes(b, at), end);
  into.commit();
  return undefined;
}

function writeRecord(b: Uint8Array, at: number, end: number, into: EntryWriter, rules: Rules): string | undefined {
  const count = mapCount(b, at, end);
  if (count < 0) return FAILURE.record;
  const record = new MsgpackReader(Buffer.from(b.buffer, b.byteOffset, b.byteLength), at, end).read() as Fields;
  const { timeKey } = rules;
  const hasTime = timeKey !== undefined && Object.hasOwn(record, timeKey);
  into.begin();
  if (hasTime) {
    const time = rules.time(record[timeKey]);
    if (time === undefined) {
      into.abort();
      return FAILURE.time;
    }
    into.time(time.seconds, time.nanoseconds);
  }
  for (const key of Object.keys(record)) {
    if (hasTime && key === timeKey && !rules.keepTimeKey) continue;
    rules.write(into, key, record[key]);
  }
  into.commit();
  return undefined;
}
