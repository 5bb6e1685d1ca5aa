/**
 * The plain-object pipeline: an agent as it is usually written in JavaScript. Events are objects, bodies are strings; with a
 * level it keeps what it took in a file before it answers, as millrace does.
 */
import { encode } from '../msgpack-answer.ts';
import { geoStep, isoOf, parseLine, readPlain, type PlainEvent } from '../objects.ts';
import { serve } from './port.ts';
import { Feed, type RivalQuestion } from './rival.ts';

const FLUSH_MS = 1000;
const CHUNK_EVENTS = 10_000;

let nextId = 0;

serve<RivalQuestion, { received: number }>((question) => {
  if (question.type === 'count') return { received: feed?.received ?? 0 };
  start(question);
  return { received: 0 };
});

let feed: Feed | undefined;

function start(question: Exclude<RivalQuestion, { type: 'count' }>): void {
  const edit = question.geo === undefined ? undefined : geoStep(question.geo.key, question.geo.drop);
  let pending: PlainEvent[] = [];
  const flush = (): void => {
    if (pending.length === 0) return;
    const events = pending;
    pending = [];
    if (question.sinkPort === 0) return;
    const lines: string[] = [];
    for (const { time, record } of events) {
      edit?.(record);
      record['@timestamp'] ??= isoOf(time);
      lines.push(JSON.stringify({ create: { _id: `bench-${(nextId++).toString(32)}` } }), JSON.stringify(record));
    }
    feed?.send(`${lines.join('\n')}\n`, '/_bulk');
  };
  const take = (events: readonly PlainEvent[]): void => {
    for (const event of events) pending.push(event);
    if (pending.length >= CHUNK_EVENTS) flush();
  };
  setInterval(flush, FLUSH_MS);
  feed = new Feed(question, {
    message(bytes) {
      const { events, chunk } = readPlain(bytes);
      take(events);
      return chunk === undefined ? undefined : encode({ ack: chunk });
    },
    line(text) {
      const event = parseLine(text);
      if (event !== undefined) take([event]);
    },
  });
}
