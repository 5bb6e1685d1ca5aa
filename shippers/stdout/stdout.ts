import type { Writable } from 'node:stream';
import * as z from 'zod';
import { defineOutput, type Formatter, type Output, type Verdict } from '../../engine/component.ts';
import { messageOf } from '../../engine/errors.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { bool, rawSection } from '../../engine/units.ts';

/** Written at once; more is written in pieces, so that memory stays bounded. */
const PIECE_BYTES = 1 << 20;

export const stdoutOutput = defineOutput({
  name: 'stdout',
  summary: 'Prints events on standard output, a line of JSON each.',
  flush: 'immediate',
  config: z.object({
    format: rawSection().optional().describe('Format of the events; without it a line of JSON'),
    use_logger: bool()
      .default(false)
      .describe("Whether Fluentd's logger prints; accepted for compatibility, events are never mixed into the log"),
  }),
  examples: [
    { title: 'Everything', config: '<match **>\n  @type stdout\n</match>' },
    {
      title: 'With the time of each event',
      config: '<match **>\n  @type stdout\n  <format>\n    @type json\n    time_key time\n  </format>\n</match>',
    },
  ],
  create: (config, ctx) => printTo(process.stdout, ctx.formatter(config.format, 'json')),
});

/** An output that prints to a stream, which stays open. */
export function printTo(stream: Writable, formatter: Formatter): Output {
  const cursor = new EventCursor();
  const out = new ByteWriter(65_536);
  // The failure of a write comes through its callback; without a listener it would also end the process.
  const ignore = (): void => {};
  const print = (): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.write(out.take(), (error) => (error ? reject(error) : resolve()));
    });
  return {
    start() {
      stream.on('error', ignore);
      return Promise.resolve();
    },
    async write({ batches, count }): Promise<Verdict> {
      let done = 0;
      let printed = 0;
      try {
        for (const batch of batches) {
          cursor.open(batch);
          for (let n = 0; n < batch.count; n++) {
            cursor.next(n);
            formatter.format(cursor, out);
            done++;
            if (out.length < PIECE_BYTES) continue;
            await print();
            printed = done;
          }
        }
        if (out.length > 0) await print();
        return 'delivered';
      } catch (error) {
        out.reset();
        const retry = printed === 0 ? 'all' : Array.from({ length: count - printed }, (_, n) => printed + n);
        return { retry, reason: `cannot print: ${messageOf(error)}` };
      }
    },
    stop() {
      stream.off('error', ignore);
      return Promise.resolve();
    },
  };
}
