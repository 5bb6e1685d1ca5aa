import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Fields } from '../../../engine/events/batch.ts';
import { runFilter, testContext, type TestContext } from '../../../engine/testing/driver.ts';
import { Address } from './address.ts';
import { Chain, join as joinPlaces } from './chain.ts';
import { Enricher, FIELD_NAMES } from './enricher.ts';
import { GeoData } from './geo-data.ts';
import { geoFilter } from './geo.ts';
import { openBytes } from './open.ts';
import { makePlace } from './place.ts';
import { qqwryFilter } from './qqwry-filter.ts';
import { readAddress } from './source-text.ts';
import { mmdbOf, qqwryOf, v4Bits } from './writers.cases.ts';

const QQWRY = qqwryOf([
  ['0.0.0.0', ' CZ88.NET', ' CZ88.NET'],
  ['11.0.0.0', '广东省深圳市', '电信/DNS服务器'],
  ['12.0.0.0', '法国', ' CZ88.NET'],
  ['13.0.0.0', '香港', '电讯盈科'],
  ['14.0.0.0', 'IANA', ''],
  ['15.0.0.0', ' CZ88.NET', ' CZ88.NET'],
]);
const SHENZHEN = {
  continent_code: 'AS',
  country_iso_code: 'CN',
  country_name: 'China',
  region_iso_code: 'CN-GD',
  region_name: 'Guangdong',
  city_name: 'Shenzhen',
  location: { lat: 22.54, lon: 114.06 },
  timezone: 'Asia/Shanghai',
};
const TELECOM = { organization: { name: 'China Telecom' } };

let folder: string;
let database: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'geo-filter-'));
  database = join(folder, 'qqwry.dat');
  writeFileSync(database, QQWRY);
});
after(() => rmSync(folder, { recursive: true }));

async function enrich(config: Fields, record: Fields): Promise<{ record: Fields; values: Record<string, number> }> {
  const ctx = testContext(geoFilter);
  const filter = geoFilter.create(geoFilter.config.parse({ database, fallback: false, ...config }), ctx);
  await filter.start?.();
  try {
    return { record: runFilter(filter, [{ record }]).events[0]!.record, values: ctx.values };
  } finally {
    await filter.stop?.();
  }
}

describe('filter geo', () => {
  const cases: readonly (readonly [name: string, config: Fields, record: Fields, want: Fields, counted: string])[] = [
    ['a field of the default list', {}, { remote: '11.1.1.1', host: '-' }, { source: { geo: SHENZHEN, as: TELECOM } }, 'hits'],
    [
      'a map that is there keeps its fields',
      {},
      { source: { ip: '11.1.1.1', port: 5 } },
      { source: { ip: '11.1.1.1', port: 5, geo: SHENZHEN, as: TELECOM } },
      'hits',
    ],
    [
      'a field with a dot in its name',
      { key: 'client.ip' },
      { 'client.ip': '11.1.1.1' },
      { source: { geo: SHENZHEN, as: TELECOM } },
      'hits',
    ],
    [
      'a path by record accessor',
      { key: "$['a.b']['c']" },
      { 'a.b': { c: '::ffff:11.1.1.1' } },
      { source: { geo: SHENZHEN, as: TELECOM } },
      'hits',
    ],
    [
      'old geo is replaced',
      { key: 'ip' },
      { ip: '12.1.1.1', source: { geo: { city_name: 'x' } } },
      { source: { geo: { continent_code: 'EU', country_iso_code: 'FR', country_name: 'France' } } },
      'hits',
    ],
    [
      'names in Chinese',
      { language: 'zh', fields: 'country_name,city_name,as_organization' },
      { ip: '11.1.1.1' },
      { source: { geo: { country_name: '中国', city_name: '深圳市' }, as: { organization: { name: '电信' } } } },
      'hits',
    ],
    ['fields that are not there are left out', { fields: 'city_name,as_number' }, { ip: '12.1.1.1' }, {}, 'hits'],
    [
      'Hong Kong by ISO 3166-1',
      { fields: 'country_iso_code,country_name,region_iso_code,region_name' },
      { ip: '13.1.1.1' },
      { source: { geo: { country_iso_code: 'HK', country_name: 'Hong Kong' } } },
      'hits',
    ],
    [
      'Hong Kong as a region',
      { china_regions: 'cn', fields: 'country_iso_code,region_iso_code,region_name' },
      { ip: '13.1.1.1' },
      { source: { geo: { country_iso_code: 'CN', region_iso_code: 'CN-HK', region_name: 'Hong Kong' } } },
      'hits',
    ],
    [
      'another target',
      { target: 'client.geo', fields: 'city_name,as_organization' },
      { ip: '11.1.1.1' },
      { client: { geo: { city_name: 'Shenzhen' }, as: TELECOM } },
      'hits',
    ],
    [
      'a target at the top',
      { target: 'geoip', as_target: 'network', fields: 'city_name,as_organization' },
      { ip: '11.1.1.1' },
      { geoip: { city_name: 'Shenzhen' }, network: TELECOM },
      'hits',
    ],
    [
      'a deep target',
      { target: 'a.b.geo', fields: 'city_name,as_organization' },
      { ip: '11.1.1.1', a: { b: { c: 1 } } },
      { a: { b: { c: 1, geo: { city_name: 'Shenzhen' }, as: TELECOM } } },
      'hits',
    ],
    [
      'the fields of fluent-plugin-qqwry',
      { style: 'qqwry' },
      { ip: '11.1.1.1' },
      { country: '广东省深圳市', area: '电信/DNS服务器' },
      'hits',
    ],
    ['without the marker', { style: 'qqwry', target: 'where' }, { ip: '12.1.1.1' }, { where: { country: '法国' } }, 'hits'],
    ['nothing known', {}, { ip: '99.1.1.1' }, {}, 'not_found'],
    ['private', {}, { ip: '192.168.1.1' }, {}, 'special'],
    ['the version record is no place', {}, { ip: '255.255.255.1' }, {}, 'special'],
    ['IPv6 without a database for it', {}, { ip: '2400:3200::1' }, {}, 'not_found'],
    ['no address', {}, { ip: 'unknown' }, {}, 'malformed'],
    ['a number', {}, { ip: 184_549_377 }, {}, 'absent'],
    ['nothing there', {}, { other: '11.1.1.1' }, {}, 'absent'],
    ['null', {}, { ip: null }, {}, 'absent'],
    [
      'the next field when the first holds no address',
      {},
      { source: { ip: '-' }, ip: '12.1.1.1' },
      { source: { ip: '-', geo: { continent_code: 'EU', country_iso_code: 'FR', country_name: 'France' } } },
      'hits',
    ],
    [
      'kind of a private address',
      { class_target: 'source.address_class' },
      { ip: '10.1.1.1' },
      { source: { address_class: 'private' } },
      'special',
    ],
    ['kind of no address', { class_target: 'kind' }, { ip: 'x' }, { kind: 'malformed' }, 'malformed'],
    [
      'kind of a public address',
      { class_target: 'source.kind', fields: 'city_name' },
      { ip: '11.1.1.1' },
      { source: { geo: { city_name: 'Shenzhen' }, kind: 'public' } },
      'hits',
    ],
    [
      'a tag for what is no address',
      { tag_on_failure: '_geo_failure' },
      { ip: 'x', tags: ['a'] },
      { tags: ['a', '_geo_failure'] },
      'malformed',
    ],
    ['no tag for a private one', { tag_on_failure: '_geo_failure' }, { ip: '10.1.1.1' }, {}, 'special'],
    ['a list is no address', {}, { ip: '11.1.1.1, 12.1.1.1' }, {}, 'malformed'],
    [
      'unless it is asked for',
      { address_list: 'last', fields: 'country_iso_code' },
      { ip: '11.1.1.1, 12.1.1.1' },
      { source: { geo: { country_iso_code: 'FR' } } },
      'hits',
    ],
    ['a port is no address', {}, { ip: '12.1.1.1:80' }, {}, 'malformed'],
    [
      'unless it is asked for ',
      { strip_port: true, fields: 'country_iso_code' },
      { ip: '12.1.1.1:80' },
      { source: { geo: { country_iso_code: 'FR' } } },
      'hits',
    ],
  ];
  for (const [name, config, record, want, counted] of cases) {
    test(name, async () => {
      const { record: found, values } = await enrich(config, record);
      assert.deepEqual(found, { ...record, ...want });
      assert.deepEqual(
        Object.entries(values).filter(([, count]) => count > 0),
        [[counted, 1]],
      );
    });
  }

  test('what is wrong with a configuration', () => {
    const problems = (config: Fields): readonly string[] => geoFilter.check?.(geoFilter.config.parse(config)) ?? [];
    assert.deepEqual(problems({}), []);
    assert.match(problems({ key: '' })[0] ?? '', /^key:/);
    assert.match(problems({ target: 'a..b' })[0] ?? '', /a\.\.b/);
    assert.match(problems({ style: 'qqwry', as_target: 'x' })[0] ?? '', /^as_target:/);
    assert.throws(() => geoFilter.config.parse({ fields: 'city' }));
  });

  for (const [name, content, code] of [
    ['missing', undefined, 'MR_NO_INPUT'],
    ['damaged', Buffer.from('nothing of the kind, and long enough'), 'MR_GEO_DATABASE'],
  ] as const) {
    test(`a database that is ${name} stops the start`, async () => {
      const path = join(folder, name);
      if (content) writeFileSync(path, content);
      const filter = geoFilter.create(geoFilter.config.parse({ database: path }), testContext(geoFilter));
      await assert.rejects(async () => filter.start?.(), { code });
      await filter.stop?.();
    });
  }

  test('stop works twice, and without start', async () => {
    const filter = geoFilter.create(geoFilter.config.parse({}), testContext(geoFilter));
    await filter.stop?.();
    await filter.stop?.();
  });
});

describe('filter qqwry', () => {
  async function run(config: Fields, record: Fields): Promise<Fields> {
    const filter = qqwryFilter.create(
      qqwryFilter.config.parse({ qqwry_database: database, ...config }),
      testContext(qqwryFilter),
    );
    await filter.start?.();
    try {
      return runFilter(filter, [{ record }]).events[0]!.record;
    } finally {
      await filter.stop?.();
    }
  }
  const both = { country: "${country['host']}", area: '${area["host"]}' };
  const cases: readonly (readonly [name: string, config: Fields, record: Fields, want: Fields])[] = [
    ['both texts', { record: both }, { host: '11.1.1.1' }, { country: '广东省深圳市', area: '电信/DNS服务器' }],
    ['what is unknown is null', { record: both }, { host: '12.1.1.1' }, { country: '法国', area: null }],
    [
      'text around, empty where nothing is known',
      { record: { x: "[ ${country['host']} / ${area['host']}" } },
      { host: '12.1.1.1' },
      { x: '[ 法国 / ' },
    ],
    [
      'the shape of JSON',
      { record: { x: '["${country[\'host\']}"]', y: "[${country['host']}, ${area['host']}]" } },
      { host: '12.1.1.1' },
      { x: '[""法国""]', y: ['法国', null] },
    ],
    ['a number', { record: { x: '7' } }, { host: '12.1.1.1' }, { x: 7 }],
    [
      'two addresses, one in a map',
      { qqwry_lookup_key: 'host,to.ip', record: { a: "${country['host']}", b: "${country['to.ip']}" } },
      { host: '12.1.1.1', to: { ip: '11.1.1.1' } },
      { a: '法国', b: '广东省深圳市' },
    ],
    [
      'one of two addresses is missing',
      { qqwry_lookup_key: 'host,to.ip', record: { a: "${country['host']}", b: "${country['to.ip']}" } },
      { host: '12.1.1.1' },
      { a: '法国', b: null },
    ],
    [
      'the old form',
      { enable_key_country: 'c', enable_key_area: 'a' },
      { host: '11.1.1.1' },
      { c: '广东省深圳市', a: '电信/DNS服务器' },
    ],
    ['no address leaves the event alone', { record: both }, { host: '256.1.1.1' }, {}],
    ['private leaves the event alone', { record: both }, { host: '10.1.1.1' }, {}],
    ['no field leaves the event alone', { record: both }, { other: 1 }, {}],
  ];
  for (const [name, config, record, want] of cases) {
    test(name, async () => assert.deepEqual(await run(config, record), { ...record, ...want }));
  }

  test('what is wrong with a configuration', () => {
    const problems = (config: Fields): readonly string[] => qqwryFilter.check?.(qqwryFilter.config.parse(config)) ?? [];
    assert.deepEqual(problems({ record: both, tag: 'x', flush_interval: '0' }), []);
    assert.match(problems({ record: { x: "${city['host']}" } })[0] ?? '', /city.*unknown/);
    assert.match(problems({ qqwry_lookup_key: 'a,b', enable_key_area: 'x' })[0] ?? '', /^enable_key_area:/);
  });
});

describe('a database that changes', () => {
  let path: string;
  let ctx: TestContext;
  let swaps: number;
  let data: GeoData;
  beforeEach(async () => {
    path = join(folder, 'changing.dat');
    writeFileSync(path, QQWRY);
    ctx = testContext({ metrics: {} });
    swaps = 0;
    data = new GeoData(ctx, { paths: [path], withDefault: false, checkMs: 2000 }, () => void swaps++);
    await data.start();
  });

  const country = (): string | undefined => {
    const address = new Address();
    address.parse('12.1.1.1');
    return data.chain.lookup(address)?.country;
  };
  /** Time for one look, and the look itself. */
  const look = async (): Promise<void> => {
    ctx.clock.advance(2000);
    await data.look();
  };
  const replace = (bytes: Buffer): void => {
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  };
  const messages = (): string[] => ctx.lines.map(({ level, message }) => `${level} ${message}`);

  test('is swapped when it was seen twice as it is', async () => {
    replace(qqwryOf([['0.0.0.0', '德国', '']]));
    await look();
    assert.equal(country(), 'FR', 'a copy may still be going on');
    await look();
    assert.deepEqual([country(), swaps], ['DE', 1]);
    await look();
    assert.equal(swaps, 1);
    assert.ok(messages().includes('info swapped an IP database for its new version'));
    await data.stop();
  });

  test('stays in use when the new one is damaged, which is said once', async () => {
    replace(Buffer.from('half a download, and no database'));
    for (let i = 0; i < 4; i++) await look();
    assert.deepEqual([country(), swaps], ['FR', 0]);
    assert.equal(messages().filter((message) => message.startsWith('error')).length, 1);
    replace(qqwryOf([['0.0.0.0', '德国', '']]));
    await look();
    await look();
    assert.equal(country(), 'DE');
    await data.stop();
  });

  test('stays in use while the file is away', async () => {
    rmSync(path);
    for (let i = 0; i < 3; i++) await look();
    assert.deepEqual([country(), swaps], ['FR', 0]);
    await data.stop();
  });

  test('is not looked at after the stop', async () => {
    await data.stop();
    await data.stop();
    replace(qqwryOf([['0.0.0.0', '德国', '']]));
    ctx.clock.advance(60_000);
    assert.equal(country(), 'FR');
  });

  test('a filter forgets what it found in the old one', async () => {
    const filterCtx = testContext(geoFilter);
    const config = geoFilter.config.parse({ database: path, fallback: false, fields: 'country_iso_code', check_interval: '1s' });
    const filter = geoFilter.create(config, filterCtx);
    await filter.start?.();
    const look = (): unknown => runFilter(filter, [{ record: { ip: '12.1.1.1' } }]).events[0]!.record['source'];
    assert.deepEqual(look(), { geo: { country_iso_code: 'FR' } });
    replace(qqwryOf([['0.0.0.0', '德国', '']]));
    // The file is read beside the clock, as slowly as the machine is.
    for (const deadline = Date.now() + 5000; filterCtx.values['swaps'] === 0 && Date.now() < deadline;) {
      filterCtx.clock.advance(1000);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.deepEqual(look(), { geo: { country_iso_code: 'DE' } });
    await filter.stop?.();
  });
});

describe('several databases', () => {
  const city = openBytes(
    mmdbOf([
      [
        v4Bits('12.0.0.0/8'),
        { country: { iso_code: 'FR' }, city: { names: { en: 'Lille' } }, location: { latitude: 50.6, longitude: 3.1 } },
      ],
    ]),
    'city',
  );
  const asn = openBytes(
    mmdbOf([[v4Bits('0.0.0.0/1'), { autonomous_system_number: 64_500, autonomous_system_organization: 'Example' }]]),
    'asn',
  );
  const qqwry = openBytes(QQWRY, 'qqwry');
  const look = (chain: Chain, ip: string): unknown[] => {
    const address = new Address();
    address.parse(ip);
    const place = chain.lookup(address);
    assert.equal(chain.lookup(address), place, 'the same object for the same records');
    return [
      place?.country,
      place?.cityName?.en,
      place?.location?.lat,
      place?.organization?.en ?? place?.organization?.zh,
      place?.asNumber,
      chain.origin(address)?.origin,
    ];
  };
  for (const [name, databases, ip, want] of [
    ['a city and its network', [city, asn], '12.1.1.1', ['FR', 'Lille', 50.6, 'Example', 64_500, 'mmdb']],
    ['the network alone', [city, asn], '99.1.1.1', [undefined, undefined, undefined, 'Example', 64_500, 'mmdb']],
    ['the network first', [asn, city], '12.1.1.1', ['FR', 'Lille', 50.6, 'Example', 64_500, 'mmdb']],
    ['the city that the first one lacks', [qqwry, city], '12.1.1.1', ['FR', 'Lille', 50.6, undefined, undefined, 'qqwry']],
    ['the first one is enough', [qqwry, city, asn], '11.1.1.1', ['CN', 'Shenzhen', 22.54, 'China Telecom', undefined, 'qqwry']],
  ] as const) {
    test(name, () => assert.deepEqual(look(new Chain(databases), ip), want));
  }

  test('another country adds nothing but the network', () => {
    const first = makePlace({ country: 'FR' })!;
    const joined = joinPlaces(
      first,
      makePlace({ country: 'DE', cityName: { en: 'Ulm' }, location: { lat: 48, lon: 10 }, organization: { en: 'Net' } })!,
    );
    assert.deepEqual(joined, { country: 'FR', continent: 'EU', organization: { en: 'Net' } });
  });
});

test('one database answers by the numbers of its records as it does by addresses', () => {
  const rendering = {
    style: 'ecs',
    language: 'en',
    policy: 'iso',
    fields: FIELD_NAMES,
    target: ['source', 'geo'],
    asTarget: ['source', 'as'],
    classTarget: ['kind'],
  } as const;
  const qqwry = openBytes(QQWRY, 'qqwry');
  const nothing = openBytes(mmdbOf([[v4Bits('250.0.0.0/8'), {}]]), 'nothing');
  const byNumber = new Enricher(new Chain([qqwry]), rendering);
  const byAddress = new Enricher(new Chain([qqwry, nothing]), rendering);
  const address = new Address();
  const some = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0x0b000000, max: 0x0f000000 }));
  fc.assert(
    fc.property(some, (v4) => {
      address.setV4(v4);
      assert.deepEqual(byNumber.answer(address), byAddress.answer(address));
      // From the cache.
      assert.deepEqual(byNumber.answer(address), byAddress.answer(address));
    }),
  );
  for (const ip of ['2400:3200::1', 'fe80::1', '::ffff:11.1.1.1']) {
    assert.ok(address.parse(ip));
    assert.deepEqual(byNumber.answer(address), byAddress.answer(address));
  }
});

describe('addresses in texts', () => {
  for (const [text, list, stripPort, want] of [
    ['1.2.3.4', 'none', false, '1.2.3.4'],
    [' 1.2.3.4', 'none', false, undefined],
    ['1.2.3.4:65535', 'none', true, '1.2.3.4'],
    ['1.2.3.4:', 'none', true, undefined],
    ['1.2.3.4:123456', 'none', true, undefined],
    ['1.2.3.4:x', 'none', true, undefined],
    ['[2001:da8::1]:443', 'none', true, '2001:da8:0:0:0:0:0:1'],
    ['[2001:da8::1]', 'none', true, '2001:da8:0:0:0:0:0:1'],
    ['[2001:da8::1]x', 'none', true, undefined],
    ['[2001:da8::1', 'none', true, undefined],
    ['2001:da8::1:443', 'none', true, '2001:da8:0:0:0:0:1:443'],
    ['10.0.0.1, 5.6.7.8,9.9.9.9', 'first', false, '10.0.0.1'],
    ['10.0.0.1, 5.6.7.8,9.9.9.9', 'first_public', false, '5.6.7.8'],
    ['10.0.0.1, 5.6.7.8, 9.9.9.9 ', 'last', false, '9.9.9.9'],
    ['unknown, 5.6.7.8', 'first', false, undefined],
    ['unknown, 5.6.7.8', 'first_public', false, '5.6.7.8'],
    ['10.0.0.1,192.168.0.1', 'first_public', false, '10.0.0.1'],
    ['5.6.7.8', 'first_public', false, '5.6.7.8'],
    ['', 'first_public', false, undefined],
    [',', 'last', false, undefined],
    [`${'10.0.0.1,'.repeat(100)}5.6.7.8`, 'first_public', false, '10.0.0.1'],
  ] as const) {
    test(`${text.slice(0, 40)} ${list} ${stripPort}`, () => {
      const address = new Address();
      const bytes = Buffer.from(`<${text}>`);
      assert.equal(readAddress(address, bytes, 1, bytes.length - 1, { list, stripPort }) ? address.toString() : undefined, want);
    });
  }

  test('any text', () => {
    const text = fc.string({ unit: fc.constantFrom(...'0123456789abcdef.:[], \t'.split('')), maxLength: 60 });
    const lists = fc.constantFrom('none', 'first', 'last', 'first_public');
    fc.assert(
      fc.property(text, lists, fc.boolean(), (value, list, stripPort) => {
        const bytes = Buffer.from(value);
        const address = new Address();
        const found = readAddress(address, bytes, 0, bytes.length, { list, stripPort });
        assert.equal(found, address.family !== 0);
      }),
    );
  });
});
