import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { FakeClock } from '../../../engine/testing/driver.ts';
import { Address } from './address.ts';
import { openDefault, type Sources } from './default-data.ts';
import { geoipLiteOf, ip2regionDbOf, zxOf } from './writers.cases.ts';

const PLACES = [
  { country: 'US', region: 'CA', city: 'Oakland', timezone: 'America/Los_Angeles' },
  { country: 'CN', region: 'GD', city: 'Zhuhai', timezone: 'Asia/Shanghai' },
  { country: 'CN', region: 'JS' },
  { country: 'TW', region: 'TPE', city: 'Taipei' },
];

describe('the packaged data', () => {
  let folder: string;
  let sources: Sources;
  const clock = new FakeClock();

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'geo-default-'));
    const lite = geoipLiteOf(
      PLACES,
      [
        ['1.0.0.0', '1.0.255.255', 0, 37.8, -122.27],
        ['1.1.0.0', '1.1.0.255', 0, 10, 10],
        ['20.0.0.0', '20.0.0.255', 1, 1, 1],
        ['20.0.1.0', '20.0.1.255', 2, 2, 2],
        ['30.0.0.0', '30.0.0.255', 3, 25, 121],
        ['40.0.0.0', '40.0.0.255', 1, 1, 1],
      ],
      [
        ['2001000000000000', '20010000ffffffff', 0, 37.8, -122.27],
        ['2001000100000000', '20010001ffffffff', 1, 3, 3],
      ],
    );
    for (const [name, bytes] of Object.entries(lite)) writeFileSync(join(folder, name), bytes);
    writeFileSync(
      join(folder, 'ip2region.db'),
      ip2regionDbOf([
        ['0.0.0.0', '19.255.255.255', '美国|0|0|0|0'],
        ['20.0.0.0', '20.255.255.255', '中国|0|广东省|0|电信'],
        ['21.0.0.0', '29.255.255.255', '中国|0|江苏省|南京市|联通'],
        ['30.0.0.0', '39.255.255.255', '0|0|0|0|0'],
        ['40.0.0.0', '49.255.255.255', '中国|0|0|0|移动'],
        ['50.0.0.0', '255.255.255.255', '0|0|0|0|0'],
      ]),
    );
    writeFileSync(
      join(folder, 'ipv6wry.db'),
      zxOf([
        ['2001000100000010', '中国四川省成都市', '中国电信'],
        ['2001000100000020', '美国', ''],
      ]),
    );
    sources = { ip2region: folder, geoipLite: folder };
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function look(ip: string, from = sources, dataDir?: string) {
    const database = openDefault({ dataDir, clock, sources: from });
    const address = new Address();
    assert.ok(address.parse(ip));
    const place = database.lookup(address);
    return [
      place?.country,
      place?.region,
      place?.cityName?.en,
      place?.organization?.zh,
      place?.location?.lat,
      database.origin(address),
    ];
  }

  for (const [ip, want] of [
    // The world is geoip-lite's; coordinates are those of most addresses of a place.
    ['1.0.0.1', ['US', 'US-CA', 'Oakland', undefined, 37.8, 'geoip-lite']],
    ['1.1.0.1', ['US', 'US-CA', 'Oakland', undefined, 37.8, 'geoip-lite']],
    // What it does not know, ip2region may.
    ['2.0.0.1', ['US', undefined, undefined, undefined, undefined, 'ip2region']],
    // China is ip2region's, with geoip-lite's city when both say the same province.
    ['20.0.0.1', ['CN', 'CN-GD', 'Zhuhai', '电信', 22.27, 'ip2region']],
    ['20.0.1.1', ['CN', 'CN-GD', undefined, '电信', 23.13, 'ip2region']],
    ['21.0.0.0', ['CN', 'CN-JS', 'Nanjing', '联通', 32.06, 'ip2region']],
    ['29.255.255.255', ['CN', 'CN-JS', 'Nanjing', '联通', 32.06, 'ip2region']],
    ['30.0.0.9', ['CN', 'CN-TW', 'Taipei', undefined, 25.04, 'geoip-lite']],
    // ip2region knows only the country: geoip-lite's province is better.
    ['40.0.0.1', ['CN', 'CN-GD', 'Zhuhai', undefined, 22.27, 'geoip-lite']],
    ['40.0.1.1', ['CN', undefined, undefined, '移动', 35, 'ip2region']],
    ['60.0.0.1', [undefined, undefined, undefined, undefined, undefined, undefined]],
    ['2001:0:5::1', ['US', 'US-CA', 'Oakland', undefined, 37.8, 'geoip-lite']],
    ['2001:1::1', ['CN', 'CN-GD', 'Zhuhai', undefined, 22.27, 'geoip-lite']],
    ['2001:1:0:10::1', ['CN', 'CN-SC', 'Chengdu', '电信', 30.57, 'zx']],
    ['2001:1:0:20::1', ['CN', 'CN-GD', 'Zhuhai', undefined, 22.27, 'geoip-lite']],
    ['2001:2::1', [undefined, undefined, undefined, undefined, undefined, undefined]],
    ['2000::1', [undefined, undefined, undefined, undefined, undefined, undefined]],
  ] as const) {
    test(ip, () => assert.deepEqual(look(ip), want));
  }

  test('only one of the packages is there', () => {
    assert.equal(look('1.0.0.1', { ip2region: folder, geoipLite: undefined })[0], 'US');
    assert.equal(look('21.0.0.1', { ip2region: folder, geoipLite: undefined })[2], 'Nanjing');
    assert.equal(look('1.0.0.1', { ip2region: undefined, geoipLite: folder })[2], 'Oakland');
    assert.equal(look('21.0.0.1', { ip2region: undefined, geoipLite: folder })[0], undefined);
  });

  test('neither is there: the error says what to do', () => {
    assert.throws(() => look('1.1.1.1', { ip2region: undefined, geoipLite: undefined }), {
      code: 'MR_GEO_DATABASE',
      message: /npm install.*`database`/,
    });
  });

  test('kept in the data directory, used again, made anew when damaged or when a package changes', () => {
    const dataDir = join(folder, 'data');
    const files = (): string[] => readdirSync(join(dataDir, 'geo'));
    assert.equal(look('21.0.0.1', sources, dataDir)[2], 'Nanjing');
    const [name = ''] = files();
    assert.deepEqual(files(), [name]);
    const path = join(dataDir, 'geo', name);
    const kept = readFileSync(path);

    const opened = openDefault({ dataDir, clock, sources });
    assert.equal(opened.path, path);

    const spoilt = Buffer.from(kept);
    spoilt[spoilt.length - 9]! ^= 1;
    writeFileSync(path, spoilt);
    assert.equal(look('21.0.0.1', sources, dataDir)[2], 'Nanjing');
    assert.deepEqual(readFileSync(path), kept);

    writeFileSync(path, kept.subarray(0, 20));
    assert.equal(look('21.0.0.1', sources, dataDir)[2], 'Nanjing');
    assert.deepEqual(readFileSync(path), kept);

    writeFileSync(join(folder, 'ip2region.db'), ip2regionDbOf([['21.0.0.0', '21.0.0.255', '中国|0|浙江省|杭州市|0']]));
    assert.equal(look('21.0.0.1', sources, dataDir)[2], 'Hangzhou');
    assert.equal(files().length, 1, 'the file of the former version is removed');
    assert.ok(!existsSync(path));
  });

  test('a data directory that cannot be written is a warning', () => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const warnings: string[] = [];
    const log = { info: () => undefined, warn: (_: unknown, message: string) => void warnings.push(message) };
    const database = openDefault({ dataDir: file, clock, sources, log });
    assert.ok(database.records > 0);
    assert.deepEqual(warnings, ['the compacted IP data cannot be kept, they will be made anew at the next start']);
  });

  test('a damaged package is named', () => {
    writeFileSync(join(folder, 'geoip-city.dat'), Buffer.alloc(25));
    assert.throws(() => look('1.1.1.1'), { code: 'MR_GEO_DATABASE', message: /geoip-city\.dat is damaged/ });
  });
});
