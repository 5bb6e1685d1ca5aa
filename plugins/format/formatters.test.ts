import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Definition, Formatter } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { decode } from '../../engine/events/msgpack.ts';
import { create, runFormatter, testContext } from '../../engine/testing/driver.ts';
import { csvFormatter } from './csv.ts';
import { hashFormatter } from './hash.ts';
import { jsonFormatter } from './json.ts';
import { ltsvFormatter } from './ltsv.ts';
import { msgpackFormatter } from './msgpack.ts';
import { outFileFormatter } from './out-file.ts';
import { singleValueFormatter } from './single-value.ts';
import { stdoutFormatter } from './stdout.ts';
import { tsvFormatter } from './tsv.ts';

const json = (): Formatter => make(jsonFormatter, {});
const make = (definition: unknown, config: Fields): Formatter =>
  create<Formatter>(definition as Definition, config, testContext(definition as Definition, { formatter: json }));
const time = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
const record = { host: 'web1', message: '说 "hi",\tx', code: 200, empty: '', nothing: null, user: { id: 7, list: [1, 'a'] } };
const zone = { timezone: '+08:00' };

for (const [name, definition, rows] of [
  [
    'csv',
    csvFormatter,
    [
      [{ fields: 'host,message,code' }, '"web1","说 ""hi"",\tx","200"\n'],
      [{ fields: 'host,$.user.id,nothing,none', force_quotes: false, newline: 'crlf' }, 'web1,7,,\r\n'],
      [{ fields: 'empty,message,host', force_quotes: false, delimiter: 'TAB', add_newline: false }, '""\t"说 ""hi"",\tx"\tweb1'],
    ],
  ],
  [
    'tsv',
    tsvFormatter,
    [
      [{ keys: 'host,code,none,user' }, 'web1\t200\t\t{"id"=>7, "list"=>[1, "a"]}\n'],
      [{ keys: 'host,$.user.id', delimiter: '|', add_newline: false }, 'web1|7'],
    ],
  ],
  [
    'ltsv',
    ltsvFormatter,
    [
      [{}, 'host:web1\tmessage:说 "hi", x\tcode:200\tempty:\tnothing:\tuser:{"id"=>7, "list"=>[1, "a"]}\n'],
      [
        { delimiter: ',', label_delimiter: '=', replacement: ';', newline: 'crlf' },
        'host=web1,message=说 "hi";\tx,code=200,empty=,nothing=,user={"id"=>7; "list"=>[1; "a"]}\r\n',
      ],
    ],
  ],
  [
    'single_value',
    singleValueFormatter,
    [
      [{}, '说 "hi",\tx\n'],
      [{ message_key: '$.user.id', add_newline: false }, '7'],
      [{ message_key: 'none' }, '\n'],
    ],
  ],
  [
    'hash',
    hashFormatter,
    [
      [
        {},
        '{"host"=>"web1", "message"=>"说 \\"hi\\",\\tx", "code"=>200, "empty"=>"", "nothing"=>nil, "user"=>{"id"=>7, "list"=>[1, "a"]}}\n',
      ],
    ],
  ],
  [
    'out_file',
    outFileFormatter,
    [
      [{ ...zone }, `2023-11-15T06:13:20+08:00\tapp.web\t${JSON.stringify(record)}\n`],
      [{ utc: true, delimiter: 'SPACE', output_tag: false, time_format: '%s.%3N' }, `1700000000.123 ${JSON.stringify(record)}\n`],
      [{ output_time: false, output_tag: false, newline: 'crlf' }, `${JSON.stringify(record)}\r\n`],
      [{ time_type: 'float' }, `1700000000.123456789\tapp.web\t${JSON.stringify(record)}\n`],
    ],
  ],
  ['stdout', stdoutFormatter, [[{ ...zone }, `2023-11-15 06:13:20.123456789 +0800 app.web: ${JSON.stringify(record)}\n`]]],
] as const) {
  describe(name, () => {
    for (const [config, want] of rows)
      test(JSON.stringify(config), () =>
        assert.equal(runFormatter(make(definition, config), { record, time, tag: 'app.web' }).toString('utf8'), want),
      );
  });
}

describe('msgpack', () => {
  test('gives back the record', () => {
    const formatter = make(msgpackFormatter, {});
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 20 }), (fields) => {
        assert.deepEqual(
          decode(runFormatter(formatter, { record: fields, time })),
          decode(runFormatter(formatter, { record: fields })),
        );
        assert.deepEqual(
          JSON.parse(JSON.stringify(decode(runFormatter(formatter, { record: fields })))),
          JSON.parse(JSON.stringify(fields)),
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('keys that do not go together', () => {
  for (const [definition, config] of [
    [csvFormatter, { fields: '' }],
    [csvFormatter, { fields: '$.a[' }],
    [tsvFormatter, { keys: [] }],
    [ltsvFormatter, { delimiter: '' }],
    [outFileFormatter, { timezone: 'Mars/Base' }],
    [stdoutFormatter, { output_type: 'stdout' }],
  ] as const) {
    test(`${definition.name} ${JSON.stringify(config)}`, () => {
      const one = definition as unknown as Definition;
      assert.equal(one.check?.(one.config.parse(config)).length, 1);
    });
  }
});
