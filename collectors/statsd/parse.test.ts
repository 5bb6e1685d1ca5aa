import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Aggregate } from '../../engine/metrics/aggregate.ts';
import { StatsdParser, type ParseOptions } from './parse.ts';

/** Everything that a server has after these packets, as short text: `counter c=1`, `timer t=5,7 of 12`. */
function read(packets: readonly (string | Buffer)[], options: Partial<ParseOptions> = {}, maxSeries = 1000): string[] {
  const aggregate = new Aggregate({ maxSeries });
  const parser = new StatsdParser(aggregate, options);
  for (const packet of packets) {
    const bytes = typeof packet === 'string' ? Buffer.from(packet, 'utf8') : packet;
    parser.packet(bytes, 0, bytes.length);
  }
  const state: string[] = [];
  for (const series of aggregate) {
    if (series.isCounter) state.push(`counter ${series.name}=${series.counter}`);
    if (series.isGauge) state.push(`gauge ${series.name}=${series.gauge}`);
    const { values, weight } = series.samples?.data() ?? {};
    if (series.isTimer) state.push(`timer ${series.name}=${values?.join(',')} of ${weight}`);
    if (series.isSet) state.push(`set ${series.name}=${[...(series.members?.members ?? [])].join(',')}`);
  }
  if (parser.bad > 0) state.push(`bad ${parser.bad}`);
  if (parser.refused > 0) state.push(`refused ${parser.refused}`);
  if (parser.events > 0) state.push(`events ${parser.events}`);
  return state.sort();
}

describe('lines of statsd', () => {
  for (const [packets, ...want] of [
    [['logins:1|c'], 'counter logins=1'],
    [['logins:1|c\nlogins:2|c\n'], 'counter logins=3'],
    [['logins:3|c|@0.25'], 'counter logins=12'],
    [['load:1.5|g', 'load:+0.25|g', 'load:-1|g'], 'gauge load=0.75'],
    [['load:7|g', 'load:7|g|@0.5'], 'gauge load=7'],
    [['pay:12|ms|@0.5\npay:8.5|ms'], 'timer pay=12,8.5 of 3'],
    [['who:anna|s', 'who:bert|s', 'who:anna|s'], 'set who=anna,bert'],
    [['who:|s'], 'set who=0'],
    [['a:1|c:2|g:3|ms'], 'counter a=1', 'gauge a=2', 'timer a=3 of 1'],
    [['a:1|c|@0.5:3|c|@0.5'], 'counter a=8'],
    [['order time/eu:1|c'], 'counter order_time-eu=1'],
    [['prix€:1|c'], 'counter prix=1'],
    [['订单:1|c'], 'counter =1'],
    [['m;dc=a;rack=1:1|c'], 'counter m;dc=a;rack=1=1'],
    [['m:1|c|#dc:a,flag,url:http://x'], 'counter m;dc=a;flag;url=http--x=1'],
    [['m:1|c|@0.1|#dc:a'], 'counter m;dc=a=10'],
    [['m:5|ms|#dc:a', 'm:7|ms|#dc:a', 'm:9|ms|#dc:b'], 'timer m;dc=a=5,7 of 2', 'timer m;dc=b=9 of 1'],
    [['m:1e3|c', 'm:0x10|c', 'm: 4 |c'], 'counter m=1020'],
    [['m:0.1|c', 'm:0.2|c'], 'counter m=0.30000000000000004'],
    [['m:123456789012345678|g'], 'gauge m=123456789012345680'],
    [['m:1|what'], 'counter m=1'],
    [['m:1| g'], 'gauge m=1'],
    [['m:-4|ms'], 'bad 1'],
    [['m:-4|ms\r'], 'bad 1'],
    [['m:4|ms\r'], 'timer m=4 of 1'],
    [['m:|c', 'm:x|c', 'm', 'm:1', ':', '|', 'm:1|c|', 'm:1|c|0.5'], 'bad 8'],
    [['m:NaN|c', 'm:Infinity|g', 'm:1e999|ms', 'm:-1e999|c'], 'bad 4'],
    [['m:1|c|@0', 'm:1|c|@-1', 'm:1|c|@+1', 'm:1|c|@ 1', 'm:1|c|@Infinity', 'm:1|c|@1e-999', 'm:1|c|@x'], 'bad 7'],
    [['m:1|c|@0.5\r'], 'counter m=2'],
    [['\n\n', '']],
    [['__proto__:1|c', 'constructor:2|ms', 'toString:x|s'], 'counter __proto__=1', 'set toString=x', 'timer constructor=2 of 1'],
    [[Buffer.from([0x61, 0xff, 0x62, 0x3a, 0x31, 0x7c, 0x63])], 'counter ab=1'],
    [['ok:1|c\nbroken\nok:1|c'], 'bad 1', 'counter ok=2'],
    [['m:1e308|c', 'm:1e308|c'], 'bad 1', 'counter m=1e+308'],
  ] as const)
    test(JSON.stringify(packets), () => assert.deepEqual(read(packets), [...want].sort()));
});

describe('what only DogStatsD has', () => {
  for (const [line, ...want] of [
    ['m:12|h', 'timer m=12 of 1'],
    ['m:12|d|@0.1', 'timer m=12 of 10'],
    ['m:1:2:3|h', 'timer m=1,2,3 of 3'],
    ['m:1::3|d|#a:b', 'timer m;a=b=1,3 of 2'],
    ['m:-2|h', 'timer m=-2 of 1'],
    ['m:4|c|T1700000000', 'counter m=4'],
    ['m:4|c|T0', 'bad 1'],
    ['m:4|ms|T1700000000', 'bad 1'],
    ['m:4|c|#a:b|T1700000000', 'counter m;a=b=4'],
    ['m:4|c|#a:b|@0.5', 'counter m;a=b=8'],
    ['m:4|c|c:ci-77,in-5', 'counter m=4'],
    ['m:4|g|#a:b|c:ci-77|e:it-false|card:low', 'gauge m;a=b=4'],
    ['m:4|c|card:low', 'counter m=4'],
    ['m:4|ms|@0.1:5|c:7|ms', 'counter m=5', 'timer m=4,7 of 11'],
    ['_e{5,4}:title|text|p:low', 'events 1'],
    ['_sc|db|2|m:gone', 'events 1'],
    ['_sc|db|9', 'bad 1'],
    ['_e{5}:title', 'bad 1'],
  ] as const)
    test(line, () => assert.deepEqual(read([line]), [...want].sort()));

  test('a signed gauge is a value when the configuration says so', () => {
    assert.deepEqual(read(['t:10|g', 't:-5|g'], { gaugeSign: 'absolute' }), ['gauge t=-5']);
  });
});

describe('bounds', () => {
  test('a new name beyond the bound is refused, a known one is not', () => {
    assert.deepEqual(read(['a:1|c', 'b:1|c', 'c:1|c', 'a:1|c', 'c:1|c|#t:x'], {}, 2), [
      'counter a=2',
      'counter b=1',
      'refused 2',
    ]);
  });
  test('a long line is bad, the next one is read', () => {
    assert.deepEqual(read([`${'x'.repeat(200)}:1|c\na:1|c\n${'y'.repeat(59)} :1|s`], { maxLine: 64 }), [
      'bad 1',
      'counter a=1',
      `set ${'y'.repeat(59)}_=1`,
    ]);
  });
  test('a long name is bad', () => {
    const long = 'n'.repeat(100);
    assert.deepEqual(read([`${long}:1|c`, `n:1|c|#${long}`, `${long}:x|s`], { maxName: 64 }), ['bad 3']);
  });
  test('names stay as they are when they are not to be cleaned', () => {
    assert.deepEqual(read(['a b/c:1|c|#x:y z'], { sanitize: false }), ['counter a b/c;x=y z=1']);
  });
  test('an idle series that was forgotten comes back under an alias', () => {
    const aggregate = new Aggregate();
    const parser = new StatsdParser(aggregate);
    const packet = Buffer.from('a/b:1|c|#t:x');
    for (let n = 0; n < 3; n++) {
      parser.packet(packet, 0, packet.length);
      parser.packet(packet, 0, packet.length);
      const rules = { deleteCounters: true, deleteTimers: true, deleteSets: true, deleteGauges: true };
      assert.deepEqual(
        aggregate.flush(rules).series.map(({ name, counter }) => [name, counter]),
        [['a-b;t=x', 2]],
      );
      assert.equal(aggregate.size, 0);
    }
  });
});

describe('properties', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'a1.:|@#;=,-+ \n\r_/xcgms中'.split('')), maxLength: 60 });

  test('any bytes: no throw, nothing that is not finite is kept', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(noise, fc.uint8Array({ maxLength: 60 })), { maxLength: 20 }), (packets) => {
        const aggregate = new Aggregate({ maxSeries: 8 });
        const parser = new StatsdParser(aggregate);
        for (const packet of packets) {
          const bytes = Buffer.from(packet as string);
          parser.packet(bytes, 0, bytes.length);
        }
        assert.ok(aggregate.size <= 8);
        for (const { counter, gauge, samples } of aggregate)
          for (const value of [counter, gauge, ...(samples?.data().values ?? [])]) assert.ok(Number.isFinite(value));
      }),
    );
  });

  test('the value of a plain line is what JavaScript reads', () => {
    const digits = fc.stringMatching(/^[+-]?(?:\d{1,18}\.?\d{0,18}|\.\d{1,18})(?:e[+-]?\d)?$/);
    fc.assert(
      fc.property(digits, fc.constantFrom('', '|@0.1', '|@.5', '|@1.', '|@0.333'), (value, rate) => {
        const scale = rate === '' ? 1 : 1 / Number(rate.slice(2));
        assert.deepEqual(read([`m:${value}|c${rate}`]), [`counter m=${0 + Number(value) * scale}`]);
      }),
    );
  });

  test('cutting a packet at line ends changes nothing', () => {
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 12 }), (lines) => {
        const text = lines.map((line) => line.replaceAll('\n', ''));
        assert.deepEqual(read([text.join('\n')]), read(text));
      }),
    );
  });
});
