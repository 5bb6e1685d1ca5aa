/** One running millrace: workers, merged metrics, rules, control API. */
import { dirname, resolve } from 'node:path';
import { sendersOf } from '../alerts/alerts.ts';
import type { Transition } from '../alerts/evaluate.ts';
import { RuleScheduler, type RuleStatus } from '../alerts/schedule.ts';
import { ZabbixFeed } from '../alerts/zabbix/feed.ts';
import type { Definition, Log, Merged } from '../engine/component.ts';
import { EntryWriter } from '../engine/events/entry-writer.ts';
import { MemoryLog } from '../engine/log/memory-log.ts';
import { MetricMerger, type MergeRule } from '../engine/metrics/merger.ts';
import { Pipeline } from '../engine/pipeline/pipeline.ts';
import { Supervisor, type PublishedPart } from '../engine/pipeline/supervisor.ts';
import { ControlServer } from '../engine/server/control.ts';
import { imbalance, type ComponentStatus } from '../engine/telemetry/accounts.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { createLog, type LogLevel } from '../engine/telemetry/log.ts';
import { REGISTRY } from './components.ts';
import type { Configuration } from './configuration.ts';
import { dataDirOf, takeDataDir, type DataDir } from './data-dir.ts';
import { RULES_CONSUMER, ruleTaps } from './taps.ts';
import { VERSION } from './version.ts';
import { WATCH_CONSUMER, type WatchSummary } from './watch.ts';

export interface DaemonOptions {
  readonly configuration: Configuration;
  /** False: nothing is kept on disk, and there is no control API (one-liners). */
  readonly keeps: boolean;
  /** In place of the one of the configuration. */
  readonly dataDir?: string;
  readonly logLevel?: LogLevel;
  readonly workers?: number;
  /** Any free port when the usual one is taken (the demo). */
  readonly anyControlPort?: boolean;
  /** Takes summaries of what passes, about once a second and worker. */
  readonly onWatch?: (summary: WatchSummary) => void;
  readonly onTransition?: (transition: Transition) => void;
  readonly onCrash?: (error: Error) => void;
  /** All sources have come to an end by themselves. */
  readonly onEnded?: () => void;
}

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedMs: number;
  readonly dataDir: string | undefined;
  readonly control: string | undefined;
  readonly components: readonly ComponentStatus[];
  /** Sentences for books that do not balance; empty when all is well. */
  readonly imbalances: readonly string[];
  readonly rules: readonly RuleStatus[];
  readonly zabbix:
    | {
        readonly sent: number;
        readonly refused: number;
        readonly dropped: number;
        readonly pending: number;
        readonly trouble: string | undefined;
      }
    | undefined;
}

const LOG_LIMIT_BYTES = 64 << 20;
const MERGE_TICK_MS = 250;
const SHUTDOWN_MS = 30_000;

export class Daemon {
  readonly #o: DaemonOptions;
  readonly log: Log;
  readonly #startedMs = Date.now();
  #dataDir: DataDir | undefined;
  #supervisor: Supervisor | undefined;
  #merger: MetricMerger | undefined;
  #scheduler: RuleScheduler | undefined;
  #feed: ZabbixFeed | undefined;
  #control: ControlServer | undefined;
  #controlUrl: string | undefined;
  #timer: Disposable | undefined;
  #closing: Promise<readonly ComponentStatus[]> | undefined;

  constructor(options: DaemonOptions) {
    this.#o = options;
    this.log = createLog(this.#logLevel(), {});
  }

  #logLevel(): LogLevel {
    const { logLevel, configuration } = this.#o;
    if (logLevel !== undefined) return logLevel;
    const level = configuration.system.log_level;
    if (level === 'trace') return 'debug';
    return level === 'fatal' ? 'error' : level;
  }

  /** @throws MillraceError what keeps it from running; nothing is left behind then */
  async start(): Promise<void> {
    const { configuration, keeps, dataDir } = this.#o;
    try {
      if (keeps) this.#dataDir = takeDataDir(dataDir ?? dataDirOf(configuration.system.root_dir));
      this.#merger = new MetricMerger(await this.#mergeRules());
      this.#startRules();
      await this.#startWorkers();
      await this.#startControl();
    } catch (error) {
      await this.stop(0);
      throw error;
    }
    this.#timer = systemClock.every(MERGE_TICK_MS, () => this.#flush(this.#merger?.flushDue(Date.now()) ?? []));
  }

  /** The same pipeline as the workers', inert: tells which consumers publish, and finds what cannot be built. */
  async #mergeRules(): Promise<Map<string, MergeRule>> {
    const { configuration } = this.#o;
    const pipeline = await Pipeline.build({
      root: configuration.loaded.root,
      isFluentd: configuration.loaded.isFluentd,
      registry: REGISTRY,
      worker: { id: 0, count: this.#workers() },
      baseDir: dirname(resolve(configuration.source.path)),
      dataDir: this.#dataDir?.path,
      clock: systemClock,
      log: this.log,
      random: Math.random,
      signal: new AbortController().signal,
      entranceLog: new MemoryLog(systemClock, 0, 0n),
      publish: () => undefined,
      taps: ruleTaps(configuration.loaded),
    });
    const rules = new Map<string, MergeRule>();
    for (const { id, definition, config } of pipeline.publishers()) {
      if (definition.merge === undefined) continue;
      // Through the definition each time: a bare reference would lose it.
      rules.set(id, { merge: (intervalMs, parts) => (definition as Required<Definition>).merge(config, intervalMs, parts) });
    }
    await pipeline.stop();
    return rules;
  }

  #workers(): number {
    return this.#o.workers ?? this.#o.configuration.system.workers;
  }

  #startRules(): void {
    const { rules, targets } = this.#o.configuration;
    const { zabbix } = targets;
    if (rules.length === 0) return;
    if (zabbix !== undefined) this.#feed = new ZabbixFeed({ servers: sendersOf(zabbix), clock: systemClock, log: this.log });
    this.#scheduler = new RuleScheduler({
      rules,
      clock: systemClock,
      log: this.log,
      host: zabbix?.host ?? 'millrace',
      ...(this.#feed === undefined ? {} : { send: this.#feed.send }),
      ...(this.#o.onTransition === undefined ? {} : { onTransition: this.#o.onTransition }),
    });
    this.#scheduler.start();
  }

  async #startWorkers(): Promise<void> {
    const { configuration, onCrash, onEnded } = this.#o;
    const { source, system } = configuration;
    const suffix = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    const supervisor = new Supervisor({
      entry: new URL(`./worker.${suffix}`, import.meta.url),
      workers: this.#workers(),
      setup: {
        configPath: source.path,
        configText: source.text,
        configType: source.type,
        dataDir: this.#dataDir?.path,
        logLevel: this.#logLevel(),
        watch: this.#o.onWatch !== undefined,
        logLimitBytes: Math.floor((system.log_limit_size ?? LOG_LIMIT_BYTES) / this.#workers()),
      },
      onPart: (part) => this.#take(part),
      onCrash: (error) => onCrash?.(error),
      ...(onEnded === undefined ? {} : { onEnded }),
    });
    this.#supervisor = supervisor;
    await supervisor.start();
  }

  #take(part: PublishedPart): void {
    if (part.consumer === RULES_CONSUMER) this.#scheduler?.take(part.intervalMs, part.data);
    else if (part.consumer === WATCH_CONSUMER) this.#o.onWatch?.(part.data as WatchSummary);
    else this.#merger?.add(part, Date.now());
  }

  async #startControl(): Promise<void> {
    const { system } = this.#o.configuration;
    if (this.#dataDir === undefined) return;
    const options = { bind: system.bind, token: this.#dataDir.token, status: () => this.status() };
    this.#control = new ControlServer({ ...options, port: system.port });
    try {
      this.#controlUrl = await this.#control.start();
    } catch (error) {
      if (this.#o.anyControlPort !== true) throw error;
      this.#control = new ControlServer({ ...options, port: 0 });
      this.#controlUrl = await this.#control.start();
    }
    this.#dataDir.announce(this.#controlUrl);
  }

  /** Merged metrics become events of worker 0. */
  #flush(merged: readonly Merged[]): void {
    for (const { tag, timeMs, records } of merged) {
      const writer = new EntryWriter(4096);
      writer.defaultTimeMs(timeMs);
      for (const record of records) {
        writer.begin();
        writer.record(record);
        writer.commit();
      }
      const batch = writer.take(tag);
      if (batch !== undefined) this.#supervisor?.inject(batch);
    }
  }

  async status(): Promise<DaemonStatus> {
    return this.#statusOf((await this.#supervisor?.status()) ?? []);
  }

  #statusOf(components: readonly ComponentStatus[]): DaemonStatus {
    return {
      version: VERSION,
      pid: process.pid,
      startedMs: this.#startedMs,
      dataDir: this.#dataDir?.path,
      control: this.#controlUrl,
      components,
      imbalances: components.map(imbalance).filter((sentence) => sentence !== undefined),
      rules: this.#scheduler?.status() ?? [],
      zabbix: this.#feed?.status,
    };
  }

  /**
   * Sources stop, what they took is delivered, at most for `deadlineMs`.
   *
   * @returns the closing books
   */
  async stop(deadlineMs = this.#o.configuration.system.shutdown_timeout ?? SHUTDOWN_MS): Promise<DaemonStatus> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#statusOf(await this.#closing);
  }

  async #close(deadlineMs: number): Promise<readonly ComponentStatus[]> {
    this.#timer?.[Symbol.dispose]();
    const books = (await this.#supervisor?.shutDown(deadlineMs, () => this.#flush(this.#merger?.flushAll() ?? []))) ?? [];
    this.#scheduler?.stop();
    await this.#feed?.stop();
    await this.#control?.stop();
    this.#dataDir?.release();
    return books;
  }
}
