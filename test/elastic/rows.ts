/** The situations of docs/guarantees.md: what the server does, and what must come of it. */
import type { Fields } from '../../engine/events/batch.ts';
import type { Doc, Nature, Step } from './scripted-server.ts';

export interface Row {
  readonly group: string;
  readonly name: string;
  readonly steps: readonly Step[];
  readonly nature?: Nature;
  readonly config?: Fields;
  readonly events?: number;
  readonly record?: (n: number) => Fields;
  /** Events that shall end as dead letters; all others shall be delivered. */
  readonly dead?: readonly number[];
  /** Tries (chunks handed to the output) that it shall take. */
  readonly tries: number;
  /** What every event is poison for is mended after the first try. */
  readonly mends?: true;
  /** A second node: it shares what is stored, and treats everything well. */
  readonly secondNode?: true;
  /** A first node at an address where nobody listens. */
  readonly deadNode?: true;
  /** The documented exception. */
  readonly twice?: number;
}

const WELL: Step = { kind: 'well' };
const error = (type: string, reason: string): unknown => ({ error: { type, reason }, status: 0 });
const status = (code: number, body?: unknown, headers?: Record<string, string>): Step => ({
  kind: 'status',
  status: code,
  ...(body !== undefined && { body }),
  ...(headers && { headers }),
});
const items = (code: number, type: string, reason: string, which: (n: number) => boolean = () => true): Step => ({
  kind: 'items',
  answer: ({ source }) => (which(source['n'] as number) ? { status: code, error: { type, reason } } : undefined),
});
const isEven = (n: number): boolean => n % 2 === 0;
const isBad = ({ source }: Doc): boolean => source['bad'] === true;
const bad =
  (...which: readonly number[]) =>
  (n: number): Fields =>
    which.includes(n) ? { bad: true } : {};
const SOON = { request_timeout: '0.3s' };

export const ROWS: readonly Row[] = [
  { group: 'The answer is there', name: 'all stored', steps: [WELL], tries: 1 },
  {
    group: 'The answer is there',
    name: 'some events do not fit the mapping (item 400)',
    steps: [WELL],
    nature: { misfit: isBad },
    record: bad(3, 7),
    dead: [3, 7],
    tries: 1,
  },
  {
    group: 'The answer is there',
    name: 'items 429, half of them (`es_rejected_execution_exception`)',
    steps: [items(429, 'es_rejected_execution_exception', 'queue is full', isEven), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 429, all of them (`rejected_execution_exception`)',
    steps: [items(429, 'rejected_execution_exception', 'queue is full'), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 503 (`unavailable_shards_exception`)',
    steps: [items(503, 'unavailable_shards_exception', 'primary shard is not active'), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 500',
    steps: [items(500, 'null_pointer_exception', 'null', isEven), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'item 409 that is no version conflict',
    steps: [items(409, 'resource_already_exists_exception', 'being made', isEven), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 403, index blocked for writing',
    steps: [items(403, 'cluster_block_exception', 'blocked by: [FORBIDDEN/8/index write (api)];', isEven), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 429, flood stage (disk of the server full)',
    steps: [
      items(429, 'cluster_block_exception', 'blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];'),
      WELL,
    ],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 404, index missing and auto-create off',
    steps: [items(404, 'index_not_found_exception', 'no such index'), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 400, index closed',
    steps: [items(400, 'index_closed_exception', 'closed'), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 400, ingest pipeline missing',
    steps: [items(400, 'illegal_argument_exception', 'pipeline with id [x] does not exist'), WELL],
    tries: 2,
  },
  {
    group: 'The answer is there',
    name: 'items 400, the cluster has no room for shards',
    steps: [items(400, 'validation_exception', 'this action would add [2] total shards'), WELL],
    tries: 2,
  },
  {
    group: 'The request is refused',
    name: '401, wrong password',
    steps: [status(401, error('security_exception', 'missing')), WELL],
    tries: 2,
  },
  {
    group: 'The request is refused',
    name: '403, no privilege',
    steps: [status(403, error('security_exception', 'unauthorized')), WELL],
    tries: 2,
  },
  {
    group: 'The request is refused',
    name: '403, cluster read-only',
    steps: [status(403, error('cluster_block_exception', 'blocked by: [FORBIDDEN/6/cluster read-only (api)];')), WELL],
    tries: 2,
  },
  { group: 'The request is refused', name: '404 of a proxy', steps: [status(404, '<html>'), WELL], tries: 2 },
  { group: 'The request is refused', name: '400 of a proxy', steps: [status(400, '<html>'), WELL], tries: 2 },
  {
    group: 'The request is refused',
    name: '302, a login page',
    steps: [status(302, '', { location: '/login' }), WELL],
    tries: 2,
  },
  {
    group: 'The request is refused',
    name: '400, the server reads none of it because of one event',
    steps: [WELL],
    nature: { poison: isBad },
    record: bad(5),
    dead: [5],
    tries: 1,
  },
  {
    group: 'The request is refused',
    name: '400 for every request, whatever is in it',
    steps: [WELL],
    nature: { poison: () => true },
    mends: true,
    events: 32,
    // One at a time, so that the figures are the same in every run.
    config: { connections: 1 },
    tries: 2,
  },
  { group: 'The request is refused', name: '413, the request is too large', steps: [WELL], nature: { bytesMax: 900 }, tries: 1 },
  {
    group: 'The request is refused',
    name: '413, and one event alone is too large',
    steps: [WELL],
    nature: { bytesMax: 900 },
    record: (n) => (n === 2 ? { text: 'x'.repeat(2000) } : {}),
    dead: [2],
    tries: 1,
  },
  {
    group: 'The request is refused',
    name: '429, Retry-After: 7',
    steps: [status(429, '', { 'retry-after': '7' }), WELL],
    tries: 2,
  },
  {
    group: 'The request is refused',
    name: '429, the request alone is over the memory for bulks',
    steps: [
      status(
        429,
        error(
          'es_rejected_execution_exception',
          'rejected [coordinating_operation_bytes=545672, max_coordinating_and_primary_bytes=204800]',
        ),
      ),
      WELL,
    ],
    tries: 1,
  },
  {
    group: 'The request is refused',
    name: '500, 502, 503, 504 one after another',
    steps: [status(500), status(502), status(503), status(504), WELL],
    tries: 5,
  },
  { group: 'The answer is lost', name: 'connection closed, nothing stored', steps: [{ kind: 'unread, closed' }, WELL], tries: 2 },
  { group: 'The answer is lost', name: 'connection closed, all stored', steps: [{ kind: 'stored, closed' }, WELL], tries: 2 },
  {
    group: 'The answer is lost',
    name: 'the same three times',
    steps: [{ kind: 'stored, closed' }, { kind: 'stored, closed' }, { kind: 'stored, closed' }, WELL],
    tries: 4,
  },
  { group: 'The answer is lost', name: 'answer torn', steps: [{ kind: 'stored, torn' }, WELL], tries: 2 },
  {
    group: 'The answer is lost',
    name: 'answer shorter than its content-length',
    steps: [{ kind: 'stored, wrong length' }, WELL],
    tries: 2,
  },
  { group: 'The answer is lost', name: 'answer is not HTTP', steps: [{ kind: 'stored, garbage' }, WELL], tries: 2 },
  {
    group: 'The answer is lost',
    name: 'answer is the page of a proxy, status 200',
    steps: [{ kind: 'stored, page of a proxy' }, WELL],
    tries: 2,
  },
  { group: 'The answer is lost', name: 'answer has one item less', steps: [{ kind: 'stored, one item less' }, WELL], tries: 2 },
  { group: 'The answer is lost', name: 'no answer in time', steps: [{ kind: 'stored, silent' }, WELL], config: SOON, tries: 2 },
  {
    group: 'The answer is lost',
    name: 'answer that drips and never ends',
    steps: [{ kind: 'stored, dripping' }, WELL],
    config: SOON,
    tries: 2,
  },
  {
    group: 'The answer is lost',
    name: 'answer without end, at full speed',
    steps: [{ kind: 'stored, endless' }, WELL],
    tries: 2,
  },
  {
    group: 'The answer is lost',
    name: 'all stored, closed; then the body of some does not fit any more',
    steps: [{ kind: 'stored, closed' }, items(400, 'document_parsing_exception', 'the mapping has changed', (n) => n < 2), WELL],
    dead: [0, 1],
    tries: 2,
  },
  {
    group: 'The answer is lost',
    name: '`write_operation index` with ids of millrace',
    steps: [{ kind: 'stored, closed' }, WELL],
    nature: { target: 'index' },
    config: { index_name: 'plain', write_operation: 'index' },
    tries: 2,
  },
  {
    group: 'The answer is lost',
    name: '`id_key` names the id',
    steps: [{ kind: 'stored, closed' }, WELL],
    record: (n) => ({ key: `order-${n}` }),
    config: { id_key: 'key' },
    tries: 2,
  },
  {
    group: 'Several nodes',
    name: 'nobody listens at the first one',
    steps: [WELL],
    deadNode: true,
    tries: 1,
  },
  {
    group: 'Several nodes',
    name: 'one stores everything and closes every connection, the other is well',
    steps: [{ kind: 'stored, closed' }],
    secondNode: true,
    tries: 2,
  },
  {
    group: 'Several nodes',
    name: 'one gateway has lost its server (502), the other is well',
    steps: [status(502)],
    secondNode: true,
    tries: 2,
  },
  {
    group: 'The exception',
    name: 'all stored, closed, and the stream rolls over before the repeat',
    steps: [{ kind: 'stored, closed, roll over' }, WELL],
    tries: 2,
    twice: 10,
  },
];
