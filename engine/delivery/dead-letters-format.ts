/**
 * A dead letter as it is kept: one line of JSON, so that `jq` and `grep` can read it, with the event in msgpack as it was.
 *
 *     {"id":"…32…","buried":"2026-…Z","output":"es","reason":"…","status":400,"tries":1,"tag":"web.access","time":"…Z",
 *      "place":[incarnation,segment,offset,enteredMs,index],"metadata":{…},"event":"base64","crc":"0a1b2c3d"}
 *
 * `id` stands first and `crc` last; the checksum is taken over everything before `,"crc"`, so that a line that was torn or
 * spoilt is known as such.
 */
import assert from 'node:assert';
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Chunk } from '../component.ts';
import type { Batch, Place } from '../events/batch.ts';
import { ByteWriter } from '../events/byte-writer.ts';
import { IdWriter } from '../events/event-id.ts';
import { arrayCount, decode, EventTimeValue, Extension, headerBytes, MsgpackReader, skipValue } from '../events/msgpack.ts';

/** What an output hands over that will never be delivered: every event of the batch becomes a letter. */
export interface DeadLetter {
  readonly batch: Batch;
  /** Cut at 2,000 characters. */
  readonly reason: string;
  /** What the server answered with, when it speaks in numbers. */
  readonly status?: number;
  /** Tries that were made. */
  readonly tries?: number;
  /** Of the chunk that it was part of: placeholders of the output need it again. */
  readonly metadata?: Chunk['metadata'];
}

/** One kept event. */
export interface Letter {
  /** That of the event, 32 characters; so an event that is set aside twice is one letter. */
  readonly id: string;
  /** When it was set aside, milliseconds since the epoch. */
  readonly buriedMs: number;
  readonly output: string;
  readonly reason: string;
  readonly status: number | undefined;
  readonly tries: number;
  readonly tag: string;
  readonly place: Place | undefined;
  /** `index in the frame << 8 | split ordinal`. */
  readonly index: number;
  readonly metadata: Chunk['metadata'];
  /** The msgpack entry `[time, record]`. */
  readonly event: Uint8Array;
}

const MAX_REASON = 2000;
const ID_FROM = '{"id":"'.length;
const ID_LENGTH = 32;
const CRC_LENGTH = ',"crc":"00000000"}'.length;

/** Writes letters as lines; keeps its tools over calls. */
export class LetterWriter {
  readonly #ids = new IdWriter();
  readonly #id = new ByteWriter(ID_LENGTH);

  /** Calls `each` with a line, with its line feed, for every event of the letter. */
  lines(letter: DeadLetter, output: string, nowMs: number, each: (line: string) => void): void {
    const { batch } = letter;
    const { place } = batch;
    if (place !== undefined) this.#ids.frame(place);
    const buried = new Date(nowMs).toISOString();
    const reason = letter.reason.length > MAX_REASON ? `${letter.reason.slice(0, MAX_REASON)}…` : letter.reason;
    let at = batch.start;
    for (let n = 0; n < batch.count; n++) {
      const end = skipValue(batch.bytes, at, batch.end);
      // Batches were checked at the entrance.
      assert(end > at, 'a batch that is no run of msgpack values');
      const index = batch.ids?.[n] ?? n * 256;
      const event = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset + at, end - at);
      const text = JSON.stringify({
        id: this.#idOf(place, index),
        buried,
        output,
        reason,
        status: letter.status,
        tries: letter.tries ?? 1,
        tag: batch.tag,
        time: timeText(event),
        place:
          place === undefined ? undefined : [place.incarnation.toString(16), place.segment, place.offset, place.enteredMs, index],
        metadata: letter.metadata,
        event: event.toString('base64'),
      }).slice(0, -1);
      each(`${text},"crc":"${crc32(text).toString(16).padStart(8, '0')}"}\n`);
      at = end;
    }
  }

  #idOf(place: Place | undefined, index: number): string {
    // An event that never was in a log has no id of its own; any that nobody else has will do.
    if (place === undefined) return randomId();
    this.#id.length = 0;
    this.#ids.write(this.#id, index);
    return Buffer.from(this.#id.bytes.subarray(0, ID_LENGTH)).toString('latin1');
  }
}

function randomId(): string {
  return Array.from(randomBytes(ID_LENGTH), (byte) => (byte & 31).toString(32)).join('');
}

/** The id of a line without reading the rest; undefined when it is no letter. */
export function idOfLine(line: string): string | undefined {
  const id = line.slice(ID_FROM, ID_FROM + ID_LENGTH);
  return isLetterId(id) && line.startsWith('{"id":"') ? id : undefined;
}

export function isLetterId(text: string): boolean {
  return /^[0-9a-v]{32}$/.test(text);
}

/** @returns undefined for a line that is torn, spoilt, or no letter; never throws */
export function parseLetter(line: string): Letter | undefined {
  const body = line.slice(0, -CRC_LENGTH);
  if (line.slice(-CRC_LENGTH) !== `,"crc":"${crc32(body).toString(16).padStart(8, '0')}"}`) return undefined;
  try {
    return letterOf(JSON.parse(`${body}}`) as Record<string, unknown>);
  } catch {
    // Somebody wrote a checksum over what is no JSON: as good as spoilt.
    return undefined;
  }
}

function letterOf(raw: Record<string, unknown>): Letter | undefined {
  const { id, buried, output, reason, status, tries, tag, event } = raw;
  if (typeof id !== 'string' || !isLetterId(id) || typeof output !== 'string' || typeof reason !== 'string') return undefined;
  if (typeof tag !== 'string' || typeof event !== 'string' || typeof buried !== 'string') return undefined;
  const bytes = Buffer.from(event, 'base64');
  const buriedMs = Date.parse(buried);
  if (arrayCount(bytes, 0, bytes.length) !== 2 || skipValue(bytes, 0, bytes.length) !== bytes.length) return undefined;
  if (Number.isNaN(buriedMs)) return undefined;
  const place = Array.isArray(raw['place']) ? (raw['place'] as unknown[]) : undefined;
  return {
    id,
    buriedMs,
    output,
    reason,
    status: typeof status === 'number' ? status : undefined,
    tries: typeof tries === 'number' ? tries : 1,
    tag,
    place: place === undefined ? undefined : placeOf(place),
    index: Number(place?.[4] ?? 0),
    metadata: (raw['metadata'] ?? { tag }) as Chunk['metadata'],
    event: bytes,
  };
}

function placeOf([incarnation, segment, offset, enteredMs]: readonly unknown[]): Place {
  return {
    incarnation: BigInt(`0x${String(incarnation)}`),
    segment: Number(segment),
    offset: Number(offset),
    enteredMs: Number(enteredMs),
  };
}

/** The event of a letter for people and scripts: time and record; bytes as text where they are text, else as base64. */
export function readEvent(event: Uint8Array): { readonly time: string; readonly record: unknown } {
  const entry = decode(event);
  return { time: timeText(event), record: printable(Array.isArray(entry) ? entry[1] : entry) };
}

function timeText(event: Uint8Array): string {
  const first = new MsgpackReader(event, headerBytes(event, 0)).read();
  // `[time, metadata]` in the newer form of the forward protocol.
  const time: unknown = Array.isArray(first) ? first[0] : first;
  const [seconds, nanoseconds] =
    time instanceof EventTimeValue ? [time.seconds, time.nanoseconds] : [Math.floor(Number(time)), 0];
  const whole = new Date(seconds * 1000);
  if (Number.isNaN(whole.getTime())) return String(seconds);
  return `${whole.toISOString().slice(0, -5)}.${String(nanoseconds).padStart(9, '0')}Z`;
}

function printable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof EventTimeValue) return `${value.seconds}.${String(value.nanoseconds).padStart(9, '0')}`;
  if (value instanceof Extension) return { ext: value.type, base64: Buffer.from(value.data).toString('base64') };
  if (value instanceof Uint8Array) return textOf(value) ?? { base64: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(printable);
  if (typeof value !== 'object' || value === null) return value;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(entries.map(([key, one]) => [String(key), printable(one)]));
}

/** Bytes that are Chinese text, in UTF-8 or as an old program on Windows writes it. */
function textOf(bytes: Uint8Array): string | undefined {
  for (const encoding of ['utf-8', 'gb18030']) {
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
      // oxlint-disable-next-line no-control-regex -- that is what tells binary data from text
      return /[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/.test(text) ? undefined : text;
    } catch {
      // Not in this encoding.
    }
  }
  return undefined;
}
