/** `<transport>` of what listens: in the clear, or TLS with a certificate from files. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { TlsOptions } from 'node:tls';
import * as z from 'zod';
import { MillraceError, messageOf } from '../errors.ts';
import { bool, oneOf, secret, section, text } from '../units.ts';

const VERSIONS = { TLSv1_2: 'TLSv1.2', TLSv1_3: 'TLSv1.3' } as const;

/** @param protocols  the first one holds when there is no section */
export function transport<const P extends readonly [string, ...string[]]>(protocols: P) {
  const version = oneOf(['TLSv1_2', 'TLSv1_3']);
  return section(
    z.object({
      protocol: oneOf(protocols).default(protocols[0]).describe('Protocol, also as the argument of the section'),
      cert_path: text().optional().describe('Path of the certificate in PEM, with those of its issuers behind it'),
      private_key_path: text().optional().describe('Path of the private key in PEM'),
      private_key_passphrase: secret().optional().describe('Passphrase of the private key'),
      client_cert_auth: bool().default(false).describe('Whether clients must show a certificate that ca_path vouches for'),
      ca_path: text().optional().describe('Path of the certificates that vouch for clients'),
      version: version.default('TLSv1_2').describe('Lowest version of TLS'),
      min_version: version.optional().describe('Lowest version of TLS, in place of version'),
    }),
    { arg: 'protocol' },
  ).prefault({});
}
export type Transport = z.output<ReturnType<typeof transport>>;

/** Sentences about keys that do not go together. */
export function transportProblems({ protocol, cert_path, private_key_path, client_cert_auth, ca_path }: Transport): string[] {
  if (protocol !== 'tls') return [];
  return [
    ...(cert_path === undefined ? ['transport: tls needs cert_path'] : []),
    ...(private_key_path === undefined ? ['transport: tls needs private_key_path'] : []),
    ...(client_cert_auth && ca_path === undefined ? ['transport: client_cert_auth needs ca_path'] : []),
  ];
}

/**
 * Reads the files.
 *
 * @param baseDir  where relative paths start
 * @throws MR_NO_INPUT for a file that cannot be read
 */
export function tlsOptions(config: Transport, baseDir: string): TlsOptions {
  const read = (path: string | undefined): Buffer | undefined => {
    if (path === undefined) return undefined;
    try {
      return readFileSync(resolve(baseDir, path));
    } catch (error) {
      throw new MillraceError('MR_NO_INPUT', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
    }
  };
  const ca = read(config.ca_path);
  return {
    cert: read(config.cert_path),
    key: read(config.private_key_path),
    passphrase: config.private_key_passphrase,
    minVersion: VERSIONS[config.min_version ?? config.version],
    requestCert: config.client_cert_auth,
    rejectUnauthorized: config.client_cert_auth,
    ...(ca === undefined ? {} : { ca }),
  };
}
