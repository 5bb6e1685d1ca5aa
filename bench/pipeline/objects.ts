/** The steps of the plain-object pipeline: what most programs in JavaScript do with events. */
import { createRequire } from 'node:module';
import { MsgpackReader, decode, type EventTimeValue } from '../../engine/events/msgpack.ts';

export interface PlainEvent {
  readonly time: EventTimeValue;
  readonly record: Record<string, unknown>;
}

export interface PlainRequest {
  readonly events: readonly PlainEvent[];
  /** What the sender wants to have acknowledged. */
  readonly chunk: unknown;
}

/** Reads one request, PackedForward or Message. */
export function readPlain(request: Uint8Array): PlainRequest {
  const parts = decode(request) as [string, Uint8Array | EventTimeValue, ...unknown[]];
  const [, second, third, fourth] = parts;
  if (!(second instanceof Uint8Array))
    return { events: [{ time: second, record: third as Record<string, unknown> }], chunk: chunkOf(fourth) };
  const events: PlainEvent[] = [];
  for (const reader = new MsgpackReader(second); !reader.done;) {
    const [time, record] = reader.read() as [EventTimeValue, Record<string, unknown>];
    events.push({ time, record });
  }
  return { events, chunk: chunkOf(third) };
}

const chunkOf = (option: unknown): unknown =>
  typeof option === 'object' && option !== null && 'chunk' in option ? option.chunk : undefined;

export const isoOf = ({ seconds, nanoseconds }: EventTimeValue): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;

const COMBINED =
  /^(?<host>\S+) \S+ (?<user>\S+) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>(?:[^"]|\\.)*?)(?: +\S*)?)?" (?<code>\S+) (?<size>\S+)(?: "(?<referer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)")?$/;
const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** Fluentd's apache2: the same fields, `-` as nothing. */
export function parseLine(line: string): PlainEvent | undefined {
  const groups = COMBINED.exec(line)?.groups;
  if (groups === undefined) return undefined;
  const { time = '', ...rest } = groups;
  const record: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(rest)) record[key] = value === '-' ? null : value;
  record['code'] = Number(record['code']);
  record['size'] = Number(record['size']);
  const [, day, month = '', year, clock, zone = ''] = /^(\d+)\/(\w+)\/(\d+):([\d:]+) (\S+)/.exec(time) ?? [];
  const number = String(MONTHS.indexOf(month) / 3 + 1).padStart(2, '0');
  const ms = Date.parse(`${year}-${number}-${day}T${clock}${zone.slice(0, 3)}:${zone.slice(3)}`);
  return { time: { seconds: Math.floor(ms / 1000), nanoseconds: 0 } as EventTimeValue, record };
}

/** Looks the address up with geoip-lite and adds what it knows. Loaded only when it is asked for: 115 MB. */
export function geoStep(key: string, dropped: readonly string[]): (record: Record<string, unknown>) => void {
  const require = createRequire(import.meta.url);
  const geoip = require('geoip-lite') as {
    lookup(ip: string): { country: string; region: string; city: string; timezone: string; ll: [number, number] } | null;
  };
  return (record) => {
    const found = geoip.lookup(String(record[key]));
    if (found !== null) {
      record['source'] = {
        geo: {
          country_iso_code: found.country,
          region_name: found.region,
          city_name: found.city,
          timezone: found.timezone,
          location: { lat: found.ll[0], lon: found.ll[1] },
        },
      };
    }
    for (const name of dropped) delete record[name];
  };
}
