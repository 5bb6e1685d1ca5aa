import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Address, formatIpv4 } from './address.ts';
import { specialRange } from './special.ts';

const parse = (text: string): string | undefined => {
  const address = new Address();
  const fromText = address.parse(text) ? address.toString() : undefined;
  const bytes = Buffer.from(`x${text}x`, 'utf8');
  const other = new Address();
  const fromBytes = other.parseBytes(bytes, 1, bytes.length - 1) ? other.toString() : undefined;
  assert.equal(fromBytes, fromText, 'bytes and text differ');
  return fromText;
};

describe('addresses', () => {
  for (const [text, want] of [
    ['1.2.3.4', '1.2.3.4'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['128.0.0.1', '128.0.0.1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['1::', '1:0:0:0:0:0:0:0'],
    ['2001:DB8::a:0:7', '2001:db8:0:0:0:a:0:7'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::ffff:9.8.7.6', '9.8.7.6'],
    ['::FFFF:909:0909', '9.9.9.9'],
    ['0:0:0:0:0:ffff:200.1.1.1', '200.1.1.1'],
    ['64:ff9b::1.2.3.4', '64:ff9b:0:0:0:0:102:304'],
    ['1:2:3:4:5:6:7.7.7.7', '1:2:3:4:5:6:707:707'],
    ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
    ['', undefined],
    [' 1.2.3.4', undefined],
    ['1.2.3.4 ', undefined],
    ['1.2.3.4\n', undefined],
    ['1.2.3', undefined],
    ['1.2.3.4.5', undefined],
    ['1..3.4', undefined],
    ['.1.2.3', undefined],
    ['1.2.3.', undefined],
    ['01.2.3.4', undefined],
    ['1.2.3.00', undefined],
    ['256.1.1.1', undefined],
    ['1.2.3.4:80', undefined],
    ['1.2.3.4/32', undefined],
    ['１.2.3.4', undefined],
    ['134744072', undefined],
    ['0x8.8.8.8', undefined],
    ['-', undefined],
    ['unknown', undefined],
    [':', undefined],
    [':::', undefined],
    ['1:', undefined],
    [':1', undefined],
    ['1::2::3', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1:2:3:4:5:6:7:8::', undefined],
    ['1:2:3:4::5:6:7:8', undefined],
    ['12345::', undefined],
    ['g::', undefined],
    ['1:2:3:4:5:6:7:1.2.3.4', undefined],
    ['::1.2.3', undefined],
    ['::1.2.3.04', undefined],
    ['::ffff:1.2.3.4:5', undefined],
    ['[::1]', undefined],
    ['fe80::1%', undefined],
    ['fe80::1%a b', undefined],
    ['1.2.3.4%eth0', undefined],
  ] as const) {
    test(JSON.stringify(text), () => assert.equal(parse(text), want));
  }

  test('agrees with node:net on any address and any text', () => {
    const anyText = fc.oneof(fc.string({ maxLength: 60 }), fc.stringMatching(/^[0-9a-f:.]{0,20}$/), fc.ipV4(), fc.ipV6());
    fc.assert(fc.property(anyText, (text) => assert.equal(parse(text) !== undefined, isIPv4(text) || isIPv6(text), text)));
  });

  test('an IPv4 address survives printing', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 0xffffffff }), (v4) => assert.equal(parse(formatIpv4(v4)), formatIpv4(v4))));
  });
});

describe('special ranges', () => {
  for (const [text, want] of [
    ['0.1.2.3', 'reserved'],
    ['9.255.255.255', undefined],
    ['10.0.0.0', 'private'],
    ['10.255.255.255', 'private'],
    ['11.0.0.0', undefined],
    ['100.63.255.255', undefined],
    ['100.64.0.0', 'cgnat'],
    ['100.127.255.255', 'cgnat'],
    ['100.128.0.0', undefined],
    ['127.1.2.3', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['172.15.255.255', undefined],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', undefined],
    ['192.0.2.7', 'documentation'],
    ['192.167.255.255', undefined],
    ['192.168.1.1', 'private'],
    ['198.19.0.1', 'reserved'],
    ['203.0.113.200', 'documentation'],
    ['223.255.255.255', undefined],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.7', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['::', 'reserved'],
    ['::1', 'loopback'],
    ['::ffff:10.1.2.3', 'private'],
    ['fc00::1', 'private'],
    ['fdff::1', 'private'],
    ['fe80::1%eth0', 'link-local'],
    ['febf::1', 'link-local'],
    ['fec0::1', 'private'],
    ['ff02::1', 'multicast'],
    ['2001:db8:1::1', 'documentation'],
    ['2001:da8::1', undefined],
    ['2001:2::1', 'reserved'],
    ['2001:2:1::1', undefined],
    ['2400:3200::1', undefined],
    ['3ffe::1', undefined],
    ['3fff:fff::1', 'documentation'],
    ['3fff:1000::1', undefined],
    ['4000::1', 'reserved'],
    ['100::1', 'reserved'],
    ['nonsense', undefined],
  ] as const) {
    test(text, () => {
      const address = new Address();
      address.parse(text);
      assert.equal(specialRange(address)?.kind, want);
    });
  }
});
