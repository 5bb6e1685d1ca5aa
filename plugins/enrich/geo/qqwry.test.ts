import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MillraceError } from '../../../engine/errors.ts';
import { looksLikeQqwry, QqwryReader, withoutMarker } from './qqwry.ts';
import { buildQqwry, gbk, qqwryOf, type QqwryBuild } from './writers.cases.ts';

const TWO = qqwryOf([
  ['0.0.0.0', '甲国', '甲'],
  ['130.0.0.0', '乙国', ' CZ88.NET'],
]);

describe('a good qqwry.dat', () => {
  const end = { start: '200.0.0.0', end: '255.255.255.255', country: { text: '尾' }, area: { text: '巴' } };
  const layouts: readonly (readonly [name: string, build: QqwryBuild, country: string, area: string])[] = [
    [
      'inline, inline',
      { records: [{ start: '0.0.0.0', end: '199.255.255.255', country: { text: '四川省' }, area: { text: '电信' } }, end] },
      '四川省',
      '电信',
    ],
    [
      'country elsewhere, area inline',
      {
        blobs: [{ label: 'c', text: '湖北省' }],
        records: [{ start: '0.0.0.0', end: '199.255.255.255', country: { ref: 'c' }, area: { text: '网通' } }, end],
      },
      '湖北省',
      '网通',
    ],
    [
      'both elsewhere, and the country once more; area by mode 1',
      {
        blobs: [
          { label: 'c', text: '河南省' },
          { label: 'a', text: '教育网' },
        ],
        records: [
          { start: '0.0.0.0', end: '199.255.255.255', via1: true, country: { ref: 'c' }, area: { ref: 'a', mode: 1 } },
          end,
        ],
      },
      '河南省',
      '教育网',
    ],
    [
      'area at offset 0',
      { records: [{ start: '0.0.0.0', end: '199.255.255.255', country: { text: '蒙古' }, area: { zero: 1 } }, end] },
      '蒙古',
      '',
    ],
    ['empty texts', { records: [{ start: '0.0.0.0', end: '199.255.255.255', country: {}, area: {} }, end] }, '', ''],
    [
      'offsets above 2^23',
      {
        pad: 8_500_000,
        records: [
          { start: '0.0.0.0', end: '199.255.255.255', via1: true, country: { text: '秘鲁' }, area: { text: '利马' } },
          end,
        ],
      },
      '秘鲁',
      '利马',
    ],
    [
      'bytes that are no GBK',
      { records: [{ start: '0.0.0.0', end: '199.255.255.255', country: { hex: 'd6d0ff' }, area: { text: 'x' } }, end] },
      '中\ufffd',
      'x',
    ],
  ];
  for (const [name, build, country, area] of layouts) {
    test(name, () => {
      const reader = new QqwryReader(buildQqwry(build), 'test.dat');
      for (const ip of ['0.0.0.0', '99.98.97.96', '199.255.255.255']) assert.deepEqual(reader.findText(ip), { country, area });
      assert.deepEqual(reader.findText('200.0.0.0'), { country: '尾', area: '巴' });
      assert.deepEqual(reader.findText('255.255.255.255'), { country: '尾', area: '巴' });
    });
  }

  test('tells its version and its records', () => {
    const reader = new QqwryReader(TWO, 'test.dat');
    assert.deepEqual([reader.version, reader.records], ['2030年01月02日IP数据', 3]);
  });

  test('hands out one frozen object per pair of texts', () => {
    const reader = new QqwryReader(TWO, 'test.dat');
    assert.equal(reader.findText('1.1.1.1'), reader.findText('2.2.2.2'));
    assert.ok(Object.isFrozen(reader.findText('1.1.1.1')));
  });

  test('reads an address from the middle of other bytes', () => {
    const bytes = Buffer.from('host=131.5.6.7 ok');
    assert.equal(new QqwryReader(TWO, 'test.dat').findBytes(bytes, 5, 14)?.country, '乙国');
    assert.equal(new QqwryReader(TWO, 'test.dat').findBytes(bytes, 5, 15), undefined);
  });

  test('knows nothing between two ranges, before the first and behind the last', () => {
    const text = { country: { text: '中' }, area: { text: '' } };
    const reader = new QqwryReader(
      buildQqwry({
        records: [
          { start: '1.0.0.0', end: '1.0.0.9', ...text },
          { start: '9.9.0.0', end: '9.9.255.255', ...text },
        ],
      }),
      'test.dat',
    );
    const seen = [
      '0.255.255.255',
      '1.0.0.0',
      '1.0.0.9',
      '1.0.0.10',
      '9.8.255.255',
      '9.9.0.0',
      '9.9.255.255',
      '9.10.0.0',
      '255.255.255.255',
    ];
    assert.deepEqual(
      seen.map((ip) => reader.findText(ip) !== undefined),
      [false, true, true, false, false, true, true, false, false],
    );
  });

  for (const [text, want] of [
    [' CZ88.NET', ''],
    ['CZ88.NET', ''],
    ['cz88.net ', ''],
    ['看 CZ88.NET', '看 CZ88.NET'],
    ['', ''],
  ] as const) {
    test(`without the marker: ${JSON.stringify(text)}`, () => assert.equal(withoutMarker(text), want));
  }
});

describe('a damaged qqwry.dat', () => {
  const one = { start: '0.0.0.0', end: '255.255.255.255', country: { text: '中' }, area: { text: '国' } };
  for (const [name, bytes, says] of [
    ['nothing', Buffer.alloc(0), /too short/],
    ['seven bytes', Buffer.alloc(7), /too short/],
    ['zeros', Buffer.alloc(4096), /bad header/],
    ['a web page', Buffer.from('<html><body>404 Not Found, try somewhere else</body></html>'), /bad header/],
    ['an index behind the end', buildQqwry({ records: [one], last: 70_001 + 7 * 3, first: 70_001 }), /truncated/],
    ['an index of odd length', buildQqwry({ records: [one, { ...one, start: '9.0.0.0' }], first: 15 }), /bad header/],
    ['half of it', TWO.subarray(0, TWO.length >> 1), /truncated/],
    ['a record outside', buildQqwry({ records: [one], patch: [[{ fromFirst: 4 }, 'f0ffff']] }), /bad offset/],
    ['starts that fall', buildQqwry({ records: [{ ...one, start: '9.0.0.0' }, one] }), /unsorted/],
    ['an end before its start', buildQqwry({ records: [{ ...one, start: '9.0.0.0', end: '8.0.0.0' }] }), /bad range/],
    ['a body that points at itself', buildQqwry({ records: [{ ...one, via1: true }], patch: [[19, '120000']] }), /redirect loop/],
    ['a text without an end', Buffer.from('0800000008000000000000000f0000ffffffff616263', 'hex'), /no terminator/],
  ] as const) {
    test(name, () => {
      assert.throws(
        () => new QqwryReader(bytes, 'some/where.dat'),
        (error) =>
          error instanceof MillraceError &&
          error.code === 'MR_GEO_DATABASE' &&
          error.message.includes('some/where.dat') &&
          says.test(error.message),
      );
    });
  }

  test('any bytes are refused or read, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 0xffffffff }), (bytes, v4) => {
        survives(Buffer.from(bytes), v4);
      }),
    );
  });

  test('so is a good file with some bytes changed', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: TWO.length - 1 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 0xffffffff }), (changes, v4) => {
        const bytes = Buffer.from(TWO);
        for (const [at, value] of changes) bytes[at] = value;
        survives(bytes, v4);
      }),
      { numRuns: 500 },
    );
  });

  function survives(bytes: Buffer, v4: number): void {
    looksLikeQqwry(bytes);
    let reader: QqwryReader;
    try {
      reader = new QqwryReader(bytes, 'any.dat');
    } catch (error) {
      assert.ok(error instanceof MillraceError, String(error));
      return;
    }
    const record = reader.find(v4);
    assert.equal(typeof (record?.country ?? ''), 'string');
  }
});

test('GBK survives the writer of tests', () => {
  for (const text of ['纯真网络', '乗亅亊', 'abc中文']) assert.equal(new TextDecoder('gb18030').decode(gbk(text)), text);
});
