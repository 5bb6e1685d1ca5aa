import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decideItem, decideRequest, type Decision } from './decide.ts';

const say = ({ action, cause }: Decision): string => (cause === undefined ? action : `${action}: ${cause}`);

describe('an item', () => {
  for (const [status, type, reason, operation, want] of [
    [201, '', '', 'create', 'delivered'],
    [200, '', '', 'index', 'delivered'],
    [409, 'version_conflict_engine_exception', 'document already exists', 'create', 'repeated'],
    [409, '', '', 'create', 'repeated'],
    [409, 'version_conflict_engine_exception', '', 'index', 'retry: conflict'],
    [409, 'resource_already_exists_exception', '', 'create', 'retry: conflict'],
    [429, 'es_rejected_execution_exception', 'queue', 'create', 'slow: overload'],
    [429, 'rejected_execution_exception', 'queue', 'create', 'slow: overload'],
    [429, 'circuit_breaking_exception', 'parent', 'create', 'slow: overload'],
    [429, 'some_new_exception', '', 'create', 'slow: overload'],
    [429, 'cluster_block_exception', 'TOO_MANY_REQUESTS/12/disk usage exceeded', 'create', 'wait: disk'],
    [403, 'cluster_block_exception', 'FORBIDDEN/12/index read-only-allow-delete (api)', 'create', 'wait: disk'],
    [403, 'cluster_block_exception', 'FORBIDDEN/8/index write (api)', 'create', 'wait: block'],
    [403, 'security_exception', 'action [bulk] is unauthorized', 'create', 'wait: privilege'],
    [403, 'unknown', '', 'create', 'wait: privilege'],
    [401, 'security_exception', 'missing token', 'create', 'wait: credentials'],
    [404, 'index_not_found_exception', 'auto-create is off', 'create', 'wait: index'],
    [503, 'unavailable_shards_exception', 'primary not active', 'create', 'slow: overload'],
    [503, 'process_cluster_event_timeout_exception', '', 'create', 'slow: overload'],
    [500, 'null_pointer_exception', '', 'create', 'retry: server'],
    [0, '', '', 'create', 'retry: server'],
    [Number.NaN, '', '', 'create', 'retry: server'],
    [400, 'document_parsing_exception', 'failed to parse', 'create', 'dead: mapping'],
    [400, 'mapper_parsing_exception', 'failed to parse', 'create', 'dead: mapping'],
    [400, 'strict_dynamic_mapping_exception', '', 'create', 'dead: mapping'],
    [400, 'illegal_argument_exception', 'Limit of total fields [2000] has been exceeded', 'create', 'dead: mapping'],
    [400, 'illegal_argument_exception', 'pipeline with id [x] does not exist', 'create', 'wait: pipeline'],
    [400, 'illegal_argument_exception', 'only write ops with an op_type of create are allowed', 'index', 'wait: configuration'],
    [400, 'illegal_argument_exception', '_id must be unset or set to [a]', 'create', 'wait: configuration'],
    [400, 'illegal_argument_exception', 'no write index is defined for alias [a]', 'create', 'wait: index'],
    [400, 'validation_exception', 'this action would add [2] total shards', 'create', 'wait: limit'],
    [400, 'index_closed_exception', 'closed', 'create', 'wait: index'],
    [400, 'invalid_index_name_exception', 'must be lowercase', 'create', 'wait: index'],
    [413, '', '', 'create', 'dead: size'],
  ] as const) {
    test(`${status} ${type} ${reason} (${operation})`, () => {
      assert.equal(say(decideItem(status, { type, reason }, operation)), want);
    });
  }
});

describe('a request', () => {
  const json = (type: string, reason = ''): { type: string; reason: string } => ({ type, reason });
  const pressure = (wanted: number): string =>
    `rejected execution of coordinating operation [all_bytes=0, coordinating_operation_bytes=${wanted}, max_coordinating_bytes=1000]`;
  for (const [status, error, events, want] of [
    [400, json('illegal_argument_exception', 'Malformed action/metadata line [3]'), 5, 'halve: malformed'],
    [400, json('illegal_argument_exception', 'Malformed action/metadata line [3]'), 1, 'dead: malformed'],
    [400, undefined, 5, 'wait: configuration'],
    [400, json('error', 'no handler found for uri [/x/_bulk]'), 5, 'wait: configuration'],
    [400, json('illegal_argument_exception', 'request [/_bulk] contains unrecognized parameter: [x]'), 5, 'wait: configuration'],
    [400, json('media_type_header_exception'), 1, 'wait: configuration'],
    [401, undefined, 5, 'wait: credentials'],
    [401, json('security_exception'), 5, 'wait: credentials'],
    [403, json('security_exception'), 5, 'wait: privilege'],
    [403, undefined, 5, 'wait: privilege'],
    [403, json('cluster_block_exception', 'FORBIDDEN/6/cluster read-only (api)'), 5, 'wait: block'],
    [404, undefined, 5, 'wait: configuration'],
    [404, json('index_not_found_exception'), 5, 'wait: index'],
    [405, undefined, 5, 'wait: configuration'],
    [406, json('error'), 5, 'wait: configuration'],
    [302, undefined, 5, 'wait: configuration'],
    [408, undefined, 5, 'retry: server'],
    [413, undefined, 5, 'halve: size'],
    [413, undefined, 1, 'dead: size'],
    [429, undefined, 5, 'slow: overload'],
    [429, json('circuit_breaking_exception'), 1, 'slow: overload'],
    [429, json('es_rejected_execution_exception', pressure(900)), 5, 'slow: overload'],
    [429, json('es_rejected_execution_exception', pressure(1001)), 5, 'halve: overload'],
    [429, json('rejected_execution_exception', pressure(1001)), 1, 'dead: size'],
    [500, json('null_pointer_exception'), 5, 'retry: server'],
    [502, undefined, 5, 'retry: server'],
    [503, undefined, 5, 'slow: overload'],
    [503, json('cluster_block_exception', 'state not recovered'), 5, 'slow: overload'],
    [504, undefined, 5, 'retry: server'],
    [501, undefined, 5, 'wait: configuration'],
    [204, undefined, 5, 'retry: server'],
  ] as const) {
    test(`${status} ${error?.type ?? 'no JSON'} ${error?.reason ?? ''} with ${events}`, () => {
      assert.equal(say(decideRequest(status, error, events)), want);
    });
  }

  test('only 400, 413 and a request over the limit of memory ever cost an event', () => {
    const anyError = fc.option(fc.record({ type: fc.string(), reason: fc.string() }), { nil: undefined });
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), anyError, (status, error) => {
        const { action } = decideRequest(status, error, 1);
        if (action === 'dead') assert.ok([400, 413, 429].includes(status), String(status));
      }),
    );
  });

  test('more than one event is never given up at once', () => {
    const anyError = fc.option(fc.record({ type: fc.string(), reason: fc.string() }), { nil: undefined });
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), anyError, fc.integer({ min: 2, max: 9 }), (status, error, events) => {
        assert.notEqual(decideRequest(status, error, events).action, 'dead');
      }),
    );
  });
});
