import type { Clock, Log } from '../component.ts';
import type { OutputRunner } from '../delivery/output-runner.ts';
import type { Ticket } from '../delivery/ticket.ts';
import type { Batch } from '../events/batch.ts';
import type { Frame } from '../log/entrance-log.ts';
import { Account } from '../telemetry/accounts.ts';
import { FilterRunner, Ordinals, batchesOf, type ConsumerNode, type FilterNode } from './filter-run.ts';

export type Target =
  | {
      readonly kind: 'output';
      readonly id: string;
      readonly runner: OutputRunner;
      /** `<inject>`: puts fields into the events of this output only. */
      readonly inject: FilterNode | undefined;
    }
  | { readonly kind: 'consumer'; readonly node: ConsumerNode }
  | { readonly kind: 'relabel'; readonly label: string };

export type Rule =
  | { readonly kind: 'filter'; readonly matches: (tag: string) => boolean; readonly node: FilterNode }
  | { readonly kind: 'consumer'; readonly matches: (tag: string) => boolean; readonly node: ConsumerNode }
  | { readonly kind: 'match'; readonly matches: (tag: string) => boolean; readonly targets: readonly Target[] };

/** Rules per label, in the order of the configuration; '' is the root. */
export type Routes = ReadonlyMap<string, readonly Rule[]>;

/** A consumer that sees what arrives at the end of a chain, whatever becomes of it (rules over events). */
export interface Tap {
  readonly matches: (tag: string) => boolean;
  readonly node: ConsumerNode;
}

type Stage = { readonly filters: readonly FilterNode[] } | { readonly consumer: ConsumerNode };
interface Chain {
  readonly stages: readonly Stage[];
  /** Undefined: no match takes events of this tag. */
  readonly targets: readonly Target[] | undefined;
  readonly taps: readonly Tap[];
}

export const ERROR_LABEL = '@ERROR';
/** Label `@ROOT` names the root, as in Fluentd. */
const ROOT_LABEL = '@ROOT';
const CACHED_TAGS = 1024;
/** An event that was re-labelled or re-tagged so often goes round in a circle. */
const MAX_HOPS = 16;

const NOTHING: readonly { readonly batch: Batch; readonly label: string | undefined }[] = [];

/** What each output takes a frame's events with. */
export type Tickets = ReadonlyMap<OutputRunner, Ticket>;

/** What one part of the way did with a batch. */
export interface Step {
  /** `lost`: what the router itself drops. */
  readonly kind: 'filter' | 'consumer' | 'output' | 'relabel' | 'lost';
  /** Of the component; of a relabel, the label that the events go to. */
  readonly id: string;
  readonly label: string;
  readonly before: Batch;
  /** What goes on, or what the output gets; undefined when nothing is left. */
  readonly after: Batch | undefined;
  /** Why events were dropped here. */
  readonly reasons: readonly string[];
  /** Events that the filter made beside; their own way follows at once. */
  readonly made: readonly { readonly batch: Batch; readonly label: string | undefined }[];
}

/** Looks at every step in the order in which they are taken; what `why` hangs on to. */
export type Hook = (step: Step) => void;

export interface RouterOptions {
  readonly routes: Routes;
  readonly taps: readonly Tap[];
  /** Books of what the router itself drops: no match, circles, splits. */
  readonly account: Account;
  readonly clock: Clock;
  readonly log: Log;
}

/** Takes frames through filters to outputs: first match wins; every filter before it that matches is applied. */
export class Router {
  readonly #o: RouterOptions;
  readonly #chains = new Map<string, Map<string, Chain>>();
  readonly #filters = new FilterRunner();
  readonly #hasErrorLabel: boolean;
  #unmatched = 0;
  #observes = true;
  #hook: Hook | undefined;

  constructor(options: RouterOptions) {
    this.#o = options;
    this.#hasErrorLabel = options.routes.has(ERROR_LABEL);
  }

  /** Each filter is a step of its own from now on. */
  set hook(hook: Hook | undefined) {
    this.#hook = hook;
    this.#chains.clear();
  }

  /** @param change  what is to be said beside the place; nothing went on, nothing was made unless it says so */
  #tell(kind: Step['kind'], id: string, label: string, before: Batch, change: Partial<Step> = {}): void {
    this.#hook?.({ kind, id, label, before, after: before, reasons: [], made: [], ...change });
  }

  /**
   * @param tickets  of the outputs that take events of the frame; an output without one gets none
   * @param isNew  false: consumers have seen the frame before a restart
   */
  route(frame: Frame, tickets: Tickets, isNew: boolean): void {
    const { account } = this.#o;
    account.in += frame.batch.count;
    this.#observes = isNew;
    this.#hop(frame.batch, frame.label, tickets, new Ordinals(), 0);
  }

  #observe(node: ConsumerNode, batch: Batch): void {
    if (this.#observes) this.#filters.observe(node, batch, this.#o.clock.now());
  }

  #hop(batch: Batch, label: string, tickets: Tickets, ordinals: Ordinals, hops: number): void {
    const { account } = this.#o;
    if (hops > MAX_HOPS) {
      this.#lose(batch, label, 'routed in a circle');
      return;
    }
    const chain = this.#chain(label, batch.tag);
    const inErrorLabel = label === ERROR_LABEL;
    let current: Batch | undefined = batch;
    for (const stage of chain.stages) {
      if ('consumer' in stage) {
        this.#observe(stage.consumer, current);
        this.#tell('consumer', stage.consumer.id, label, current);
      } else {
        // A failure inside @ERROR would come back here for ever.
        const before: Batch = current;
        const drops = this.#hook === undefined ? undefined : dropsOf(stage.filters);
        const outcome = this.#filters.run(stage.filters, current, this.#hasErrorLabel && !inErrorLabel ? ERROR_LABEL : undefined);
        const gone = before.count - (outcome.batch?.count ?? 0);
        if (gone > 0) account.drop('by filters', gone);
        account.created += outcome.created.length;
        const refuse = (count: number): void => this.#drop(count, 'split into more than 255 parts');
        const made = outcome.created.length === 0 ? NOTHING : batchesOf(outcome.created, batch, ordinals, refuse);
        if (drops !== undefined) {
          const risen = [...dropsOf(stage.filters)].filter(([reason, count]) => count > (drops.get(reason) ?? 0));
          const reasons = risen.map(([reason]) => reason);
          this.#tell('filter', stage.filters[0]?.id ?? '', label, before, { after: outcome.batch, reasons, made });
        }
        for (const one of made) this.#hop(one.batch, this.#labelOf(one.label, label), tickets, ordinals, hops + 1);
        current = outcome.batch;
        if (current === undefined) return;
      }
    }
    this.#deliver(chain, current, label, tickets, ordinals, hops);
  }

  #labelOf(wanted: string | undefined, current: string): string {
    if (wanted === undefined) return current;
    return wanted === ROOT_LABEL ? '' : wanted;
  }

  #deliver(chain: Chain, batch: Batch, label: string, tickets: Tickets, ordinals: Ordinals, hops: number): void {
    const { account } = this.#o;
    if (chain.targets === undefined) {
      this.#lose(batch, label, 'no match');
      if (isNotable(++this.#unmatched))
        this.#o.log.warn(
          { tag: batch.tag, label: label === '' ? ROOT_LABEL : label, times: this.#unmatched },
          'no match takes events of this tag, dropped',
        );
      return;
    }
    for (const tap of chain.taps) this.#observe(tap.node, batch);
    let isTaken = false;
    for (const target of chain.targets) {
      switch (target.kind) {
        case 'output': {
          const ticket = tickets.get(target.runner);
          const filled = ticket === undefined ? undefined : this.#injected(target.inject, batch);
          if (ticket !== undefined && filled !== undefined) target.runner.take(filled, ticket);
          if (this.#hook !== undefined)
            this.#tell('output', target.id, label, batch, { after: this.#injected(target.inject, batch) });
          isTaken = true;
          break;
        }
        case 'consumer':
          this.#observe(target.node, batch);
          this.#tell('consumer', target.node.id, label, batch);
          isTaken = true;
          break;
        case 'relabel':
          // On its way through another label it is the same event: booked where it ends.
          account.created += batch.count;
          this.#tell('relabel', target.label, label, batch);
          this.#hop(batch, this.#labelOf(target.label, label), tickets, ordinals, hops + 1);
          break;
      }
    }
    if (isTaken) account.out += batch.count;
    else if (chain.targets.length > 0) account.drop('relabelled', batch.count);
    else this.#lose(batch, label, 'no output in this worker');
  }

  #injected(inject: FilterNode | undefined, batch: Batch): Batch | undefined {
    return inject === undefined ? batch : this.#filters.run([inject], batch, undefined).batch;
  }

  #lose(batch: Batch, label: string, reason: string): void {
    this.#drop(batch.count, reason);
    this.#tell('lost', 'router', label, batch, { after: undefined, reasons: [reason] });
  }

  #drop(count: number, reason: string): void {
    this.#o.account.drop(reason, count);
  }

  #chain(label: string, tag: string): Chain {
    let byTag = this.#chains.get(label);
    if (byTag === undefined) {
      byTag = new Map();
      this.#chains.set(label, byTag);
    }
    let chain = byTag.get(tag);
    if (chain === undefined) {
      if (byTag.size >= CACHED_TAGS) byTag.clear();
      chain = this.#build(label, tag);
      byTag.set(tag, chain);
    }
    return chain;
  }

  #build(label: string, tag: string): Chain {
    const stages: Stage[] = [];
    let filters: FilterNode[] = [];
    const close = (): void => {
      if (filters.length > 0) stages.push({ filters });
      filters = [];
    };
    let targets: readonly Target[] | undefined;
    for (const rule of this.#o.routes.get(label) ?? []) {
      if (!rule.matches(tag)) continue;
      if (rule.kind === 'filter') {
        filters.push(rule.node);
        if (this.#hook !== undefined) close();
      } else if (rule.kind === 'consumer') {
        close();
        stages.push({ consumer: rule.node });
      } else {
        targets = rule.targets;
        break;
      }
    }
    close();
    // An event on its way to another label is observed there; what failed is no event of its pipeline any more.
    const ends = label !== ERROR_LABEL && targets?.some((target) => target.kind !== 'relabel') === true;
    return { stages, targets, taps: ends ? this.#o.taps.filter((tap) => tap.matches(tag)) : [] };
  }
}

/**
 * The same way through filters for one output alone, with books of its own: what was counted when the others were served is
 * not counted again.
 */
export function routesOf(routes: Routes, runner: OutputRunner): Routes {
  const isOurs = (target: Target): boolean => target.kind === 'relabel' || (target.kind === 'output' && target.runner === runner);
  const alone = (rule: Rule): Rule[] => {
    if (rule.kind === 'filter') return [{ ...rule, node: { ...rule.node, account: new Account() } }];
    return rule.kind === 'consumer' ? [] : [{ ...rule, targets: rule.targets.filter(isOurs) }];
  };
  return new Map(Array.from(routes, ([label, rules]) => [label, rules.flatMap(alone)]));
}

/** How many were dropped for which reason so far. While somebody looks, each filter stands alone. */
function dropsOf(filters: readonly FilterNode[]): Map<string, number> {
  return new Map(filters.flatMap(({ account }) => Object.entries(account.dropped)));
}

/** 1, 2, 4 ... 256, then every 512th. */
function isNotable(times: number): boolean {
  return times <= 256 ? (times & (times - 1)) === 0 : times % 512 === 0;
}
