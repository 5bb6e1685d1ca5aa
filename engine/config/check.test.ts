import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as z from 'zod';
import {
  defineFilter,
  defineOutput,
  defineParser,
  defineSource,
  type Definition,
  type Kind,
  type Registered,
} from '../component.ts';
import * as units from '../units.ts';
import { checkConfig, readSystem, type Lookup } from './check.ts';
import { loadConfigText } from './load.ts';
import { closest, editDistance, formatProblems } from './problems.ts';
import { sectionFromData } from './section.ts';
import { validateSection } from './validate.ts';

const unused = (): never => {
  throw new Error('a check creates nothing');
};

const tcp = defineSource({
  name: 'tcp',
  summary: 'Lines over TCP.',
  config: z.strictObject({
    port: units.port().default(5170),
    bind: units.address().default('127.0.0.1'),
    tag: units.text(),
    token: units.secret().optional(),
    delimiter: units.oneOf(['newline', 'zero']).default('newline'),
    parse: units.rawSection(),
    client: units.sections(z.strictObject({ host: units.address(), wait: units.duration().optional() })),
  }),
  check: (config) => (config.tag === 'bad' ? ['tag: bad is not allowed'] : []),
  create: unused,
});
const grep = defineFilter({ name: 'grep', summary: 'Chooses.', config: z.strictObject({}), create: unused });
const file = defineOutput({
  name: 'file',
  aliases: ['disk'],
  summary: 'Writes.',
  config: z.strictObject({ path: units.text(), format: units.rawSection().optional() }),
  create: unused,
});
const json = defineParser({
  name: 'json',
  summary: 'JSON.',
  config: z.object({ time_key: units.text().optional() }),
  create: unused,
});

const DEFINITIONS = [tcp, grep, file, json] as unknown as readonly Definition[];
const registered = (definition: Definition): Registered => ({ ...definition, load: () => Promise.resolve(definition) });
const registry: Lookup = {
  find: (kinds: readonly Kind[], type) =>
    DEFINITIONS.filter((each) => kinds.includes(each.kind) && [each.name, ...each.aliases].includes(type)).map(registered)[0],
  names: (kinds) => DEFINITIONS.filter((each) => kinds.includes(each.kind)).map((each) => each.name),
};
const buffer = z.strictObject({
  '@arg': z.string().default(''),
  '@type': units.oneOf(['memory']).default('memory'),
  flush_interval: units.duration().default(1000),
});

const problemsOf = async (text: string, path = 'f.conf'): Promise<string> => {
  const { root, problems } = loadConfigText(path, text, { env: { TOKEN: 's3cret' } });
  assert.deepEqual(problems, []);
  return formatProblems(await checkConfig(root, { registry, buffer }));
};

const SOURCE = '<source>\n  @type tcp\n  tag a\n  <parse>\n    @type json\n  </parse>\n</source>\n';

describe('check', () => {
  const CASES: ReadonlyArray<readonly [string, string, string]> = [
    [
      'nothing wrong',
      `${SOURCE}<match **>\n  @type disk\n  path /x\n  <buffer tag>\n    flush_interval 5s\n  </buffer>\n</match>\n`,
      '',
    ],
    ['no such type', '<source>\n  @type tpc\n</source>\n', 'f.conf:2:3: error: no source is named tpc\n    did you mean tcp?\n'],
    ['no type', '<match a>\n</match>\n', 'f.conf:1:1: error: <match> has no @type\n    known: file\n'],
    [
      'several at once, in the order of the file',
      '<source>\n  @type tcp\n  prot 1\n  port 99999\n  delimiter newlin\n  <client>\n    host a\n    wait soon\n  </client>\n  <client>\n    hots b\n  </client>\n</source>\n',
      [
        'f.conf:1:1: error: tcp: tag is required\n    expected text\n',
        'f.conf:1:1: error: tcp: <parse> is required\n    expected a section\n',
        'f.conf:3:3: error: unknown parameter prot in tcp\n    did you mean port?\n',
        'f.conf:4:3: error: port: expected at most 65535, found "99999"\n',
        'f.conf:5:3: error: delimiter: expected one of newline, zero, found "newlin"\n    did you mean newline?\n',
        'f.conf:8:5: error: wait: expected a duration such as 10s, 500ms or 1h30m (a bare number means seconds), found "soon"\n',
        'f.conf:10:3: error: tcp: host is required\n    expected text\n',
        'f.conf:11:5: error: unknown parameter hots in tcp\n    did you mean host?\n',
      ].join(''),
    ],
    ['a rule of the component', SOURCE.replace('tag a', 'tag bad'), 'f.conf:3:3: error: tcp: tag: bad is not allowed\n'],
    [
      'a parser',
      SOURCE.replace('@type json', '@type jsno'),
      'f.conf:5:5: error: no parser is named jsno\n    did you mean json?\n',
    ],
    [
      'inside of a parser',
      SOURCE.replace('@type json', '@type json\n    time_kye t'),
      'f.conf:6:5: error: unknown parameter time_kye in json\n    did you mean time_key?\n',
    ],
    [
      'a buffer',
      '<match a>\n  @type file\n  path x\n  <buffer>\n    flush_intervall 1\n  </buffer>\n</match>\n',
      'f.conf:5:5: error: unknown parameter flush_intervall in <buffer>\n    did you mean flush_interval?\n',
    ],
    [
      'a store',
      '<match a>\n  @type copy\n  <store>\n    @type flie\n  </store>\n</match>\n',
      'f.conf:4:5: error: no output or consumer is named flie\n    did you mean file?\n',
    ],
    ['an unknown section', '<sorce>\n</sorce>\n', 'f.conf:1:1: warning: unknown section <sorce>\n    did you mean source?\n'],
    [
      'a label that is not there',
      `<label @OUT>\n</label>\n${SOURCE.replace('tag a', 'tag a\n  @label @OTU')}`,
      'f.conf:6:3: error: no <label @OTU> is there\n    did you mean @OUT?\n',
    ],
    [
      'a label twice',
      '<label @A>\n</label>\n<label @A>\n</label>\n',
      'f.conf:3:1: error: <label @A> appears twice\n    first in line 1\n',
    ],
    [
      'never reached',
      '<match **>\n  @type file\n  path x\n</match>\n<filter a>\n  @type grep\n</filter>\n',
      'f.conf:5:1: warning: <filter a> is never reached\n    <match **> in line 1 takes every event\n',
    ],
    [
      'a comma in a pattern',
      '<filter a,b>\n  @type grep\n</filter>\n',
      'f.conf:1:1: warning: the comma in <filter a,b> is part of the tag\n    patterns are separated by blanks\n',
    ],
    ['a bad pattern', '<filter /a(/>\n  @type grep\n</filter>\n', 'f.conf:1:1: error: /a(/: a group without its closing )\n'],
    [
      'the same id',
      '<filter a>\n  @type grep\n  @id x\n</filter>\n<filter b>\n  @type grep\n  @id x\n</filter>\n',
      'f.conf:7:3: error: @id x is used twice\n    first in f.conf:1\n',
    ],
    [
      'a worker too many',
      '<system>\n  workers 2\n</system>\n<worker 0-2>\n</worker>\n',
      'f.conf:4:1: error: <worker 0-2>: there are workers 0 to 1 only\n    set workers in <system>\n',
    ],
    [
      'system',
      '<system>\n  wrokers 2\n  rpc_endpoint 127.0.0.1:24444\n</system>\n',
      'f.conf:2:3: error: unknown parameter wrokers in system\n    did you mean workers?\n',
    ],
  ];
  for (const [name, text, want] of CASES) test(name, async () => assert.equal(await problemsOf(text), want));

  test('values of YAML and their places', async () => {
    const text = 'config:\n  - source:\n      $type: tcp\n      tag: 7\n      port: -1\n      parse: { $type: json }\n';
    assert.equal(await problemsOf(text, 'm.yaml'), 'm.yaml:5:7: error: port: expected at least 0, found "-1"\n');
  });

  test('a secret is not shown', async () => {
    const text = SOURCE.replace('tag a', 'tag a\n  token ["#{ENV[\'TOKEN\']}"]\n  bind "a #{ENV[\'TOKEN\']}"');
    assert.doesNotMatch(await problemsOf(text), /s3cret/);
  });

  test('fluent.conf listens on all addresses, with a warning', async () => {
    const { root } = loadConfigText('f.conf', SOURCE);
    const problems = await checkConfig(root, { registry, isFluentd: true });
    assert.deepEqual(
      problems.map(({ severity, message }) => [severity, message]),
      [['warning', 'tcp listens on all addresses, as in Fluentd']],
    );
  });
});

describe('validation of one section', () => {
  test('the value as create takes it', () => {
    const section = sectionFromData('source', {
      '@type': 'tcp',
      tag: 'a',
      port: '0',
      parse: { '@type': 'json' },
      client: [{ host: 'h', wait: '2s' }],
    });
    const { value } = validateSection(section, tcp as unknown as Definition);
    assert.deepEqual(
      { ...(value as object), parse: undefined },
      { port: 0, bind: '127.0.0.1', tag: 'a', delimiter: 'newline', client: [{ host: 'h', wait: 2000 }], parse: undefined },
    );
  });

  test('later system sections win', () => {
    const { root } = loadConfigText(
      'f.conf',
      '<system>\n  workers 2\n  root_dir /a\n</system>\n<system>\n  workers 3\n</system>\n',
    );
    const { system, problems } = readSystem(root.sections);
    assert.deepEqual([system.workers, system.root_dir, problems], [3, '/a', []]);
  });

  test('distance of names', () => {
    assert.equal(editDistance('prot', 'port'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(closest('flush_intervall', ['flush_mode', 'flush_interval']), 'flush_interval');
    assert.equal(closest('xyz', ['port', 'bind']), undefined);
    assert.equal(closest('apach2', ['apache', 'apache2']), 'apache2');
  });
});
