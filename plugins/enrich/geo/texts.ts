/**
 * Reads places out of the free texts of Chinese databases: `广东省广州市天河区` + `电信/DNS服务器`, `美国加利福尼亚州` + `谷歌`,
 * `中国–浙江–杭州`, or ip2region's `中国|0|广东省|广州市|电信`.
 */
import { china } from './china.ts';
import { continentAtStart, countryAtStart } from './countries.ts';
import { makePlace, placeInChina } from './place.ts';
import type { Names, Place } from './place.ts';

/** 省直辖县 stands where a county answers to its province directly; the county follows. */
const DIRECT_COUNTIES = /^(?:省|自治区)?直辖(?:县级?|行政单位|县级行政区划?)(?:市)?/;
/** A text of a database that ends a city: tried when the table does not know it. */
const CITY = /^[\p{Script=Han}]{1,10}?(?:市|自治州|地区|盟|州)/u;
const DASHES = /\s*[–—]\s*/g;

/**
 * @param country  first text of a qqwry record
 * @param area  the second; both without " CZ88.NET"
 * @returns undefined when the texts name no place and no provider
 */
export function placeFromTexts(country: string, area: string): Place | undefined {
  const texts = Object.freeze({ country, area });
  const first = country.trim().replace(DASHES, '');
  const organization = organizationOf(area.trim());
  const inChina = chinesePlace(first, { organization, texts });
  if (inChina) return inChina;
  const found = countryAtStart(first);
  if (found) return makePlace({ country: found.code, organization, texts });
  const continent = continentAtStart(first);
  if (continent !== undefined) return makePlace({ continent: continent ?? undefined, organization, texts });
  // A university or a company without a place: all that is known is who it is.
  const whole = first === '' ? organization : (organization ?? named(first));
  return whole && makePlace({ organization: whole, texts });
}

/** @param region  `国家|区域|省份|城市|运营商`, "0" for unknown */
export function placeFromIp2region(region: string): Place | undefined {
  const [country = '', , province = '', city = '', isp = ''] = region.split('|').map((part) => (part === '0' ? '' : part));
  if (country === '' || country === '内网IP' || country === '保留地址' || isp === '内网IP') return undefined;
  const organization = isp === '' ? undefined : (china.provider(isp) ?? named(isp));
  if (country === '中国') {
    const found = china.provinceAtStart(province);
    return placeInChina(found?.province.code, city, { organization });
  }
  const found = countryAtStart(country);
  const continent = found ? undefined : (continentAtStart(country) ?? undefined);
  if (!found && continent === undefined) return undefined;
  return makePlace({
    country: found?.code,
    continent,
    regionName: province === '' ? undefined : named(province),
    cityName: city === '' ? undefined : named(city),
    organization,
  });
}

function chinesePlace(
  text: string,
  rest: Pick<Place, 'texts'> & { readonly organization: Names | undefined },
): Place | undefined {
  const saysChina = text.startsWith('中国');
  const found = china.provinceAtStart(saysChina ? text.slice(2) : text);
  if (!found) return saysChina ? placeInChina(undefined, '', rest) : undefined;
  const { province } = found;
  const place = found.rest.replace(DIRECT_COUNTIES, '');
  const city = province.cityAtStart(place)?.name.zh ?? CITY.exec(place)?.[0] ?? '';
  return placeInChina(province.code, city, rest);
}

/**
 * The provider is what stands before the first `/`, blank or bracket, when it is one's name (`电信/DNS服务器`); otherwise the
 * whole text names an organization. 移动 in the middle of a text is not China Mobile.
 */
export function organizationOf(area: string): Names | undefined {
  if (area === '') return undefined;
  const head = /^中国(?:电信|联通|移动|广电)/.exec(area)?.[0] ?? area.split(/[/\s(（]/, 1)[0] ?? '';
  // 电信ADSL is the provider's line, not an organization of that name.
  return china.provider(head) ?? china.provider(head.replace(/[A-Za-z0-9]+$/, '')) ?? named(area);
}

function named(text: string): Names {
  return Object.freeze(/^[\p{ASCII}]*$/u.test(text) ? { en: text } : { zh: text });
}
