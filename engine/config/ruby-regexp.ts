/**
 * Translates a regular expression written for Ruby.
 *
 * @param flags  of Ruby: `i`, and `m` for "dot matches line feeds"
 * @returns a text that says what cannot be translated, never a throw
 */
export function translateRubyRegexp(source: string, flags = ''): RegExp | string {
  try {
    return new RegExp(source, (flags.includes('i') ? 'i' : '') + (flags.includes('m') ? 's' : '') + 'm');
  } catch (error) {
    return (error as Error).message;
  }
}
