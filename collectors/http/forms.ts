/** Parameters of addresses and bodies, as bytes: MessagePack may be among them. */

/** More parameters than this are not looked at. */
const MAX_PARAMS = 1000;

export type Params = Map<string, Buffer>;

/** `a=1&b=%E4%B8%AD`: the first value of a name stays. */
export function parseQuery(query: Buffer, params: Params = new Map()): Params {
  for (let at = 0; at < query.length && params.size < MAX_PARAMS;) {
    let end = query.indexOf(AMPERSAND, at);
    if (end < 0) end = query.length;
    let equals = query.indexOf(EQUALS, at);
    if (equals < 0 || equals > end) equals = end;
    if (end > at) {
      const name = unescape(query.subarray(at, equals)).toString('utf8');
      if (!params.has(name)) params.set(name, unescape(query.subarray(Math.min(equals + 1, end), end)));
    }
    at = end + 1;
  }
  return params;
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

function unescape(text: Buffer): Buffer {
  if (!text.includes(PERCENT) && !text.includes(PLUS)) return text;
  const out = Buffer.allocUnsafe(text.length);
  let to = 0;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at] as number;
    const code = byte === PERCENT ? hexAt(text, at + 1) : -1;
    out[to++] = code >= 0 ? code : byte === PLUS ? 0x20 : byte;
    if (code >= 0) at += 2;
  }
  return out.subarray(0, to);
}

function hexAt(text: Buffer, at: number): number {
  const [high, low] = [hexDigit(text[at]), hexDigit(text[at + 1])];
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(byte = 0): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = (byte | 32) - 87;
  return letter >= 10 && letter <= 15 ? letter : -1;
}

/** The parts of `multipart/form-data` by their names; what is damaged is left out. */
export function parseMultipart(body: Buffer, boundary: string, params: Params): Params {
  const mark = Buffer.from(`--${boundary}`, 'latin1');
  let at = body.indexOf(mark);
  while (at >= 0 && params.size < MAX_PARAMS) {
    const from = at + mark.length;
    const next = body.indexOf(mark, from);
    if (next < 0) break;
    const headEnd = body.indexOf('\r\n\r\n', from);
    if (headEnd >= 0 && headEnd < next) {
      const name = /\bname="?([^";\r\n]*)"?/i.exec(body.toString('latin1', from, headEnd))?.[1];
      // Two bytes before the next boundary are its own line end.
      if (name !== undefined && !params.has(name)) params.set(name, body.subarray(headEnd + 4, Math.max(headEnd + 4, next - 2)));
    }
    at = next;
  }
  return params;
}
