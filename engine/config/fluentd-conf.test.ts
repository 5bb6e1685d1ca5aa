import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { memoryFiles } from './files.ts';
import { loadConfig, loadConfigText, placeOf } from './load.ts';
import type { Section } from './model.ts';

const OPTIONS = {
  env: { TOKEN: 's3cret', EMPTY: '' },
  hostname: 'web-1',
  workerId: 3,
  files: memoryFiles({ '/run/secret': 'from-file\n' }),
};

const value = (text: string): unknown => {
  const { root, problems } = loadConfigText('a.conf', `k ${text}\n`, OPTIONS);
  return problems.length > 0 ? `error at ${problems[0]?.place.line}:${problems[0]?.place.column}` : root.params.get('k')?.value;
};

describe('fluent.conf: values', () => {
  const CASES: ReadonlyArray<readonly [string, unknown]> = [
    ['plain  text ', 'plain  text'],
    ['a#b # comment', 'a#b'],
    ['# no comment here', '# no comment here'],
    ['杭州 #市', '杭州'],
    ['"tab\\there \\#{x}"', 'tab\there #{x}'],
    ['"bad \\d"', 'error at 1:8'],
    ["'\\d+ \\' \\\\'", "\\d+ ' \\"],
    ['"open', 'error at 1:3'],
    ['"a" b', 'error at 1:6'],
    ['"#{ENV[\'TOKEN\']}"', 's3cret'],
    ['"#{ENV[\'NONE\']}"', ''],
    ['"#{ENV[\'NONE\'] || \'d\'}-#{ENV.fetch("NONE", "e")}"', 'd-e'],
    ['"#{ENV.fetch(\'NONE\') { "f" }}"', 'f'],
    ['"#{ENV.fetch(\'NONE\')}"', 'error at 1:4'],
    ["\"#{ENV['TOKEN'] || ENV.fetch('NONE')}\"", 's3cret'],
    ['"#{File.read(\'/run/secret\').chomp}"', 'from-file'],
    ['"#{File.read(\'/nope\')}"', 'error at 1:4'],
    ['"#{hostname.upcase} #{Socket.gethostname} #{worker_id}"', 'WEB-1 web-1 3'],
    ['"#{"}"}"', '}'],
    ['"#{ENV[\'NONE\'] || use_nil}"', null],
    ['"#{ENV[\'NONE\'] || use_default}"', undefined],
    ['"#{`rm -rf /`}"', 'error at 1:4'],
    ['"#{system(\'x\')}"', 'error at 1:4'],
    ['[1, "#{ENV["TOKEN"]}", # why\n {"a": 1e3}]', '[1,"s3cret",{"a":1000.0}]'],
    ['{"a": "x\\u4e2d"}', '{"a":"x中"}'],
    ['[1,]', 'error at 1:6'],
    ['{{ .Values }}', 'error at 1:4'],
    ['[', 'error at 2:1'],
  ];
  for (const [text, want] of CASES) test(text, () => assert.deepEqual(value(text), want));
});

describe('fluent.conf: problems', () => {
  const CASES: ReadonlyArray<readonly [string, readonly string[]]> = [
    ['<match a>\n  @type stdout\n', ['1:1 <match> is never closed']],
    ['<match a>\n  <buffer>\n</match>\nk v\n', ['2:3 <buffer> is not closed before </match>']],
    ['</match>\n', ['1:1 </match> closes nothing']],
    [
      '<match a></match>\n<match b> x\n</match>\n',
      ['1:10 expected the end of the line after <match>', '2:10 expected the end of the line after <match>'],
    ],
    ['<match a\n  @type x\n</match>\n', ['1:1 expected > at the end of <match']],
    ['k "\\q"\nl "\\w"\nm v\n', ['1:4 unknown escape \\q in double quotes', '2:4 unknown escape \\w in double quotes']],
    ['<source>\n  @tpye x\n</source>\n', ['2:3 @tpye: names that start with @ are reserved']],
    ['@include http://user:secret@host/a.conf\n', ['1:1 cannot include http://***@host/a.conf: only files can be included']],
    ['@include {a,b}.conf\n', ['1:1 cannot include {a,b}.conf: braces are not allowed in an include path']],
    ['@include gone.conf\n', ['1:1 gone.conf: no such file, nothing is included']],
    ['@include gone*.conf\n', []],
  ];
  for (const [text, want] of CASES)
    test(JSON.stringify(text), () => {
      const { problems } = loadConfigText('a.conf', text, OPTIONS);
      assert.deepEqual(
        problems.map(({ place, message }) => `${place.line}:${place.column} ${message}`),
        want,
      );
    });

  test('a file that includes itself', () => {
    const { problems } = loadConfig('a.conf', {
      ...OPTIONS,
      files: memoryFiles({ 'a.conf': '@include b.conf\n', 'b.conf': '\n@include a.conf\n' }),
    });
    assert.deepEqual(
      problems.map(({ place, message }) => [place.file, place.line, message]),
      [['b.conf', 2, 'a.conf includes itself: a.conf > b.conf > a.conf']],
    );
  });

  test('a section cannot be closed from another file, and the including one goes on', () => {
    const { root, problems } = loadConfig('d/a.conf', {
      ...OPTIONS,
      files: memoryFiles({
        'd/a.conf': '<match x>\n@include p/*.conf\nk 1\n</match>\n',
        'd/p/1.conf': '</match>\n',
        'd/p/10.conf': 'ten 1\n',
        'd/p/2.conf': '<a>\n</a>\n',
      }),
    });
    assert.equal(problems.length, 1);
    assert.equal(problems[0]?.place.file, 'd/p/1.conf');
    assert.deepEqual([...(root.sections[0]?.params.keys() ?? [])], ['ten', 'k']);
    assert.equal(root.sections[0]?.sections[0]?.place.file, 'd/p/2.conf');
  });

  test('places count lines over CR, LF and CRLF; a byte order mark is no part of the first name', () => {
    const { root } = loadConfigText('a.conf', '\uFEFFa 1\rb 2\r\n  c 3\n', OPTIONS);
    assert.deepEqual(
      [...root.params.values()].map(({ name, place }) => [name, place.line, place.column]),
      [
        ['a', 1, 1],
        ['b', 2, 1],
        ['c', 3, 3],
      ],
    );
  });
});

describe('YAML', () => {
  const read = (text: string, files: Record<string, string> = {}) =>
    loadConfigText('c/m.yaml', text, { ...OPTIONS, files: memoryFiles(files) });
  const outline = (section: Section): unknown => [
    section.name + (section.arg && ` ${section.arg}`),
    Object.fromEntries([...section.params].map(([name, param]) => [name, param.value])),
    ...section.sections.map(outline),
  ];

  test('sections, arguments, includes of both spellings, anchors', () => {
    const { root, problems } = read(
      [
        'include: fluent.conf',
        'system: { workers: 2 }',
        'config:',
        '  - source: &s { $type: forward, port: 24224, bind: !fluent/s "#{hostname}" }',
        '  - source: { <<: *s, port: 1 }',
        '  - match:',
        '      $tag: [a.**, b]',
        '      $type: copy',
        '      store: [{ $type: stdout }, { $type: "null" }]',
        '      buffer: { $arg: [tag, time] }',
        '  - !include more/*.yml',
        '  - !include extra.conf',
      ].join('\n'),
      {
        'c/fluent.conf': '<source>\n  @type http\n</source>\n',
        'c/more/1.yml': '- label: { $name: "@L", config: [{ match: { $tag: x } }] }\n',
        'c/extra.conf': '<match z>\n</match>\n',
      },
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(outline(root), [
      'ROOT',
      {},
      ['source', { '@type': 'http' }],
      ['system', { workers: 2 }],
      ['source', { '@type': 'forward', port: 24_224, bind: 'web-1' }],
      ['source', { '@type': 'forward', port: 1, bind: 'web-1' }],
      [
        'match a.** b',
        { '@type': 'copy' },
        ['store', { '@type': 'stdout' }],
        ['store', { '@type': 'null' }],
        ['buffer tag,time', {}],
      ],
      ['label @L', {}, ['match x', {}]],
      ['match z', {}],
    ]);
  });

  test('places, also of what stands in an included file', () => {
    const { extras, root } = read('alerts:\n  - name: a\n    where: "x"\n  - !include r/*.yaml\nsystem:\n  workers: 2\n', {
      'c/r/1.yaml': '# one\n- name: b\n',
    });
    const alerts = extras.get('alerts');
    assert.ok(alerts);
    assert.deepEqual(alerts.value, [{ name: 'a', where: 'x' }, { name: 'b' }]);
    assert.deepEqual(placeOf(alerts, [0, 'where']), { file: 'c/m.yaml', line: 3, column: 5 });
    assert.deepEqual(placeOf(alerts, [0, 'gone', 1]), { file: 'c/m.yaml', line: 2, column: 5 });
    assert.deepEqual(placeOf(alerts, [1, 'name']), { file: 'c/r/1.yaml', line: 2, column: 3 });
    assert.deepEqual(root.sections[0]?.params.get('workers')?.place, { file: 'c/m.yaml', line: 6, column: 3 });
  });

  const BAD: ReadonlyArray<readonly [string, string]> = [
    ['config: [', '1:10'],
    ['a: 1\na: 2\n', '2:1'],
    ['confg: []\n', '1:1'],
    ['config:\n  - source: !ruby/object {}\n', '2:5'],
    ['config: 7\n', '1:1'],
    ['config:\n  - text\n', '2:5'],
    ['system: !fluent/s "#{1 + 1}"\n', '1:1'],
    ['alerts: !include no.yaml\n', '1:1'],
    [
      `a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nalerts: [*e,*e,*e,*e,*e]\n`,
      '1:18',
    ],
  ];
  for (const [text, place] of BAD)
    test(`refused: ${JSON.stringify(text.slice(0, 40))}`, () => {
      const found = read(text).problems.map((problem) => `${problem.place.line}:${problem.place.column}`);
      assert.ok(found.includes(place), found.join(' '));
    });
});

describe('any text', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        '<a>',
        '</a>',
        '<match b>',
        '\n',
        '"',
        "'",
        '#{',
        "ENV['x']",
        '}',
        '[',
        ']',
        '{',
        ' ',
        '#',
        '\\',
        '@include a',
        'k',
        ': ',
        '- ',
        '!include a.conf',
        '&x ',
        '*x',
      ),
      fc.string(),
    ),
  );
  for (const path of ['a.conf', 'a.yaml'])
    test(`${path} is answered without a throw, problems in bounds`, () => {
      fc.assert(
        fc.property(pieces, (parts) => {
          const { problems } = loadConfigText(path, parts.join(''), OPTIONS);
          assert.ok(problems.length <= 110);
        }),
      );
    });

  test('what is printed in single quotes or as JSON reads back', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/[\r\n]/.test(text)),
        (text) => {
          assert.equal(value(`'${text.replaceAll(/['\\]/g, '\\$&')}'`), text);
          assert.deepEqual(JSON.parse(value(JSON.stringify([text.replaceAll('#', '')])) as string), [text.replaceAll('#', '')]);
        },
      ),
    );
  });
});
