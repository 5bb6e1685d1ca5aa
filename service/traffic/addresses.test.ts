import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import { CHINA, REGIONS, pickAddress, pickHome } from './addresses.ts';
import { makeRandom } from './random.ts';

/** The first, middle and last address of a range. */
function samples(cidr: string): string[] {
  const [base = '', bits = '32'] = cidr.split('/');
  const first = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  return [first + 1, first + size / 2, first + size - 2].map((n) =>
    [n / 2 ** 24, n / 2 ** 16, n / 2 ** 8, n].map((part) => Math.floor(part) % 256).join('.'),
  );
}

interface Lookup {
  search(address: string): { country: string; province: string; isp: string } | null;
}

/** A free address database as a witness; an optional dependency, so the test says when it is not there. */
async function openWitness(): Promise<Lookup | undefined> {
  const loaded: unknown = await import('ip2region').catch(() => undefined);
  let Constructor: unknown = loaded;
  while (typeof Constructor === 'object' && Constructor !== null && 'default' in Constructor) Constructor = Constructor.default;
  return typeof Constructor === 'function' ? (Reflect.construct(Constructor, [{ disableIpv6: true }]) as Lookup) : undefined;
}

describe('addresses', () => {
  test('every range lies in its region and belongs to its carrier', async (t) => {
    const witness = await openWitness();
    if (witness === undefined) {
      t.skip('ip2region is not installed');
      return;
    }
    const wrong = CHINA.flatMap((region) =>
      region.ranges.flatMap(({ carrier, cidr }) =>
        samples(cidr).flatMap((address) => {
          const found = witness.search(address);
          const right = found?.country === '中国' && found.province.startsWith(region.name) && found.isp === carrier;
          return right ? [] : [`${address}: ${JSON.stringify(found)}, not ${region.name} ${carrier}`];
        }),
      ),
    );
    assert.deepEqual(wrong, []);
  });

  test('31 provinces, each range once', () => {
    assert.equal(CHINA.length, 31);
    const cidrs = REGIONS.flatMap((region) => region.ranges.map((range) => range.cidr));
    assert.equal(new Set(cidrs).size, cidrs.length);
  });

  test('every region gives well-formed addresses inside its ranges', () => {
    const random = makeRandom(1);
    for (const region of REGIONS) {
      for (let n = 0; n < 50; n += 1) {
        const address = n % 2 === 0 ? pickAddress(random, region) : pickHome(random, region);
        assert.ok(isIP(address) > 0, address);
        if (isIP(address) === 6) assert.match(address, /^(240e:3|2408:82|2409:8a)[0-9a-f]{2}:/);
        else assert.doesNotMatch(address, /\.(0|255)$/);
      }
    }
  });
});

describe('random', () => {
  test('is even, and the same for the same seed', () => {
    const random = makeRandom(7);
    const numbers = Array.from({ length: 20_000 }, () => random.next());
    const buckets = Array.from({ length: 10 }, (_, bucket) => numbers.filter((n) => Math.floor(n * 10) === bucket).length);
    for (const count of buckets) assert.ok(count > 1_800 && count < 2_200, String(buckets));
    const again = makeRandom(7);
    assert.deepEqual(
      numbers.slice(0, 5),
      Array.from({ length: 5 }, () => again.next()),
    );
    assert.notEqual(makeRandom(8).next(), numbers[0]);
    assert.notEqual(makeRandom(7, 1).next(), numbers[0]);
  });
});
