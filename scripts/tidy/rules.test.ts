import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { checkFuzz } from './fuzz.ts';
import { checkImports, importsOf } from './imports.ts';
import { checkSource } from './source.ts';
import { checkLock, checkPackage } from './package.ts';
import { codeBlocks, headings } from './markdown.ts';

describe('imports', () => {
  for (const [file, specifier, isAllowed] of [
    ['engine/events/view.ts', './batch.ts', true],
    ['engine/events/view.ts', 'zod', true],
    ['engine/events/view.ts', '../../collectors/tail/tail.ts', false],
    ['engine/events/view.ts', '../testing/driver.ts', false],
    ['engine/events/view.test.ts', '../testing/driver.ts', true],
    ['collectors/tail/tail.ts', '../../engine/component.ts', true],
    ['collectors/tail/tail.ts', './position.ts', true],
    ['collectors/tail/tail.ts', '../forward/forward.ts', false],
    ['collectors/tail/tail.ts', '../../plugins/parse/json.ts', false],
    ['collectors/tail/tail.ts', '../all.gen.ts', false],
    ['collectors/all.gen.ts', './tail/tail.ts', true],
    ['plugins/parse/nginx.ts', './regexp.ts', false],
    ['plugins/parse/nginx.ts', './helper.ts', true],
    ['plugins/parse/nginx.ts', '../filter/helper.ts', false],
    ['plugins/parse/nginx.test.ts', './nginx.ts', true],
    ['plugins/parse/parsers.test.ts', './nginx.ts', true],
    ['plugins/enrich/geo/geo.ts', './qqwry.ts', true],
    ['alerts/zabbix/sync.ts', '../../shippers/zabbix/client.ts', true],
    ['alerts/zabbix/sync.ts', '../../shippers/zabbix/zabbix.ts', false],
    ['alerts/zabbix/sync.ts', '../rule.ts', true],
    ['alerts/rule.ts', '../dashboards/model.ts', false],
    ['service/main.ts', './app.ts', true],
    ['service/main.ts', '../engine/errors.ts', false],
    ['cli/main.ts', '../alerts/rule.ts', true],
    ['cli/main.ts', '../alerts/rule', false],
  ] as const)
    test(`${file} imports ${specifier}`, () => {
      assert.equal(checkImports(file, [specifier], (target) => !target.includes('helper')).length === 0, isAllowed);
    });

  test('are found in every form', () => {
    const source = `import a from './a.ts'; import type { B } from './b.ts'; export { c } from './c.ts';
      export * from './d.ts'; const e = await import('./e.ts'); type F = import('./f.ts').F; // import './g.ts'`;
    assert.deepEqual(importsOf('x.ts', source).toSorted(), ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts']);
  });
});

describe('sources', () => {
  for (const [file, source, wanted] of [
    ['engine/a.ts', 'export const a = 1;\n', undefined],
    ['engine/a.ts', 'console.log(1);\n', /ctx\.log/],
    ['engine/a.ts', '// console.log(1);\n', undefined],
    ['engine/a.ts', "export const a = 'console.log(1)';\n", undefined],
    ['engine/a.test.ts', 'console.log(1);\n', undefined],
    ['cli/run.ts', 'process.exit(1);\n', /MillraceError/],
    ['cli/main.ts', 'process.exit(1);\n', undefined],
    ['collectors/a/a.ts', 'const t = Date.now();\n', /ctx\.clock/],
    ['collectors/a/a.ts', 'setTimeout(() => {}, 1);\n', /ctx\.clock/],
    ['collectors/a/a.ts', 'socket.setTimeout(1);\n', undefined],
    ['shippers/a/client.ts', 'setTimeout(() => {}, 1);\n', undefined],
    ['plugins/parse/a.ts', "import { readFileSync } from 'node:fs';\n", /engine/],
    ['shippers/a/a.ts', 'await fetch(url);\n', /Pool/],
    ['engine/a.ts', 'export default 1;\n', /name/],
    ['engine/a.ts', 'enum A { b }\n', /union/],
    ['engine/a.ts', 'namespace A { export const b = 1 }\n', /module/],
    ['engine/a.ts', "export * from './b.ts';\n", /barrel/],
    ['engine/index.ts', 'export const a = 1;\n', /index/],
    ['engine/aB.ts', 'export const a = 1;\n', /kebab/],
    ['engine/a.ts', 'export const a = 1;\n'.repeat(401).replaceAll('const a', 'type A'), /401 lines/],
    ['engine/a.ts', 'const a = ;\n', /parsed/],
  ] as const)
    test(`${file}: ${source.slice(0, 40).trim()}`, () => {
      const findings = checkSource(file, source);
      if (wanted) assert.match(findings.join('\n'), wanted);
      else assert.deepEqual(findings, []);
    });
});

test('versions are exact', () => {
  assert.deepEqual(checkPackage('{"dependencies":{"a":"1.2.3"}}'), []);
  assert.equal(checkPackage('{"dependencies":{"a":"^1.2.3"},"devDependencies":{"b":"latest"}}').length, 2);
});

test('the lock file names no host', () => {
  const lock = (entry: object): string => JSON.stringify({ packages: { '': {}, 'node_modules/a': entry } });
  assert.deepEqual(checkLock(lock({ integrity: 'sha512-x' })), []);
  assert.equal(checkLock(lock({ integrity: 'sha512-x', resolved: 'somewhere' })).length, 1);
  assert.equal(checkLock(lock({})).length, 1);
  assert.equal(checkLock(lock({ integrity: 'sha512-x', optional: true, engines: { node: '>=24' } })).length, 1);
  assert.deepEqual(checkLock(lock({ integrity: 'sha512-x', engines: { node: '>=24' } })), []);
});

test('headings and code of a document', () => {
  const document = '# A\n\n```sh\n# no heading\n```\n\n## B\n';
  assert.deepEqual(headings(document), [
    { level: 1, title: 'A' },
    { level: 2, title: 'B' },
  ]);
  assert.deepEqual(codeBlocks(document), ['```sh\n# no heading\n```']);
});

describe('fuzz targets', () => {
  const PARSER = 'export const a = defineParser({})';
  const SOCKET = "import { createServer } from 'node:net';";
  for (const [name, files, want] of [
    ['a parser without one', { 'plugins/parse/a.ts': PARSER }, /^plugins\/parse\/a\.ts: .*write plugins\/parse\/a\.fuzz\.ts/],
    [
      'a parser with one',
      { 'plugins/parse/a.ts': PARSER, 'plugins/parse/all.fuzz.ts': "import { a } from './a.ts';" },
      undefined,
    ],
    ['a framer without one', { 'engine/f.ts': '' }, /^engine\/f\.ts: /],
    ['a framer that is gone', {}, /^scripts\/tidy\/fuzz\.ts: there is no engine\/f\.ts/],
    ['a socket without one', { 'collectors/x/x.ts': SOCKET }, /^collectors\/x: reads from a socket/],
    [
      'a socket with one',
      { 'collectors/x/x.ts': SOCKET, 'collectors/x/p.ts': '', 'collectors/x/p.fuzz.ts': "import { p } from './p.ts';" },
      undefined,
    ],
  ] as const)
    test(name, () => {
      const texts: Record<string, string> = files;
      const framers = name.includes('framer') ? ['engine/f.ts'] : [];
      const findings = checkFuzz(Object.keys(texts), (file) => texts[file] ?? '', framers);
      assert.equal(findings.length, want === undefined ? 0 : 1, findings.join());
      if (want !== undefined) assert.match(findings[0] ?? '', want);
    });
});
