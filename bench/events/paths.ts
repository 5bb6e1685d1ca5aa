/** The ways from a forward request to a bulk body that the benchmark compares. */
import { crc32 } from 'node:zlib';
import { create, testContext } from '../../engine/testing/driver.ts';
import type { Filter } from '../../engine/component.ts';
import type { Batch, Place } from '../../engine/events/batch.ts';
import { field, fragment, type Fragment } from '../../engine/events/field.ts';
import { useKernel } from '../../engine/events/kernel/kernel.ts';
import { readRequest } from '../../engine/events/forward.ts';
import { MsgpackReader, decode, type EventTimeValue } from '../../engine/events/msgpack.ts';
import { FilterRunner, type FilterNode } from '../../engine/pipeline/filter-run.ts';
import { Account } from '../../engine/telemetry/accounts.ts';
import { grepFilter } from '../../plugins/filter/grep.ts';
import { BulkWriter } from '../../shippers/elasticsearch/bulk.ts';

/** Turns one request into one body. @returns the bytes of the body */
export type Path = (frame: Buffer) => number;

const PLACES = 300;
const LIMITS = { decompressedBytes: 64 << 20 };
const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);
const PLACE: Place = { incarnation: 0x12_3456_789an, segment: NOW, offset: 4096, enteredMs: NOW };

/** What a geo database says about the n-th of its places. */
const geoOf = (n: number): Record<string, unknown> => ({
  geo: {
    country_iso_code: n % 3 === 0 ? 'CN' : 'US',
    region_name: n % 3 === 0 ? '广东省' : `Region ${n}`,
    city_name: n % 3 === 0 ? '深圳市' : `City ${n}`,
    location: { lat: 20 + n / 100, lon: 100 + n / 100 },
  },
});

/** The same without the WebAssembly kernel. */
export function plainPath(filters: readonly Filter[]): Path {
  const path = bytesPath(filters);
  return (frame) => {
    useKernel(false);
    try {
      return path(frame);
    } finally {
      useKernel(true);
    }
  };
}

/** The engine's own path, with a chain of filters or without. */
export function bytesPath(filters: readonly Filter[]): Path {
  const bulk = new BulkWriter({ operation: 'create', indexOf: undefined, idKey: undefined, timeKey: '@timestamp' });
  const runner = new FilterRunner();
  const nodes = filters.map(toNode);
  return (frame) => {
    const request = readRequest(frame, 0, frame.length, LIMITS, NOW);
    if (typeof request === 'string' || request.batch === undefined) throw new Error('the frame was not read');
    const placed: Batch = { ...request.batch, place: PLACE };
    const batch = nodes.length === 0 ? placed : runner.run(nodes, placed, undefined).batch;
    return batch === undefined ? 0 : bulk.write([batch]).bytes.length;
  };
}

function toNode(filter: Filter): FilterNode {
  const quiet = (): void => undefined;
  return {
    id: 'bench',
    filter,
    account: new Account(),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  };
}

/** Appends one of 300 groups of fields, chosen by the bytes of the address. */
export function placeFilter(): Filter {
  const remote = field('remote');
  const groups: Fragment[] = Array.from({ length: PLACES }, (_, n) => fragment('source', geoOf(n)));
  return {
    reads: [remote],
    process(event) {
      if (!event.locate(remote)) return;
      let hash = 0;
      for (let at = event.from; at < event.to; at++) hash = (hash * 31 + (event.bytes[at] as number)) & 0xffff;
      event.append(groups[hash % PLACES] as Fragment);
    },
  };
}

export function removeFilter(): Filter {
  const fields = [field('user'), field('referer')];
  return {
    reads: fields,
    process(event) {
      for (const one of fields) event.delete(one);
    },
  };
}

/** Five answers in ten have the code 200. */
export function halfFilter(): Filter {
  const context = testContext({ metrics: {} });
  return create<Filter>(grepFilter, { regexp: [{ key: 'code', pattern: '/^200$/' }] }, context);
}

interface PlainEvent {
  readonly time: EventTimeValue;
  readonly record: Record<string, unknown>;
}

/** The same work as most programs in JavaScript do it: an object for each event, a string for each line. */
export function objectsPath(edit: ((record: Record<string, unknown>) => void) | undefined): Path {
  return (frame) => {
    const [, body] = decode(frame) as [string, Uint8Array];
    const events: PlainEvent[] = [];
    for (const reader = new MsgpackReader(body); !reader.done;) {
      const [time, record] = reader.read() as [EventTimeValue, Record<string, unknown>];
      events.push({ time, record });
    }
    const frameId = `${PLACE.segment.toString(32)}${PLACE.incarnation.toString(32)}${PLACE.offset.toString(32)}`;
    let text = '';
    for (const [n, { time, record }] of events.entries()) {
      edit?.(record);
      record['@timestamp'] ??= isoOf(time);
      text += `{"create":{"_id":"${frameId}${n.toString(32).padStart(7, '0')}"}}\n${JSON.stringify(record)}\n`;
    }
    return Buffer.from(text).length;
  };
}

const isoOf = ({ seconds, nanoseconds }: EventTimeValue): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;

export function placeAndRemove(): (record: Record<string, unknown>) => void {
  const groups = Array.from({ length: PLACES }, (_, n) => geoOf(n));
  return (record) => {
    const { remote } = record;
    if (typeof remote === 'string') {
      let hash = 0;
      for (let at = 0; at < remote.length; at++) hash = (hash * 31 + remote.charCodeAt(at)) & 0xffff;
      const source = (record['source'] ??= {}) as Record<string, unknown>;
      Object.assign(source, groups[hash % PLACES]);
    }
    delete record['user'];
    delete record['referer'];
  };
}

/** What no path can do without: the bytes are copied, and looked at once. */
export function calibration(): Path {
  const target = Buffer.alloc(4 << 20);
  return (frame) => {
    frame.copy(target);
    return crc32(target.subarray(0, frame.length)) === 0 ? 0 : frame.length;
  };
}
