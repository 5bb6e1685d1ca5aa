import type { SourceContext } from '../../engine/component.ts';
import { messageOf } from '../../engine/errors.ts';
import { appendToAll } from '../../engine/events/append.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { fragment, type Fragment } from '../../engine/events/field.ts';
import { ForwardError, type ForwardOddity, type ForwardRequest } from '../../engine/events/forward.ts';
import { ForwardConnection, type Spares } from './connection.ts';
import type { Config, metrics } from './settings.ts';

/** What a session needs of its socket. */
export interface Peer {
  write(bytes: Buffer): void;
  end(): void;
  destroy(): void;
}

export interface Client {
  readonly address: string;
  readonly hostname: string;
}

/** One client: its requests become batches, its chunks are acknowledged once they are safe. */
export class ForwardSession {
  readonly #config: Config;
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #client: Client;
  readonly #peer: Peer;
  readonly #warn: (fields: Fields, message: string) => void;
  readonly #connection: ForwardConnection;
  #annotation: Fragment | undefined;
  #isFull = false;

  constructor(
    config: Config,
    ctx: SourceContext<typeof metrics>,
    client: Client,
    peer: Peer,
    warn: (fields: Fields, message: string) => void,
    spares?: Spares,
  ) {
    this.#config = config;
    this.#ctx = ctx;
    this.#client = client;
    this.#peer = peer;
    this.#warn = warn;
    this.#connection = new ForwardConnection(
      { messageBytes: config.chunk_size_limit, decompressedBytes: config.decompression_size_limit },
      { request: (request, answer, bytes) => this.#take(request, answer, bytes), oddity: (what) => this.#odd(what) },
      () => ctx.clock.now(),
      spares,
    );
    this.named(client.hostname);
  }

  /** The client's host name is known now. */
  named(hostname: string): void {
    const { source_address_key: addressKey, source_hostname_key: nameKey } = this.#config;
    if (addressKey === undefined && nameKey === undefined) return;
    const fields: Fields = {};
    if (addressKey !== undefined) fields[addressKey] = this.#client.address;
    if (nameKey !== undefined) fields[nameKey] = hostname;
    this.#annotation = fragment(undefined, fields);
  }

  get keptBytes(): number {
    return this.#connection.keptBytes;
  }

  /** Gives back what a message that has begun takes; nothing comes any more. */
  close(): void {
    this.#connection.close();
  }

  /** @returns false when no more shall be read until the log is ready */
  push(data: Buffer): boolean {
    this.#isFull = false;
    try {
      this.#connection.push(data);
    } catch (error) {
      if (!(error instanceof ForwardError)) throw error;
      this.#ctx.metrics.bad_messages.add(1);
      this.#warn({ from: this.#client.address, reason: messageOf(error) }, 'closed a connection that sent what cannot be read');
      this.#peer.destroy();
    }
    return !this.#isFull;
  }

  #take({ batch, chunk, skipped, truncated }: ForwardRequest, answer: (chunk: Uint8Array) => Buffer, bytes: number): void {
    const ctx = this.#ctx;
    const { skip_invalid_event, chunk_size_warn_limit: warnLimit, deny_keepalive } = this.#config;
    if (skipped > 0) {
      ctx.dropped('invalid event', skipped);
      if (!skip_invalid_event) throw new ForwardError('an entry is no event, and skip_invalid_event is false');
    }
    if (truncated) ctx.metrics.truncated_bodies.add(1);
    if (warnLimit !== undefined && bytes > warnLimit)
      this.#warn({ from: this.#client.address, bytes }, 'message larger than chunk_size_warn_limit');
    // Made at once: by the time it is sent, other bytes stand where the chunk's stand now.
    const reply = chunk === undefined ? undefined : answer(chunk);
    const acknowledge = (): void => {
      if (reply !== undefined) {
        ctx.metrics.acks.add(1);
        this.#peer.write(reply);
      }
      if (deny_keepalive) this.#peer.end();
    };
    if (batch === undefined) return acknowledge();
    const hasRoom = ctx.emit(this.#own(batch), (failure) => {
      if (failure === undefined) acknowledge();
      else this.#peer.destroy();
    });
    if (!hasRoom) this.#isFull = true;
  }

  /** The batch under the tag, and with the fields, that the configuration wants. */
  #own(batch: Batch): Batch {
    const { tag, add_tag_prefix: prefix } = this.#config;
    const annotated = this.#annotation === undefined ? batch : appendToAll(batch, this.#annotation);
    if (tag === undefined && prefix === undefined) return annotated;
    const own = tag ?? batch.tag;
    return { ...annotated, tag: prefix === undefined ? own : `${prefix}.${own}` };
  }

  #odd(what: ForwardOddity | 'too-large'): void {
    if (what === 'nil') return;
    const from = this.#client.address;
    if (what === 'too-large') {
      this.#ctx.metrics.oversize_messages.add(1);
      this.#ctx.log.error({ from, limit: this.#config.chunk_size_limit }, 'message larger than chunk_size_limit, not kept');
      return;
    }
    this.#ctx.metrics.bad_messages.add(1);
    this.#warn({ from }, 'ignored a message that is no list');
  }
}
