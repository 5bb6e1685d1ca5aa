import assert from 'node:assert/strict';
import { Aggregate } from '../../engine/metrics/aggregate.ts';
import { magnitude, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { Lines } from './lines.ts';
import { StatsdParser } from './parse.ts';

/** A parser that remembers the names it has seen, as in a server that runs for long, within small limits. */
const aggregate = new Aggregate({ maxSeries: 500, maxNameBytes: 65_536, maxValues: 10_000, maxSetBytes: 1 << 20 });
const known = new StatsdParser(aggregate);
const ALL = { deleteCounters: true, deleteTimers: true, deleteSets: true, deleteGauges: true };
let inputs = 0;

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'statsd/lines',
    seeds: [
      'logins:1|c\nlogins:2|c|@0.25\nload:+1.5|g\nload:-1|g\npay:12|ms|@0.5\nwho:anna|s',
      'a:1|c:2|g:3|ms\na.b;env=prod:1.5e3|h|#env:prod,host:a\n订单:1|c',
      '_e{5,4}:title|text|p:low\n_sc|check|0|m:all is well\na:1:2:3|d|@0.1|#t',
    ],
    words: ['|c', '|g', '|ms', '|s', '|h', '|d', '|@', '|#', ':', '_e{', '_sc|', '\n', '1e308', '-', '+', '.', 'Infinity', '0x1'],
    run(bytes) {
      const fresh = new Aggregate({ maxSeries: 100, maxNameBytes: 8192 });
      const parser = new StatsdParser(fresh);
      parser.packet(bytes, 0, bytes.length);
      for (const series of fresh) {
        assert.ok(Number.isFinite(series.counter) && Number.isFinite(series.gauge), 'no value that is no number');
        for (const value of series.samples?.data().values ?? []) assert.ok(Number.isFinite(value));
      }
      known.packet(bytes, 0, bytes.length);
      assert.ok(aggregate.size <= 500, 'the limit of series holds');
      if (++inputs % 1000 === 0)
        for (const { timer } of aggregate.flush(ALL).series) if (typeof timer === 'object') timer.release();
      return [parser.lines, parser.bad, parser.refused, parser.events, fresh.size].map(magnitude).join();
    },
  },
  {
    name: 'statsd/stream',
    seeds: [
      'logins:1|c\nlogins:2|c\n',
      `${'x'.repeat(64)}\na:1|c`,
      `${'x'.repeat(65)}\na:1|c`,
      `a:1|c\n${'订单'.repeat(40)}`,
      '\n\n',
    ],
    words: ['\n', 'x'.repeat(60)],
    run(bytes) {
      // Short lines are the same in whatever pieces; of long ones no more than the limit and a piece is handed over.
      const read = (size: number): number[] => {
        const got: number[] = [];
        const lines = new Lines(64, (packet) => {
          assert.ok(packet.length > 0);
          got.push(packet.length);
        });
        for (let at = 0; at < bytes.length; at += size) lines.push(bytes.subarray(at, at + size));
        lines.end();
        return got;
      };
      for (const length of read(1)) assert.ok(length <= 65);
      const total = read(7).reduce((sum, length) => sum + length, 0);
      assert.ok(total <= bytes.length);
      return total === bytes.length ? 'all' : 'cut';
    },
  },
];
