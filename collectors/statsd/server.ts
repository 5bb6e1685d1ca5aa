import { setImmediate as turn } from 'node:timers/promises';
import type { Source, SourceContext } from '../../engine/component.ts';
import { EntryWriter, encodeKey } from '../../engine/events/entry-writer.ts';
import { messageOf } from '../../engine/errors.ts';
import { Aggregate, type Flushed, type FlushRules } from '../../engine/metrics/aggregate.ts';
import { binLimit } from '../../engine/metrics/timer-stats.ts';
import { kernelDrops, listenTcp, listenUdp, type Listening } from './listen.ts';
import { Namer, tagFields, type MetricType, type OwnStats } from './naming.ts';
import { StatsdParser } from './parse.ts';
import type { StatsdConfig, StatsdMetrics } from './statsd.ts';

/** A flush is handed over in batches of about this size. */
const SLICE_BYTES = 512 * 1024;
/** After so long the sockets are read again: at 100,000 datagrams a second that is 300 of them in the kernel's buffer. */
const SLICE_MS = 3;

const NAME = encodeKey('name');
const VALUE = encodeKey('value');
const TYPE = encodeKey('type');
const TAGS = encodeKey('tags');

type Own = 'bad_lines_seen' | 'packets_received' | 'metrics_received';

export class StatsdServer implements Source {
  readonly #config: StatsdConfig;
  readonly #ctx: SourceContext<StatsdMetrics>;
  readonly #aggregate: Aggregate;
  readonly #parser: StatsdParser;
  readonly #namer: Namer;
  readonly #rules: FlushRules;
  readonly #writer = new EntryWriter(16_384);
  #listening: Listening[] = [];
  #udpPort: number | undefined;
  #timer: Disposable | undefined;
  #packets = 0;
  // What was there at the last flush.
  #before = { lines: 0, bad: 0, refused: 0, events: 0, drops: 0 };
  #flushing: Promise<void> | undefined;
  #lastSeconds: number | undefined;
  #stats: OwnStats;

  constructor(config: StatsdConfig, ctx: SourceContext<StatsdMetrics>) {
    this.#config = config;
    this.#ctx = ctx;
    this.#aggregate = new Aggregate({ maxSeries: config.max_series }, config.gauges_max_ttl);
    this.#parser = new StatsdParser(this.#aggregate, {
      sanitize: config.key_name_sanitize,
      gaugeSign: config.gauge_sign,
      maxLine: config.max_line,
      maxName: config.max_name,
    });
    this.#namer = new Namer(
      {
        legacy: config.legacy_namespace,
        globalPrefix: config.global_prefix,
        prefixCounter: config.prefix_counter,
        prefixTimer: config.prefix_timer,
        prefixGauge: config.prefix_gauge,
        prefixSet: config.prefix_set,
        globalSuffix: config.global_suffix,
        prefixStats: config.prefix_stats,
        flushCounts: config.flush_counts,
        isClean: config.key_name_sanitize,
      },
      {
        intervalMs: config.flush_interval,
        percentThreshold: config.percent_threshold,
        histogram: config.histogram.map(({ metric, bins }) => ({ metric, bins: bins.map(binLimit) })),
        keep: config.calculated_timer_metrics?.length ? new Set(config.calculated_timer_metrics) : undefined,
      },
    );
    const idle = config.delete_idle_stats;
    this.#rules = {
      deleteCounters: config.delete_counters ?? idle,
      deleteTimers: config.delete_timers ?? idle,
      deleteSets: config.delete_sets ?? idle,
      deleteGauges: config.delete_gauges ?? idle,
    };
    const startSeconds = Math.floor(ctx.clock.now() / 1000);
    this.#stats = {
      processingMs: 0,
      lastFailureSeconds: startSeconds,
      lastFlushSeconds: startSeconds,
      flushMs: 0,
      flushBytes: 0,
    };
    for (const own of ['bad_lines_seen', 'packets_received', 'metrics_received'] as const) this.#own(own, 0);
  }

  #own(name: Own, count: number): void {
    const series = this.#aggregate.named(`${this.#config.prefix_stats}.${name}`);
    if (series !== undefined) this.#aggregate.count(series, count);
  }

  async start(): Promise<void> {
    const { bind, protocol } = this.#config;
    let { port } = this.#config;
    const onPacket = (packet: Buffer): void => this.receive(packet);
    if (protocol !== 'tcp') {
      const udp = await listenUdp({ bind, port, receiveBuffer: this.#config.receive_buffer_size }, onPacket);
      this.#listening.push(udp);
      this.#udpPort = udp.port;
      port = udp.port;
      this.#noteBuffer(udp.receiveBuffer);
    }
    if (protocol !== 'udp') {
      const onRefused = (): void => this.#ctx.metrics.refused_connections.add(1);
      const { max_line: maxLine, max_connections: maxConnections, idle_timeout: idleMs } = this.#config;
      this.#listening.push(await listenTcp({ bind, port, maxLine, maxConnections, idleMs, onRefused }, onPacket));
    }
    this.#timer = this.#ctx.clock.every(this.#config.flush_interval, () => this.#flushInBackground());
  }

  #noteBuffer(got: number): void {
    this.#ctx.metrics.receive_buffer_bytes.set(got);
    // Linux doubles what is asked for, for its own bookkeeping.
    const wanted = this.#config.receive_buffer_size;
    if (got < wanted)
      this.#ctx.log.warn(
        { wanted, got },
        'the kernel gave a smaller receive buffer than wanted; raise net.core.rmem_max or bursts are lost',
      );
  }

  addresses(): readonly string[] {
    return this.#listening.map(({ address, port }) => `${address.includes(':') ? `[${address}]` : address}:${port}`);
  }

  /** One datagram, or what has come over TCP up to a line feed. */
  receive(packet: Buffer): void {
    this.#packets++;
    this.#parser.packet(packet, 0, packet.length);
  }

  #flushInBackground(): void {
    if (this.#flushing !== undefined) {
      // The last flush still waits for the pipeline: nothing is lost, the next one has the values of both intervals.
      this.#ctx.log.warn({}, 'the pipeline is full, a flush was put off');
      return;
    }
    this.#flushing = this.flush()
      .catch((error: unknown) => this.#ctx.log.error({ reason: messageOf(error) }, 'a flush failed'))
      .finally(() => (this.#flushing = undefined));
  }

  /**
   * Ends the interval and hands its metrics over.
   *
   * @param atMs  the time that the metrics carry
   */
  async flush(atMs = this.#ctx.clock.now()): Promise<void> {
    const nowMs = this.#ctx.clock.now();
    const seconds = Math.round(atMs / 1000);
    this.#account();
    if (this.#lastSeconds !== undefined) {
      const lag = this.#aggregate.named(`${this.#config.prefix_stats}.timestamp_lag`);
      const value = seconds - this.#lastSeconds - this.#config.flush_interval / 1000;
      if (lag !== undefined) this.#aggregate.gauge(lag, value, false);
    }
    this.#lastSeconds = seconds;
    const flushed = this.#aggregate.flush(this.#rules);
    this.#ctx.metrics.series.set(this.#aggregate.size);
    await this.#handOver(flushed, seconds, nowMs);
    await this.#countDrops();
  }

  /** Brings the server's own counters up to now. */
  #account(): void {
    const { lines, bad, refused, events } = this.#parser;
    const { metrics } = this.#ctx;
    const more = { lines: lines - this.#before.lines, bad: bad - this.#before.bad, refused: refused - this.#before.refused };
    this.#own('packets_received', this.#packets);
    this.#own('metrics_received', more.lines);
    this.#own('bad_lines_seen', more.bad);
    metrics.packets.add(this.#packets);
    metrics.lines.add(more.lines);
    metrics.bad_lines.add(more.bad);
    metrics.refused.add(more.refused);
    metrics.events.add(events - this.#before.events);
    if (more.refused > 0)
      this.#ctx.log.warn(
        { samples: more.refused, maxSeries: this.#config.max_series },
        'samples of new names refused, too many series',
      );
    this.#packets = 0;
    this.#before = { ...this.#before, lines, bad, refused, events };
  }

  async #handOver(flushed: Flushed, seconds: number, startMs: number): Promise<void> {
    const writer = this.#writer;
    const put = (path: string, tags: string, value: number, type: MetricType): void => this.#putEntry(path, tags, value, type);
    writer.defaultTime(seconds, 0);
    let bytes = 0;
    let isFull = false;
    const { clock } = this.#ctx;
    let sliceMs = clock.now();
    for (const series of flushed.series) {
      this.#namer.series(series, put);
      if (writer.out.length >= SLICE_BYTES) {
        bytes += writer.out.length;
        if (!(await this.#emit())) isFull = true;
      } else if (clock.now() - sliceMs < SLICE_MS) continue;
      else await turn();
      sliceMs = clock.now();
    }
    const processingMs = clock.now() - startMs;
    const lastFailureSeconds = isFull ? seconds : this.#stats.lastFailureSeconds;
    this.#namer.own(flushed, { ...this.#stats, processingMs, lastFailureSeconds }, put);
    bytes += writer.out.length;
    await this.#emit();
    this.#stats = {
      processingMs,
      lastFailureSeconds,
      lastFlushSeconds: seconds,
      flushMs: clock.now() - startMs,
      flushBytes: bytes,
    };
  }

  #putEntry(path: string, tags: string, value: number, type: MetricType): void {
    // What is no number for Graphite is left out rather than sent as NaN.
    if (!Number.isFinite(value)) return;
    const writer = this.#writer;
    writer.begin();
    writer.key(NAME);
    writer.text(path);
    writer.key(VALUE);
    writer.value(value);
    writer.key(TYPE);
    writer.text(type);
    const fields = tagFields(tags);
    if (fields !== undefined) {
      writer.key(TAGS);
      writer.value(fields);
    }
    writer.commit();
  }

  /** @returns false when the pipeline was full */
  async #emit(): Promise<boolean> {
    const batch = this.#writer.take(this.#config.tag);
    if (batch === undefined) return true;
    const isTaken = this.#ctx.emit(batch);
    if (isTaken) await turn();
    else await this.#ctx.ready();
    return isTaken;
  }

  async #countDrops(): Promise<void> {
    if (this.#udpPort === undefined) return;
    const drops = (await kernelDrops(this.#udpPort)) ?? 0;
    const more = drops - this.#before.drops;
    this.#before = { ...this.#before, drops };
    if (more <= 0) return;
    this.#ctx.metrics.kernel_drops.add(more);
    this.#ctx.log.warn({ packets: more }, 'the kernel dropped datagrams, the receive buffer was full');
  }

  async drain(): Promise<void> {
    if (this.#timer === undefined) return;
    this.#timer[Symbol.dispose]();
    this.#timer = undefined;
    await this.#emptyKernel();
    if (this.#udpPort !== undefined) await this.#countDrops();
    await this.#close();
    await this.#flushing;
    this.#udpPort = undefined;
    await this.flush(this.#endOfInterval());
  }

  /**
   * The last, shorter interval carries the time at which it would have ended: with that of now it would fall into the
   * same step of Graphite's storage as the flush before it, and replace its values.
   */
  #endOfInterval(): number {
    const nowMs = this.#ctx.clock.now();
    const endMs = (this.#lastSeconds ?? 0) * 1000 + this.#config.flush_interval;
    return Math.max(nowMs, Math.min(endMs, nowMs + this.#config.flush_interval));
  }

  /** Reads on what the kernel holds already; a client that never pauses is cut off after so many turns of the loop. */
  async #emptyKernel(): Promise<void> {
    let quiet = 0;
    for (let turns = 0; quiet < 2 && turns < 1000; turns++) {
      const before = this.#packets;
      await turn();
      quiet = this.#packets === before ? quiet + 1 : 0;
    }
  }

  async #close(): Promise<void> {
    const listening = this.#listening;
    this.#listening = [];
    await Promise.all(listening.map((each) => each.close()));
  }

  async stop(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    await this.#close();
    await this.#flushing;
  }
}
