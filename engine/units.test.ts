import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import * as z from 'zod';
import * as units from './units.ts';
import { sectionFromData } from './config/section.ts';

const ERROR = Symbol('error');
const read = (schema: z.ZodType, value: unknown): unknown => {
  const result = schema.safeParse(value);
  return result.success ? result.data : ERROR;
};

describe('units', () => {
  const tables: ReadonlyArray<readonly [string, z.ZodType, ReadonlyArray<readonly [unknown, unknown]>]> = [
    [
      'duration',
      units.duration(),
      [
        ['10', 10_000],
        [10, 10_000],
        [0.25, 250],
        ['0.3', 300],
        ['500ms', 500],
        ['10s', 10_000],
        ['1.5h', 5_400_000],
        ['1h30m', 5_400_000],
        ['1h 30m', 5_400_000],
        ['1d12h', 129_600_000],
        ['5min', 300_000],
        ['2 hours', 7_200_000],
        ['1w', 604_800_000],
        ['0', 0],
        ['1e2', 100_000],
        ['3_600', 3_600_000],
        ['', ERROR],
        ['s', ERROR],
        ['ten', ERROR],
        ['10S', ERROR],
        ['-5s', ERROR],
        ['30m1h', ERROR],
        ['1s1s', ERROR],
        ['5 x', ERROR],
        [true, ERROR],
        [null, ERROR],
      ],
    ],
    [
      'duration min -1',
      units.duration({ min: -1000 }),
      [
        ['-1', -1000],
        ['-2', ERROR],
      ],
    ],
    [
      'size',
      units.size(),
      [
        ['8m', 8_388_608],
        ['8M', 8_388_608],
        ['1.5k', 1536],
        ['16 MiB', 16_777_216],
        ['2GB', 2_147_483_648],
        ['1t', 1_099_511_627_776],
        ['1_000k', 1_024_000],
        ['100', 100],
        ['100b', 100],
        [512, 512],
        ['-5k', ERROR],
        ['', ERROR],
        ['k', ERROR],
        ['1.5', ERROR],
        ['8x', ERROR],
        ['99999999t', ERROR],
      ],
    ],
    [
      'integer',
      units.integer({ min: -8, max: 1000 }),
      [
        ['7', 7],
        [7, 7],
        ['-3', -3],
        ['1_000', 1000],
        ['0x1F', 31],
        ['0b11', 3],
        ['0o17', 15],
        ['010', 10],
        [1.5, ERROR],
        ['1e3', ERROR],
        ['12abc', ERROR],
        ['', ERROR],
        ['-9', ERROR],
        ['1001', ERROR],
      ],
    ],
    [
      'float',
      units.float(),
      [
        ['1.5', 1.5],
        ['.5', 0.5],
        ['5.', 5],
        ['-2e3', -2000],
        ['1,5', ERROR],
        ['', ERROR],
        ['NaN', ERROR],
      ],
    ],
    [
      'bool',
      units.bool(),
      [
        ['true', true],
        ['yes', true],
        ['', true],
        ['# on', true],
        ['no', false],
        [false, false],
        ['on', ERROR],
        ['True', ERROR],
        [1, ERROR],
      ],
    ],
    [
      'list',
      units.list(),
      [
        ['a, b ,c', ['a', 'b', 'c']],
        ['["a","b"]', ['a', 'b']],
        ['a,,b,', ['a', '', 'b']],
        ['', []],
        [
          ['x', 1],
          ['x', '1'],
        ],
        ['[1,', ERROR],
        [7, ERROR],
      ],
    ],
    [
      'list of integers',
      units.list(units.integer()),
      [
        ['1,2', [1, 2]],
        ['["1",2]', [1, 2]],
        ['1,x', ERROR],
      ],
    ],
    [
      'hash',
      units.hash(),
      [
        ['a:b, c:d:e', { a: 'b', c: 'd:e' }],
        ['{"a":1}', { a: 1 }],
        ['', {}],
        ['a', { a: null }],
        [{ a: 1 }, { a: 1 }],
        [[sectionFromData('h', { a: 1 })], { a: 1 }],
        ['{"a"', ERROR],
      ],
    ],
    [
      'hash of integers',
      units.hash(units.integer()),
      [
        ['a:1', { a: 1 }],
        ['a:x', ERROR],
      ],
    ],
    [
      'oneOf',
      units.oneOf(['json', 'csv']),
      [
        ['csv', 'csv'],
        ['CSV', ERROR],
      ],
    ],
    [
      'port',
      units.port(),
      [
        ['24224', 24_224],
        [0, 0],
        ['65536', ERROR],
        [-1, ERROR],
      ],
    ],
    [
      'address',
      units.address(),
      [
        ['127.0.0.1', '127.0.0.1'],
        ['::1', '::1'],
        ['log.example.com', 'log.example.com'],
        ['', ERROR],
        ['a b', ERROR],
        ['http://a', ERROR],
      ],
    ],
    [
      'text',
      units.text(),
      [
        ['日志', '日志'],
        [1, '1'],
        [true, 'true'],
        [[], ERROR],
      ],
    ],
  ];
  for (const [name, schema, cases] of tables)
    for (const [input, want] of cases)
      test(`${name} ${JSON.stringify(input)}`, () => assert.deepEqual(read(schema, input), want));

  test('numbers and durations: any text is answered without a throw', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        for (const schema of [
          units.duration(),
          units.size(),
          units.integer(),
          units.float(),
          units.bool(),
          units.list(),
          units.hash(),
          units.regexp(),
        ])
          schema.safeParse(value);
      }),
    );
  });

  test('a duration printed in whole units reads back', () => {
    fc.assert(
      fc.property(
        fc.nat(20),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        fc.integer({ min: 0, max: 999 }),
        (d, h, m, ms) => {
          assert.equal(units.parseDuration(`${d}d${h}h${m}m${ms}ms`), ((d * 24 + h) * 60 + m) * 60_000 + ms);
        },
      ),
    );
  });
});

describe('units: sections', () => {
  const buffer = z.strictObject({ chunk_keys: units.list().default([]), flush_interval: units.duration().default(60_000) });
  const schema = z.strictObject({
    buffer: units.section(buffer, { arg: 'chunk_keys' }).prefault({}),
    server: units.sections(z.strictObject({ host: units.address(), '@type': units.text().optional() })),
    parse: units.rawSection().optional(),
    record: units.attributes().optional(),
  });

  test('absent sections take their defaults', () => {
    assert.deepEqual(schema.parse({}), { buffer: { chunk_keys: [], flush_interval: 60_000 }, server: [] });
  });

  test('sections of a configuration become objects', () => {
    const parse = sectionFromData('parse', { '@type': 'json' });
    const value = schema.parse({
      buffer: [sectionFromData('buffer', { '@type': 'memory', flush_interval: '5s' }, 'tag, time')],
      server: [sectionFromData('server', { host: 'a' }), sectionFromData('server', { host: 'b', '@type': 'x' })],
      parse: [parse],
      record: [sectionFromData('record', { a: '1', geo: { city: '杭州' } }), sectionFromData('record', { a: '2' })],
    });
    assert.deepEqual(value, {
      buffer: { chunk_keys: ['tag', 'time'], flush_interval: 5000 },
      server: [{ host: 'a' }, { host: 'b', '@type': 'x' }],
      parse,
      record: { a: '2', geo: { city: '杭州' } },
    });
  });

  test('a section given twice, an unknown name and a wrong value are issues at their path', () => {
    const result = schema.safeParse({
      parse: [sectionFromData('parse', {}), sectionFromData('parse', {})],
      buffer: [sectionFromData('buffer', { flush_interval: 'soon', tg: 1 })],
    });
    const paths = result.error?.issues.map((issue) => [issue.code, ...issue.path]);
    assert.deepEqual(paths, [
      ['custom', 'buffer', 'flush_interval'],
      ['unrecognized_keys', 'buffer'],
      ['custom', 'parse'],
    ]);
  });

  test('what a unit is can be read from its meta, also behind a default', () => {
    assert.equal(units.duration().describe('Interval of flushes').meta()?.['unit'], 'milliseconds');
    assert.equal(units.secret().meta()?.['secret'], true);
  });
});
