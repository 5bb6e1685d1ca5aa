/** From the tree of a configuration to sources, routes and outputs, all inert. */
import { join } from 'node:path';
import type { Ack, Consumer, ConsumerContext, Context, Filter, Output, Source, SourceContext } from '../component.ts';
import type { Section } from '../config/model.ts';
import { childSections, paramText, sectionToInput } from '../config/section.ts';
import { bufferConfig } from '../delivery/buffer-config.ts';
import { chunkDirectory } from '../delivery/chunk-files.ts';
import { DeadLetters } from '../delivery/dead-letters.ts';
import { Progress } from '../delivery/progress.ts';
import { OutputRunner } from '../delivery/output-runner.ts';
import { MillraceError } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, Level } from '../log/entrance-log.ts';
import { isSpooled, LEVELS, levelOf, type Durability } from './durability.ts';
import { injectConfig, makeInjector } from '../inject.ts';
import { Account } from '../telemetry/accounts.ts';
import type { FilterNode } from './filter-run.ts';
import type { Made, Maker } from './make.ts';
import { compilePattern } from './match-pattern.ts';
import type { Rule, Target } from './router.ts';

/** What the pipeline hands in beside the components. */
export interface BuildOptions {
  readonly entranceLog: EntranceLog;
  /** Directory of this worker's progress; undefined: nothing outlives the process. */
  readonly stateDir: string | undefined;
  /** Bytes that wait in memory for one output before it reads the log at its own pace. */
  readonly lagDetachBytes: number;
  /** No source is made: what is in the log is delivered, and that is all. */
  readonly isOrphan: boolean;
  readonly publish: (consumer: string, intervalMs: number, data: unknown) => void;
  /** Calls back once every output is done with what was appended so far. */
  readonly whenDelivered: (ack: Ack) => void;
  /** Bytes from the oldest that the output has not finished to the end of the log. */
  readonly lagBytes: (runner: OutputRunner) => number;
}

export interface Built {
  readonly sources: Made<Source>[];
  readonly filters: Made<Filter>[];
  readonly consumers: Made<Consumer>[];
  readonly outputs: { readonly made: Made<Output>; readonly runner: OutputRunner }[];
  readonly routes: Map<string, Rule[]>;
  /** The safest level that any source asks for. */
  level: Level;
}

export class Builder {
  readonly #maker: Maker;
  readonly #o: BuildOptions;
  readonly #built: Built = { sources: [], filters: [], consumers: [], outputs: [], routes: new Map(), level: 'memory' };

  constructor(maker: Maker, options: BuildOptions) {
    this.#maker = maker;
    this.#o = options;
  }

  async build(root: Section): Promise<Built> {
    await this.#level(root, '');
    return this.#built;
  }

  async #level(section: Section, label: string): Promise<void> {
    const rules = this.#built.routes.get(label) ?? [];
    this.#built.routes.set(label, rules);
    for (const child of section.sections) {
      switch (child.name) {
        case 'source':
          await this.#source(child);
          break;
        case 'filter':
          rules.push(await this.#filter(child));
          break;
        case 'match':
          rules.push({ kind: 'match', matches: pattern(child), targets: await this.#targets(child) });
          break;
        case 'label':
          await this.#level(child, child.arg);
          break;
        case 'worker':
          if (runsHere(child.arg, this.#maker.around.worker.id)) await this.#level(child, label);
          break;
        default:
          break;
      }
    }
  }

  async #source(section: Section): Promise<void> {
    const label = labelOf(section);
    const made = await this.#maker.make<Source>(section, ['source'], (ctx, account, definition) => {
      const level = levelOf(section, definition);
      if (LEVELS.indexOf(level) > LEVELS.indexOf(this.#built.level)) this.#built.level = level;
      return this.#sourceContext(ctx, account, label, { level, isSpooled: isSpooled(section) });
    });
    if (made !== undefined && !this.#o.isOrphan) this.#built.sources.push(made);
  }

  #sourceContext(ctx: Context, account: Account, label: string, { level, isSpooled }: Durability): SourceContext {
    const { entranceLog: log, whenDelivered } = this.#o;
    const book = (batch: Batch): void => {
      account.created += batch.count;
      account.out += batch.count;
      account.bytesOut += batch.end - batch.start;
    };
    return {
      ...ctx,
      // What a source drops itself never became an event of the pipeline: it enters and leaves the books at once.
      dropped(reason, count) {
        account.created += count;
        account.drop(reason, count);
      },
      emit(batch: Batch, ack?: Ack): boolean {
        book(batch);
        if (isSpooled) return log.append(batch, level, label, ack);
        const hasRoom = log.append(batch, 'memory', label);
        if (ack !== undefined) whenDelivered(ack);
        return hasRoom;
      },
      tryEmit(batch: Batch): boolean {
        if (log.tryAppend(batch, level, label)) {
          book(batch);
          return true;
        }
        account.created += batch.count;
        account.drop('entrance log full', batch.count);
        return false;
      },
      ready: () => log.ready(),
    };
  }

  async #filter(section: Section): Promise<Rule> {
    const made = await this.#maker.make<Filter | Consumer>(section, ['filter', 'consumer'], (ctx) => this.#consumerContext(ctx));
    if (made === undefined) throw new MillraceError('MR_CONFIG', `a filter cannot be limited to one worker`);
    const matches = pattern(section);
    if (made.kind === 'consumer') return { kind: 'consumer', matches, node: this.#consumer(made as Made<Consumer>) };
    const filter = made as Made<Filter>;
    this.#built.filters.push(filter);
    return { kind: 'filter', matches, node: { id: made.id, filter: filter.component, account: made.account, log: made.log } };
  }

  #consumerContext(ctx: Context): ConsumerContext {
    return { ...ctx, publish: (intervalMs, data) => this.#o.publish(ctx.id, intervalMs, data) };
  }

  #consumer(made: Made<Consumer>): { id: string; consumer: Consumer; account: Account; log: Made['log'] } {
    this.#built.consumers.push(made);
    return { id: made.id, consumer: made.component, account: made.account, log: made.log };
  }

  async #targets(section: Section): Promise<Target[]> {
    const type = paramText(section, '@type');
    if (type === 'copy') {
      const targets: Target[] = [];
      for (const store of childSections(section, 'store')) targets.push(...(await this.#targets(store)));
      return targets;
    }
    if (type === 'relabel') {
      const label = labelOf(section);
      if (label === '' && paramText(section, '@label') !== '@ROOT')
        throw new MillraceError('MR_CONFIG', 'relabel needs an @label');
      return [{ kind: 'relabel', label }];
    }
    const made = await this.#maker.make<Output | Consumer>(section, ['output', 'consumer'], (ctx) => this.#consumerContext(ctx));
    if (made === undefined) return [];
    if (made.kind === 'consumer') return [{ kind: 'consumer', node: this.#consumer(made as Made<Consumer>) }];
    const runner = await this.#output(section, made as Made<Output>);
    return [{ kind: 'output', id: made.id, runner, inject: this.#inject(section, made) }];
  }

  async #output(section: Section, made: Made<Output>): Promise<OutputRunner> {
    const { clock, random, baseDir, dataDir, worker } = this.#maker.around;
    const [buffer] = childSections(section, 'buffer');
    const input = buffer === undefined ? {} : { ...sectionToInput(buffer, (name) => name === '@type'), '@arg': buffer.arg };
    const { entranceLog, stateDir, lagDetachBytes, lagBytes } = this.#o;
    const config = bufferConfig.parse(input);
    const limits = { limitBytes: config.dead_letter_limit_size, maxAgeMs: config.dead_letter_max_age };
    const name = encodeURIComponent(made.id);
    const progress = Progress.open(stateDir === undefined ? undefined : join(stateDir, 'progress', name), {
      clock,
      log: made.log,
      // An output that is new gets what comes from now on.
      start: entranceLog.head,
      head: entranceLog.head,
    });
    const runner: OutputRunner = new OutputRunner({
      id: made.id,
      progress,
      memoryLimitBytes: lagDetachBytes,
      lagBytes: () => lagBytes(runner),
      chunkDisk: stateDir === undefined ? undefined : chunkDirectory(join(stateDir, 'chunks', name)),
      takeOverFrom: worker.id === 0 ? baseDir : undefined,
      output: made.component,
      secondary: await this.#secondary(section),
      config,
      flush: made.definition.flush,
      account: made.account,
      clock,
      log: made.log,
      random,
      bury: new DeadLetters({ directory: dataDir, output: made.id, log: made.log, clock, worker, limits, metrics: made.metrics })
        .bury,
    });
    this.#built.outputs.push({ made, runner });
    return runner;
  }

  #inject(section: Section, { id, log }: Made): FilterNode | undefined {
    const [inject] = childSections(section, 'inject');
    if (inject === undefined) return undefined;
    const config = injectConfig.parse(sectionToInput(inject));
    const process = makeInjector(config, this.#maker.around.worker.id);
    return { id: `${id}.inject`, filter: { reads: [], process }, account: new Account(), log };
  }

  /** `<secondary>`; without a `@type` it is of the type that it stands in for. */
  async #secondary(section: Section): Promise<Output | undefined> {
    const [secondary] = childSections(section, 'secondary');
    if (secondary === undefined) return undefined;
    const type = section.params.get('@type');
    const typed =
      secondary.params.has('@type') || type === undefined ? secondary.params : new Map([...secondary.params, ['@type', type]]);
    return (await this.#maker.make<Output>({ ...secondary, params: typed }, ['output'], (ctx) => ctx))?.component;
  }
}

function pattern(section: Section): (tag: string) => boolean {
  const compiled = compilePattern(section.arg === '' ? '**' : section.arg);
  if (typeof compiled !== 'function')
    throw new MillraceError('MR_CONFIG', `${section.place.file}:${section.place.line}: ${compiled.error}`);
  return compiled;
}

/** '' for the root; the router knows no `@ROOT`. */
function labelOf(section: Section): string {
  const label = paramText(section, '@label') ?? '';
  return label === '@ROOT' ? '' : label;
}

/** `<worker 0>` and `<worker 0-2>`. */
function runsHere(arg: string, worker: number): boolean {
  const range = /^(\d+)(?:-(\d+))?$/.exec(arg.trim());
  if (range === null) return false;
  const first = Number(range[1]);
  return worker >= first && worker <= Number(range[2] ?? first);
}
