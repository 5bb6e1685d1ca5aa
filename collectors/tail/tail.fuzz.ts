import assert from 'node:assert/strict';
import type { Parser } from '../../engine/component.ts';
import { magnitude, readWholeBatch, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { Lines } from './lines.ts';
import { printPositions, readPositions } from './positions.ts';

/** Every line becomes one event, but for empty ones, which fail. */
const whole: Parser = {
  parse(bytes, start, end, into) {
    if (start === end) return 'empty';
    into.begin();
    into.record({ message: Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8') });
    into.commit();
    return undefined;
  },
};

function linesTarget(encoding: string | undefined): FuzzTarget {
  let odd = 0;
  const lines = new Lines({
    parser: whole,
    maxLine: 512,
    encoding,
    pathKey: 'path',
    keepsUnmatched: true,
    maxEntries: 100,
    onFull: () => odd++,
    onUnmatched: () => odd++,
    onTooLong: () => odd++,
    onRepaired: () => odd++,
  });
  return {
    name: `tail/lines-${encoding ?? 'utf-8'}`,
    seeds: ['\ufeffGET /\r\nPOST /\n\n中文\n', Buffer.from('d6d0cec40ac4e3bac30d0a', 'hex')],
    words: ['\n', '\r\n', Buffer.from('d6d0', 'hex'), Buffer.from('81', 'hex'), '\ufeff'],
    run(bytes) {
      odd = 0;
      lines.take(bytes, 0, bytes.length, true, '/var/log/中.log');
      const batch = lines.writer.take('fuzz');
      return `${batch === undefined ? 'none' : readWholeBatch(batch)} ${magnitude(odd)}`;
    },
  };
}

export const fuzzTargets: readonly FuzzTarget[] = [
  linesTarget(undefined),
  linesTarget('gbk'),
  {
    name: 'tail/positions',
    seeds: ['/var/log/a.log\t0000000000000010\t00000000000a1b2c\n/中\tffffffffffffffff\t0000000000000000\n', 'a\tb\tc\n\t\t\n'],
    words: ['\t', '\n', 'ffffffffffffffff', '0000000000000001', '/var/log/a.log'],
    run(bytes) {
      let sign = '';
      for (const followsInodes of [true, false]) {
        const { positions, unreadable } = readPositions(bytes.toString('utf8'), followsInodes);
        for (const { offset } of positions) assert.ok(Number.isFinite(offset) && offset >= 0);
        const again = readPositions(printPositions(positions), followsInodes);
        assert.equal(again.positions.length, positions.length, 'what is printed is read again');
        sign += ` ${magnitude(positions.length)}/${magnitude(unreadable)}`;
      }
      return sign;
    },
  },
];
