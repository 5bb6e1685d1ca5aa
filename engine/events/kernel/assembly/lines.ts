/**
 * Entries `[time, record]` as pairs of lines, an action and a document, as `_bulk` takes them. JavaScript copies entries into
 * INPUT and takes the lines from OUTPUT; whatever is odd about an event, it writes that one itself.
 *
 * Each byte that is read becomes six at most (`null,` and `false,` from one byte, \u00XX in texts, of whose quotes and comma
 * the header pays a part), so one comparison for each event bounds what is written.
 */
import { copyBlocks } from './text.ts';
import { time } from './number.ts';
import {
  CUT,
  DONE,
  ENDS,
  FULL,
  IDS,
  INPUT,
  LEAD,
  LEAD_SIZE,
  LEFT,
  NAME,
  NAME_SIZE,
  OUTPUT,
  OUTPUT_SIZE,
  QUOTED,
  TRAIL,
  TRAIL_SIZE,
  report,
} from './regions.ts';
import { LAST_ANSWER, ODD, be16, be32, hasName, next, pairs, readFrom, readUpTo } from './value.ts';

/** Writes the end of the action line for events of that second to TRAIL; returns its length, -1 when it is too long. */
declare function makeTrail(seconds: u32): i32;

/** More than an event's action line, time, braces and line ends take. */
const EVENT_ROOM: usize = LEAD_SIZE + TRAIL_SIZE + NAME_SIZE * 6 + 128;

/**
 * Writes the lines of up to `count` entries from offset `from` to `end` of INPUT.
 *
 * @param firstId  index in IDS of the first of them
 * @param low  the bits of the id above the 32 of IDS; below 0: events have no id, TRAIL follows LEAD
 * @param trailLength  bytes of TRAIL; below 0: asked for whenever the second changes
 */
export function lines(
  from: u32,
  end: u32,
  count: u32,
  firstId: u32,
  leadLength: u32,
  low: i32,
  trailLength: i32,
  nameLength: u32,
  quotedLength: u32,
): u32 {
  const input = INPUT + end;
  const roomEnd = OUTPUT + OUTPUT_SIZE;
  let p = INPUT + from;
  let o = OUTPUT;
  let trailOf: i64 = trailLength < 0 ? -1 : i64.MAX_VALUE;
  let answer = DONE;
  let events: u32 = 0;
  readUpTo(input);
  while (events < count) {
    if (p >= input) {
      answer = CUT;
      break;
    }
    if (o + (input - p) * 6 + EVENT_ROOM > roomEnd) {
      answer = FULL;
      break;
    }
    if (!header(p)) {
      answer = LEFT;
      break;
    }
    const recordAt = next;
    if (trailOf != i64.MAX_VALUE && trailOf != <i64>seconds) {
      trailLength = makeTrail(seconds);
      trailOf = <i64>seconds;
      if (trailLength < 0) {
        answer = LEFT;
        break;
      }
    }
    let to = copyBlocks(o, LEAD, leadLength);
    if (low >= 0) to = id(to, ((<u64>low) << 32) | load<u32>(IDS + ((firstId + events) << 2)));
    to = copyBlocks(to, TRAIL, trailLength);
    to = document(to, recordAt, nameLength, quotedLength);
    if (to <= LAST_ANSWER) {
      answer = to == ODD ? LEFT : CUT;
      break;
    }
    o = to;
    p = next;
    store<u32>(ENDS + (events << 2), <u32>(o - OUTPUT));
    events++;
  }
  report(<u32>(p - INPUT), events, <u32>(o - OUTPUT));
  return answer;
}

let seconds: u32 = 0;
let nanoseconds: u32 = 0;

/** Reads array and time of the entry at `p`. @returns false for what is not usual; the record begins at `next` */
function header(p: usize): bool {
  if (load<u8>(p) != 0x92) return false;
  const head: u32 = load<u8>(p + 1);
  if (head == 0xd7 && load<u8>(p + 2) == 0) {
    seconds = be32(p + 3);
    nanoseconds = be32(p + 7);
    readFrom(p + 11);
  } else if (head == 0xce) {
    seconds = be32(p + 2);
    nanoseconds = 0;
    readFrom(p + 6);
  } else return false;
  return true;
}

/** 35 bits as seven digits of base32hex, and a quote. */
function id(o: usize, bits: u64): usize {
  const spread =
    (bits >> 30) |
    (((bits >> 25) & 31) << 8) |
    (((bits >> 20) & 31) << 16) |
    (((bits >> 15) & 31) << 24) |
    (((bits >> 10) & 31) << 32) |
    (((bits >> 5) & 31) << 40) |
    ((bits & 31) << 48);
  // Letters follow the digits 39 places further on; 0x76 carries a ten into the highest bit of its byte.
  const letters = ((spread + 0x0076_7676_7676_7676) & 0x0080_8080_8080_8080) >> 7;
  store<u64>(o, (spread + 0x0030_3030_3030_3030 + letters * 39) | 0x2200_0000_0000_0000);
  return o + 8;
}

/** The record at `p` as an object with the time in it, and a line feed. */
function document(o: usize, p: usize, nameLength: u32, quotedLength: u32): usize {
  const head: u32 = load<u8>(p);
  let count: u32;
  if ((head & 0xf0) == 0x80) {
    count = head & 15;
    p++;
  } else if (head == 0xde) {
    count = be16(p + 1);
    p += 3;
  } else if (head == 0xdf) {
    count = be32(p + 1);
    p += 5;
  } else return ODD;
  store<u8>(o++, 0x7b);
  readFrom(p);
  const first = o;
  o = pairs(o, count, 1, NAME, nameLength);
  if (o <= LAST_ANSWER) return o;
  if (!hasName) o = time(copyBlocks(o, QUOTED, quotedLength), seconds, nanoseconds) + 1;
  if (o > first) o--;
  store<u16>(o, 0x0a7d);
  return o + 2;
}
