import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { loadConfig } from '../../engine/config/load.ts';
import type { ParamValue, Section } from '../../engine/config/model.ts';
import { main } from '../main.ts';

const EXAMPLES = resolve(import.meta.dirname, '..', '..', 'examples');

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(args, { out: (text) => (out += text), err: (text) => (err += text), isTerminal: false });
  return { code, out, err };
}

/** What a section says, however it is spelled: values as text, lists with commas, sections in their order. */
function plain({ name, arg, params, sections }: Section): unknown {
  const texts = [...params.values()].map(({ name: key, value }) => [key, shown(value)] as const);
  return { name, arg, params: Object.fromEntries(texts.sort(([a], [b]) => a.localeCompare(b))), sections: sections.map(plain) };
}
/** Numbers in one form: 0.000001 is 1e-6. */
function shown(value: ParamValue | undefined): string {
  if (Array.isArray(value)) return value.join(',');
  const text = JSON.stringify(value ?? null).replace(/^"(.*)"$/s, '$1');
  return text !== '' && Number.isFinite(Number(text)) ? String(Number(text)) : text;
}

describe('the examples', () => {
  // alerts.yaml and pipeline.conf are parts of others.
  const files = globSync('**/*.{conf,yaml}', { cwd: EXAMPLES, exclude: ['mission/alerts.yaml'] });
  for (const file of files.sort()) {
    test(`${file} is sound`, async () => {
      const { code, out, err } = await call('check', '-c', join(EXAMPLES, file));
      assert.equal(`${code} ${err}`, '0 ');
      assert.match(out, /: sound; \d+ sources?, /);
    });
  }

  test('the mission is the same pipeline in both spellings', () => {
    const [conf, yaml] = ['fluent.conf', 'millrace.yaml'].map((name) => plain(loadConfig(join(EXAMPLES, 'mission', name)).root));
    assert.deepEqual(yaml, conf);
  });
});

describe('check', () => {
  test('JSON for scripts', async () => {
    const { code, out } = await call('check', '-c', join(EXAMPLES, 'mission', 'millrace.yaml'), '--json');
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(out), { schema: 'millrace/check@1', sound: true, problems: [], boards: [] });
  });
});
