/**
 * The events of a crash run. Everything about an event follows from the number of its sender and its own number, so that
 * the judge can tell what must have arrived without having kept it, and both sides write it without millrace's own code.
 */
import { gzipSync } from 'node:zlib';

/** One in so many is of a kind that the configuration drops before it is counted. */
const DROPPED_EVERY = 16;
const KINDS = ['order', 'login', 'payment'] as const;
const CHINESE = ['订单已支付', '用户登录失败', '账户余额不足', '请求超时'] as const;
/** What the filter of the configuration adds. */
export const ADDED = 'by the filter';
/** Seconds of the first event. */
const EPOCH = 1_760_000_000;

export interface SentEvent {
  /** Tells it from all others: `sender-number`. */
  readonly u: string;
  readonly kind: string;
  readonly text: string;
  readonly amount: number;
}

export const tagOf = (sender: number): string => `crash.s${sender}`;
export const keyOf = (sender: number, number: number): string => `${sender}-${number}`;
export const isDropped = (number: number): boolean => number % DROPPED_EVERY === DROPPED_EVERY - 1;

export function eventOf(sender: number, number: number): SentEvent {
  const mixed = (Math.imul(number + 1, 0x9e_37_79_b1) ^ Math.imul(sender + 1, 0x85_eb_ca_6b)) >>> 0;
  return {
    u: keyOf(sender, number),
    kind: isDropped(number) ? 'drop' : (KINDS[mixed % KINDS.length] as string),
    text: `${CHINESE[(mixed >>> 3) % CHINESE.length] as string} ${'x'.repeat(20 + ((mixed >>> 6) % 120))}"\n\\`,
    amount: mixed,
  };
}

/** @returns the document that Elasticsearch must hold for the event */
export function documentOf(sender: number, number: number): Record<string, unknown> {
  const { seconds, nanoseconds } = timeOf(number);
  const time = `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;
  return { ...eventOf(sender, number), added: ADDED, '@timestamp': time };
}

function timeOf(number: number): { seconds: number; nanoseconds: number } {
  return { seconds: EPOCH + (number % 86_400), nanoseconds: (number * 1009) % 1_000_000_000 };
}

/** Length of a chunk's id in characters, and of the acknowledgement that names it in bytes. */
const CHUNK_LENGTH = 24;
export const ACK_BYTES = 6 + CHUNK_LENGTH;

export const chunkOf = (sender: number, first: number): string => `${sender}-${first}-`.padEnd(CHUNK_LENGTH, '0');

/** @returns the number of the first event of the frame that the acknowledgement is for */
export function readAck(bytes: Uint8Array): number {
  const text = Buffer.from(bytes).toString('latin1');
  const first = /^\x81\xa3ack\xb8\d+-(\d+)-0*$/.exec(text)?.[1];
  if (first === undefined) throw new Error(`this is no acknowledgement: ${JSON.stringify(text)}`);
  return Number(first);
}

/** A PackedForward message: `[tag, entries, {chunk, size}]`, the entries gzipped if so wished. */
export function frameOf(sender: number, first: number, count: number, isGzipped: boolean): Buffer {
  const out = new Packer();
  for (let number = first; number < first + count; number++) {
    const { seconds, nanoseconds } = timeOf(number);
    const { u, kind, text, amount } = eventOf(sender, number);
    out.bytes(0x92, 0xd7, 0x00);
    out.u32(seconds);
    out.u32(nanoseconds);
    out.bytes(0x84);
    out.text('u');
    out.text(u);
    out.text('kind');
    out.text(kind);
    out.text('text');
    out.text(text);
    out.text('amount');
    out.bytes(0xce);
    out.u32(amount);
  }
  const plain = out.taken();
  const entries = isGzipped ? gzipSync(plain, { level: 1 }) : plain;
  out.bytes(0x93);
  out.text(tagOf(sender));
  out.bytes(0xc6);
  out.u32(entries.length);
  out.raw(entries);
  out.bytes(isGzipped ? 0x83 : 0x82);
  out.text('chunk');
  out.text(chunkOf(sender, first));
  out.text('size');
  out.bytes(0xcd, count >> 8, count & 0xff);
  if (isGzipped) {
    out.text('compressed');
    out.text('gzip');
  }
  return out.taken();
}

class Packer {
  #buffer = Buffer.allocUnsafe(1 << 16);
  #length = 0;

  #room(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + count));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }

  bytes(...values: number[]): void {
    this.#room(values.length);
    for (const value of values) this.#buffer[this.#length++] = value;
  }

  u32(value: number): void {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
  }

  raw(part: Uint8Array): void {
    this.#room(part.length);
    this.#buffer.set(part, this.#length);
    this.#length += part.length;
  }

  /** At most 255 bytes. */
  text(value: string): void {
    const part = Buffer.from(value);
    if (part.length < 32) this.bytes(0xa0 | part.length);
    else this.bytes(0xd9, part.length);
    this.raw(part);
  }

  /** What was written, and an empty packer. */
  taken(): Buffer {
    const taken = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return taken;
  }
}
