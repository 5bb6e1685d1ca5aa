/** Writers of small IP databases for tests. They follow the layouts at the head of each reader, and can make them wrong. */
import { parseIpv4 } from './address.ts';

export interface QqwryText {
  readonly text?: string;
  readonly hex?: string;
}
export interface QqwryBlob extends QqwryText {
  readonly label: string;
}
export interface QqwryCountry extends QqwryText {
  /** Label of the text that stands elsewhere. */
  readonly ref?: string;
  readonly label?: string;
}
export interface QqwryArea extends QqwryText {
  readonly ref?: string;
  readonly mode?: number;
  /** This redirect with offset 0: no area. */
  readonly zero?: number;
}
export interface QqwryEntry {
  readonly start: string;
  readonly end?: string;
  readonly country?: QqwryCountry;
  readonly area?: QqwryArea;
  readonly label?: string;
  /** Country and area stand before the record, which points at them. */
  readonly via1?: boolean;
  /** The record points at the labelled body. */
  readonly to1?: string;
  /** The index entry points at the record of that entry. */
  readonly sameRecordAs?: number;
}
export interface QqwryBuild {
  /** The whole file in hexadecimal. */
  readonly raw?: string;
  readonly pad?: number;
  readonly blobs?: readonly QqwryBlob[];
  readonly records?: readonly QqwryEntry[];
  /** Instead of the true offsets in the header. */
  readonly first?: number;
  readonly last?: number;
  readonly patch?: readonly (readonly [at: number | { readonly fromFirst: number }, hex: string])[];
  /** Bytes to keep; negative: bytes to drop at the end. */
  readonly cut?: number;
}

export function buildQqwry(build: QqwryBuild): Buffer {
  if (build.raw !== undefined) return Buffer.from(build.raw, 'hex');
  const parts: Buffer[] = [Buffer.alloc(8 + (build.pad ?? 0))];
  let size = parts[0]!.length;
  const labels = new Map<string, number>();
  const put = (bytes: Buffer): void => {
    parts.push(bytes);
    size += bytes.length;
  };
  const mark = (label: string | undefined): void => {
    if (label !== undefined) labels.set(label, size);
  };
  const target = (label: string): number => labels.get(label) ?? 0;
  for (const blob of build.blobs ?? []) {
    mark(blob.label);
    put(encoded(blob));
  }
  const body = ({ country = {}, area = {} }: QqwryEntry): void => {
    mark(country.label);
    put(country.ref === undefined ? encoded(country) : Buffer.concat([Buffer.of(2), u24(target(country.ref))]));
    if (area.zero !== undefined) put(Buffer.concat([Buffer.of(area.zero), u24(0)]));
    else put(area.ref === undefined ? encoded(area) : Buffer.concat([Buffer.of(area.mode ?? 2), u24(target(area.ref))]));
  };
  const offsets: number[] = [];
  for (const entry of build.records ?? []) {
    if (entry.sameRecordAs !== undefined) {
      offsets.push(offsets[entry.sameRecordAs]!);
      continue;
    }
    let bodyAt = entry.to1 === undefined ? 0 : target(entry.to1);
    if (entry.via1) {
      bodyAt = size;
      mark(entry.label);
      body(entry);
    }
    offsets.push(size);
    put(u32(parseIpv4(entry.end ?? '')));
    if (bodyAt > 0) put(Buffer.concat([Buffer.of(1), u24(bodyAt)]));
    else {
      mark(entry.label);
      body(entry);
    }
  }
  const first = size;
  for (const [index, { start }] of (build.records ?? []).entries())
    put(Buffer.concat([u32(parseIpv4(start)), u24(offsets[index]!)]));
  const file = Buffer.concat(parts);
  file.writeUInt32LE(build.first ?? first, 0);
  file.writeUInt32LE(build.last ?? size - 7, 4);
  for (const [at, hex] of build.patch ?? [])
    Buffer.from(hex, 'hex').copy(file, typeof at === 'number' ? at : first + at.fromFirst);
  return build.cut === undefined ? file : file.subarray(0, build.cut < 0 ? file.length + build.cut : build.cut);
}

/** The plainest qqwry.dat: `start country area`, each range up to the next start; a version record at the end. */
export function qqwryOf(
  rows: readonly (readonly [start: string, country: string, area: string])[],
  version = '2030年01月02日IP数据',
): Buffer {
  const all = [...rows, ['255.255.255.0', '纯真网络', version] as const];
  return buildQqwry({
    records: all.map(([start, country, area], index) => {
      const next = all[index + 1];
      const end = next ? parseIpv4(next[0]) - 1 : 0xffffffff;
      return { start, end: dotted(end), country: { text: country }, area: { text: area } };
    }),
  });
}

/** @param rows  first and last address, `国家|区域|省份|城市|运营商` */
export function ip2regionDbOf(rows: readonly (readonly [start: string, end: string, region: string])[]): Buffer {
  const data = rows.map(([, , region]) => Buffer.concat([u32(7), Buffer.from(region, 'utf8')]));
  const index: Buffer[] = [];
  let at = 8;
  for (const [number, [start, end]] of rows.entries()) {
    const length = data[number]!.length;
    index.push(u32(parseIpv4(start)), u32(parseIpv4(end)), u32(((length << 24) | at) >>> 0));
    at += length;
  }
  return Buffer.concat([u32(at), u32(at + (rows.length - 1) * 12), ...data, ...index]);
}

/** @param version  2, or 3 with the family of its addresses; IPv6 as 32 hexadecimal digits */
export function ip2regionXdbOf(
  rows: readonly (readonly [start: string, end: string, region: string])[],
  version: 2 | 3 = 2,
  family: 4 | 6 = 4,
): Buffer {
  const head = Buffer.alloc(256 + 524_288);
  const data = rows.map(([, , region]) => Buffer.from(region, 'utf8'));
  const index: Buffer[] = [];
  let at = head.length;
  for (const [number, [start, end]] of rows.entries()) {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(data[number]!.length);
    const addresses =
      family === 4 ? [u32(parseIpv4(start)), u32(parseIpv4(end))] : [Buffer.from(start, 'hex'), Buffer.from(end, 'hex')];
    index.push(...addresses, length, u32(at));
    at += data[number]!.length;
  }
  head.writeUInt16LE(version, 0);
  head.writeUInt16LE(1, 2);
  head.writeUInt32LE(1_700_000_000, 4);
  head.writeUInt32LE(at, 8);
  head.writeUInt32LE(at + (rows.length - 1) * (family === 4 ? 14 : 38), 12);
  if (version === 3) {
    head.writeUInt16LE(family, 16);
    head.writeUInt16LE(4, 18);
  }
  return Buffer.concat([head, ...data, ...index]);
}

/** @param rows  upper half of the first address in hexadecimal, country, area */
export function zxOf(rows: readonly (readonly [upper: string, country: string, area: string])[]): Buffer {
  const head = Buffer.alloc(48);
  head.write('IPDB');
  head.writeUInt16LE(1, 4);
  head[6] = 3;
  head[7] = 8;
  head.write('20300102', 40);
  const data = rows.map(([, country, area]) => Buffer.from(`${country}\0${area}\0`, 'utf8'));
  const index: Buffer[] = [];
  let at = head.length;
  for (const [number, [upper]] of rows.entries()) {
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(`0x${upper}`));
    index.push(start, u24(at));
    at += data[number]!.length;
  }
  head.writeBigInt64LE(BigInt(rows.length), 8);
  head.writeBigInt64LE(BigInt(at), 16);
  return Buffer.concat([head, ...data, ...index]);
}

export interface LitePlace {
  readonly country: string;
  readonly region?: string;
  readonly city?: string;
  readonly timezone?: string;
}

/** The three files of geoip-lite. IPv6 rows name the upper halves. */
export function geoipLiteOf(
  places: readonly LitePlace[],
  v4: readonly (readonly [start: string, end: string, place: number, lat: number, lon: number])[],
  v6: readonly (readonly [start: string, end: string, place: number, lat: number, lon: number])[] = [],
): Readonly<Record<'geoip-city.dat' | 'geoip-city6.dat' | 'geoip-city-names.dat', Buffer>> {
  const names = Buffer.alloc(places.length * 88);
  for (const [id, { country, region = '', city = '', timezone = '' }] of places.entries()) {
    names.write(country, id * 88);
    names.write(region, id * 88 + 2);
    names.write('0', id * 88 + 9);
    names.write(timezone, id * 88 + 10);
    names.write(city, id * 88 + 42);
  }
  const rows4 = Buffer.alloc(v4.length * 24);
  for (const [row, [start, end, place, lat, lon]] of v4.entries()) {
    rows4.writeUInt32BE(parseIpv4(start), row * 24);
    rows4.writeUInt32BE(parseIpv4(end), row * 24 + 4);
    writePlace(rows4, row * 24 + 8, place, lat, lon);
  }
  const rows6 = Buffer.alloc(v6.length * 48);
  for (const [row, [start, end, place, lat, lon]] of v6.entries()) {
    rows6.writeBigUInt64BE(BigInt(`0x${start}`), row * 48);
    rows6.writeBigUInt64BE(BigInt(`0x${end}`), row * 48 + 16);
    writePlace(rows6, row * 48 + 32, place, lat, lon);
  }
  return { 'geoip-city.dat': rows4, 'geoip-city6.dat': rows6, 'geoip-city-names.dat': names };
}

type Mmdb = string | number | boolean | readonly Mmdb[] | { readonly [key: string]: Mmdb };

/**
 * A MaxMind database with an IPv6 tree, in which IPv4 lies below 96 zero bits.
 *
 * @param networks  bits of the prefix as a text of 0 and 1, its record
 * @param data  instead of the encoded records, for hostile files; every network then points at its start
 */
export function mmdbOf(
  networks: readonly (readonly [bits: string, record: Mmdb])[],
  {
    recordSize = 28,
    data,
    type = 'Test-City',
  }: { readonly recordSize?: 24 | 28 | 32; readonly data?: Buffer; readonly type?: string } = {},
): Buffer {
  const nodes: [number | string, number | string][] = [['', '']];
  const records: Buffer[] = [];
  const ends: number[] = [];
  let size = 0;
  for (const [number, [bits, record]] of networks.entries()) {
    const bytes = encodeMmdb(record);
    ends[number] = data ? 0 : size;
    size += bytes.length;
    records.push(bytes);
    let node = 0;
    for (const [depth, bit] of bits.split('').entries()) {
      const side = bit === '1' ? 1 : 0;
      if (depth === bits.length - 1) nodes[node]![side] = `data ${number}`;
      else {
        if (typeof nodes[node]![side] !== 'number') nodes[node]![side] = nodes.push(['', '']) - 1;
        node = nodes[node]![side] as number;
      }
    }
  }
  const value = (child: number | string): number => {
    if (typeof child === 'number') return child;
    return child === '' ? nodes.length : nodes.length + 16 + ends[Number(child.slice(5))]!;
  };
  const tree = Buffer.concat(nodes.map(([left, right]) => mmdbNode(value(left), value(right), recordSize)));
  const metadata = encodeMmdb({
    node_count: nodes.length,
    record_size: recordSize,
    ip_version: 6,
    database_type: type,
    languages: ['en'],
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_700_000_000,
    description: { en: 'made by a test' },
  });
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    data ?? Buffer.concat(records),
    Buffer.from('abcdef4d61784d696e642e636f6d', 'hex'),
    metadata,
  ]);
}

/** The bits of an IPv4 prefix in an IPv6 tree. */
export function v4Bits(cidr: string): string {
  const [address = '', length] = cidr.split('/');
  return '0'.repeat(96) + parseIpv4(address).toString(2).padStart(32, '0').slice(0, Number(length));
}

function mmdbNode(left: number, right: number, recordSize: 24 | 28 | 32): Buffer {
  const node = Buffer.alloc(recordSize / 4);
  if (recordSize === 28) {
    node.writeUIntBE(left & 0xffffff, 0, 3);
    node[3] = ((left >>> 24) << 4) | (right >>> 24);
    node.writeUIntBE(right & 0xffffff, 4, 3);
  } else {
    node.writeUIntBE(left, 0, recordSize / 8);
    node.writeUIntBE(right, recordSize / 8, recordSize / 8);
  }
  return node;
}

export function encodeMmdb(value: Mmdb): Buffer {
  if (typeof value === 'string') return Buffer.concat([mmdbHead(2, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === 'boolean') return mmdbHead(14, Number(value));
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(Number.isInteger(value) && value >= 0 ? 4 : 8);
    if (bytes.length === 4) bytes.writeUInt32BE(value);
    else bytes.writeDoubleBE(value);
    return Buffer.concat([mmdbHead(bytes.length === 4 ? 6 : 3, bytes.length), bytes]);
  }
  if (Array.isArray(value)) return Buffer.concat([mmdbHead(11, value.length), ...value.map((item) => encodeMmdb(item as Mmdb))]);
  const pairs = Object.entries(value as { readonly [key: string]: Mmdb });
  return Buffer.concat([mmdbHead(7, pairs.length), ...pairs.flatMap(([key, item]) => [encodeMmdb(key), encodeMmdb(item)])]);
}

function mmdbHead(type: number, size: number): Buffer {
  const short = size < 29 ? size : 29;
  const head = type > 7 ? [short, type - 7] : [(type << 5) | short];
  return Buffer.from(size < 29 ? head : [...head, size - 29]);
}

function writePlace(into: Buffer, at: number, place: number, lat: number, lon: number): void {
  into.writeUInt32BE(place >>> 0, at);
  into.writeInt32BE(Math.round(lat * 10_000), at + 4);
  into.writeInt32BE(Math.round(lon * 10_000), at + 8);
  into.writeUInt32BE(10, at + 12);
}

function encoded({ text = '', hex }: QqwryText): Buffer {
  return Buffer.concat([hex === undefined ? gbk(text) : Buffer.from(hex, 'hex'), Buffer.of(0)]);
}

let gbkOf: Map<string, Buffer> | undefined;

/** Node decodes GBK and does not write it: the table is turned round once. */
export function gbk(text: string): Buffer {
  if (gbkOf === undefined) {
    gbkOf = new Map();
    const decoder = new TextDecoder('gbk');
    for (let lead = 0x81; lead <= 0xfe; lead++) {
      for (let trail = 0x40; trail <= 0xfe; trail++) {
        const pair = Buffer.of(lead, trail);
        const decoded = decoder.decode(pair);
        if (decoded.length === 1 && decoded !== '\ufffd' && !gbkOf.has(decoded)) gbkOf.set(decoded, pair);
      }
    }
  }
  const table = gbkOf;
  return Buffer.concat(Array.from(text, (char) => table.get(char) ?? Buffer.from(char, 'latin1')));
}

const dotted = (v4: number): string => `${v4 >>> 24}.${(v4 >>> 16) & 255}.${(v4 >>> 8) & 255}.${v4 & 255}`;

function u24(value: number): Buffer {
  return Buffer.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
