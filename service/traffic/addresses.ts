import type { Random } from './random.ts';

/** Where visitors come from: public ranges of the carriers of one region. */
export interface Region {
  /** ISO 3166-2 of the province, ISO 3166-1 of a country. */
  readonly code: string;
  /** As the Chinese address databases write it, without the suffix for province. */
  readonly name: string;
  /** Share of the visitors; the provinces roughly by their internet users in millions, the world together a tenth. */
  readonly weight: number;
  /** `carrier` is 电信 (China Telecom), 联通 (China Unicom), 移动 (China Mobile) or the name in use there. */
  readonly ranges: readonly { readonly carrier: string; readonly cidr: string }[];
}

// prettier-ignore
const PROVINCES: readonly (readonly [code: string, name: string, weight: number, telecom: string, unicom: string, mobile: string])[] = [
  ['CN-BJ', '北京', 20, '1.202.0.0/16 120.46.0.0/16', '111.204.0.0/16 124.64.0.0/16', '117.130.0.0/16'],
  ['CN-TJ', '天津', 11, '42.81.0.0/16 123.151.0.0/16', '60.24.0.0/16 117.14.0.0/16', '111.30.0.0/16 111.33.0.0/16'],
  ['CN-HE', '河北', 51, '27.128.0.0/16 106.119.0.0/16', '60.0.0.0/16 120.12.0.0/16', '111.61.0.0/16 183.198.0.0/16'],
  ['CN-SX', '山西', 25, '1.68.0.0/16 110.177.0.0/16', '60.220.0.0/16 183.184.0.0/16', '111.52.0.0/16 183.200.0.0/16'],
  ['CN-NM', '内蒙古', 18, '1.181.0.0/16 123.179.0.0/16', '1.24.0.0/16 116.113.0.0/16', '111.56.0.0/16 117.137.0.0/16'],
  ['CN-LN', '辽宁', 32, '123.185.0.0/16 182.200.0.0/16', '42.4.0.0/16 60.20.0.0/16', '112.40.0.0/16 120.200.0.0/16'],
  ['CN-JL', '吉林', 17, '123.172.0.0/16 124.235.0.0/16', '119.55.0.0/16 139.208.0.0/16', '111.27.0.0/16'],
  ['CN-HL', '黑龙江', 21, '42.100.0.0/16 112.100.0.0/16', '60.11.0.0/16 125.211.0.0/16', '111.40.0.0/16 111.43.0.0/16'],
  ['CN-SH', '上海', 20, '101.88.0.0/16 180.157.0.0/16', '58.246.0.0/16 112.64.0.0/16', '117.184.0.0/16 183.192.0.0/16'],
  ['CN-JS', '江苏', 66, '58.218.0.0/16 117.84.0.0/16 180.111.0.0/16', '58.240.0.0/16 122.97.0.0/16', '112.2.0.0/16 183.206.0.0/16'],
  ['CN-ZJ', '浙江', 51, '61.130.0.0/16 115.236.0.0/16 125.123.0.0/16', '60.12.0.0/16 101.68.0.0/16', '111.2.0.0/16 117.148.0.0/16'],
  ['CN-AH', '安徽', 40, '36.4.0.0/16 60.171.0.0/16', '36.32.0.0/16 58.242.0.0/16', '112.28.0.0/16 120.210.0.0/16'],
  ['CN-FJ', '福建', 32, '27.148.0.0/16 117.28.0.0/16', '36.249.0.0/16 58.23.0.0/16', '112.47.0.0/16 183.250.0.0/16'],
  ['CN-JX', '江西', 30, '59.52.0.0/16 106.228.0.0/16', '113.194.0.0/16 118.212.0.0/16', '117.166.0.0/16 120.206.0.0/16'],
  ['CN-SD', '山东', 76, '58.56.0.0/16 113.129.0.0/16', '39.73.0.0/16 112.229.0.0/16', '111.14.0.0/16 120.224.0.0/16'],
  ['CN-HA', '河南', 70, '1.192.0.0/16 171.9.0.0/16', '115.48.0.0/16 123.10.0.0/16', '120.194.0.0/16 39.148.0.0/16'],
  ['CN-HB', '湖北', 42, '27.16.0.0/16 58.52.0.0/16', '58.19.0.0/16 113.57.0.0/16', '111.4.0.0/16 117.154.0.0/16'],
  ['CN-HN', '湖南', 45, '58.44.0.0/16 113.220.0.0/16', '42.48.0.0/16 110.53.0.0/16', '111.8.0.0/16 120.226.0.0/16'],
  ['CN-GD', '广东', 104, '59.40.0.0/16 116.16.0.0/16 183.7.0.0/16', '27.36.0.0/16 112.94.0.0/16', '120.196.0.0/16 183.235.0.0/16'],
  ['CN-GX', '广西', 34, '116.9.0.0/16 180.138.0.0/16', '110.72.0.0/16 121.31.0.0/16', '111.58.0.0/16 117.140.0.0/16'],
  ['CN-HI', '海南', 8, '112.66.0.0/16 124.225.0.0/16', '113.58.0.0/16', '111.28.0.0/16 183.254.0.0/16'],
  ['CN-CQ', '重庆', 24, '14.104.0.0/16 119.85.0.0/16', '27.8.0.0/16 113.205.0.0/16', '111.10.0.0/16 183.226.0.0/16'],
  ['CN-SC', '四川', 58, '125.66.0.0/16 171.209.0.0/16', '112.192.0.0/16 119.4.0.0/16', '112.45.0.0/16 117.174.0.0/16'],
  ['CN-GZ', '贵州', 25, '1.48.0.0/16 114.135.0.0/16', '58.16.0.0/16 111.85.0.0/16', '117.187.0.0/16 117.189.0.0/16'],
  ['CN-YN', '云南', 31, '106.61.0.0/16 116.53.0.0/16', '14.204.0.0/16 119.62.0.0/16', '39.128.0.0/16 183.224.0.0/16'],
  ['CN-XZ', '西藏', 3, '113.62.0.0/16 113.63.0.0/16', '', ''],
  ['CN-SN', '陕西', 30, '1.80.0.0/16 117.35.0.0/16', '113.200.0.0/16', '111.18.0.0/16 111.20.0.0/16'],
  ['CN-GS', '甘肃', 18, '27.224.0.0/16 118.180.0.0/16', '124.152.0.0/16', '117.156.0.0/16 117.157.0.0/16'],
  ['CN-QH', '青海', 4, '110.166.0.0/16 118.213.0.0/16', '139.170.0.0/16', ''],
  ['CN-NX', '宁夏', 6, '14.135.0.0/16 111.113.0.0/16', '', '111.49.0.0/16 111.50.0.0/16'],
  ['CN-XJ', '新疆', 19, '49.115.0.0/16 110.153.0.0/16', '124.88.0.0/16', '112.43.0.0/16 117.191.0.0/16'],
];

// prettier-ignore
const WORLD: readonly (readonly [code: string, name: string, weight: number, carrier: string, cidrs: string])[] = [
  ['HK', '香港', 14, 'PCCW', '219.76.0.0/14 119.237.0.0/16'],
  ['TW', '台湾', 12, 'HiNet', '114.32.0.0/12 61.216.0.0/13'],
  ['MO', '澳门', 3, 'CTM', '60.246.0.0/16 202.175.32.0/19'],
  ['SG', '新加坡', 9, 'StarHub', '116.86.0.0/15 218.186.0.0/16'],
  ['US', '美国', 18, 'Comcast', '73.32.0.0/11 98.192.0.0/10'],
  ['JP', '日本', 9, 'SoftBank', '126.0.0.0/8 60.32.0.0/12'],
  ['KR', '韩国', 6, 'KT', '121.128.0.0/10 211.104.0.0/13'],
  ['MY', '马来西亚', 5, 'TM', '175.136.0.0/13 115.132.0.0/14'],
  ['TH', '泰国', 4, 'True', '49.228.0.0/14 171.96.0.0/13'],
  ['VN', '越南', 4, 'VNPT', '14.160.0.0/11 113.160.0.0/11'],
  ['ID', '印度尼西亚', 3, 'Telkom', '36.64.0.0/11'],
  ['IN', '印度', 4, 'BSNL', '117.192.0.0/10'],
  ['AU', '澳大利亚', 6, 'Telstra', '1.128.0.0/11 58.160.0.0/12'],
  ['CA', '加拿大', 5, 'Rogers', '99.224.0.0/11 70.48.0.0/13'],
  ['GB', '英国', 5, 'BT', '86.128.0.0/10 81.128.0.0/11'],
  ['DE', '德国', 5, 'Deutsche Telekom', '87.128.0.0/10 91.0.0.0/10'],
  ['FR', '法国', 4, 'Orange', '86.192.0.0/11'],
  ['NL', '荷兰', 2, 'KPN', '77.160.0.0/12'],
  ['IT', '意大利', 2, 'TIM', '79.0.0.0/10'],
  ['ES', '西班牙', 2, 'Telefonica', '83.32.0.0/11'],
  ['RU', '俄罗斯', 3, 'Rostelecom', '95.24.0.0/13 178.64.0.0/13'],
  ['BR', '巴西', 2, 'Vivo', '177.32.0.0/12'],
  ['MX', '墨西哥', 1, 'Telmex', '189.128.0.0/10'],
  ['ZA', '南非', 1, 'Telkom SA', '41.0.0.0/11'],
];

/**
 * The provinces of China, then the world. For China, `addresses.test.ts` compares the ends and the middle of each range
 * with the data of ip2region: province and carrier. The ranges of the world are not compared with anything there.
 */
export const REGIONS: readonly Region[] = [
  ...PROVINCES.map(([code, name, weight, telecom, unicom, mobile]) => ({
    code,
    name,
    weight,
    ranges: [...ranges('电信', telecom), ...ranges('联通', unicom), ...ranges('移动', mobile)],
  })),
  ...WORLD.map(([code, name, weight, carrier, cidrs]) => ({ code, name, weight, ranges: ranges(carrier, cidrs) })),
];

export const CHINA: readonly Region[] = REGIONS.filter((region) => region.code.startsWith('CN-'));

function ranges(carrier: string, cidrs: string): Region['ranges'] {
  return cidrs.split(' ').flatMap((cidr) => (cidr === '' ? [] : [{ carrier, cidr }]));
}

/** A public IPv4 address of the region: any host of one of its ranges, never the first or last of a /24. */
export function pickAddress(random: Random, region: Region): string {
  const [base = '', bits = '32'] = random.pick(region.ranges).cidr.split('/');
  const first = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const block = first + random.below(2 ** (24 - Number(bits))) * 256;
  return [block / 2 ** 24, block / 2 ** 16, block / 2 ** 8]
    .map((part) => Math.floor(part) % 256)
    .concat(1 + random.below(254))
    .join('.');
}

/** As pickAddress; in China three visitors in a hundred come over IPv6, from anywhere in the home networks of the three carriers. */
export function pickHome(random: Random, region: Region): string {
  if (!region.code.startsWith('CN-') || !random.chance(0.03)) return pickAddress(random, region);
  const [first, second] = random.pick(CHINA_IPV6);
  const group = (): string => (1 + random.below(65_535)).toString(16);
  return [
    first,
    second + random.below(256).toString(16).padStart(2, '0'),
    group(),
    group(),
    group(),
    group(),
    group(),
    group(),
  ].join(':');
}

const CHINA_IPV6 = [
  ['240e', '3'],
  ['2408', '82'],
  ['2409', '8a'],
] as const;
