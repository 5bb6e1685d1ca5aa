import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as z from 'zod';
import { bool, duration, integer, list, oneOf, section, size, text } from '../engine/units.ts';
import { ROOT } from './gen/definitions.ts';
import { fieldsOf } from './gen/fields.ts';
import { generate, leftOverOf } from './gen/files.ts';

describe('generated files', () => {
  test('are what the components declare', async () => {
    const { files, failures } = await generate();
    assert.deepEqual(failures, [], 'every component file can be imported');
    const stale = [...files].filter(([path, wanted]) => !isSame(path, wanted)).map(([path]) => path);
    assert.deepEqual([...stale, ...leftOverOf(files)], [], 'stale generated files; run: npm run gen');
  });
});

function isSame(path: string, wanted: string): boolean {
  try {
    return readFileSync(resolve(ROOT, path), 'utf8') === wanted;
  } catch {
    // Not there at all: stale like any other.
    return false;
  }
}

describe('fields of a schema', () => {
  for (const [name, schema, wanted] of [
    ['required text', text().describe('Name.'), { kind: 'text', required: true, fallback: undefined, description: 'Name.' }],
    ['duration', duration().default(60_000), { kind: 'duration', required: false, fallback: '1m' }],
    ['odd duration', duration({ min: 1 }).default(1500), { kind: 'duration', fallback: '1500ms', min: 1 }],
    ['size', size().default(8 * 1024 ** 2), { kind: 'size', fallback: '8m' }],
    ['prefault', size().prefault('8m'), { kind: 'size', fallback: '8m' }],
    ['optional', integer().optional(), { kind: 'integer', required: false, fallback: undefined }],
    ['false', bool().default(false).describe('Flag.'), { kind: 'bool', fallback: 'false', description: 'Flag.' }],
    ['enum', oneOf(['a', 'b']).default('a'), { kind: 'enum', values: ['a', 'b'], fallback: 'a' }],
    ['list', list().default(['x', 'y']), { kind: 'list', fallback: 'x,y' }],
    ['empty list', list().default([]), { kind: 'list', fallback: undefined, required: false }],
  ] as const)
    test(name, () => {
      const [field] = fieldsOf(z.object({ field: schema }));
      assert.deepEqual(
        field && Object.fromEntries(Object.keys(wanted).map((key) => [key, field[key as keyof typeof field]])),
        wanted,
      );
    });

  test('sections show what is in them', () => {
    const [field] = fieldsOf(z.object({ server: section(z.object({ host: text() })).optional() }));
    assert.deepEqual([field?.kind, field?.required, field?.fields.map((one) => one.name)], ['section', false, ['host']]);
  });
});
