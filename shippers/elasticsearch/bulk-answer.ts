/** Reads what `_bulk` answers, item by item and by position. */
import { decideItem, type Cause, type Operation, type ServerError, type Waiting } from './decide.ts';

/** `_index` is asked for only where it matters: it makes answers twice as long. */
export const FILTER_PATH = 'errors,items.*.status,items.*.error,items.*.failure_store';
export const FILTER_PATH_WITH_INDEX = `${FILTER_PATH},items.*._index`;

export interface Refused {
  readonly index: number;
  readonly reason: string;
  readonly cause: Cause;
}

export interface BulkOutcome {
  stored: number;
  /** Were there already. */
  repeated: number;
  /** Taken, but redirected to the failure store of the stream. */
  inFailureStore: number;
  /** Indices of events to be sent again. */
  readonly retry: number[];
  readonly refused: Refused[];
  /** Events by the cause of their retry. */
  readonly causes: Map<Cause, number>;
  /** Of the first event that is to be sent again. */
  reason: string | undefined;
  /** An item was answered with 429 or 503: less at a time. */
  isOverloaded: boolean;
  waiting: Waiting | undefined;
  /** Events stored now, by the index that took them; empty unless the answer names indices. */
  readonly storedIn: Map<string, number>;
}

const nothing = (): BulkOutcome => ({
  stored: 0,
  repeated: 0,
  inFailureStore: 0,
  retry: [],
  refused: [],
  causes: new Map(),
  reason: undefined,
  isOverloaded: false,
  waiting: undefined,
  storedIn: new Map(),
});

const STATUS = '"status":20';

/** No errors, and as many items as were sent: told without making an object of each. */
function isAllStored(text: string, count: number): boolean {
  if (!text.slice(0, 60).includes('"errors":false')) return false;
  if (text.includes('"_index"') || text.includes('"failure_store"')) return false;
  let items = 0;
  for (let at = text.indexOf(STATUS); at >= 0; at = text.indexOf(STATUS, at + STATUS.length)) items++;
  return items === count;
}

/**
 * Reads the answer to a bulk request of `count` items.
 *
 * @returns undefined when the answer does not fit the request: nobody knows what was stored, so all of it is sent again
 *   under the same ids
 */
export function readBulkAnswer(text: string, count: number, operation: Operation): BulkOutcome | undefined {
  const outcome = nothing();
  if (isAllStored(text, count)) {
    outcome.stored = count;
    return outcome;
  }
  const items = itemsOf(text);
  // A line without its partner is ignored by servers without a word: one item less.
  if (items?.length !== count) return undefined;
  for (const [index, item] of items.entries()) readItem(outcome, index, item, operation);
  return outcome;
}

function itemsOf(text: string): readonly unknown[] | undefined {
  try {
    const items = (JSON.parse(text) as { readonly items?: unknown } | null)?.items;
    return Array.isArray(items) ? items : undefined;
  } catch {
    // A proxy's page, or cut off: told to the caller by undefined.
    return undefined;
  }
}

interface ItemResult {
  readonly status?: unknown;
  readonly error?: unknown;
  readonly failure_store?: unknown;
  readonly _index?: unknown;
}

function readItem(outcome: BulkOutcome, index: number, item: unknown, operation: Operation): void {
  // Some servers answer a create under the key "index": only the position counts.
  const [found] = Object.values((item ?? {}) as Record<string, ItemResult | null>);
  const result = found ?? {};
  const status = Number(result.status ?? 0);
  const error = explain(result.error);
  const decision = decideItem(status, error, operation);
  const said = `${status} ${error.type}: ${error.reason}`;
  switch (decision.action) {
    case 'delivered':
      outcome.stored++;
      if (result.failure_store === 'used') outcome.inFailureStore++;
      if (typeof result._index === 'string') outcome.storedIn.set(result._index, (outcome.storedIn.get(result._index) ?? 0) + 1);
      return;
    case 'repeated':
      outcome.repeated++;
      return;
    case 'dead':
      outcome.refused.push({ index, reason: said, cause: decision.cause ?? 'mapping' });
      return;
    case 'slow':
      outcome.isOverloaded = true;
      break;
    case 'wait':
      outcome.waiting ??= decision.cause as Waiting;
      break;
    case 'retry':
    case 'halve':
      break;
  }
  const cause = decision.cause ?? 'server';
  outcome.retry.push(index);
  outcome.reason ??= said.slice(0, MAX_REASON);
  outcome.causes.set(cause, (outcome.causes.get(cause) ?? 0) + 1);
}

/** Servers quote whole values, even whole documents, in their reasons. */
const MAX_REASON = 300;

interface ErrorLevel {
  readonly type?: unknown;
  readonly reason?: unknown;
  readonly caused_by?: ErrorLevel | null;
}

/**
 * Type and text of an error. The outer text often only says that parsing failed, the innermost one that all parsers
 * did: the chain is kept, each level cut.
 */
export function explain(error: unknown): ServerError {
  if (typeof error === 'string') return { type: 'error', reason: error.slice(0, MAX_REASON) };
  if (typeof error !== 'object' || error === null) return { type: '', reason: '' };
  const reasons: string[] = [];
  let level: ErrorLevel | undefined | null = error;
  for (let depth = 0; typeof level === 'object' && level !== null && depth < 10; depth++) {
    const text = typeof level.reason === 'string' ? level.reason.slice(0, MAX_REASON) : '';
    if (text !== '' && !reasons.includes(text)) reasons.push(text);
    level = level.caused_by;
  }
  const { type } = error as ErrorLevel;
  return { type: typeof type === 'string' ? type : 'unknown', reason: reasons.join('; ') };
}

/** The error of a request that was refused as a whole; undefined when the body is not such a server's. */
export function readError(text: string): ServerError | undefined {
  try {
    const body = JSON.parse(text) as { readonly error?: unknown } | null;
    return body === null || typeof body !== 'object' || body.error === undefined ? undefined : explain(body.error);
  } catch {
    // A proxy's page: told by undefined.
    return undefined;
  }
}
