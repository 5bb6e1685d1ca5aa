/** Provinces and cities of China: found by code, by the texts of databases, by English name. */
import { CITIES, PROVIDERS, PROVINCES } from './china-table.ts';
import type { Location, Names } from './place.ts';

export interface City {
  /** Official name in Chinese, and English. */
  readonly name: Names;
  readonly location: Location;
}

export interface Province {
  /** The part of the ISO 3166-2 code behind `CN-`. */
  readonly code: string;
  readonly name: Names;
  /** Of the capital. */
  readonly location: Location;
  readonly timezone: string;
  /** A municipality's own city: texts below it name districts. */
  readonly onlyCity: City | undefined;
  /** `广州市`, `广州`, `Guangzhou`, `Xi'an`, `Xianyangshi` ... */
  cityNamed(name: string): City | undefined;
  /** The city that a text such as `广州市天河区` begins with. */
  cityAtStart(text: string): City | undefined;
}

// How prefectures end; the peoples' names of an autonomous prefecture stand before 自治州.
const CITY_ENDING = /(?:市|地区|盟|县|林区|自治州)$/;
const PEOPLES =
  /(?:朝鲜|土家|苗|藏|羌|彝|布依|侗|哈尼|壮|傣|白|景颇|傈僳|回|蒙古|柯尔克孜|哈萨克)(?:族|(?=自治州$)|(?=蒙古|藏|苗|侗|彝|羌))/gu;
const OTHER_TIMEZONES = new Map([
  ['HK', 'Asia/Hong_Kong'],
  ['MO', 'Asia/Macau'],
  ['TW', 'Asia/Taipei'],
]);

const PROVINCE_BY_CODE = new Map<string, Province>();
const PROVINCE_BY_STEM = new Map<string, Province>();
const PROVINCE_BY_ENGLISH = new Map<string, Province>();

for (const [code, name, stem, english, lat, lon] of PROVINCES) {
  const province = makeProvince(code, Object.freeze({ zh: name, en: english }), Object.freeze({ lat, lon }));
  PROVINCE_BY_CODE.set(code, province);
  PROVINCE_BY_STEM.set(stem, province);
  PROVINCE_BY_ENGLISH.set(plainEnglish(english), province);
}
// What other databases call them.
for (const [other, code] of [
  ['Inner Mongolia Autonomous Region', 'NM'],
  ['Nei Mongol', 'NM'],
  ['Guangxi Zhuang Autonomous Region', 'GX'],
  ['Ningxia Hui Autonomous Region', 'NX'],
  ['Xinjiang Uyghur Autonomous Region', 'XJ'],
  ['Xizang', 'XZ'],
  ['Tibet Autonomous Region', 'XZ'],
  ['Macau', 'MO'],
] as const) {
  PROVINCE_BY_ENGLISH.set(plainEnglish(other), PROVINCE_BY_CODE.get(code)!);
}

const PROVIDER_NAMES = new Map<string, Names>(
  Object.entries(PROVIDERS).map(([zh, en]) => [zh, Object.freeze({ zh: zh.replace(/^中国(?=电信|联通|移动|广电)/, ''), en })]),
);

export const china = {
  province: (code: string): Province | undefined => PROVINCE_BY_CODE.get(code),

  /** @param text  `Guangdong`, `Guangdong Province` */
  provinceInEnglish: (text: string): Province | undefined => PROVINCE_BY_ENGLISH.get(plainEnglish(text)),

  /**
   * The province that a text begins with, and what follows behind its full or short name:
   * `内蒙古自治区包头市`, `内蒙古包头市` and `内蒙古–包头` all leave the city.
   */
  provinceAtStart(text: string): { readonly province: Province; readonly rest: string } | undefined {
    // 内蒙古 and 黑龙江 have three characters, all others two.
    const province = PROVINCE_BY_STEM.get(text.slice(0, 3)) ?? PROVINCE_BY_STEM.get(text.slice(0, 2));
    if (province === undefined) return undefined;
    const full = province.name.zh ?? '';
    const stem = PROVINCE_BY_STEM.get(text.slice(0, 3)) === province ? 3 : 2;
    const length = text.startsWith(full) ? full.length : stem;
    return { province, rest: text.slice(length).replace(/^(?:省|市|自治区|特别行政区)?[\s–—-]*/, '') };
  },

  /** @returns undefined for what is no provider's name */
  provider: (name: string): Names | undefined => PROVIDER_NAMES.get(name),
};

function makeProvince(code: string, name: Names, location: Location): Province {
  const byName = new Map<string, City>();
  const cities = (CITIES[code] ?? '').split(',').flatMap((line) => {
    const [zh, en, lat, lon] = line.trim().split(/\s+/);
    if (zh === undefined || en === undefined) return [];
    return [
      {
        name: Object.freeze({ zh, en: en.replaceAll('_', ' ') }),
        location: Object.freeze({ lat: Number(lat), lon: Number(lon) }),
      },
    ];
  });
  let longest = 0;
  const learn = (text: string, city: City): void => {
    if (!byName.has(text)) byName.set(text, city);
    longest = Math.max(longest, text.length);
  };
  // Official names first: the county 新竹县 must not take the place of the city 新竹市 under their common stem.
  for (const city of cities) learn(city.name.zh, city);
  for (const city of cities) {
    learn(stemOf(city.name.zh), city);
    learn(plainEnglish(city.name.en), city);
  }
  const cityAtStart = (text: string): City | undefined => {
    for (let length = Math.min(longest, text.length); length >= 2; length--) {
      const city = byName.get(text.slice(0, length));
      if (city !== undefined) return city;
    }
    return undefined;
  };
  return {
    code,
    name,
    location,
    timezone: OTHER_TIMEZONES.get(code) ?? 'Asia/Shanghai',
    onlyCity: cities.length === 1 ? cities[0] : undefined,
    cityNamed: (text) => byName.get(text) ?? byName.get(stemOf(text)) ?? byName.get(plainEnglish(text)),
    cityAtStart,
  };
}

function stemOf(city: string): string {
  const stem = city.replace(PEOPLES, '').replace(CITY_ENDING, '');
  return stem.length >= 2 ? stem : city;
}

function plainEnglish(name: string): string {
  const plain = name.toLowerCase().replace(/[^a-zü ]/g, '');
  return plain.replace(/ (?:province|sheng|municipality|shi|city)$|(?<=[a-z]{4})shi$/, '').replaceAll(' ', '');
}
