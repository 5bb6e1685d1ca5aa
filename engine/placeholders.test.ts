import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  compilePlaceholders,
  parseChunkKeys,
  placeholderProblems,
  timekeyOf,
  timekeyZone,
  type ChunkKeys,
  type ChunkValues,
} from './placeholders.ts';
import { UTC, zoneOf } from './time/zone.ts';

const keysOf = (arg: string): ChunkKeys => {
  const keys = parseChunkKeys(arg);
  assert.ok(!('error' in keys), arg);
  return keys;
};
const NOON = Date.UTC(2024, 0, 2, 12) / 1000;

describe('placeholders', () => {
  const CASES: ReadonlyArray<readonly [string, string, ChunkValues, string | undefined]> = [
    ['', '/x/${tag}/%Y', { tag: 'a' }, '/x/${tag}/%Y'],
    ['tag', '${tag}|${tag[0]}|${tag[-1]}|${tag[5]}', { tag: 'a.b' }, 'a.b|a|b|'],
    ['time', '%Y.%m.%d/${tag}', { timekey: NOON }, '2024.01.02/${tag}'],
    ['time,tag', '${tag}-%d', { timekey: NOON, tag: '%d' }, '%d-02'],
    ['host, $.geo.city', '${host}/${$.geo.city}/${other}', { variables: { host: 'w', '$.geo.city': '杭州' } }, 'w/杭州/'],
    ['host', '/${host}', { variables: { host: '../etc' } }, undefined],
    ['a,b', '/${a}${b}', { variables: { a: '.', b: './x' } }, undefined],
    ['tag', '/a/../${tag}', { tag: 'x' }, '/a/../x'],
    ['tag', '/d/${tag[0]}', { tag: '/etc/x' }, undefined],
    ['host', '${chunk_id}-${chunk_id}', { variables: {} }, 'ID-${chunk_id}'],
  ];
  for (const [arg, template, values, want] of CASES)
    test(`<buffer ${arg}> ${template}`, () => {
      const result = compilePlaceholders(template, keysOf(arg), UTC)(values, 'ID');
      assert.equal(typeof result === 'string' ? result : undefined, want);
    });

  test('no value leads out of the directory', () => {
    const piece = fc.oneof(fc.constantFrom('..', '.', '/', '\\', 'a'), fc.string());
    const expand = compilePlaceholders('/data/${a}${b}/${a}', keysOf('a,b'), UTC);
    fc.assert(
      fc.property(fc.array(piece), fc.array(piece), (a, b) => {
        const result = expand({ variables: { a: a.join(''), b: b.join('') } });
        if (typeof result === 'string') assert.ok(!result.split(/[/\\]/).includes('..'));
      }),
    );
  });
});

describe('chunk keys', () => {
  for (const arg of ['a b', 'a,,b', "$['a']", '$.', 'a/b'])
    test(`refused: ${arg}`, () => assert.ok('error' in parseChunkKeys(arg)));

  test('slices begin at midnight of the zone', () => {
    const shanghai = timekeyZone({ timekey_zone: 'Asia/Shanghai' });
    assert.ok(!('error' in shanghai));
    assert.equal(timekeyOf(NOON, 86_400, shanghai), Date.UTC(2024, 0, 1, 16) / 1000);
    assert.equal(timekeyOf(NOON + 5, 60, UTC), NOON);
    assert.equal(timekeyOf(-1, 60, zoneOf({ utc: true })), -60);
    assert.ok('error' in timekeyZone({ timekey_zone: 'JST' }));
  });

  const CASES: ReadonlyArray<readonly [string, string, number | undefined, number]> = [
    ['', '/a', undefined, 0],
    ['time', '/a-%Y%m%d', 86_400, 0],
    ['time', '/a-%Y%m%d', 3600, 1],
    ['', '/a-%Y', undefined, 1],
    ['tag,host', '/a', undefined, 2],
    ['', '/${tag}/${host}/${chunk_id}', undefined, 2],
  ];
  for (const [arg, template, timekey, count] of CASES)
    test(`<buffer ${arg}> ${template}: ${count} problems`, () =>
      assert.equal(placeholderProblems('path', template, keysOf(arg), timekey).length, count));
});
