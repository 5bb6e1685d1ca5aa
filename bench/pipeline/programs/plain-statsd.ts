/** A StatsD server as it is usually written in JavaScript: a datagram becomes a string, is split, cleaned, and counted in maps. */
import { serve } from './port.ts';
import { Feed, type RivalQuestion } from './rival.ts';

let feed: Feed | undefined;

serve<RivalQuestion, { received: number }>((question) => {
  if (question.type === 'start') feed = new Feed(question, { raw: counting() });
  return { received: feed?.received ?? 0 };
});

function counting(): (datagram: Buffer) => void {
  const counters = new Map<string, number>();
  const gauges = new Map<string, number>();
  const timers = new Map<string, number[]>();
  setInterval(() => {
    counters.clear();
    timers.clear();
  }, 1000);
  return (datagram) => {
    for (const text of datagram.toString().split('\n')) {
      const [name = '', ...samples] = text.split(':');
      const key = name
        .replace(/\s+/g, '_')
        .replace(/\//g, '-')
        .replace(/[^a-zA-Z_\-0-9.]/g, '');
      for (const sample of samples) {
        const [value = '', type = '', rate] = sample.split('|');
        const scale = rate === undefined ? 1 : 1 / Number(rate.slice(1));
        if (type === 'c') counters.set(key, (counters.get(key) ?? 0) + Number(value) * scale);
        else if (type === 'g') gauges.set(key, Number(value));
        else if (timers.has(key)) timers.get(key)?.push(Number(value));
        else timers.set(key, [Number(value)]);
      }
    }
  };
}
