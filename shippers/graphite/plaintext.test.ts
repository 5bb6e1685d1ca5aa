import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writeLine } from './plaintext.ts';

function line(path: string, value: unknown, tags?: Record<string, unknown>, seconds = 1_700_000_000): string {
  const into = new ByteWriter();
  const reason = writeLine(into, path, tags, value, seconds);
  return reason ?? into.copy().toString('utf8');
}

describe('lines', () => {
  for (const [path, tags, want] of [
    ['cpu.load', undefined, 'cpu.load 1'],
    ['cpu.load', { host: 'a', dc: 'eu' }, 'cpu.load;host=a;dc=eu 1'],
    ['cpu;host=a', { dc: 'eu' }, 'cpu;host=a;dc=eu 1'],
    ['cpu;host=a', { host: 'b' }, 'cpu;host=b 1'],
    ['cpu;flag;=x;y=', undefined, 'cpu 1'],
    ['a b\tc', undefined, 'a_b_c 1'],
    ['x 1 1\nevil 6 6', undefined, 'x_1_1_evil_6_6 1'],
    ['x\r\nevil', { t: 'v 1\nevil 2 3' }, 'x_evil;t=v_1_evil_2_3 1'],
    ['x\u2028y\u0000z\u00a0w', undefined, 'x_y_z_w 1'],
    ['../../etc/passwd', undefined, '..-..-etc-passwd 1'],
    ['f(a,"b"){c}[d]*?=e', undefined, 'f_a__b___c__d____e 1'],
    ['服务.订单', { 省: '浙江' }, '服务.订单;省=浙江 1'],
    [
      'm',
      { name: 'other', 'a!b': '~x;y', empty: '', none: null, list: [1], yes: true, n: 5 },
      'm;name_=other;a_b=_x_y;yes=true;n=5 1',
    ],
    ['m;__proto__=1', undefined, 'm;__proto__=1 1'],
    ['', undefined, 'the name is empty: ""'],
    ['..', undefined, 'the name is empty: ".."'],
    [' ', { a: 'b' }, 'the name is empty: " "'],
    ['n'.repeat(17_000), undefined, 'the line is longer than 16384 bytes'],
  ] as const)
    test(JSON.stringify([path.slice(0, 40), tags]), () =>
      assert.equal(line(path, 1, tags), want.startsWith('the ') ? want : `${want} 1700000000\n`),
    );

  for (const [value, want] of [
    [0, '0'],
    [-0, '0'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e21, '1e+21'],
    [10n ** 20n, '100000000000000000000'],
    ['12.5', '12.5'],
    ['-1e3', '-1000'],
    ['12 ms', undefined],
    ['0x10', undefined],
    ['1\nevil 1 1', undefined],
    ['', undefined],
    [NaN, undefined],
    [Infinity, undefined],
    ['1e999', undefined],
    [true, undefined],
    [null, undefined],
    [undefined, undefined],
    [[1], undefined],
  ] as const)
    test(`value ${typeof value} ${String(value)}`, () => {
      const got = line('m', value);
      if (want === undefined) assert.match(got, /^the value is no finite number/);
      else assert.equal(got, `m ${want} 1700000000\n`);
    });
});

test('whatever comes in, what goes out is one line of three fields with good tags, or a reason', () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom(...' ;=~!^\n\r\t./a"'.split('')), fc.string({ unit: 'binary', maxLength: 1, minLength: 1 })),
  });
  fc.assert(
    fc.property(text, fc.dictionary(text, fc.oneof(text, fc.integer())), fc.oneof(text, fc.double()), (path, tags, value) => {
      const into = new ByteWriter();
      const reason = writeLine(into, path, tags, value, 5);
      if (reason !== undefined) return assert.equal(into.length, 0);
      const found = /^([^\s;]+)((?:;[^\s;!^=]+=[^\s;~][^\s;]*)*) (\S+) 5\n$/.exec(into.copy().toString('utf8'));
      assert.ok(found, into.copy().toString('utf8'));
      assert.ok(Number.isFinite(Number(found[3])));
    }),
  );
});
