/** Names of Ruby's encodings that the standard calls otherwise, and `undefined` for what needs no conversion. */
const RUBY_NAMES: Readonly<Record<string, string | undefined>> = {
  'ascii-8bit': undefined,
  binary: undefined,
  'us-ascii': undefined,
  'utf-8': undefined,
  'windows-31j': 'shift_jis',
  cp932: 'shift_jis',
  cp936: 'gbk',
  cp949: 'euc-kr',
  cp950: 'big5',
  eucjp: 'euc-jp',
  euckr: 'euc-kr',
  gb2312: 'gbk',
};

/** @returns the label for TextDecoder, undefined when nothing needs converting; `false`: no encoding that can be read */
export function encodingLabel(name: string): string | undefined | false {
  const lower = name.toLowerCase();
  if (Object.hasOwn(RUBY_NAMES, lower)) return RUBY_NAMES[lower];
  try {
    const { encoding } = new TextDecoder(lower);
    // Their line feed is no single byte 0x0A.
    return encoding.startsWith('utf-16') ? false : encoding === 'utf-8' ? undefined : encoding;
  } catch {
    return false;
  }
}
