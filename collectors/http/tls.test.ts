import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Definition, Parser, Source } from '../../engine/component.ts';
import { create, testContext } from '../../engine/testing/driver.ts';
import { httpSource } from './http.ts';

const SUBJECT = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

const parser: Parser = {
  parse(bytes, start, end, into) {
    into.begin();
    into.keyName('body');
    into.utf8(bytes, start, end);
    into.commit();
    return undefined;
  },
};

describe('https', hasOpenssl ? {} : { skip: 'there is no openssl here' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-https-'));
  const definition = httpSource as unknown as Definition;
  const files = { cert_path: 'cert.pem', private_key_path: 'key.pem' };
  before(() => {
    const words = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...SUBJECT,
    ];
    const { status, stderr } = spawnSync('openssl', [
      ...words,
      '-keyout',
      join(directory, 'key.pem'),
      '-out',
      join(directory, 'cert.pem'),
    ]);
    assert.equal(status, 0, stderr.toString());
  });
  after(() => rmSync(directory, { recursive: true }));

  const post = (port: number, options: object): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const one = request(
        { port, host: '127.0.0.1', path: '/t', method: 'POST', headers, agent: false, ...options },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      one.on('error', reject);
      one.end('{}');
    });

  for (const [name, transport, options, isTaken] of [
    ['with the certificate', {}, {}, true],
    ['a client without a certificate where one is asked for', { client_cert_auth: true, ca_path: 'cert.pem' }, {}, false],
    ['a client with one', { client_cert_auth: true, ca_path: 'cert.pem' }, { isKnown: true }, true],
    ['TLS 1.2 where 1.3 is the lowest', { version: 'TLSv1_3' }, { maxVersion: 'TLSv1.2' }, false],
  ] as const) {
    test(name, async () => {
      const ctx = testContext(definition, { parser: () => parser, baseDir: directory });
      const source = create<Source>(definition, { port: 0, transport: { protocol: 'tls', ...files, ...transport } }, ctx);
      await source.start();
      try {
        const port = Number(source.addresses?.()[0]?.split(':').at(-1));
        const cert = readFileSync(join(directory, 'cert.pem'));
        const own = 'isKnown' in options ? { cert, key: readFileSync(join(directory, 'key.pem')) } : options;
        const answer = post(port, { ca: cert, ...own });
        if (isTaken) assert.equal(await answer, 200);
        else await assert.rejects(answer);
      } finally {
        await source.stop();
      }
    });
  }

  test('a certificate that is not there', async () => {
    const ctx = testContext(definition, { parser: () => parser, baseDir: directory });
    const transport = { protocol: 'tls', cert_path: 'none.pem', private_key_path: 'key.pem' };
    const source = create<Source>(definition, { port: 0, transport }, ctx);
    await assert.rejects(source.start(), { code: 'MR_NO_INPUT' });
    await source.stop();
  });
});
