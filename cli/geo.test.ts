import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeClock } from '../engine/testing/driver.ts';
import { qqwryOf } from '../plugins/enrich/geo/writers.cases.ts';
import { checkDatabase, lookupAddresses, renderCheck, renderLookups } from './geo.ts';

describe('millrace geo', () => {
  let folder: string;
  let database: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'cli-geo-'));
    database = join(folder, 'qqwry.dat');
    writeFileSync(
      database,
      qqwryOf([
        ['0.0.0.0', '广东省广州市', '电信'],
        ['200.0.0.0', ' CZ88.NET', ' CZ88.NET'],
      ]),
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [language, want] of [
    [
      'zh',
      '202.1.1.1  not found\n5.6.7.8    CN 中国      CN-GD 广东省  广州市  23.13 113.26  电信     qqwry\n127.0.0.1  loopback\n1.2.3      malformed\n',
    ],
    [
      'en',
      '202.1.1.1  not found\n5.6.7.8    CN China   CN-GD Guangdong  Guangzhou  23.13 113.26  China Telecom  qqwry\n127.0.0.1  loopback\n1.2.3      malformed\n',
    ],
  ] as const) {
    test(`lookup in ${language}`, async () => {
      const lookups = await lookupAddresses(['202.1.1.1', '5.6.7.8', '127.0.0.1', '1.2.3'], {
        database,
        language,
        clock: new FakeClock(),
      });
      const [header = '', ...lines] = renderLookups(lookups).split('\n');
      assert.match(header, /^ADDRESS +COUNTRY +REGION +CITY +LAT LON +NETWORK +FROM$/);
      const plain = (text: string): string => text.replaceAll(/ +/g, ' ');
      assert.equal(
        plain(lines.join('\n')),
        plain(`${want}\n127.0.0.1 lies in 127.0.0.0/8: the host itself (RFC 1122)\n1.2.3 is no IP address\n`),
      );
    });
  }

  test('lookup as data', async () => {
    const [one] = await lookupAddresses(['5.6.7.8'], { database, language: 'en', clock: new FakeClock() });
    assert.deepEqual(one, {
      address: '5.6.7.8',
      kind: 'public',
      isFound: true,
      geo: {
        continent_code: 'AS',
        country_iso_code: 'CN',
        country_name: 'China',
        region_iso_code: 'CN-GD',
        region_name: 'Guangdong',
        city_name: 'Guangzhou',
        location: { lat: 23.13, lon: 113.26 },
        timezone: 'Asia/Shanghai',
      },
      as: { name: 'China Telecom' },
      texts: { country: '广东省广州市', area: '电信' },
      database: 'qqwry',
      path: database,
    });
  });

  test('check', async () => {
    const check = await checkDatabase(database);
    assert.deepEqual(
      [check.ok, check.format, check.version, check.records, check.exit],
      [true, 'qqwry', '2030年01月02日IP数据', 3, 0],
    );
    assert.match(renderCheck(check), /in order\n {2}format {3}qqwry\n {2}version {2}2030/);
  });

  for (const [name, content, exit, says] of [
    ['damaged', Buffer.from('08000000ff00000000000000000000', 'hex'), 65, /no usable qqwry\.dat: truncated|bad header/],
    ['page.dat', Buffer.from('<html>'), 65, /a web page/],
    ['missing', undefined, 66, /no such file/],
  ] as const) {
    test(`check of a file that is ${name}`, async () => {
      const path = join(folder, name);
      if (content) writeFileSync(path, content);
      const check = await checkDatabase(path);
      assert.deepEqual([check.ok, check.exit], [false, exit]);
      assert.match(renderCheck(check), says);
    });
  }
});
