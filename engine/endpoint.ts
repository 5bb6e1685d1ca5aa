/** Addresses of HTTP servers in a configuration, and how they are shown: never with what stands before the `@`. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { MillraceError, messageOf } from './errors.ts';

/** An `http:` or `https:` URL without a trailing slash; `host:port` alone means http. */
export function httpUrl() {
  return z
    .string({ error: 'expected a URL' })
    .transform((value, ctx): string => {
      const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
      const url = URL.parse(full);
      if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.hostname !== '')
        return full.replace(/\/+$/, '');
      ctx.addIssue(`expected a URL such as http://127.0.0.1:9200, got ${JSON.stringify(withoutSecrets(value))}`);
      return z.NEVER;
    })
    .meta({ kind: 'text' });
}

/** A URL for messages: user, password, query and trailing slash left out. Text that is no URL loses all before its last `@`. */
export function withoutSecrets(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.host === '') return url.slice(url.lastIndexOf('@') + 1);
  return `${parsed.protocol}//${parsed.host}${parsed.pathname.replace(/\/+$/, '')}`;
}

/** Text of a certificate file. @throws MillraceError MR_NO_INPUT */
export function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MillraceError('MR_NO_INPUT', `cannot read the certificate ${file}: ${messageOf(cause)}`, { cause });
  }
}
