/** What a server may say to a sender of the forward protocol: acknowledgements, or the start of a handshake. */
import { TRUNCATED, arrayCount, headerBytes, mapCount, skipValue, stringStart } from '../../engine/events/msgpack.ts';

/** An answer that has come so far without being whole; a real one has some forty bytes. */
export const MAX_REPLY_BYTES = 4096;

export interface Replies {
  /** Ids in the order in which they were acknowledged. */
  readonly acks: readonly string[];
  /** Bytes that were read; what follows is the start of another answer. */
  readonly read: number;
  /** Why the connection is of no more use. */
  readonly problem?: string;
}

/** Said of a server with `<security>`, which greets every client before anything else. */
export const WANTS_HANDSHAKE = 'asks for a handshake (<security>), which millrace cannot do yet';

/**
 * Reads every whole answer: `{"ack": id}`, where other keys may stand beside `ack`, and the id may be str or bin.
 * The server's bytes are not trusted: whatever they are, this does not throw.
 */
export function readReplies(bytes: Uint8Array): Replies {
  const acks: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = skipValue(bytes, at, bytes.length);
    if (end === TRUNCATED)
      return bytes.length - at > MAX_REPLY_BYTES ? { acks, read: at, problem: 'sent an endless answer' } : { acks, read: at };
    if (end < 0) return { acks, read: at, problem: 'sent an answer that is not MessagePack' };
    const ack = readAck(bytes, at, end);
    if (ack === undefined) return { acks, read: at, problem: oddity(bytes, at, end) };
    acks.push(ack);
    at = end;
  }
  return { acks, read: at };
}

function readAck(bytes: Uint8Array, at: number, end: number): string | undefined {
  const pairs = mapCount(bytes, at, end);
  let keyAt = at + headerBytes(bytes, at);
  for (let n = 0; n < pairs; n++) {
    const valueAt = skipValue(bytes, keyAt, end);
    const next = skipValue(bytes, valueAt, end);
    if (textOf(bytes, keyAt, valueAt) === 'ack') return textOf(bytes, valueAt, next);
    keyAt = next;
  }
  return undefined;
}

function oddity(bytes: Uint8Array, at: number, end: number): string {
  const isGreeting =
    arrayCount(bytes, at, end) > 0 &&
    textOf(bytes, at + headerBytes(bytes, at), skipValue(bytes, at + headerBytes(bytes, at), end)) === 'HELO';
  return isGreeting ? WANTS_HANDSHAKE : 'sent an answer that is no acknowledgement';
}

/** Latin-1: ids of ours are ASCII, and bytes that are no text must not become equal to one. */
function textOf(bytes: Uint8Array, at: number, end: number): string | undefined {
  const from = stringStart(bytes, at);
  return from < 0 || from > end ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset + from, end - from).toString('latin1');
}
