import { isUtf8 } from 'node:buffer';
import { EventTimeValue } from '../../engine/events/msgpack.ts';
import { loadConfigText } from '../../engine/config/load.ts';
import { sectionToInput } from '../../engine/config/section.ts';
import type { Section } from '../../engine/config/model.ts';
import { testContext, type SeenEvent } from '../../engine/testing/driver.ts';
import { forward } from '../../collectors/forward/forward.ts';
import { ForwardSession } from '../../collectors/forward/session.ts';
import { FakeClock } from '../../engine/testing/driver.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { compared } from './compare.ts';

interface Expected {
  readonly events: readonly { tag: string; time: unknown; record: unknown }[];
  readonly skipped_invalid?: number;
  readonly response_hex?: string;
  readonly connection_closed_by_server?: boolean;
  readonly error_class?: string;
}
interface Case {
  readonly id: string;
  readonly config: string;
  readonly segments_hex: readonly string[];
  readonly expected: Expected;
  readonly expected_next_version?: Expected;
}

/** What millrace does otherwise, and why. */
const DEVIATIONS: readonly { readonly why: string; readonly applies: (it: Case) => boolean }[] = [
  {
    why: 'a record that is no map is no event here, whatever skip_invalid_event says: no output could take it',
    applies: (it) =>
      it.config.includes('skip_invalid_event false') && it.expected.events.some(({ record }) => typeof record !== 'object'),
  },
  {
    why: 'an extension type that is not EventTime is carried through unchanged instead of ending the connection',
    applies: (it) => it.expected.error_class === 'MessagePack::UnknownExtTypeError',
  },
  {
    why: 'an EventTime of another length than 8 bytes is no time: the entry is invalid, not an event at no nanosecond',
    applies: (it) =>
      it.expected.events.some(({ time }) => typeof time === 'object' && time !== null && 'nsec' in time && time.nsec === null),
  },
  {
    why: 'skip_invalid_event false closes the connection without an acknowledgement instead of dropping the entry silently',
    applies: (it) => it.config.includes('skip_invalid_event false'),
  },
];

const CLIENT = { address: '192.0.2.10', hostname: 'client.example' };

export const adapter: VectorAdapter = {
  *run({ json }): Iterable<CaseResult> {
    for (const it of json.vectors as readonly Case[]) {
      const deviation = DEVIATIONS.find(({ applies }) => applies(it));
      if (deviation !== undefined) yield { id: it.id, skipped: deviation.why };
      else yield compare(it);
    }
  },
};

function compare(it: Case): CaseResult {
  const expected = it.expected_next_version ?? it.expected;
  const { root } = loadConfigText('vector.conf', `<source>\n@type forward\n${it.config}\n</source>\n`, { type: 'v1' });
  const options = forward.config.parse(sectionToInput(root.sections[0] as Section));
  const ctx = testContext(forward, { clock: new FakeClock(Date.now()) });
  const answers: Buffer[] = [];
  let closed = false;
  const close = (): void => void (closed = true);
  const session = new ForwardSession(
    options,
    ctx,
    CLIENT,
    { write: (bytes) => void answers.push(bytes), end: close, destroy: close },
    () => undefined,
  );
  for (const segment of it.segments_hex) if (!closed) session.push(Buffer.from(segment, 'hex'));
  const wanted = {
    events: expected.events.map(({ tag, time, record }) => ({ tag, time: timeOf(time), record: plainKeys(record) })),
    skipped: expected.skipped_invalid ?? 0,
    response: expected.response_hex ?? '',
    closed: expected.error_class !== undefined || expected.connection_closed_by_server === true,
  };
  const seen = {
    events: ctx
      .events()
      .map((event, n) => ({ tag: event.tag, time: seenTime(event, wanted.events[n]?.time), record: shownValue(event.record) })),
    skipped: ctx.drops['invalid event'] ?? 0,
    response: Buffer.concat(answers).toString('hex'),
    closed,
  };
  return compared(it.id, seen, wanted);
}

/** Keys that are no text are named by what they print. */
function plainKeys(record: unknown): unknown {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return record;
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key.replace(/^\(non-string key\)/, ''), value as unknown]),
  );
}

/** Bytes and times in the notation of the vectors. */
function shownValue(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return isUtf8(value) ? Buffer.from(value).toString('utf8') : { $bin_hex: Buffer.from(value).toString('hex') };
  if (value instanceof EventTimeValue) return { sec: value.seconds, nsec: value.nanoseconds };
  if (Array.isArray(value)) return value.map(shownValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shownValue(inner)]));
}

/** Whole seconds as a number and as an EventTime without nanoseconds are the same time. */
function timeOf(time: unknown): unknown {
  if (typeof time === 'object' && time !== null && 'sec' in time && 'nsec' in time)
    return `${String(time.sec)}.${String(time.nsec)}`;
  return typeof time === 'number' ? `${time}.0` : time;
}

function seenTime(event: SeenEvent, wanted: unknown): unknown {
  if (wanted === 'now') return Math.abs(event.seconds - Date.now() / 1000) < 60 ? 'now' : event.seconds;
  return `${event.seconds}.${event.nanoseconds}`;
}
