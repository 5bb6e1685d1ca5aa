/**
 * Addresses that have no place: private, reserved, loopback and the like, told apart by their range before any look-up.
 * Deciding by the texts of a database would hit hundreds of real sites (a net café named 内网吧, INTERNATIONAL contains NAT).
 *
 * @see https://www.iana.org/assignments/iana-ipv4-special-registry
 * @see https://www.iana.org/assignments/iana-ipv6-special-registry
 */
import { Address } from './address.ts';

export const SPECIAL_KINDS = [
  'private',
  'loopback',
  'link-local',
  'cgnat',
  'multicast',
  'documentation',
  'reserved',
] as const satisfies readonly string[];
export type SpecialKind = (typeof SPECIAL_KINDS)[number];

export interface SpecialRange {
  readonly kind: SpecialKind;
  readonly cidr: string;
  /** One noun phrase for people. */
  readonly meaning: string;
}

const RANGES: readonly (readonly [cidr: string, kind: SpecialKind, meaning: string])[] = [
  ['0.0.0.0/8', 'reserved', '"this network" (RFC 791)'],
  ['10.0.0.0/8', 'private', 'private network (RFC 1918)'],
  ['100.64.0.0/10', 'cgnat', 'shared address space of carrier-grade NAT (RFC 6598)'],
  ['127.0.0.0/8', 'loopback', 'the host itself (RFC 1122)'],
  ['169.254.0.0/16', 'link-local', 'link-local (RFC 3927)'],
  ['172.16.0.0/12', 'private', 'private network (RFC 1918)'],
  ['192.0.0.0/24', 'reserved', 'IETF protocol assignments (RFC 6890)'],
  ['192.0.2.0/24', 'documentation', 'documentation, TEST-NET-1 (RFC 5737)'],
  ['192.88.99.0/24', 'reserved', 'former 6to4 relays (RFC 7526)'],
  ['192.168.0.0/16', 'private', 'private network (RFC 1918)'],
  ['198.18.0.0/15', 'reserved', 'benchmarking (RFC 2544)'],
  ['198.51.100.0/24', 'documentation', 'documentation, TEST-NET-2 (RFC 5737)'],
  ['203.0.113.0/24', 'documentation', 'documentation, TEST-NET-3 (RFC 5737)'],
  ['224.0.0.0/4', 'multicast', 'multicast (RFC 5771)'],
  ['255.255.255.255/32', 'reserved', 'limited broadcast (RFC 919)'],
  ['240.0.0.0/4', 'reserved', 'reserved for future use (RFC 1112)'],
  ['::/128', 'reserved', 'the unspecified address (RFC 4291)'],
  ['::1/128', 'loopback', 'the host itself (RFC 4291)'],
  ['64:ff9b:1::/48', 'private', 'local-use translation (RFC 8215)'],
  ['64:ff9b::/96', 'reserved', 'IPv4-IPv6 translation (RFC 6052)'],
  ['100::/64', 'reserved', 'discard only (RFC 6666)'],
  ['2001:2::/48', 'reserved', 'benchmarking (RFC 5180)'],
  ['2001:10::/28', 'reserved', 'ORCHID, deprecated (RFC 4843)'],
  ['2001:20::/28', 'reserved', 'ORCHIDv2 (RFC 7343)'],
  ['2001:db8::/32', 'documentation', 'documentation (RFC 3849)'],
  ['3fff::/20', 'documentation', 'documentation (RFC 9637)'],
  ['fc00::/7', 'private', 'unique local (RFC 4193)'],
  ['fe80::/10', 'link-local', 'link-local (RFC 4291)'],
  ['fec0::/10', 'private', 'site-local, deprecated (RFC 3879)'],
  ['ff00::/8', 'multicast', 'multicast (RFC 4291)'],
];

interface Prefix {
  readonly range: SpecialRange;
  /** The address and its mask, as 16-bit groups: two for IPv4, eight for IPv6. */
  readonly groups: readonly number[];
  readonly masks: readonly number[];
}

const PREFIXES = RANGES.map(([cidr, kind, meaning]) => prefixOf(Object.freeze({ cidr, kind, meaning })));
const V4 = PREFIXES.filter(({ groups }) => groups.length === 2);
const V6 = PREFIXES.filter(({ groups }) => groups.length === 8);
// What is outside 2000::/3 and not named above was never given to anybody (RFC 4291).
const UNASSIGNED = Object.freeze({ cidr: '::/0', kind: 'reserved', meaning: 'not assigned by IANA' } as const);

/** 1 where a first octet has a special range at all: one look says "ordinary" for nearly all real traffic. */
const V4_OCTETS = new Uint8Array(256);
for (const { groups, masks } of V4) {
  const first = groups[0]! >>> 8;
  for (let octet = first; octet <= (first | (~(masks[0]! >>> 8) & 255)); octet++) V4_OCTETS[octet] = 1;
}

/** @returns undefined for an ordinary address, and for none at all */
export function specialRange(address: Address): SpecialRange | undefined {
  if (address.family === 4) return specialV4(address.v4);
  if (address.family !== 6) return undefined;
  const { groups } = address;
  const first = groups[0]!;
  // 2003::/16 to 3ffe::/16 hold most of the world's unicast addresses and no special range.
  if (first > 0x2001 && first < 0x3fff) return undefined;
  for (const prefix of V6) if (holds(prefix, groups)) return prefix.range;
  return first >= 0x2000 && first <= 0x3fff ? undefined : UNASSIGNED;
}

/** @param v4  unsigned 32 bits */
export function specialV4(v4: number): SpecialRange | undefined {
  if (V4_OCTETS[v4 >>> 24] === 0) return undefined;
  const high = v4 >>> 16;
  const low = v4 & 0xffff;
  for (const { range, groups, masks } of V4) {
    if ((high & masks[0]!) === groups[0] && (low & masks[1]!) === groups[1]) return range;
  }
  return undefined;
}

function holds({ groups, masks }: Prefix, address: Uint16Array): boolean {
  for (let i = 0; i < 8; i++) if ((address[i]! & masks[i]!) !== groups[i]) return false;
  return true;
}

function prefixOf(range: SpecialRange): Prefix {
  const [text = '', bits] = range.cidr.split('/');
  const address = new Address();
  address.parse(text);
  const groups = address.family === 4 ? [address.v4 >>> 16, address.v4 & 0xffff] : [...address.groups];
  const masks = groups.map((_, index) => {
    const ones = Math.min(16, Math.max(0, Number(bits) - index * 16));
    return (0xffff << (16 - ones)) & 0xffff;
  });
  return { range, groups, masks };
}
