import { connect } from 'node:net';
import { httpSource } from '../../collectors/http/http.ts';
import type { Definition, Source } from '../../engine/component.ts';
import { FakeClock, type TestContext } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, shown, type Case } from './compare.ts';
import { NOW_MS, makeFrom, sectionOf, spelled } from './plugin-cases.ts';

/** The client of the cases; here they come from this machine. */
const CLIENT = '192.0.2.9';
const WAIT_MS = 5000;

interface Expected {
  readonly status_line: string;
  readonly headers: readonly string[];
  readonly body: string | { readonly $bin_hex: string } | { readonly $any: true };
  readonly events: readonly unknown[];
}

export const adapter: VectorAdapter = {
  async *run(file): AsyncIterable<CaseResult> {
    for (const item of casesOf(file)) yield await runCase(item);
  },
};

async function runCase(item: Case): Promise<CaseResult> {
  const definition = httpSource as unknown as Definition;
  const section = sectionOf(`port 0\n${String(item['config'])}`);
  const { made: source, ctx } = makeFrom<Source>(definition, section, { clock: new FakeClock(NOW_MS) });
  await source.start();
  let answer: Buffer;
  try {
    answer = await exchange(source.addresses?.()[0] ?? '', Buffer.from(String(item['request_hex']), 'hex'));
  } finally {
    await source.stop();
  }
  const expected = item.expected as Expected;
  const events = (ctx as TestContext).events().map(({ tag, seconds, nanoseconds, record }) => ({
    tag,
    time: seconds * 1000 === NOW_MS ? 'now' : { sec: seconds, nsec: nanoseconds },
    record: JSON.parse(JSON.stringify(spelled(record)).replaceAll('127.0.0.1', CLIENT)) as unknown,
  }));
  const difference = answerDifference(answer, expected);
  return difference === undefined ? compared(item.id, events, expected.events) : { id: item.id, difference };
}

/** Sends a request and reads until the answer is whole. */
async function exchange(address: string, request: Buffer): Promise<Buffer> {
  const socket = connect(Number(address.slice(address.lastIndexOf(':') + 1)), '127.0.0.1');
  const late = setTimeout(() => socket.destroy(new Error('no answer')), WAIT_MS);
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      let answer = Buffer.alloc(0);
      socket.on('error', reject);
      socket.on('data', (piece: Buffer) => {
        answer = Buffer.concat([answer, piece]);
        const { head, body } = parted(answer);
        if (body.length >= Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Infinity)) resolve(answer);
      });
      socket.on('end', () => resolve(answer));
      socket.write(request);
    });
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
}

function parted(answer: Buffer): { head: string; body: Buffer } {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return { head: '', body: Buffer.alloc(0) };
  return { head: answer.toString('latin1', 0, end), body: answer.subarray(end + 4) };
}

/** Names of headers compare without case; others than the expected ones may be there. */
function answerDifference(answer: Buffer, expected: Expected): string | undefined {
  const { head, body } = parted(answer);
  const [statusLine, ...lines] = head.split('\r\n');
  if (statusLine !== expected.status_line) return `expected ${expected.status_line}, got ${statusLine}`;
  const headers = new Map(lines.map((line) => [line.split(':', 1)[0]?.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
  for (const wanted of expected.headers) {
    const [name = ''] = wanted.split(':', 1);
    const value = headers.get(name.toLowerCase());
    if (value !== wanted.slice(name.length + 1).trim()) return `expected ${wanted}, got ${shown(value)}`;
  }
  if (typeof expected.body === 'object' && '$any' in expected.body) return undefined;
  const wanted = typeof expected.body === 'string' ? Buffer.from(expected.body) : Buffer.from(expected.body.$bin_hex, 'hex');
  return body.equals(wanted) ? undefined : `expected the body ${shown(expected.body)}, got ${shown(body.toString('latin1'))}`;
}
