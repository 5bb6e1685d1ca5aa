import assert from 'node:assert/strict';
import type { FuzzTarget } from '../testing/fuzz.ts';
import { readEmbedded } from './embedded.ts';
import { memoryFiles } from './files.ts';
import { readJsonLiteral } from './json-literal.ts';
import { loadConfigText, surroundingsOf } from './load.ts';
import { formatProblems } from './problems.ts';
import { translateRubyRegexp } from './ruby-regexp.ts';

const files = memoryFiles({
  '/c/inc.conf': '<filter **>\n  @type grep\n</filter>\n',
  '/c/loop.conf': '@include loop.conf\n',
  '/c/inc.yaml': 'config:\n  - source: { $type: forward }\n',
});
const options = { env: { HOME: '/root', EMPTY: '' }, hostname: 'host', workerId: 0, files };
const surroundings = surroundingsOf(options);

const FLUENT = String.raw`
<system>
  workers 2
</system>
@include inc.conf
<source>
  @type tail # a comment
  path "/var/log/#{hostname}-#{ENV['HOME']}.log"
  <parse>
    @type regexp
    expression /^(?<time>[^ ]*) (?<message>.*)$/
  </parse>
</source>
<worker 0-1>
  <source>
    @type sample
    sample {"a": [1, "b\n"], "c": {"d": null}}
  </source>
</worker>
<match {a,b}.** c.*>
  @type file
  path '/tmp/it''s'
  <buffer tag, time>
    timekey 1d
  </buffer>
</match>
<label @ERROR>
  <match **>
    @type null
  </match>
</label>
`;
const YAML = `
include: [inc.yaml]
system: { workers: 2, log_level: info }
config:
  - source: { $type: tail, path: !fluent/s "/a/#{hostname}", parse: { $type: json } }
  - match:
      $tag: [a.**, b]
      $type: stdout
      buffer: { $arg: "tag,time", timekey: 1d }
  - label: { $name: "@x", config: [ { match: { $tag: "**", $type: "null" } } ] }
alerts: &a
  - { name: 甲, measure: count, condition: "> 1" }
dashboards: *a
`;

function load(path: string, text: string): string {
  const { problems, root, extras } = loadConfigText(path, text, options);
  assert.ok(problems.length <= 202, 'there is a bound for problems');
  formatProblems(problems);
  for (const { place } of problems) assert.ok(place.line >= 1 && place.column >= 1, 'a problem has a place');
  return `${problems.map(({ message }) => message.replaceAll(/["'].*["']|\S*\d\S*/gs, '').slice(0, 40)).join()} ${root.sections.length} ${extras.size}`;
}

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'config/fluent-conf',
    seeds: [FLUENT, '@include loop.conf\n', '<a>\n</b>\n', 'x "a\\\n b"\ny [1,\n2]\n'],
    words: [
      '<source>',
      '</source>',
      '<match **>',
      '</match>',
      '@type ',
      '@include ',
      '#{',
      '}',
      '"',
      "'",
      '\\\n',
      '{"',
      '[',
      '# ',
      '\r\n',
      '  ',
    ],
    run: (bytes) => load('/c/fluent.conf', bytes.toString('utf8')),
  },
  {
    name: 'config/yaml',
    seeds: [YAML, 'config: []', 'a: &x [*x]', '{}', '!include inc.yaml'],
    words: [
      '&a',
      '*a',
      '<<: *a',
      '!fluent/s ',
      '!fluent/json ',
      '!include ',
      '? ',
      '- ',
      ': ',
      '|',
      '>-',
      '\t',
      '---\n',
      '{',
      '}',
      '[',
      ']',
      '"',
      '%YAML 9\n',
      '\n  ',
    ],
    run: (bytes) => load('/c/millrace.yaml', bytes.toString('utf8')),
  },
  {
    name: 'config/embedded',
    seeds: [
      "ENV['HOME'] || 'x'}",
      'ENV.fetch("A", ENV["B"]) { "c" }.upcase}',
      'hostname + "-" + worker_id.to_s}',
      '(1 + 2).to_s}',
      'File.read("/c/inc.conf").strip}',
      'use_nil}',
      "ENV['A'] ? 'b' : \"c#{hostname}\"}",
    ],
    words: [
      'ENV[',
      'ENV.fetch(',
      '||',
      '?',
      ':',
      '"',
      "'",
      '#{',
      '}',
      '(',
      ')',
      '.to_i',
      '.to_s',
      '.split',
      'hostname',
      'worker_id',
      'use_default',
      '+',
      '!',
      'File.read(',
    ],
    run(bytes) {
      const text = bytes.toString('utf8');
      const read = readEmbedded(text, 0, surroundings);
      assert.ok(read.end >= 0 && read.end <= text.length, 'reading goes on inside the text');
      return 'error' in read ? read.error.replaceAll(/#\{.*\}/gs, '').slice(0, 60) : typeof read.value;
    },
  },
  {
    name: 'config/json-literal',
    seeds: ['{"a": [1, -2.5e3, "b\\u4e2d\\n", true, null], "c": {}}', '["#{hostname}", # comment\n 1]', '{"a" => 1}'],
    words: ['{"', '":', '[', ']', '}', '#{hostname}', '\\u', '\\', '# ', '\n', 'true', 'null', '1e5', ','],
    run(bytes) {
      const read = readJsonLiteral(bytes.toString('utf8'), 0, surroundings);
      return JSON.stringify(read).replaceAll(/\d+/g, '').slice(0, 50);
    },
  },
  {
    name: 'config/ruby-regexp',
    seeds: [
      '^(?<time>[^ ]*) (?:a|b)*+\\A\\z\\h[[:alpha:]&&[^a-c]]$',
      '(?i)x(?m:.)(?x) # c\n (?>a+)b{,3}',
      '\\p{Han}+\\R\\k<a>(?<a>.)\\g<a>',
      '(?<!a)(?<=b)(?=c)(?!d)\\b\\B\\u{4e2d}\\x41\\101',
    ],
    words: [
      '(?<a>',
      '(?:',
      '(?>',
      '(?i)',
      '(?x)',
      '[[:',
      ':]]',
      '[^',
      '&&',
      '\\p{',
      '\\k<',
      '{,',
      '}+',
      '*+',
      '\\A',
      '\\Z',
      '\\h',
      '\\R',
      '\\',
      '|',
      '$',
      '^',
      ')',
      ']',
    ],
    maxBytes: 512,
    run(bytes) {
      const regexp = translateRubyRegexp(bytes.toString('utf8'), bytes.length % 3 === 0 ? 'x' : '', {
        singleLine: bytes.length % 2 === 0,
      });
      // It is not run: an expression that its user wrote may be slow, that is the user's.
      return typeof regexp === 'string' ? regexp.replaceAll(/[^a-z ]/g, '').slice(0, 60) : 'translated';
    },
  },
];
