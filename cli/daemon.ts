/** One running millrace: workers, merged metrics, rules, control API. */
import { rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sendersOf } from '../alerts/alerts.ts';
import type { Transition } from '../alerts/evaluate.ts';
import { RuleScheduler, type RuleStatus } from '../alerts/schedule.ts';
import { ruleStore } from '../alerts/store.ts';
import { ZabbixFeed } from '../alerts/zabbix/feed.ts';
import type { Definition, Log } from '../engine/component.ts';
import type { Section } from '../engine/config/model.ts';
import { MemoryLog } from '../engine/log/memory-log.ts';
import type { Origin } from '../engine/log/entrance-log.ts';
import { mergedBatch, MetricMerger, type MergedInterval, type MergeRule } from '../engine/metrics/merger.ts';
import { orphansIn, workerDirectory } from '../engine/pipeline/open-log.ts';
import { Pipeline } from '../engine/pipeline/pipeline.ts';
import { Supervisor, type PublishedPart } from '../engine/pipeline/supervisor.ts';
import { imbalance, type ComponentStatus } from '../engine/telemetry/accounts.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { createLog, type LogLevel } from '../engine/telemetry/log.ts';
import type { Stall } from '../engine/telemetry/stalls.ts';
import { REGISTRY } from './components.ts';
import type { Configuration } from './configuration.ts';
import { Control } from './control.ts';
import { dataDirOf, takeDataDir, type DataDir } from './data-dir.ts';
import { RULES_CONSUMER, ruleTaps } from './taps.ts';
import { VERSION } from './version.ts';
import { WATCH_CONSUMER, type WatchSummary } from './watch.ts';
import { growYoungSpace } from './young-space.ts';

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
  /** What does not move although work waits, and why. */
  readonly stalls: readonly Stall[];
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

const MERGE_TICK_MS = 250;
const SHUTDOWN_MS = 30_000;

/** Whether anything in the chains keeps state over events. */
function hasConsumers({ sections, params }: Section): boolean {
  const type = params.get('@type')?.value ?? params.get('type')?.value;
  return (typeof type === 'string' && REGISTRY.find(['consumer'], type) !== undefined) || sections.some(hasConsumers);
}

export class Daemon {
  readonly #o: DaemonOptions;
  readonly log: Log;
  readonly #startedMs = Date.now();
  #dataDir: DataDir | undefined;
  #supervisor: Supervisor | undefined;
  #merger: MetricMerger | undefined;
  #scheduler: RuleScheduler | undefined;
  #feed: ZabbixFeed | undefined;
  #control: Control | undefined;
  #controlUrl: string | undefined;
  #timer: Disposable | undefined;
  /** All sources have come to an end by themselves. */
  #hasEnded = false;
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
      const orphans = this.#dataDir === undefined ? [] : orphansIn(this.#dataDir.path, this.#workers());
      const workers = [...Array.from({ length: this.#workers() }, (_, id) => id), ...orphans];
      const supervisor = this.#supervise(orphans);
      // The workers load while this thread looks for what is to be merged.
      supervisor.open();
      try {
        this.#merger = new MetricMerger(await this.#mergeRules(), workers);
        this.#startRules();
      } catch (error) {
        await supervisor.abandon();
        throw error;
      }
      this.#supervisor = supervisor;
      await supervisor.start();
      growYoungSpace();
      await this.#startControl();
    } catch (error) {
      await this.stop(0);
      throw error;
    }
    this.#timer = systemClock.every(MERGE_TICK_MS, () => this.#flush(this.#merger?.takeComplete() ?? []));
  }

  /** The same pipeline as the workers', inert: tells which consumers publish. Without any, its parts are not even loaded here. */
  async #mergeRules(): Promise<Map<string, MergeRule>> {
    const { configuration } = this.#o;
    if (!hasConsumers(configuration.loaded.root)) return new Map();
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
      stateDir: undefined,
      publish: () => undefined,
      onClosed: () => undefined,
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
      ...(this.#dataDir === undefined ? {} : { store: ruleStore(join(this.#dataDir.path, 'rules.json'), this.log) }),
      ...(this.#feed === undefined ? {} : { send: this.#feed.send }),
      ...(this.#o.onTransition === undefined ? {} : { onTransition: this.#o.onTransition }),
    });
    this.#scheduler.start();
  }

  #supervise(orphans: readonly number[]): Supervisor {
    const { configuration, onCrash, onEnded } = this.#o;
    const { source, system } = configuration;
    const suffix = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    return new Supervisor({
      entry: new URL(`./worker.${suffix}`, import.meta.url),
      workers: this.#workers(),
      setup: {
        configPath: source.path,
        configText: source.text,
        configType: source.type,
        dataDir: this.#dataDir?.path,
        logLevel: this.#logLevel(),
        kernel: system.kernel,
        watch: this.#o.onWatch !== undefined,
        logLimitBytes: system.log_limit_size === undefined ? undefined : Math.floor(system.log_limit_size / this.#workers()),
      },
      orphans,
      onPart: (part) => this.#take(part),
      onClosed: (worker, untilMs) => this.#merger?.close(worker, untilMs),
      onInjected: (origin) => this.#supervisor?.confirm(origin),
      onDrained: (worker) => void this.#adopted(worker),
      onCrash: (error) => onCrash?.(error),
      onEnded: () => {
        this.#hasEnded = true;
        onEnded?.();
      },
    });
  }

  #take(part: PublishedPart): void {
    const { consumer, intervalMs, data, again } = part;
    if (consumer === WATCH_CONSUMER) this.#o.onWatch?.(data as WatchSummary);
    else if (consumer === RULES_CONSUMER) {
      this.#scheduler?.take(intervalMs, data, again);
      // What the rules made of it is their state, saved below.
      this.#confirm({ consumer, intervalMs });
    } else if (this.#merger?.add(part) !== true) this.#confirm({ consumer, intervalMs });
  }

  #confirm(origin: Origin): void {
    this.#supervisor?.confirm(origin);
  }

  /** A log of a worker that is not there any more has been delivered: it goes. */
  async #adopted(worker: number): Promise<void> {
    const path = this.#dataDir?.path;
    if (path === undefined) return;
    await this.#supervisor?.dismiss(worker);
    this.#merger?.leave(worker);
    rmSync(workerDirectory(path, worker), { recursive: true, force: true });
    this.log.info({ worker }, 'the log of a worker that is not there any more was delivered and removed');
  }

  async #startControl(): Promise<void> {
    const { system } = this.#o.configuration;
    if (this.#supervisor === undefined) return;
    this.#control = new Control({
      supervisor: this.#supervisor,
      workers: this.#workers(),
      log: this.log,
      statusOf: (components) => this.#statusOf(components),
    });
    if (this.#dataDir === undefined) return;
    const { path, token } = this.#dataDir;
    const { bind, port } = system;
    this.#controlUrl = await this.#control.serve({ bind, port, token, dataDir: path, anyPort: this.#o.anyControlPort === true });
    this.#dataDir.announce(this.#controlUrl);
  }

  /** Merged metrics become events of worker 0, which takes each interval once. */
  #flush(intervals: readonly MergedInterval[]): void {
    for (const { origin, merged } of intervals) {
      const batch = mergedBatch(merged);
      if (batch === undefined) this.#confirm(origin);
      else this.#supervisor?.inject(batch, origin);
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
      stalls: this.#control?.stalls ?? [],
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
    const merger = this.#merger;
    // Workers that keep nothing have closed everything by now, at the end of all sources the others too.
    const books =
      (await this.#supervisor?.shutDown(deadlineMs, this.#hasEnded, () => this.#flush(merger?.takeComplete() ?? []))) ?? [];
    this.#scheduler?.stop();
    await this.#feed?.stop();
    await this.#control?.stop();
    this.#dataDir?.release();
    return books;
  }
}
