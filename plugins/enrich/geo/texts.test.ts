import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { china } from './china.ts';
import { CITIES, PROVINCES } from './china-table.ts';
import { continentOf, countryAtStart, countryName } from './countries.ts';
import { organizationOf, placeFromIp2region, placeFromTexts } from './texts.ts';

describe('places in the texts of qqwry', () => {
  for (const [country, area, want] of [
    ['广东省深圳市南山区', '电信/IDC机房', { country: 'CN', region: 'CN-GD', city: '深圳市', by: '电信' }],
    ['山西省太原市', '联通', { country: 'CN', region: 'CN-SX', city: '太原市', by: '联通' }],
    ['陕西省西安市雁塔区', '移动', { country: 'CN', region: 'CN-SN', city: '西安市', by: '移动' }],
    ['吉林省吉林市', '', { country: 'CN', region: 'CN-JL', city: '吉林市' }],
    ['青海省海南藏族自治州', '', { country: 'CN', region: 'CN-QH', city: '海南藏族自治州' }],
    ['青海省海西州格尔木市', '', { country: 'CN', region: 'CN-QH', city: '海西蒙古族藏族自治州' }],
    ['海南省三亚市', '', { country: 'CN', region: 'CN-HI', city: '三亚市' }],
    ['湖北省恩施州利川市', '', { country: 'CN', region: 'CN-HB', city: '恩施土家族苗族自治州' }],
    ['内蒙古锡林郭勒盟', '', { country: 'CN', region: 'CN-NM', city: '锡林郭勒盟' }],
    ['内蒙古自治区包头市', '', { country: 'CN', region: 'CN-NM', city: '包头市' }],
    ['新疆喀什地区', '', { country: 'CN', region: 'CN-XJ', city: '喀什地区' }],
    ['重庆市渝北区', '', { country: 'CN', region: 'CN-CQ', city: '重庆市' }],
    ['江苏省昆山市', '', { country: 'CN', region: 'CN-JS', city: '昆山市' }],
    ['中国台湾省高雄市', '中华电信', { country: 'CN', region: 'CN-TW', city: '高雄市', by: '中华电信' }],
    ['中国–江苏–苏州', '电信', { country: 'CN', region: 'CN-JS', city: '苏州市', by: '电信' }],
    ['澳门', '澳门电讯', { country: 'CN', region: 'CN-MO', by: '澳门电讯' }],
    ['中国', '电信骨干网', { country: 'CN', by: '电信骨干网' }],
    ['美国得克萨斯州', 'Level3', { country: 'US', by: 'Level3' }],
    ['印度', '', { country: 'IN' }],
    ['印度尼西亚雅加达', '', { country: 'ID' }],
    ['尼日尔', '', { country: 'NE' }],
    ['尼日利亚', '', { country: 'NG' }],
    ['几内亚比绍', '', { country: 'GW' }],
    ['新加披', '', { country: 'SG' }],
    ['刚果民主共和国', '', { country: 'CD' }],
    ['英国', '', { country: 'GB' }],
    ['非洲地区', '', { country: undefined, continent: 'AF' }],
    ['亚太地区', '', { country: undefined, continent: undefined }],
    ['长江大学', '', { country: undefined, by: '长江大学' }],
  ] as const) {
    test(`${country} ${area}`, () => {
      const place = placeFromTexts(country, area);
      const seen = {
        country: place?.country,
        continent: place?.continent,
        region: place?.region,
        city: place?.cityName?.zh,
        by: place?.organization?.zh ?? place?.organization?.en,
      };
      assert.deepEqual({ ...seen, ...want }, seen);
    });
  }

  test('nothing is nothing', () => assert.equal(placeFromTexts('', ''), undefined));

  for (const [area, want] of [
    ['电信', { zh: '电信', en: 'China Telecom' }],
    ['电信/CDN节点', { zh: '电信', en: 'China Telecom' }],
    ['联通 网吧', { zh: '联通', en: 'China Unicom' }],
    ['移动(全省通用)', { zh: '移动', en: 'China Mobile' }],
    ['电信ADSL', { zh: '电信', en: 'China Telecom' }],
    ['中国移动公众宽带', { zh: '移动', en: 'China Mobile' }],
    ['市移动公司', { zh: '市移动公司' }],
    ['内网吧', { zh: '内网吧' }],
    ['Amazon/AWS', { en: 'Amazon/AWS' }],
    ['', undefined],
  ] as const) {
    test(`network ${JSON.stringify(area)}`, () => assert.deepEqual(organizationOf(area), want));
  }

  for (const [region, want] of [
    ['中国|0|广西|桂林市|铁通', ['CN', 'CN-GX', '桂林市', '铁通']],
    ['中国|0|云南省|德宏|0', ['CN', 'CN-YN', '德宏傣族景颇族自治州', undefined]],
    ['中国|0|0|0|0', ['CN', undefined, undefined, undefined]],
    ['刚果金|0|0|0|0', ['CD', undefined, undefined, undefined]],
    ['0|0|0|内网IP|内网IP', [undefined, undefined, undefined, undefined]],
    ['|||', [undefined, undefined, undefined, undefined]],
  ] as const) {
    test(region, () => {
      const place = placeFromIp2region(region);
      assert.deepEqual([place?.country, place?.region, place?.cityName?.zh, place?.organization?.zh], want);
    });
  }

  test('any texts give a place or none', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: fc.constantFrom(...'中国广东省州市海南移动电信/–0| '.split('')) }),
    );
    fc.assert(
      fc.property(text, text, (country, area) => {
        for (const place of [placeFromTexts(country, area), placeFromIp2region(`${country}|0|${area}|${country}|${area}`)])
          if (place)
            assert.ok(
              Object.isFrozen(place) &&
                (place.location === undefined || Number.isFinite(place.location.lat + place.location.lon)),
            );
      }),
    );
  });
});

describe('the table of China', () => {
  test('34 provinces, each with its own code and stem', () => {
    assert.equal(PROVINCES.length, 34);
    for (const column of [0, 1, 2, 3] as const) assert.equal(new Set(PROVINCES.map((row) => row[column])).size, 34);
  });

  for (const [code, name, , , lat, lon] of PROVINCES) {
    test(`${code} ${name}`, () => {
      const province = china.province(code)!;
      assert.equal(china.provinceAtStart(name)?.province, province);
      for (const line of (CITIES[code] ?? '').split(',').filter((line) => line !== '')) {
        const [zh = '', english = ''] = line.trim().split(/\s+/);
        const city = province.cityNamed(zh);
        assert.equal(city?.name.zh, zh);
        assert.equal(province.cityAtStart(`${zh}某区`), city);
        // Hsinchu and Chiayi are a city and a county each: their English names differ by a word.
        if (!english.includes('_')) assert.equal(province.cityNamed(english)?.name.zh, zh, english);
        const { location } = city;
        assert.ok(Math.hypot(location.lat - lat, location.lon - lon) < 20, `${zh} lies far from the capital`);
        assert.ok(location.lat > 3 && location.lat < 54 && location.lon > 73 && location.lon < 136, zh);
      }
    });
  }
});

test('every country has a continent and names in both languages', () => {
  for (const code of ['CN', 'US', 'GB', 'HK', 'TW', 'XK', 'TL', 'SX', 'BQ']) {
    assert.ok(continentOf(code), code);
    for (const language of ['zh', 'en'] as const) assert.ok(countryName(code, language), `${code} ${language}`);
  }
  assert.equal(countryName('--', 'en'), undefined);
  assert.equal(countryAtStart('不存在的国家'), undefined);
});
