/** Every example, in the declarations and in examples/, goes through the loader and the check that users run. */
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { checkConfig } from '../engine/config/check.ts';
import { loadConfig, loadConfigText } from '../engine/config/load.ts';
import type { LoadedConfig } from '../engine/config/load.ts';
import { formatProblems } from '../engine/config/problems.ts';
import { bufferConfig } from '../engine/delivery/buffer-config.ts';
import { Registry } from '../engine/registry.ts';
import type { Kind } from '../engine/component.ts';
import { COLLECTORS } from '../collectors/all.gen.ts';
import { PLUGINS } from '../plugins/all.gen.ts';
import { SHIPPERS } from '../shippers/all.gen.ts';
import { findDefinitions, ROOT } from './gen/definitions.ts';

const registry = new Registry(COLLECTORS, PLUGINS, SHIPPERS);

async function errorsOf(config: LoadedConfig): Promise<string> {
  const found = await checkConfig(config.root, { registry, buffer: bufferConfig, isFluentd: config.isFluentd });
  return formatProblems([...config.problems, ...found].filter((problem) => problem.severity === 'error'));
}

/** Parsers and formatters show their own section only; here it gets one around it. */
const AROUND: Partial<Record<Kind, readonly [string, string]>> = {
  parser: ['<filter **>\n@type parser\nkey_name message\n', '\n</filter>'],
  formatter: ['<match **>\n@type stdout\n', '\n</match>'],
};

/** An example may send to a label that it does not show. */
function labelsOf(config: string): string {
  const labels = [...config.matchAll(/@label (@\w+)/g)].map((found) => found[1] ?? '');
  return labels
    .filter((label) => !config.includes(`<label ${label}>`))
    .map((label) => `<label ${label}>\n</label>\n`)
    .join('');
}

describe('examples of components', async () => {
  const { found } = await findDefinitions();
  for (const { definition, file } of found) {
    for (const { title, config } of definition.examples)
      test(`${definition.kind} ${definition.name}: ${title}`, async () => {
        const [before, after] = AROUND[definition.kind] ?? ['', ''];
        const text = `${before}${config}${after}\n${labelsOf(config)}`;
        assert.equal(await errorsOf(loadConfigText(file, text, { env: {} })), '');
      });
    test(`${definition.kind} ${definition.name} has an example`, () => {
      assert.ok(definition.examples.length > 0, `${file}: add examples: [{ title, config }]`);
    });
  }
});

describe('examples/', () => {
  const files = globSync('examples/**/*.{conf,yaml,yml}', { cwd: ROOT }).sort();
  const texts = files.map((file) => readFileSync(resolve(ROOT, file), 'utf8'));
  // What another example names is a part of that one, and is checked there.
  const isPart = (file: string): boolean => texts.some((text, n) => files[n] !== file && text.includes(basename(file)));
  for (const file of files.filter((file) => !isPart(file)))
    test(file, async () => {
      assert.equal(await errorsOf(loadConfig(resolve(ROOT, file))), '');
    });
});
