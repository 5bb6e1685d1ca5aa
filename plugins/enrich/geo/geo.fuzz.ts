import assert from 'node:assert/strict';
import { MillraceError } from '../../../engine/errors.ts';
import type { FuzzTarget } from '../../../engine/testing/fuzz.ts';
import { Address, formatIpv4, parseIpv4 } from './address.ts';
import { CompactDatabase, encodeCompact } from './compact.ts';
import type { GeoDatabase } from './database.ts';
import { Ip2regionDb } from './ip2region-db.ts';
import { Ip2regionXdb } from './ip2region-xdb.ts';
import { MmdbDatabase } from './mmdb.ts';
import { openBytes, QqwryDatabase } from './open.ts';
import { placeFromIp2region, placeFromTexts } from './texts.ts';
import { buildQqwry, ip2regionDbOf, ip2regionXdbOf, mmdbOf, qqwryOf, v4Bits, zxOf } from './writers.cases.ts';
import { ZxIpv6 } from './zx-ipv6.ts';

const ADDRESSES = [
  '0.0.0.0',
  '1.0.1.5',
  '5.7.0.1',
  '83.149.9.216',
  '255.255.255.255',
  '2001:1:5::1',
  '240e::1',
  'ffff:ffff::',
].map((text) => {
  const address = new Address();
  assert.ok(address.parse(text));
  return address;
});

/** A hostile file is refused with the declared error, or every look-up gives a place or none. */
function fileTarget(
  name: string,
  open: (bytes: Buffer) => GeoDatabase,
  seeds: readonly Buffer[],
  words: FuzzTarget['words'],
  maxBytes = 4096,
): FuzzTarget {
  return {
    name: `geo/${name}`,
    seeds,
    maxBytes,
    ...(words === undefined ? {} : { words }),
    run(bytes) {
      let database: GeoDatabase;
      try {
        database = open(bytes);
      } catch (error) {
        if (error instanceof MillraceError && error.code === 'MR_GEO_DATABASE')
          return error.message.replaceAll(/\d+|".*"/gs, '#').slice(0, 60);
        throw error;
      }
      let found = 0;
      for (const address of ADDRESSES) {
        if (database.lookup(address) !== undefined) found++;
        const key = database.keyOf?.(address) ?? -1;
        if (database.keys !== undefined) assert.ok(key >= -1 && key < database.keys, `key ${key} of ${database.keys}`);
        database.origin?.(address);
      }
      return `${found} ${database.records}`;
    },
  };
}

const OFFSETS: readonly Buffer[] = ['000000', 'ffffff', '080000', '01', '02', '0108', '00000000', 'ffffffff', '07000000'].map(
  (hex) => Buffer.from(hex, 'hex'),
);
const QQWRY = [
  qqwryOf([
    ['0.0.0.0', 'IANA', 'CZ88.NET'],
    ['1.0.1.0', '福建省福州市', '电信'],
    ['83.149.9.0', '俄罗斯', ''],
  ]),
  buildQqwry({
    blobs: [
      { label: 'c', text: '广东省深圳市' },
      { label: 'a', text: '联通' },
    ],
    records: [
      { start: '0.0.0.0', end: '1.0.0.255', country: { ref: 'c' }, area: { ref: 'a', mode: 2 } },
      { start: '1.0.1.0', end: '255.255.255.255', country: { text: '美国', label: 'u' }, area: { zero: 2 }, via1: true },
    ],
  }),
];
const REGIONS = [
  ['0.0.0.0', '1.0.0.255', '0|0|0|内网IP|内网IP'],
  ['1.0.1.0', '255.255.255.255', '中国|0|福建省|福州市|电信'],
] as const;
const MMDB = mmdbOf([
  [
    v4Bits('5.7.0.0/24'),
    { country: { iso_code: 'FR' }, city: { names: { en: 'Paris' } }, location: { latitude: 48.85, longitude: 2.35 } },
  ],
  [v4Bits('83.149.0.0/16'), { autonomous_system_number: 3215, autonomous_system_organization: 'Orange', list: [1, true, 'x'] }],
]);
const COMPACT = encodeCompact({
  fingerprint: 'f',
  version: '1',
  credits: ['c'],
  origins: ['a', 'b'],
  v4: { prefixes: new Uint32Array(65_537).fill(1, 1), lows: Uint16Array.of(0), values: Uint32Array.of(0) },
  v6: { highs: Uint32Array.of(0x2001_0001), lows: Uint32Array.of(0), values: Uint32Array.of(1) },
  places: [
    {
      country: 'US',
      region: 'CA',
      city: 'Oakland',
      timezone: 'America/Los_Angeles',
      organization: '',
      origin: 0,
      location: [1, 2],
    },
    { country: 'CN', region: 'GD', city: 'Zhuhai', timezone: '', organization: '电信', origin: 1, location: undefined },
  ],
});
/** Where the table of 65,537 prefixes, of no interest, ends. */
const COMPACT_BYTES = COMPACT.length + 4096;

export const fuzzTargets: readonly FuzzTarget[] = [
  fileTarget('qqwry', (bytes) => new QqwryDatabase(bytes, 'f.dat'), QQWRY, OFFSETS),
  fileTarget(
    'mmdb',
    (bytes) => new MmdbDatabase(bytes, 'f.mmdb'),
    [MMDB, mmdbOf([[v4Bits('5.0.0.0/8'), { a: [1] }]], { recordSize: 24 })],
    [
      ...OFFSETS,
      '\xab\xcd\xefMaxMind.com',
      ...['e0', 'e1', '2000', '2801', '3800000000', '0004', '5f', '9f', 'ffffff'].map((hex) => Buffer.from(hex, 'hex')),
    ],
  ),
  fileTarget('ip2region-db', (bytes) => new Ip2regionDb(bytes, 'f.db'), [ip2regionDbOf(REGIONS)], [...OFFSETS, '|', '|0|']),
  fileTarget(
    'zx-ipv6',
    (bytes) => new ZxIpv6(bytes, 'f.db'),
    [
      zxOf([
        ['2001000100000000', '中国广东省深圳市', '电信'],
        ['240e000000000000', '中国', ''],
      ]),
    ],
    OFFSETS,
  ),
  fileTarget('ip2region-xdb', (bytes) => new Ip2regionXdb(bytes, 'f.xdb'), [ip2regionXdbOf(REGIONS)], OFFSETS, 530_000),
  fileTarget(
    'compact',
    // Its checksum keeps damage away; it is written and read on one machine.
    (bytes) => new CompactDatabase(bytes, 'f'),
    [COMPACT],
    ['"sections"', '[0,8]', '[-8,16]', '[1e9,8]', '"places"', 'null'],
    COMPACT_BYTES,
  ),
  fileTarget(
    'any-file',
    (bytes) => openBytes(bytes, bytes.length % 2 === 0 ? 'f.dat' : 'f.db'),
    [...QQWRY, MMDB, ip2regionDbOf(REGIONS), Buffer.from('<html>')],
    OFFSETS,
  ),
  {
    name: 'geo/address',
    seeds: ['1.2.3.4', '::', '2001:db8::1', '::ffff:1.2.3.4', 'fe80::1%eth0', '1.2.3.04', '[::1]', '256.1.1.1'],
    words: [':', '::', '.', '%', 'ffff', '0', '255', '1.2.3.4'],
    maxBytes: 128,
    run(bytes) {
      const text = bytes.toString('latin1');
      const [fromText, fromBytes] = [new Address(), new Address()];
      const isAddress = fromText.parse(text);
      assert.equal(fromBytes.parseBytes(bytes, 0, bytes.length), isAddress, 'text and bytes are read alike');
      assert.deepEqual([fromBytes.family, fromBytes.v4], [fromText.family, fromText.v4]);
      const v4 = parseIpv4(text);
      if (v4 >= 0) assert.equal(formatIpv4(v4), text);
      return fromText.family;
    },
  },
  {
    name: 'geo/texts',
    seeds: [
      '福建省福州市\n电信',
      '中国|0|福建省|福州市|电信',
      '美国加利福尼亚州\nGoogle',
      '新疆维吾尔自治区\n',
      '0|0|0|内网IP|内网IP',
    ],
    words: ['省', '市', '自治区', '中国', '|', '0', '–', '\n', '联通', 'CZ88.NET'],
    maxBytes: 512,
    run(bytes) {
      const text = bytes.toString('utf8');
      const [country = '', area = ''] = text.split('\n');
      return `${placeFromTexts(country, area)?.country} ${placeFromIp2region(text)?.region}`;
    },
  },
];
