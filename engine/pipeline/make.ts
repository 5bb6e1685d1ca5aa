/** From a section of the configuration to a component with its context and its books. */
import { join } from 'node:path';
import type {
  Clock,
  Context,
  Counter,
  Definition,
  Formatter,
  Gauge,
  Kind,
  Log,
  MetricSpecs,
  Metrics,
  Parser,
} from '../component.ts';
import type { Section } from '../config/model.ts';
import { paramText } from '../config/section.ts';
import { shapeOf, validateSection, type Validation } from '../config/validate.ts';
import { MillraceError } from '../errors.ts';
import type { Registry } from '../registry.ts';
import { Account, type ComponentStatus } from '../telemetry/accounts.ts';
import { diskKv, memoryKv } from '../telemetry/kv.ts';
import { childLog } from '../telemetry/log.ts';

export interface Surroundings {
  readonly registry: Registry;
  readonly worker: { readonly id: number; readonly count: number };
  readonly baseDir: string;
  readonly dataDir: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** Aborted when the drain deadline has passed. */
  readonly signal: AbortSignal;
  /** `fluent.conf`, where Fluentd's own defaults hold. */
  readonly isFluentd: boolean;
}

/** A component with what the engine keeps about it. */
export interface Made<C = unknown> {
  readonly id: string;
  readonly kind: Kind;
  readonly type: string;
  /** `file:line:column` of its section. */
  readonly place: string;
  readonly component: C;
  readonly definition: Definition;
  /** The validated configuration. */
  readonly config: unknown;
  readonly account: Account;
  readonly log: Log;
  readonly metrics: Record<string, number>;
}

/** Sections and parameters that the engine reads itself. */
const ENGINE_READS: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  output: ['buffer', 'secondary', 'inject'],
  source: ['durability'],
};

export class Maker {
  readonly around: Surroundings;
  readonly #parsers: ReadonlyMap<string, Definition>;
  readonly #formatters: ReadonlyMap<string, Definition>;
  readonly #ids = new Set<string>();
  readonly #counts = new Map<string, number>();

  private constructor(
    around: Surroundings,
    parsers: ReadonlyMap<string, Definition>,
    formatters: ReadonlyMap<string, Definition>,
  ) {
    this.around = around;
    this.#parsers = parsers;
    this.#formatters = formatters;
  }

  static async load(around: Surroundings): Promise<Maker> {
    return new Maker(around, await around.registry.loadAll('parser'), await around.registry.loadAll('formatter'));
  }

  /**
   * @param extend  adds what the kind of component gets beside the ordinary context
   * @returns undefined when the component belongs to another worker
   * @throws MillraceError MR_CONFIG, MR_UNKNOWN_PLUGIN; normally found before, by `check`
   */
  async make<C>(
    section: Section,
    kinds: readonly Kind[],
    extend: (ctx: Context, account: Account, definition: Definition) => Context,
  ): Promise<Made<C> | undefined> {
    const type = paramText(section, '@type') ?? '';
    const entry = this.around.registry.find(kinds, type);
    if (entry === undefined)
      throw new MillraceError('MR_UNKNOWN_PLUGIN', `${where(section)}: no ${kinds.join(' or ')} is named "${type}"`);
    const id = this.#id(section, entry.name);
    const definition = await entry.load();
    if (definition.workers === 'one' && this.around.worker.id !== 0) return undefined;
    const config = this.#validate(section, definition);
    const account = new Account();
    const log = childLog(this.around.log, { component: id });
    const values: Record<string, number> = {};
    const context = extend(this.#context(id, definition.metrics, values, log, account), account, definition);
    const component = definition.create(config, context as never) as C;
    const { kind, name } = definition;
    return { id, kind, type: name, place: where(section), component, definition, config, account, log, metrics: values };
  }

  /** `@id`, else the type with a number in the order of the configuration: the same in every worker. */
  #id(section: Section, type: string): string {
    const count = (this.#counts.get(type) ?? 0) + 1;
    this.#counts.set(type, count);
    const id = paramText(section, '@id') ?? `${type}-${count}`;
    if (this.#ids.has(id)) throw new MillraceError('MR_CONFIG', `${where(section)}: @id "${id}" is used twice`);
    this.#ids.add(id);
    return id;
  }

  #validate(section: Section, definition: Definition): unknown {
    const defaults =
      this.around.isFluentd && definition.kind === 'source' && shapeOf(definition.config)?.['bind'] !== undefined
        ? FLUENTD_DEFAULTS
        : {};
    return checked(
      section,
      definition,
      validateSection(section, definition, { engineReads: ENGINE_READS[definition.kind] ?? [], defaults }),
    );
  }

  #context(id: string, specs: MetricSpecs, values: Record<string, number>, log: Log, account: Account): Context {
    const { clock, signal, baseDir, dataDir, worker } = this.around;
    const metrics: Record<string, Counter & Gauge> = {};
    for (const name of Object.keys(specs)) {
      values[name] = 0;
      metrics[name] = {
        add: (count) => void (values[name] = (values[name] ?? 0) + count),
        set: (value) => void (values[name] = value),
      };
    }
    const kv = dataDir === undefined ? memoryKv() : diskKv(join(dataDir, 'kv', encodeURIComponent(id)));
    const context: Context = {
      id,
      log,
      metrics: metrics as Metrics<MetricSpecs>,
      clock,
      kv,
      signal,
      baseDir,
      dataDir,
      worker,
      dropped: (reason, count) => account.drop(reason, count),
      parser: (section, fallbackType) => this.#part<Parser>(this.#parsers, 'parser', section, fallbackType, context),
      formatter: (section, fallbackType) => this.#part<Formatter>(this.#formatters, 'formatter', section, fallbackType, context),
    };
    return context;
  }

  #part<P>(
    known: ReadonlyMap<string, Definition>,
    kind: Kind,
    section: Section | undefined,
    fallbackType: string | undefined,
    context: Context,
  ): P {
    const type = (section === undefined ? undefined : paramText(section, '@type')) ?? fallbackType ?? '';
    const place = section === undefined ? context.id : where(section);
    const definition = known.get(type);
    if (definition === undefined)
      throw new MillraceError(
        'MR_UNKNOWN_PLUGIN',
        `${place}: no ${kind} is named "${type}"; there are ${[...known.keys()].join(', ')}`,
      );
    const config =
      section === undefined ? definition.config.parse({}) : checked(section, definition, validateSection(section, definition));
    return definition.create(config, context as never) as P;
  }
}

function where({ place }: Section): string {
  return `${place.file}:${place.line}:${place.column}`;
}

/** `fluent.conf` listens on all addresses where nothing is said. */
const FLUENTD_DEFAULTS = { bind: '0.0.0.0' };

function checked(section: Section, definition: Definition, { value, problems }: Validation): unknown {
  if (problems.length === 0) return value;
  throw new MillraceError(
    'MR_CONFIG',
    problems.map(({ message }) => `${where(section)}: ${definition.name}: ${message}`).join('\n'),
  );
}

export function statusOf(
  made: Made,
  worker: number,
  extra: { readonly state: string; readonly reason?: string; readonly addresses?: readonly string[] },
): ComponentStatus {
  const { account } = made;
  return {
    id: made.id,
    kind: made.kind,
    type: made.type,
    worker,
    in: account.in,
    created: account.created,
    out: account.out,
    pending: account.pending,
    dropped: { ...account.dropped },
    bytesIn: account.bytesIn,
    bytesOut: account.bytesOut,
    errors: account.errors,
    place: made.place,
    metrics: { ...made.metrics },
    ...extra,
  };
}
