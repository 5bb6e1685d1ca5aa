/**
 * Fluentd's forward protocol, version 1, as bytes: requests of a connection, and answers to them.
 *
 *     Message        [tag, time, record, option?]
 *     Forward        [tag, [[time, record], ...], option?]
 *     PackedForward  [tag, str or bin of entries, option?]          CompressedPackedForward: gzip or zstd inside
 *
 * @see https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { Batch } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { checkEntries, timeKind, writeTime } from './entries.ts';
import { INVALID, arrayCount, headerBytes, mapCount, skipValue, stringStart } from './msgpack.ts';
import { writeArrayHeader, writeMapHeader, writeInteger, writeString } from './msgpack-write.ts';

export interface ForwardRequest {
  readonly batch: Batch | undefined;
  /** Entries that are no event; they are gone, and sending them again would not help. */
  readonly skipped: number;
  /** The body ended inside an entry. */
  readonly truncated: boolean;
  /** The `chunk` of the option as it stood on the wire (MessagePack, or JSON text); undefined: no answer wanted. */
  readonly chunk: Uint8Array | undefined;
}

/** Not a request: nothing is kept, the connection may go on. `nil` is an old heartbeat. */
export type ForwardOddity = 'nil' | 'not-an-array';

export interface ForwardLimits {
  /** A compressed body that grows beyond this is refused. */
  readonly decompressedBytes: number;
}

/** A connection that cannot be read on; nothing of the request was kept, so it must not be acknowledged. */
export class ForwardError extends Error {}

/**
 * Reads one whole message.
 *
 * @throws ForwardError when the sender has to be cut off
 */
export function readRequest(
  bytes: Uint8Array,
  start: number,
  end: number,
  limits: ForwardLimits,
  nowMs: number,
): ForwardRequest | ForwardOddity {
  const head = bytes[start] as number;
  if (head === 0xc0) return 'nil';
  const count = arrayCount(bytes, start, end);
  if (count < 0) return 'not-an-array';
  if (count === 0) return { batch: undefined, skipped: 1, truncated: false, chunk: undefined };
  const tagAt = start + headerBytes(bytes, start);
  const secondAt = skipValue(bytes, tagAt, end);
  if (secondAt < 0) throw new ForwardError('the message ends inside its tag, or is no MessagePack');
  const from = stringStart(bytes, tagAt);
  const second = secondAt < end && count > 1 ? shapeOf(bytes, secondAt) : 'none';
  const option = readOption(
    bytes,
    skipTo(bytes, secondAt, end, second === 'time' ? 2 : 1),
    end,
    count,
    second === 'time' ? 3 : 2,
  );
  const invalid = { batch: undefined, skipped: 1, truncated: false, chunk: option.chunk };
  if (from < 0 || second === 'none') return invalid;
  const tag = Buffer.from(bytes.buffer, bytes.byteOffset + from, secondAt - from).toString('utf8');
  if (second === 'time') return count < 3 ? invalid : readMessage(tag, bytes, secondAt, end, option.chunk, nowMs);
  const body = second === 'array' ? { bytes, start: secondAt, end } : unpack(bytes, secondAt, end, option.compressed, limits);
  const isList = second === 'array';
  const entries = isList
    ? checkEntries(tag, bytes, secondAt + headerBytes(bytes, secondAt), end, arrayCount(bytes, secondAt, end), nowMs)
    : checkEntries(tag, body.bytes, body.start, body.end, undefined, nowMs);
  if (entries === INVALID) throw new ForwardError('the entries are not MessagePack, or nested too deep');
  return { ...entries, chunk: option.chunk };
}

type Shape = 'array' | 'packed' | 'time' | 'none';

function shapeOf(bytes: Uint8Array, at: number): Shape {
  const head = bytes[at] as number;
  if ((head >= 0x90 && head < 0xa0) || head === 0xdc || head === 0xdd) return 'array';
  return stringStart(bytes, at) >= 0 ? 'packed' : 'time';
}

function skipTo(bytes: Uint8Array, at: number, end: number, values: number): number {
  for (let n = 0; n < values && at >= 0 && at < end; n++) at = skipValue(bytes, at, end);
  return at;
}

/** Message mode: anything that is neither text nor list in second place is meant as a time. */
function readMessage(
  tag: string,
  source: Uint8Array,
  timeAt: number,
  end: number,
  chunk: Uint8Array | undefined,
  nowMs: number,
): ForwardRequest {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  const recordAt = skipValue(bytes, timeAt, end);
  const kind = timeKind(bytes, timeAt, end);
  if (recordAt < 0 || recordAt >= end || kind === 'invalid' || mapCount(bytes, recordAt, end) < 0)
    return { batch: undefined, skipped: 1, truncated: false, chunk };
  const recordEnd = skipValue(bytes, recordAt, end);
  if (recordEnd < 0) throw new ForwardError('the record is not MessagePack, or nested too deep');
  const into = new ByteWriter(recordEnd - timeAt + 16);
  into.u8(0x92);
  writeTime(into, bytes, timeAt, end, kind, nowMs);
  into.raw(bytes, recordAt, recordEnd);
  return { batch: { tag, bytes: into.bytes, start: 0, end: into.length, count: 1 }, skipped: 0, truncated: false, chunk };
}

interface Option {
  readonly chunk: Uint8Array | undefined;
  readonly compressed: string;
}

function readOption(bytes: Uint8Array, at: number, end: number, count: number, index: number): Option {
  let chunk: Uint8Array | undefined;
  let compressed = '';
  if (count <= index || at < 0 || at >= end || bytes[at] === 0xc0) return { chunk, compressed };
  const pairs = mapCount(bytes, at, end);
  if (pairs < 0) throw new ForwardError('the option is no map');
  at += headerBytes(bytes, at);
  for (let n = 0; n < pairs; n++) {
    const valueAt = skipValue(bytes, at, end);
    const next = valueAt < 0 ? valueAt : skipValue(bytes, valueAt, end);
    if (next < 0) throw new ForwardError('the option is not MessagePack, or nested too deep');
    const key = text(bytes, at, valueAt);
    if (key === 'chunk' && bytes[valueAt] !== 0xc0) chunk = Uint8Array.from(bytes.subarray(valueAt, next));
    else if (key === 'compressed') compressed = text(bytes, valueAt, next) ?? '';
    at = next;
  }
  return { chunk, compressed };
}

function text(bytes: Uint8Array, at: number, end: number): string | undefined {
  const from = stringStart(bytes, at);
  return from < 0 ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('utf8');
}

const isGzip = (b: Uint8Array): boolean => b[0] === 0x1f && b[1] === 0x8b;
const isZstd = (b: Uint8Array): boolean => b[0] === 0x28 && b[1] === 0xb5 && b[2] === 0x2f && b[3] === 0xfd;

/** The magic bytes decide: no entry begins with either of them. */
function unpack(
  bytes: Uint8Array,
  at: number,
  end: number,
  compressed: string,
  limits: ForwardLimits,
): { bytes: Uint8Array; start: number; end: number } {
  const start = stringStart(bytes, at);
  const bodyEnd = skipValue(bytes, at, end);
  const body = bytes.subarray(start, bodyEnd);
  const claims = compressed === 'gzip' || compressed === 'zstd';
  if (!isGzip(body) && !isZstd(body)) {
    if (claims && body.length > 0) throw new ForwardError(`the body is said to be ${compressed} and is not`);
    return { bytes, start, end: bodyEnd };
  }
  try {
    const options = { maxOutputLength: limits.decompressedBytes };
    const plain = isGzip(body) ? gunzipSync(body, options) : zstdDecompressSync(body, options);
    return { bytes: plain, start: 0, end: plain.length };
  } catch (error) {
    throw new ForwardError('the compressed body is damaged or larger than decompression_size_limit', { cause: error });
  }
}

/** `{"ack": chunk}` with the very bytes of the chunk id. */
export function writeAck(chunk: Uint8Array): Buffer {
  return Buffer.concat([ACK_HEAD, chunk]);
}
const ACK_HEAD = Buffer.from([0x81, 0xa3, 0x61, 0x63, 0x6b]);

/** A PackedForward request as Fluentd's own out_forward writes it: entries as str32. */
export function writePackedForward(
  tag: string,
  batches: readonly Batch[],
  chunk: string | undefined,
  compress: ((body: Buffer) => Buffer) | undefined,
): Buffer {
  const plain = packedBody(batches);
  const body = compress === undefined ? plain : compress(plain);
  const count = batches.reduce((sum, batch) => sum + batch.count, 0);
  return packedRequest(tag, body, { count, chunk, isGzip: compress !== undefined });
}

/** The entries of batches in one piece. */
export function packedBody(batches: readonly Batch[]): Buffer {
  return Buffer.concat(batches.map((batch) => batch.bytes.subarray(batch.start, batch.end)));
}

export interface PackedOption {
  /** Number of entries in the body. */
  readonly count: number;
  readonly chunk: string | undefined;
  readonly isGzip: boolean;
}

/** The request around a body that is ready, compressed or not. */
export function packedRequest(tag: string, body: Uint8Array, { count, chunk, isGzip: compressed }: PackedOption): Buffer {
  const into = new ByteWriter(body.length + tag.length * 3 + 128);
  writeArrayHeader(into, 3);
  writeString(into, tag);
  into.u8(0xdb);
  into.u32(body.length);
  into.raw(body);
  writeMapHeader(into, 1 + (compressed ? 1 : 0) + (chunk === undefined ? 0 : 1));
  writeString(into, 'size');
  writeInteger(into, count);
  if (compressed) {
    writeString(into, 'compressed');
    writeString(into, 'gzip');
  }
  if (chunk !== undefined) {
    writeString(into, 'chunk');
    writeString(into, chunk);
  }
  return into.bytes.subarray(0, into.length);
}
