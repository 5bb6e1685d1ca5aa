import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { defineOutput, type Chunk, type Context, type Output, type Verdict } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { Batch } from '../../engine/events/batch.ts';
import { packedBody, packedRequest } from '../../engine/events/forward.ts';
import { Balance } from './balance.ts';
import { ForwardNode, type Request } from './node.ts';
import { check, config, metrics, type Config } from './settings.ts';

const compress = promisify(gzip);

export const forward = defineOutput({
  name: 'forward',
  summary: "Sends events to other millraces, Fluentd or Fluent Bit by Fluentd's forward protocol, with acknowledgements.",
  config,
  metrics,
  examples: [
    {
      title: 'To one server, which acknowledges',
      config: '<match **>\n  @type forward\n  require_ack_response true\n  <server>\n    host 192.0.2.10\n  </server>\n</match>',
    },
    {
      title: 'To two servers and a spare, compressed',
      config:
        '<match **>\n  @type forward\n  require_ack_response true\n  compress gzip\n  <server>\n    host 192.0.2.10\n    weight 60\n  </server>\n' +
        '  <server>\n    host 192.0.2.11\n    weight 30\n  </server>\n  <server>\n    host 192.0.2.12\n    standby true\n  </server>\n</match>',
    },
  ],
  check,
  create: (options, ctx) => new ForwardOutput(options, ctx),
});

/** The events of one tag on their way. */
interface Parcel extends Request {
  readonly indices: readonly number[];
}

/** A server as the pipeline sees it: down from its failure until something shows that it is back. */
interface Server {
  readonly node: ForwardNode;
  readonly weight: number;
  readonly standby: boolean;
  failedMs: number | undefined;
  isBeingAsked: boolean;
}

class ForwardOutput implements Output {
  readonly #config: Config;
  readonly #ctx: Context<typeof metrics>;
  readonly #servers: readonly Server[];
  readonly #balance: Balance<Server>;
  readonly #abort = new AbortController();
  #heartbeat: Disposable | undefined;

  constructor(options: Config, ctx: Context<typeof metrics>) {
    this.#config = options;
    this.#ctx = ctx;
    this.#servers = options.server.map(({ host, port, name, weight, standby }): Server => {
      const node = new ForwardNode({
        name,
        host,
        port,
        weight,
        standby,
        connectTimeoutMs: options.connect_timeout ?? options.hard_timeout,
        sendTimeoutMs: options.send_timeout,
        ackTimeoutMs: options.ack_response_timeout,
        keepaliveMs: options.keepalive ? (options.keepalive_timeout ?? KEPT_MS) : undefined,
        clock: ctx.clock,
        onConnect: () => ctx.metrics.connections.add(1),
      });
      return { node, weight, standby, failedMs: undefined, isBeingAsked: false };
    });
    this.#balance = new Balance(this.#servers);
  }

  start(): Promise<void> {
    const { heartbeat_type: type, heartbeat_interval: interval } = this.#config;
    if (type !== 'none') this.#heartbeat = this.#ctx.clock.every(interval, () => this.#askFailed());
    return Promise.resolve();
  }

  /** Fails when a server cannot be used, so that a wrong address is seen at once. */
  async probe(signal: AbortSignal): Promise<void> {
    const outcomes = await Promise.all(this.#servers.map(({ node }) => node.probe(signal)));
    const troubles = outcomes.filter((trouble) => trouble !== undefined);
    if (troubles.length > 0) throw new MillraceError('MR_CONNECT', troubles.join('; '));
  }

  async write(chunk: Chunk, signal: AbortSignal): Promise<Verdict> {
    let left = await this.#parcels(chunk);
    if (left.length === 0) return 'delivered';
    const all = left.length;
    const reasons: string[] = [];
    for (const server of this.#balance.order((candidate) => this.#isUp(candidate))) {
      const { delivered, failure, untouched } = await server.node.send(left, signal);
      left = left.filter((parcel) => !delivered.has(parcel));
      this.#ctx.metrics.requests.add(delivered.size);
      if (failure === undefined) this.#recovered(server);
      else if (!signal.aborted) this.#failed(server, failure);
      if (left.length === 0) return 'delivered';
      reasons.push(failure ?? '');
      // What has been sent may have arrived: it is sent again only after the wait, and then elsewhere if there is an elsewhere.
      if (!untouched || signal.aborted) break;
    }
    const reason = reasons.join('; ');
    return { retry: left.length === all ? 'all' : left.flatMap(({ indices }) => indices).toSorted((a, b) => a - b), reason };
  }

  /** One request per tag, in the order in which the tags appear. */
  async #parcels(chunk: Chunk): Promise<Parcel[]> {
    const { require_ack_response: acks, compress: how } = this.#config;
    const groups = new Map<string, { batches: Batch[]; indices: number[] }>();
    let index = 0;
    for (const batch of chunk.batches) {
      let group = groups.get(batch.tag);
      if (group === undefined) groups.set(batch.tag, (group = { batches: [], indices: [] }));
      group.batches.push(batch);
      for (let n = 0; n < batch.count; n++) group.indices.push(index++);
    }
    const parcels: Parcel[] = [];
    for (const [tag, { batches, indices }] of groups) {
      const plain = packedBody(batches);
      const isGzip = how === 'gzip';
      const body = isGzip ? await compress(plain) : plain;
      const id = acks ? requestId(this.#ctx.id, tag, batches, chunk.id) : undefined;
      parcels.push({ bytes: packedRequest(tag, body, { count: indices.length, chunk: id, isGzip }), id, indices });
    }
    return parcels;
  }

  #isUp({ failedMs }: Server): boolean {
    if (failedMs === undefined) return true;
    // With heartbeats it takes one that got through.
    return this.#config.heartbeat_type === 'none' && this.#hasWaited(failedMs);
  }

  /** A clock that was set back makes the wait no longer. */
  #hasWaited(failedMs: number): boolean {
    const passedMs = this.#ctx.clock.now() - failedMs;
    return passedMs >= this.#config.recover_wait || passedMs < 0;
  }

  #failed(server: Server, reason: string): void {
    this.#ctx.metrics.failures.add(1);
    if (server.failedMs === undefined && this.#servers.length > 1)
      this.#ctx.log.warn({ reason }, 'a server failed, the others take its share');
    server.failedMs = this.#ctx.clock.now();
    this.#count();
  }

  #recovered(server: Server): void {
    if (server.failedMs === undefined) return;
    server.failedMs = undefined;
    this.#ctx.log.info({ server: server.node.title }, 'a server works again');
    this.#count();
  }

  #count(): void {
    this.#ctx.metrics.servers_down.set(this.#servers.filter(({ failedMs }) => failedMs !== undefined).length);
  }

  #askFailed(): void {
    for (const server of this.#servers) {
      const { failedMs, isBeingAsked, node } = server;
      if (failedMs === undefined || isBeingAsked || !this.#hasWaited(failedMs)) continue;
      server.isBeingAsked = true;
      // A probe does not reject: its failure is its value.
      void node.probe(this.#abort.signal).then((trouble) => {
        server.isBeingAsked = false;
        // A delivery that failed in the meantime knows better.
        if (trouble === undefined && server.failedMs === failedMs) this.#recovered(server);
      });
    }
  }

  stop(): Promise<void> {
    this.#abort.abort();
    this.#heartbeat?.[Symbol.dispose]();
    for (const { node } of this.#servers) node.close();
    return Promise.resolve();
  }
}

/** For connections that are kept and whose server sets no limit. */
const KEPT_MS = 2 ** 31 - 1;

/**
 * The id of one request: made from the places of its events, so that it is the same at every try, also when the rest of
 * the chunk was delivered; and from the output, so that two of them never send the same one. 16 bytes in base64.
 */
function requestId(output: string, tag: string, batches: readonly Batch[], chunkId: string): string {
  const hash = createHash('sha256').update(JSON.stringify([output, tag]));
  for (const { place, ids, count } of batches) {
    hash.update(place === undefined ? chunkId : `${place.incarnation}.${place.segment}.${place.offset}.${count};`);
    if (ids !== undefined) hash.update(ids);
  }
  return hash.digest().subarray(0, 16).toString('base64');
}
