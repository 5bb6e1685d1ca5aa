/** Country names in Chinese and English, codes and continents. Names come from the ICU data inside of Node. */

export type Continent = 'AF' | 'AN' | 'AS' | 'EU' | 'NA' | 'OC' | 'SA';

/** ISO 3166-1 codes by continent, as GeoNames counts them. */
const CONTINENTS: Readonly<Record<Continent, string>> = {
  AF: `AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD
    SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW`,
  AN: 'AQ BV GS HM TF',
  AS: `AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA
    SG SY TH TJ TM TR TW UZ VN YE`,
  EU: `AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT
    RO RS RU SE SI SJ SK SM UA VA XK`,
  NA: `AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI`,
  OC: 'AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS',
  SA: 'AR BO BR CL CO EC FK GF GY PE PY SR UY VE',
};

const CONTINENT_OF = new Map<string, Continent>();
for (const [continent, codes] of Object.entries(CONTINENTS)) {
  for (const code of codes.split(/\s+/)) CONTINENT_OF.set(code, continent as Continent);
}

const CHINESE = new Intl.DisplayNames(['zh-Hans'], { type: 'region', fallback: 'none' });
const ENGLISH = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });

/** Names that ICU words differently, and the misspellings found in real databases. */
const ALIASES: Readonly<Record<string, string>> = {
  香港: 'HK',
  澳门: 'MO',
  台湾: 'TW',
  孟加拉: 'BD',
  阿联酋: 'AE',
  巴勒斯坦: 'PS',
  多米尼加: 'DO',
  刚果民主共和国: 'CD',
  刚果金: 'CD',
  '刚果(金)': 'CD',
  刚果共和国: 'CG',
  刚果布: 'CG',
  '刚果(布)': 'CG',
  印尼: 'ID',
  中非: 'CF',
  沙特: 'SA',
  澳洲: 'AU',
  新加披: 'SG',
  加拿: 'CA',
  马其顿: 'MK',
  北马其顿: 'MK',
  波黑: 'BA',
  留尼旺: 'RE',
  圣马丁: 'MF',
  托克劳群岛: 'TK',
  瓦利斯和富图纳群岛: 'WF',
  法国南部领地: 'TF',
  南乔治亚岛和南桑威奇群岛: 'GS',
  蒙塞拉特岛: 'MS',
  安的列斯: 'CW',
  荷属安的列斯: 'CW',
  捷克共和国: 'CZ',
  韩国首尔: 'KR',
  朝鲜民主主义人民共和国: 'KP',
  俄罗斯联邦: 'RU',
  文莱达鲁萨兰国: 'BN',
  东帝汶民主共和国: 'TL',
  斯威士兰: 'SZ',
  特立尼达和多巴哥: 'TT',
  波斯尼亚和黑塞哥维那: 'BA',
  圣文森特和格林纳丁斯: 'VC',
  圣基茨和尼维斯: 'KN',
  安提瓜和巴布达: 'AG',
  科特迪瓦: 'CI',
  象牙海岸: 'CI',
  老挝: 'LA',
  缅甸: 'MM',
  梵蒂冈: 'VA',
  塞班: 'MP',
  科索沃: 'XK',
};

/** `北美地区` names no country. */
const CONTINENT_NAMES: readonly (readonly [name: string, continent: Continent | undefined])[] = [
  ['北美', 'NA'],
  ['亚太', undefined],
  ['欧洲', 'EU'],
  ['欧盟', 'EU'],
  ['非洲', 'AF'],
  ['拉美', undefined],
  ['南美', 'SA'],
  ['亚洲', 'AS'],
  ['大洋洲', 'OC'],
];

/** Pieces of China whose names would be read as countries of their own: texts and pages of the mainland say them so. */
const CHINESE_NAMES: Readonly<Record<string, string>> = { HK: '中国香港', MO: '中国澳门', TW: '中国台湾' };
const ENGLISH_NAMES: Readonly<Record<string, string>> = {
  HK: 'Hong Kong',
  MO: 'Macao',
  MM: 'Myanmar',
  PS: 'Palestine',
  TR: 'Turkey',
};

const CODE_OF = new Map<string, string>();
const LENGTHS_OF_FIRST = new Map<string, number[]>();
for (const code of CONTINENT_OF.keys()) learn(CHINESE.of(code), code);
for (const [name, code] of Object.entries(ALIASES)) learn(name, code);
for (const lengths of LENGTHS_OF_FIRST.values()) lengths.sort((a, b) => b - a);

/** @param code  ISO 3166-1 alpha-2 */
export function continentOf(code: string): Continent | undefined {
  return CONTINENT_OF.get(code);
}

export function countryName(code: string, language: 'zh' | 'en'): string | undefined {
  const own = language === 'zh' ? CHINESE_NAMES[code] : ENGLISH_NAMES[code];
  if (own !== undefined) return own;
  // `of` throws for what has not the form of a code; databases do hold such ("--").
  return /^[A-Z]{2}$/.test(code) ? (language === 'zh' ? CHINESE : ENGLISH).of(code) : undefined;
}

/**
 * Finds the country that a Chinese text begins with, the longest name first: 印度尼西亚 is not 印度, 尼日利亚 not 尼日尔.
 *
 * @returns the code and the length of the name
 */
export function countryAtStart(text: string): { readonly code: string; readonly length: number } | undefined {
  for (const length of LENGTHS_OF_FIRST.get(text.slice(0, 1)) ?? []) {
    const code = CODE_OF.get(text.slice(0, length));
    if (code !== undefined) return { code, length };
  }
  return undefined;
}

/** @returns null when the text names a region that spans continents */
export function continentAtStart(text: string): Continent | null | undefined {
  const found = CONTINENT_NAMES.find(([name]) => text === name || text === `${name}地区`);
  return found === undefined ? undefined : (found[1] ?? null);
}

function learn(name: string | undefined, code: string): void {
  if (name === undefined) return;
  CODE_OF.set(name, code);
  const first = name.slice(0, 1);
  const lengths = LENGTHS_OF_FIRST.get(first) ?? [];
  if (!lengths.includes(name.length)) lengths.push(name.length);
  LENGTHS_OF_FIRST.set(first, lengths);
}
