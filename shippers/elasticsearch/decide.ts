/**
 * What an answer of `_bulk` means for what was sent. Pure: status, error and operation in, an action out.
 *
 * Decided by the status first; the type of the error only tells apart what shares a status, because servers spell the same
 * type differently (`es_rejected_execution_exception`, `rejected_execution_exception`).
 */

export type Operation = 'create' | 'index';

/**
 * delivered: stored. repeated: it was there already, an earlier try had stored it. retry: the same bytes under the same ids
 * later. slow: the same, and less at a time. halve: each half at once. wait: later too, but it takes a person. dead: never.
 */
export type Action = 'delivered' | 'repeated' | 'retry' | 'slow' | 'halve' | 'wait' | 'dead';

/** What `wait` waits for, in the words of `status`. */
export const WAITING = {
  credentials: 'the server refuses user, password or API key',
  privilege: 'this user may not write there',
  block: 'the index or the cluster is blocked for writing',
  disk: 'the disk of the server is full (flood stage)',
  index: 'the index is missing or closed',
  pipeline: 'the ingest pipeline is missing',
  limit: 'a limit of the cluster is reached',
  configuration: 'the request does not suit this server',
} as const;
export type Waiting = keyof typeof WAITING;

/** Why something failed, for counting; few values. */
export type Cause = Waiting | 'overload' | 'no answer' | 'server' | 'conflict' | 'mapping' | 'size' | 'malformed';

export interface Decision {
  readonly action: Action;
  readonly cause?: Cause;
}

export interface ServerError {
  readonly type: string;
  /** The chain of `caused_by`, outermost first. */
  readonly reason: string;
}

const DELIVERED: Decision = { action: 'delivered' };
const REPEATED: Decision = { action: 'repeated' };
const OVERLOADED: Decision = { action: 'slow', cause: 'overload' };
const SERVER: Decision = { action: 'retry', cause: 'server' };
const wait = (cause: Waiting): Decision => ({ action: 'wait', cause });

const ANY = /^/;

/** Errors that are the server's or the configuration's fault: the same document may be welcome later. */
const NOT_THE_DOCUMENT: readonly (readonly [type: string, reason: RegExp, decision: Decision])[] = [
  ['cluster_block_exception', /TOO_MANY_REQUESTS|flood-stage|read-only-allow-delete/, wait('disk')],
  ['cluster_block_exception', ANY, wait('block')],
  ['index_closed_exception', ANY, wait('index')],
  ['index_not_found_exception', ANY, wait('index')],
  ['invalid_index_name_exception', ANY, wait('index')],
  ['validation_exception', ANY, wait('limit')],
  ['security_exception', ANY, wait('privilege')],
  ['media_type_header_exception', ANY, wait('configuration')],
  ['illegal_argument_exception', /pipeline with id \[/, wait('pipeline')],
  ['illegal_argument_exception', /no write index is defined|no matching index template/, wait('index')],
  ['illegal_argument_exception', /only write ops with an op_type of create|unrecognized parameter/, wait('configuration')],
  // Metrics streams of Elasticsearch make the id themselves.
  ['illegal_argument_exception', /_id must be unset/, wait('configuration')],
  ['process_cluster_event_timeout_exception', ANY, SERVER],
  // Two requests made the index at the same moment.
  ['resource_already_exists_exception', ANY, SERVER],
];

function notTheDocument({ type, reason }: ServerError): Decision | undefined {
  return NOT_THE_DOCUMENT.find(([known, pattern]) => known === type && pattern.test(reason))?.[2];
}

/** Decides about one item of an answer that came with status 200. */
export function decideItem(status: number, error: ServerError, operation: Operation): Decision {
  if (status >= 200 && status < 300) return DELIVERED;
  if (status === 409) {
    // A create meets its own id. Any other conflict says nothing about whether the event is stored.
    const isVersion = error.type === '' || error.type === 'version_conflict_engine_exception';
    return operation === 'create' && isVersion ? REPEATED : { action: 'retry', cause: 'conflict' };
  }
  if (status === 401) return wait('credentials');
  const known = notTheDocument(error);
  if (known !== undefined && status < 500) return known;
  switch (status) {
    case 400:
      return { action: 'dead', cause: 'mapping' };
    case 413:
      return { action: 'dead', cause: 'size' };
    case 403:
      return wait('privilege');
    case 404:
      return wait('index');
    case 429:
    case 503:
      return OVERLOADED;
    default:
      return SERVER;
  }
}

/** "never passes": the request alone is over the server's memory for bulks, however empty that is. */
const PRESSURE = /coordinating_operation_bytes=(\d+), max_coordinating(?:_and_primary)?_bytes=(\d+)/;

/**
 * Decides about a whole request that was not answered with status 200.
 *
 * @param error  undefined when the body was not the JSON of such a server: a proxy answered, or it is some other service
 * @param events  number of events in the request
 */
export function decideRequest(status: number, error: ServerError | undefined, events: number): Decision {
  if (status === 401) return wait('credentials');
  if (status === 413) return events > 1 ? { action: 'halve', cause: 'size' } : { action: 'dead', cause: 'size' };
  const known = error === undefined || status >= 500 ? undefined : notTheDocument(error);
  if (known !== undefined) return known;
  switch (status) {
    case 400:
      // The server reads nothing of a request of which one line is wrong. A proxy's 400 says nothing about the documents,
      // and neither does an error that is a mere text ("no handler found for uri").
      if (error === undefined || error.type === '' || error.type === 'error') return wait('configuration');
      return events > 1 ? { action: 'halve', cause: 'malformed' } : { action: 'dead', cause: 'malformed' };
    case 403:
      return wait('privilege');
    case 408:
    case 409:
    case 425:
      return SERVER;
    case 429:
      return isOverPressure(error) ? tooLargeAlone(events) : OVERLOADED;
    case 503:
      return OVERLOADED;
    case 501:
    case 505:
      return wait('configuration');
    default:
      return status >= 500 || (status >= 200 && status < 300) ? SERVER : wait('configuration');
  }
}

const tooLargeAlone = (events: number): Decision =>
  events > 1 ? { action: 'halve', cause: 'overload' } : { action: 'dead', cause: 'size' };

function isOverPressure(error: ServerError | undefined): boolean {
  const [, wanted, limit] = PRESSURE.exec(error?.reason ?? '') ?? [];
  return Number(wanted) > Number(limit);
}
