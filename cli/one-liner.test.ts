import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { hasErrors } from '../engine/config/problems.ts';
import { readConfiguration } from './configuration.ts';
import { renderOneLiner, type OneLiner } from './one-liner.ts';

const body = (words: OneLiner): string => renderOneLiner(words).replaceAll(/\s+/g, ' ').trim();
const SAMPLE = '<source> @type sample tag sample </source>';
const match = (inner: string): string => `${SAMPLE} <match **> ${inner} </match>`;

describe('words become a configuration', () => {
  for (const [words, want] of [
    [{ from: 'sample' }, match('@type stdout')],
    [{ from: 'sample', to: 'null' }, match('@type null')],
    [{ from: 'sample', to: 'file:out.ndjson' }, match("@type file path 'out.ndjson'")],
    [{ from: 'sample', to: 'elasticsearch' }, match('@type elasticsearch')],
    [{ from: 'sample', to: 'opensearch:https://a:9200' }, match("@type elasticsearch hosts 'https://a:9200'")],
    [{ from: 'sample', to: 'graphite:carbon:2003' }, match("@type graphite host 'carbon' port 2003")],
    [{ from: 'sample', to: 'graphite::2003' }, match('@type graphite port 2003')],
    [{ from: 'sample', to: 'forward' }, match("@type forward <server> host '127.0.0.1' </server>")],
    [{ from: 'sample', to: 'forward:[::1]:24224' }, match("@type forward <server> host '::1' port 24224 </server>")],
    [
      { from: 'sample', filter: ['geo', 'log_to_metric'] },
      `${SAMPLE} <filter **> @type geo </filter> <filter **> @type log_to_metric </filter> <match **> @type stdout </match>`,
    ],
    [{ from: 'forward:0.0.0.0:1' }, "<source> @type forward bind '0.0.0.0' port 1 </source> <match **> @type stdout </match>"],
    [{ from: 'statsd' }, '<source> @type statsd </source> <match **> @type stdout </match>'],
    [
      { from: "tail:/日志/it's.log", format: 'apache2', once: true },
      "<source> @type tail path '/日志/it\\'s.log' tag tail read_from_head true exit_at_eof true <parse> @type apache2 </parse> </source> <match **> @type stdout </match>",
    ],
  ] as const) {
    test(JSON.stringify(words), () => assert.equal(body(words), want));
  }
});

describe('what cannot be understood says what is allowed', () => {
  for (const [words, says] of [
    [{ from: 'tail' }, /tail needs a path/],
    [{ from: 'kafka' }, /expected tail:PATH/],
    [{ from: 'sample', format: 'json' }, /--format belongs to --from tail/],
    [{ from: 'sample', to: 'kafka' }, /expected stdout/],
    [{ from: 'sample', to: 'file' }, /file needs a path/],
    [{ from: 'sample', filter: ['geo\n</filter>'] }, /name of a plugin/],
    [{ from: 'tail:x', format: 'a b' }, /name of a plugin/],
    [{ from: 'forward:a:b' }, /expected HOST:PORT/],
  ] as const) {
    test(JSON.stringify(words), () => assert.throws(() => renderOneLiner(words), { code: 'MR_USAGE', message: says }));
  }
});

test('any path comes through the parser as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, unit: 'grapheme' }), async (path) => {
      fc.pre(!/[\0\r\n]/.test(path));
      const text = renderOneLiner({ from: `tail:${path}` });
      const { loaded, problems } = await readConfiguration({ path: 'words.conf', text, type: 'v1' });
      const [source] = loaded.root.sections;
      assert.equal(source?.params.get('path')?.value, path);
      // What tail thinks of the path is its own matter.
      assert.ok(!hasErrors(problems) || problems.every(({ message }) => message.startsWith('path')), JSON.stringify(problems));
    }),
    { numRuns: 50 },
  );
});
