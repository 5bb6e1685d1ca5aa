/**
 * The calibration loop: what no agent can do without. Bytes come in, are checksummed, written where a level asks for it,
 * and sent on as they are. Nothing is parsed. With `statsd` it is a socket that receives datagrams and counts them.
 */
import { crc32 } from 'node:zlib';
import { serve } from './port.ts';
import { Feed, type RivalQuestion } from './rival.ts';

const BODY_BYTES = 4 << 20;
const FLUSH_MS = 200;

let feed: Feed | undefined;
let bytes = 0;
/** Kept where it can be seen, so that the checksums are not left out. */
let checksum = 0;

serve<RivalQuestion, { received: number }>((question) => {
  if (question.type === 'start') start(question);
  return { received: feed?.received ?? 0, bytes, checksum };
});

function start(question: Exclude<RivalQuestion, { type: 'count' }>): void {
  let open: Buffer[] = [];
  let size = 0;
  const flush = (): void => {
    if (size > 0 && question.sinkPort !== 0) feed?.send(Buffer.concat(open), '/raw');
    open = [];
    size = 0;
  };
  if (question.input !== 'statsd') setInterval(flush, FLUSH_MS);
  const raw = (piece: Buffer): void => {
    bytes += piece.length;
    // With a level the log has its own checksum.
    if (question.level === 'memory') checksum = crc32(piece, checksum);
    if (question.sinkPort === 0) return;
    open.push(piece);
    size += piece.length;
    if (size >= BODY_BYTES) flush();
  };
  feed = new Feed(question, question.input === 'statsd' ? {} : { raw });
}
