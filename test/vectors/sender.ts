import { createHash } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { exchange } from '../../shippers/zabbix/client.ts';
import {
  decodeFrame,
  encodeFrame,
  encodeRequest,
  isFailure,
  parseReply,
  type SenderFailure,
  type SenderReply,
} from '../../shippers/zabbix/protocol.ts';
import {
  addReplies,
  carry,
  clockOf,
  clockOfMs,
  renderValue,
  splitBatches,
  spreadNanoseconds,
  type ItemType,
} from '../../shippers/zabbix/values.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';

type Case = { readonly id: string } & Readonly<Record<string, unknown>>;
type Expect = Readonly<Record<string, unknown>>;

/** Undefined when equal; the difference as one line otherwise. */
function differ(got: unknown, want: unknown): string | undefined {
  return isDeepStrictEqual(got, want) ? undefined : `want ${JSON.stringify(want)}, got ${JSON.stringify(got)}`;
}

function runEncode(c: Case): string | undefined {
  const compress = (Number(c['flags']) & 2) !== 0;
  const rule = c['generate'] as { n: number; host: string; key: string; value: string; clock?: number; ns?: unknown } | undefined;
  if (rule !== undefined) {
    const fill = (text: string, i: number): string => text.replaceAll('<i>', String(i));
    const items = Array.from({ length: rule.n }, (_, i) => ({
      host: fill(rule.host, i),
      key: fill(rule.key, i),
      value: fill(rule.value, i),
      ...(rule.clock === undefined ? {} : { clock: rule.clock }),
      ...(rule.ns === undefined ? {} : { ns: rule.ns === '<i>' ? i : Number(rule.ns) }),
    }));
    const payload = encodeRequest(items);
    const frame = encodeFrame(payload, { compress });
    const hash = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    return (
      differ(Buffer.byteLength(payload), c['payload_bytes']) ??
      differ(hash(payload), c['payload_sha256']) ??
      (compress || c['frame_sha256'] === undefined ? undefined : differ(hash(frame), c['frame_sha256'])) ??
      (c['header_hex'] === undefined ? undefined : differ(frame.subarray(0, 13).toString('hex'), c['header_hex']))
    );
  }
  const text = c['payload_text'] as string;
  const frame = encodeFrame(text, { compress });
  if (!compress && c['frame_hex'] !== undefined) return differ(frame.toString('hex'), c['frame_hex']);
  const back = decodeFrame(frame);
  return isFailure(back) ? back.message : (differ(back.payload.toString('utf8'), text) ?? differ(back.flags, c['flags']));
}

/** The outcome under the names that the vectors use; null = unknown. */
function shown(outcome: SenderReply | SenderFailure): Record<string, unknown> {
  if (isFailure(outcome)) return { rejects: true, error: outcome.kind };
  const { ok, response, info, processed, failed, total, seconds, redirect, retry } = outcome;
  const error = ok || redirect !== undefined ? null : 'server';
  const counts = { processed: processed ?? null, failed: failed ?? null, total: total ?? null, seconds: seconds ?? null };
  return { rejects: false, error, ok, response, info, ...counts, redirect, retry: retry ?? false };
}

/** Compares the members that the case names. */
function compareNamed(got: Record<string, unknown>, expect: Expect): string | undefined {
  for (const [name, want] of Object.entries(expect)) {
    const difference = differ(got[name], want);
    if (difference !== undefined) return `${name}: ${difference}`;
  }
  return undefined;
}

function runDecode(c: Case): string | undefined {
  const frame = decodeFrame(Buffer.from(c['hex'] as string, 'hex'));
  if (isFailure(frame)) return frame.message;
  const sizes = { flags: frame.flags, bytes: frame.payload.length, inflated_bytes: frame.payload.length };
  return compareNamed({ ...shown(parseReply(frame.payload)), ...sizes }, c['expect'] as Expect);
}

async function runStream(c: Case): Promise<string | undefined> {
  const chunks = (c['chunks_hex'] as string[]).map((hex) => Buffer.from(hex, 'hex'));
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      const next = (index: number): void => {
        const chunk = chunks[index];
        if (chunk === undefined) {
          if (c['close'] === 'fin') socket.end();
          return;
        }
        if (!socket.destroyed) socket.write(chunk, () => setImmediate(next, index + 1));
      };
      next(0);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const outcome = await exchange({ host: '127.0.0.1', port }, encodeFrame(encodeRequest([])), { timeoutMs: 500 });
    const { rejects, ...expect } = c['expect'] as Expect;
    const got = shown(outcome);
    if (rejects === 'either') return isFailure(outcome) && outcome.kind !== 'json' ? outcome.message : undefined;
    return compareNamed(got, rejects === undefined ? expect : { rejects, ...expect });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

function runBatch(c: Case): string | undefined {
  const input = c['input'] as { records?: unknown; max_records?: number; by_host?: boolean; replies?: string[] };
  const expect = c['expect'] as Expect;
  if (input.replies !== undefined) {
    const replies = input.replies.map((text) => parseReply(text)).filter((reply): reply is SenderReply => !isFailure(reply));
    return compareNamed({ ...addReplies(replies) }, expect);
  }
  const options = {
    ...(input.max_records === undefined ? {} : { maxRecords: input.max_records }),
    byHost: input.by_host === true,
  };
  if (typeof input.records === 'number') {
    const items = Array.from({ length: input.records }, (_, n) => ({ host: 'h', n }));
    const batches = splitBatches(items, options);
    return (
      differ(
        batches.map((batch) => batch.length),
        expect['batches'],
      ) ?? differ(batches.flat(), items)
    );
  }
  const records = input.records as readonly unknown[];
  if (Array.isArray(records[0])) {
    const items = (records as [string, number][])
      .flatMap(([host, n]) => Array.from({ length: n }, () => ({ host })))
      .map((item, n) => ({ ...item, n }));
    const batches = splitBatches(items, options);
    const isOrdered = batches.every((batch) => batch.every((item, n) => n === 0 || item.n > (batch[n - 1]?.n ?? -1)));
    return compareNamed(
      { batches: batches.map((batch) => ({ host: batch[0]?.host, n: batch.length })), order_within_host_kept: isOrdered },
      expect,
    );
  }
  const spread = spreadNanoseconds(records as { key: string; clock: number; ns: number }[]);
  const got: Record<string, unknown> = { ns: spread.map((record) => record.ns), clock: spread.map((record) => record.clock) };
  return compareNamed(got, expect);
}

const MINUS_ZERO_AND_KIN: Readonly<Record<string, number>> = { Infinity, '-Infinity': -Infinity, NaN: Number.NaN };

function runValue(c: Case): string | undefined {
  const expect = c['expect'] as Expect;
  const type = c['item_type'] as string;
  const raw = c['input'];
  if (type === 'clock' || type === 'clock_ms') {
    const got = type === 'clock' ? clockOf(raw as number) : clockOfMs(raw as number);
    return 'refuse' in expect ? differ(got, undefined) : differ(got, expect);
  }
  if (type === 'ns') {
    const got = carry(1_790_000_000, raw as number);
    return got === undefined || got.ns < 1e9 ? undefined : `ns ${got.ns} left standing`;
  }
  const note = typeof c['note'] === 'string' ? c['note'] : '';
  const repeat =
    typeof raw === 'object' && raw !== null && 'repeat' in raw ? (raw as unknown as { repeat: string; n: number }) : undefined;
  let input: unknown = repeat === undefined ? raw : repeat.repeat.repeat(repeat.n);
  // JSON has no such numbers; the notes say which texts stand for them.
  if (note.includes('minus zero')) input = -0;
  else if (/likewise|JSON cannot/.test(note) && typeof raw === 'string') input = MINUS_ZERO_AND_KIN[raw] ?? raw;
  const got = renderValue(input, type as ItemType);
  if ('refuse' in expect) return differ(got, { refuse: expect['refuse'] });
  if ('refuse' in got) return `refused: ${got.refuse}`;
  if ('send_chars' in expect) return differ(Array.from(got.send).length, expect['send_chars']);
  return differ(got.send, expect['send'] ?? expect['send_equals']);
}

/** What servers answered: our part is that the request is built the same and the answer reads as those counts. */
function runServer(c: Case): string | undefined {
  for (const name of ['reply_6_0_14', 'reply_7_0_22']) {
    const counts = c[name];
    if (typeof counts !== 'string' || !/^\d+\/\d+\/\d+$/.test(counts)) continue;
    const [processed, failed, total] = counts.split('/').map(Number);
    const info = `processed: ${processed}; failed: ${failed}; total: ${total}; seconds spent: 0.000156`;
    const reply = parseReply(JSON.stringify({ response: 'success', info }));
    const difference = isFailure(reply) ? reply.message : compareNamed(shown(reply), { processed, failed, total });
    if (difference !== undefined) return difference;
  }
  return undefined;
}

const LISTS: Readonly<Record<string, (c: Case) => string | undefined | Promise<string | undefined>>> = {
  encode: runEncode,
  decode: runDecode,
  stream: runStream,
  response: (c) => {
    const reply = parseReply(c['text'] as string);
    const { error, ...expect } = c['expect'] as Expect;
    const got = shown(reply);
    return compareNamed(got, error === undefined ? expect : { error, ...expect });
  },
  malformed: runStream,
  batch: runBatch,
  value: runValue,
  server: runServer,
};

export const adapter: VectorAdapter = {
  async *run(file): AsyncIterable<CaseResult> {
    for (const [list, run] of Object.entries(LISTS)) {
      for (const c of (file.json[list] ?? []) as Case[]) {
        let difference: string | undefined;
        try {
          difference = await run(c);
        } catch (cause) {
          difference = `threw: ${String(cause)}`;
        }
        yield { id: c.id, difference };
      }
    }
  },
};
