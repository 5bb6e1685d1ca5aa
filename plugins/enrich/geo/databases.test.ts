/** mmdb, ip2region, ZX: good files, damaged ones, and any bytes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MillraceError } from '../../../engine/errors.ts';
import { Address } from './address.ts';
import { MmdbDatabase } from './mmdb.ts';
import { openBytes } from './open.ts';
import { encodeMmdb, ip2regionDbOf, ip2regionXdbOf, mmdbOf, qqwryOf, v4Bits, zxOf } from './writers.cases.ts';

function at(ip: string): Address {
  const address = new Address();
  assert.ok(address.parse(ip), ip);
  return address;
}

const CITY = {
  country: { iso_code: 'FR', names: { en: 'France', 'zh-CN': '法国' } },
  subdivisions: [{ iso_code: 'IDF', names: { en: 'Île-de-France' } }],
  city: { names: { en: 'Paris', 'zh-CN': '巴黎' } },
  location: { latitude: 48.85, longitude: 2.35, time_zone: 'Europe/Paris' },
};
const MMDB = mmdbOf([
  [v4Bits('5.6.0.0/16'), CITY],
  [v4Bits('5.7.0.0/16'), { autonomous_system_number: 3215, autonomous_system_organization: 'Orange' }],
  [
    '0010000000000001000000000000000100000000',
    { country: { iso_code: 'CN' }, subdivisions: [{ iso_code: 'GD' }], city: { names: { en: 'Shenzhen' } } },
  ],
]);
const DB = ip2regionDbOf([
  ['0.0.0.0', '9.255.255.255', '0|0|0|内网IP|内网IP'],
  ['10.0.0.0', '99.255.255.255', '中国|0|广东省|深圳市|电信'],
  ['100.0.0.0', '255.255.255.255', '美国|0|加利福尼亚|0|0'],
]);
const ZX = zxOf([
  ['2001000000000000', '中国\t浙江省\t杭州市', '中国移动公众宽带'],
  ['2002000000000000', '全球', ''],
]);
const XDB = ip2regionXdbOf([
  ['1.0.0.0', '1.255.255.255', '中国|0|北京|北京市|联通'],
  ['200.0.0.0', '200.0.0.9', '巴西|0|0|0|0'],
]);

describe('mmdb', () => {
  for (const recordSize of [24, 28, 32] as const) {
    test(`records of ${recordSize} bits`, () => {
      const database = new MmdbDatabase(mmdbOf([[v4Bits('5.6.0.0/16'), CITY]], { recordSize }), 'a.mmdb');
      assert.deepEqual(database.lookup(at('5.6.7.8')), {
        country: 'FR',
        continent: 'EU',
        region: 'FR-IDF',
        regionName: { en: 'Île-de-France' },
        cityName: { zh: '巴黎', en: 'Paris' },
        location: { lat: 48.85, lon: 2.35 },
        timezone: 'Europe/Paris',
      });
      assert.equal(database.lookup(at('5.7.0.1')), undefined);
      assert.equal(database.lookup(at('2001:db8::1')), undefined);
    });
  }

  test('networks, a province of China by its code, and the same object for the same record', () => {
    const database = new MmdbDatabase(MMDB, 'a.mmdb');
    assert.deepEqual(database.lookup(at('5.7.1.1')), { organization: { en: 'Orange' }, asNumber: 3215 });
    const place = database.lookup(at('2001:1:5::1'));
    assert.deepEqual([place?.region, place?.cityName?.zh, place?.timezone], ['CN-GD', '深圳市', 'Asia/Shanghai']);
    assert.equal(database.lookup(at('2001:1:6::1')), place);
    assert.equal(database.version, 'Test-City 2023-11-14');
  });

  for (const [name, record, want] of [
    [
      'DB-IP',
      { city: 'Lyon', country_code: 'FR', latitude: 45.75, longitude: 4.85, state1: 'Auvergne-Rhône-Alpes', timezone: '' },
      { country: 'FR', cityName: { en: 'Lyon' } },
    ],
    [
      'flat, in China',
      { country_code: 'CN', city: 'Chengdu', state1: 'Sichuan' },
      { country: 'CN', region: 'CN-SC', cityName: { zh: '成都市', en: 'Chengdu' } },
    ],
    ['Hong Kong', { country: { iso_code: 'HK' } }, { country: 'CN', region: 'CN-HK' }],
    ['one half of a point', { country_code: 'FR', latitude: 45.5 }, { country: 'FR', location: undefined }],
    [
      'IPinfo',
      { country: 'FR', asn: 'AS3215', as_name: 'Orange' },
      { country: 'FR', asNumber: 3215, organization: { en: 'Orange' } },
    ],
  ] as const) {
    test(name, () => {
      const place = new MmdbDatabase(mmdbOf([[v4Bits('5.0.0.0/8'), record]]), 'a.mmdb').lookup(at('5.5.5.5'));
      for (const [key, value] of Object.entries(want)) assert.deepEqual(place?.[key as keyof typeof place], value, key);
    });
  }

  test('a record that points in a circle is nothing, and counted', () => {
    // A map of one pair whose value points at the map itself.
    const data = Buffer.concat([Buffer.of(0xe1), encodeMmdb('a'), Buffer.of(0x20, 0)]);
    const database = new MmdbDatabase(mmdbOf([[v4Bits('5.0.0.0/8'), {}]], { data }), 'a.mmdb');
    assert.equal(database.lookup(at('5.5.5.5')), undefined);
    assert.equal(database.damaged, 1);
  });

  test('a record of maps that double at every step is nothing, at once', () => {
    // Each of 30 maps holds two pointers at the next one: 2^30 values in 300 bytes.
    const maps = Array.from({ length: 30 }, (_, i) => {
      const next = (i + 1) * 9;
      const pointer = Buffer.of(0x20 | (next >> 8), next & 255);
      return Buffer.concat([Buffer.of(0xe2), encodeMmdb('a'), pointer, encodeMmdb('b'), pointer]);
    });
    const database = new MmdbDatabase(
      mmdbOf([[v4Bits('5.0.0.0/8'), {}]], { data: Buffer.concat([...maps, encodeMmdb('end')]) }),
      'a.mmdb',
    );
    assert.equal(database.lookup(at('5.5.5.5')), undefined);
    assert.equal(database.damaged, 1);
  });
});

describe('formats are told by their bytes', () => {
  for (const [bytes, format, ip, want] of [
    [MMDB, 'mmdb', '5.6.1.1', 'FR'],
    [DB, 'ip2region-db', '11.1.1.1', 'CN'],
    [XDB, 'ip2region-xdb', '1.1.1.1', 'CN'],
    [ZX, 'zx-ipv6', '2001:5::1', 'CN'],
    [qqwryOf([['0.0.0.0', '法国', '']]), 'qqwry', '5.5.5.5', 'FR'],
  ] as const) {
    test(format, () => {
      const database = openBytes(bytes, 'no-extension');
      assert.equal(database.format, format);
      assert.equal(database.lookup(at(ip))?.country, want);
    });
  }

  for (const [name, bytes, says] of [
    ['an empty file', Buffer.alloc(0), /is empty/],
    ['a web page', Buffer.from('<!DOCTYPE html><html></html>'), /a web page/],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), /Git LFS/],
    ['gzip', Buffer.from('1f8b0800', 'hex'), /gzip/],
    ['a zip archive', Buffer.from('PK\u0003\u0004 and so on'), /zip/],
    ['text', Buffer.from('not a database at all, but long enough'), /no usable qqwry\.dat/],
    ['a cut mmdb', MMDB.subarray(0, 40), /./],
  ] as const) {
    test(name, () => {
      assert.throws(
        () => openBytes(bytes, 'x'),
        (error) => error instanceof MillraceError && error.code === 'MR_GEO_DATABASE' && says.test(error.message),
      );
    });
  }
});

describe('ip2region', () => {
  test('gaps, the first and the last address', () => {
    const database = openBytes(XDB, 'a.xdb');
    const seen = ['0.255.255.255', '1.0.0.0', '1.255.255.255', '2.0.0.0', '200.0.0.9', '200.0.0.10', '255.255.255.255'];
    assert.deepEqual(
      seen.map((ip) => database.lookup(at(ip))?.country),
      [undefined, 'CN', 'CN', undefined, 'BR', undefined, undefined],
    );
  });

  test('xdb of version 3 with IPv6 addresses', () => {
    const database = openBytes(
      ip2regionXdbOf(
        [
          ['20010000000000000000000000000000', '2001ffffffffffffffffffffffffffff', '法国|0|0|0|0'],
          ['24000000000000000000000000000000', '240000000000000000000000000000ff', '中国|0|上海|上海市|移动'],
        ],
        3,
        6,
      ),
      'a.xdb',
    );
    const seen = ['2000::', '2001::', '2001:ffff::5', '2400::', '2400::ff', '2400::100'];
    assert.deepEqual(
      seen.map((ip) => database.lookup(at(ip))?.country),
      [undefined, 'FR', 'FR', 'CN', 'CN', undefined],
    );
    assert.equal(database.lookup(at('1.1.1.1')), undefined);
  });

  test('unsorted and reaching outside', () => {
    const unsorted = ip2regionDbOf([
      ['9.0.0.0', '9.0.0.1', '法国|0|0|0|0'],
      ['1.0.0.0', '1.0.0.1', '法国|0|0|0|0'],
    ]);
    assert.throws(() => openBytes(unsorted, 'a.db'), /unsorted/);
    assert.throws(() => openBytes(XDB.subarray(0, XDB.length - 3), 'a.xdb'), /truncated/);
    assert.throws(() => openBytes(ZX.subarray(0, ZX.length - 3), 'a.db'), /truncated/);
  });
});

describe('any bytes as a database', () => {
  const good = { MMDB, DB, ZX };
  for (const [name, bytes] of Object.entries(good)) {
    test(`${name} with some bytes changed`, () => {
      const change = fc.tuple(fc.integer({ min: 0, max: bytes.length - 1 }), fc.integer({ min: 0, max: 255 }));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
          const copy = Buffer.from(bytes);
          for (const [index, value] of changes) copy[index] = value;
          survives(copy);
        }),
        { numRuns: 400 },
      );
    });
  }

  test('random ones, with the heads of each format', () => {
    const head = fc.constantFrom('', 'IPDB', 'MILLGEO1', '\u0002\u0000\u0001\u0000', '\b\u0000\u0000\u0000');
    const tail = fc.constantFrom(Buffer.alloc(0), Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'));
    fc.assert(
      fc.property(
        head,
        fc.uint8Array({ maxLength: 120 }),
        tail,
        fc.uint8Array({ maxLength: 60 }),
        (start, middle, marker, end) => {
          survives(Buffer.concat([Buffer.from(start, 'latin1'), middle, marker, end]));
        },
      ),
      { numRuns: 400 },
    );
  });

  function survives(bytes: Buffer): void {
    try {
      const database = openBytes(bytes, 'any');
      for (const ip of ['0.0.0.0', '5.6.7.8', '128.0.0.1', '255.255.255.255', '::', '2001:1::1', 'ffff::'])
        database.lookup(at(ip));
    } catch (error) {
      assert.ok(error instanceof MillraceError, error instanceof Error ? (error.stack ?? '') : String(error));
    }
  }
});
