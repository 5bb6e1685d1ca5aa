import type { Parser, SourceContext } from '../../engine/component.ts';
import { readWholeBatch, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { testContext } from '../../engine/testing/driver.ts';
import { Frames } from './frames.ts';
import { Intake } from './intake.ts';
import { config, type metrics } from './settings.ts';
import { syslogSource } from './syslog.ts';

const SEEDS = ['<34>Oct 11 22:14:15 host su: m\n<165>1 2003-10-11T22:14:15.003Z h a - - - m\n', '10 <13>订单5 <1>ab7 <1>abc\n'];
const WORDS = ['<', '>', '<192>', '\n', '9 ', '70000 ', '\r\n'];

const parser: Parser = {
  parse(bytes, start, end, into) {
    into.begin();
    into.keyName('message');
    into.utf8(bytes, start, end);
    into.commit();
    return undefined;
  },
};

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'syslog/stream',
    seeds: SEEDS,
    words: WORDS,
    run(bytes) {
      const ctx = testContext(syslogSource, { parser: () => parser }) as unknown as SourceContext<typeof metrics>;
      let sign = '';
      const options = config.parse({ tag: 'sys', emit_unmatched_lines: true, facility_key: 'message' });
      const intake = new Intake(options, ctx, (batch) => void (sign += readWholeBatch(batch)));
      const frames = new Frames({
        type: 'auto',
        delimiter: '\n',
        maxMessage: 1000,
        message: (b, from, to) => intake.take(b, from, to, undefined, false),
        tooLong: () => void (sign += 'long'),
      });
      const half = bytes.length >> 1;
      const isGood = frames.push(bytes.subarray(0, half)) && frames.push(bytes.subarray(half));
      frames.end();
      intake.flush();
      return `${isGood} ${sign}`;
    },
  },
];
