import { deflateSync, inflateSync } from 'node:zlib';
import { ByteWriter } from '../../engine/events/byte-writer.ts';

/*
 * The frame, in both directions (little-endian):
 *
 *   0      4      5            9            13
 *   | ZBXD | flag | length u32 | second u32 | payload ...
 *
 *   flag   0x01 always; 0x02 payload is zlib, second = inflated size; 0x04 both lengths are 64 bits (header of 21 bytes)
 *
 * Seen on Zabbix 6.0 and 7.0. 0x04 is read, never sent: 7.0 closes on it.
 */
const MAGIC = Buffer.from('ZBXD');
const FLAG_PROTOCOL = 0x01;
const FLAG_ZLIB = 0x02;
const FLAG_LARGE = 0x04;
/** Of the large form. */
const HEAD_BYTES_MAX = 21;

/** A reply is about 100 bytes; this bounds what a hostile or mistaken peer can make us hold. */
export const REPLY_BYTES_MAX = 16 * 1024 * 1024;

/** Default port of a Zabbix trapper, server or proxy. */
export const TRAPPER_PORT = 10_051;

export type SenderFailureKind =
  | 'connect'
  | 'closed'
  | 'timeout'
  | 'truncated'
  | 'protocol'
  | 'too-large'
  | 'zlib'
  | 'json'
  | 'server'
  | 'aborted';

/** An expected failure of the conversation, as a value. */
export interface SenderFailure {
  readonly kind: SenderFailureKind;
  readonly message: string;
}

/** One value for one item. `clock` in whole seconds since the epoch, `ns` below 10^9. */
export interface SenderItem {
  readonly host: string;
  readonly key: string;
  readonly value: string;
  readonly clock?: number;
  readonly ns?: number;
}

export interface Redirect {
  readonly revision: number;
  readonly host: string;
  readonly port: number;
}

/** What a server said about one request; counts are undefined when it did not say them. */
export interface SenderReply {
  readonly ok: boolean;
  readonly response: string;
  readonly info: string;
  readonly processed: number | undefined;
  readonly failed: number | undefined;
  readonly total: number | undefined;
  readonly seconds: number | undefined;
  /** A proxy of a proxy group names the one to ask. */
  readonly redirect?: Redirect;
  /** The refusal is one that passes (shutdown, paused collection). */
  readonly retry?: boolean;
}

export interface Frame {
  readonly flags: number;
  readonly payload: Buffer;
}

const failure = (kind: SenderFailureKind, message: string): SenderFailure => ({ kind, message });

export const isFailure = (value: object): value is SenderFailure => 'kind' in value;

/** Puts a payload into a frame; the caller keeps it below 128 MiB (the limit of old servers). */
export function encodeFrame(payload: string | Uint8Array, options: { readonly compress?: boolean } = {}): Buffer {
  const plain = typeof payload === 'string' ? Buffer.from(payload, 'utf8') : Buffer.from(payload);
  const body = options.compress === true ? deflateSync(plain) : plain;
  const head = Buffer.alloc(13);
  MAGIC.copy(head, 0);
  head[4] = options.compress === true ? FLAG_PROTOCOL | FLAG_ZLIB : FLAG_PROTOCOL;
  head.writeUInt32LE(body.length, 5);
  head.writeUInt32LE(options.compress === true ? plain.length : 0, 9);
  return Buffer.concat([head, body]);
}

/** The JSON of a request. An empty list is legal. */
export function encodeRequest(items: readonly SenderItem[]): string {
  return JSON.stringify({
    request: 'sender data',
    data: items.map(({ host, key, value, clock, ns }) => ({
      host: host.toWellFormed(),
      key: key.toWellFormed(),
      // A lone surrogate makes Zabbix 7.0 refuse the whole batch.
      value: value.toWellFormed(),
      ...(clock === undefined ? {} : { clock }),
      ...(clock === undefined || ns === undefined ? {} : { ns }),
    })),
  });
}

/**
 * Collects the bytes of one frame as they arrive; bytes after it are ignored. A byte is copied a bounded number of times
 * and takes at most two of memory, even when they come one by one.
 */
export class FrameReader {
  readonly #limit: number;
  readonly #bytes = new ByteWriter(0);

  constructor(limit: number = REPLY_BYTES_MAX) {
    this.#limit = limit;
  }

  /** @returns the frame when it is complete, a failure, or undefined while bytes are missing */
  push(chunk: Uint8Array): Frame | SenderFailure | undefined {
    this.#bytes.raw(chunk);
    const { bytes, length: size } = this.#bytes;
    const head = bytes.subarray(0, Math.min(size, HEAD_BYTES_MAX));
    const seen = Math.min(head.length, 4);
    if (head.compare(MAGIC, 0, seen, 0, seen) !== 0)
      return failure('protocol', 'the answer is not of the Zabbix sender protocol');
    if (head.length < 5) return undefined;
    const flags = head[4] ?? 0;
    if ((flags & FLAG_PROTOCOL) === 0 || (flags & ~(FLAG_PROTOCOL | FLAG_ZLIB | FLAG_LARGE)) !== 0)
      return failure('protocol', `the answer has unknown flags 0x${flags.toString(16).padStart(2, '0')}`);
    const isLarge = (flags & FLAG_LARGE) !== 0;
    const headBytes = isLarge ? HEAD_BYTES_MAX : 13;
    if (head.length < headBytes) return undefined;
    const length = isLarge ? head.readBigUInt64LE(5) : BigInt(head.readUInt32LE(5));
    const second = isLarge ? head.readBigUInt64LE(13) : BigInt(head.readUInt32LE(9));
    const isCompressed = (flags & FLAG_ZLIB) !== 0;
    if (length > BigInt(this.#limit) || (isCompressed && second > BigInt(this.#limit)))
      return failure('too-large', `the answer announces more than ${this.#limit} bytes`);
    const end = headBytes + Number(length);
    if (size < end) return undefined;
    const body = bytes.subarray(headBytes, end);
    return isCompressed ? inflate(flags, body, Number(second)) : { flags, payload: body };
  }

  /** What it means that the peer closed before a whole frame had come. */
  end(): SenderFailure {
    const { length } = this.#bytes;
    return length === 0
      ? failure('closed', 'the connection was closed without an answer')
      : failure('truncated', `the answer ended after ${length} bytes`);
  }
}

function inflate(flags: number, body: Buffer, size: number): Frame | SenderFailure {
  try {
    const payload = inflateSync(body, { maxOutputLength: Math.max(size, 1) });
    if (payload.length !== size) return failure('zlib', `the answer inflates to ${payload.length} bytes, announced were ${size}`);
    return { flags, payload };
  } catch {
    // The library's text says nothing that a person could use beyond this.
    return failure('zlib', 'the compressed answer is damaged');
  }
}

/** Reads one whole frame. */
export function decodeFrame(bytes: Uint8Array, limit: number = REPLY_BYTES_MAX): Frame | SenderFailure {
  const reader = new FrameReader(limit);
  return reader.push(bytes) ?? reader.end();
}

// 3.x and later "processed: 1; failed: 0; total: 1; seconds spent: 0.000156", 2.x "Processed 1 Failed 0 Total 1 Seconds spent 0.000064".
const INFO =
  /processed:?\s+(\d{1,20})\b.{0,4}?failed:?\s+(\d{1,20})\b.{0,4}?total:?\s+(\d{1,20})\b(?:.{0,4}?seconds spent:?\s+(\d+(?:\.\d+)?(?:e[-+]?\d+)?))?/i;
const PASSING = /has been paused|shutdown in progress|shutting down/i;

/** Reads the payload of an answer; anything but a JSON object is a failure of kind `json`. */
export function parseReply(payload: string | Uint8Array): SenderReply | SenderFailure {
  const text =
    typeof payload === 'string' ? payload : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // What stands there is not repeated: it may be anything.
    return failure('json', 'the answer is not JSON');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return failure('json', 'the answer is not a JSON object');
  const members = json as Record<string, unknown>;
  const response = typeof members['response'] === 'string' ? members['response'] : '';
  const info = typeof members['info'] === 'string' ? members['info'] : '';
  const counts = INFO.exec(info);
  const count = (index: number): number | undefined => (counts?.[index] === undefined ? undefined : Number(counts[index]));
  const ok = response === 'success';
  const redirect = ok ? undefined : readRedirect(members['redirect']);
  return {
    ok,
    response,
    info,
    processed: count(1),
    failed: count(2),
    total: count(3),
    seconds: count(4),
    ...(redirect === undefined ? {} : { redirect }),
    ...(!ok && PASSING.test(info) ? { retry: true } : {}),
  };
}

function readRedirect(value: unknown): Redirect | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { revision, address } = value as { revision?: unknown; address?: unknown };
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision) || revision < 0) return undefined;
  if (typeof address !== 'string') return undefined;
  const parsed = parseAddress(address);
  return parsed === undefined ? undefined : { revision, ...parsed };
}

/**
 * Reads `host`, `host:port`, `[v6]:port` or a bare IPv6 address.
 *
 * @returns undefined when it is none of them
 */
export function parseAddress(text: string, fallbackPort: number = TRAPPER_PORT): { host: string; port: number } | undefined {
  const trimmed = text.trim();
  if (trimmed.length > 300) return undefined;
  const bracket = /^\[([0-9a-f:.%]+)\](?::(\d{1,5}))?$/i.exec(trimmed);
  const plain = /^([^\s:[\]/,;]+)(?::(\d{1,5}))?$/.exec(trimmed);
  const match = bracket ?? plain;
  if (match === null)
    return /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(trimmed) ? { host: trimmed, port: fallbackPort } : undefined;
  const port = match[2] === undefined ? fallbackPort : Number(match[2]);
  if (port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? '', port };
}
