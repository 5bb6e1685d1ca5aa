import assert from 'node:assert/strict';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { MAX_LINE, writeLine } from './plaintext.ts';

const into = new ByteWriter(1024);

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'graphite/line',
    seeds: ['app.web.duration\n1.5\nhost=a', 'cpu;host=a;dc=b\n1\n', '订单 数/分\n1e3\n名=值', '\n\n', 'a\n 12 \n~=;'],
    words: [' ', '\r', '\n', ';', '=', '~', '!', '^', '..', '\u2028', '\u00a0', '1e400', '0x10', 'NaN'],
    maxBytes: 20_000,
    run(bytes) {
      const [path = '', value = '', tags = ''] = bytes.toString('utf8').split('\n');
      const [name = '', ...rest] = tags.split('=');
      into.reset();
      const reason = writeLine(into, path, { [name]: rest.join('=') }, value, 1_700_000_000);
      const text = into.copy().toString('utf8');
      if (reason !== undefined) {
        assert.equal(text, '', 'nothing is written of what is refused');
        return reason.slice(0, 20);
      }
      assert.ok(into.length <= MAX_LINE);
      assert.match(text, /^\S+ -?[\d.]+(?:e[+-]?\d+)? 1700000000\n$/u, 'one line of three fields');
      assert.ok(Number.isFinite(Number(text.split(' ')[1])));
      return Math.min(9, text.split(';').length);
    },
  },
];
