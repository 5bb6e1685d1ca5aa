import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { FakeClock } from '../../../engine/testing/driver.ts';
import { missingDefault, openDefault } from './default-data.ts';
import { prepareDefault } from './prepare.ts';
import { ip2regionDbOf } from './writers.cases.ts';

describe('packaged data made in a process of their own', () => {
  let folder: string;
  const lines: string[] = [];
  const log = { info: (_: unknown, text: string) => lines.push(text), warn: (_: unknown, text: string) => lines.push(text) };
  const options = () => ({
    dataDir: join(folder, 'data'),
    clock: new FakeClock(),
    sources: { ip2region: folder, geoipLite: undefined },
    log,
  });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'geo-prepare-'));
    lines.length = 0;
    writeFileSync(join(folder, 'ip2region.db'), ip2regionDbOf([['0.0.0.0', '255.255.255.255', '中国|0|广东省|深圳市|电信']]));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('they are made once, whoever asks; no lock stays', async () => {
    await Promise.all([prepareDefault(options()), prepareDefault(options())]);
    assert.equal(missingDefault(options()), undefined);
    assert.deepEqual(
      readdirSync(join(folder, 'data', 'geo')).map((name) => name.replace(/[0-9a-f]{8}/, 'X')),
      ['default-X.bin'],
    );
    assert.ok(lines.includes('compacted the IP data of the packages'));
    lines.length = 0;
    await prepareDefault(options());
    openDefault(options());
    assert.deepEqual(lines, []);
  });

  test('a lock that a process left behind is taken over', async () => {
    await prepareDefault(options());
    const [name = ''] = readdirSync(join(folder, 'data', 'geo'));
    rmSync(join(folder, 'data', 'geo', name));
    // No process has this number: it is above the largest that Linux gives.
    writeFileSync(join(folder, 'data', 'geo', `${name}.lock`), '4194305');
    await prepareDefault(options());
    assert.deepEqual(readdirSync(join(folder, 'data', 'geo')), [name]);
  });

  test('data that cannot be made are left to the one who opens them', async () => {
    writeFileSync(join(folder, 'ip2region.db'), 'no database');
    await prepareDefault(options());
    assert.equal(lines.at(-1), 'the IP data could not be compacted in a process of its own');
    assert.throws(() => openDefault(options()), { code: 'MR_GEO_DATABASE' });
  });
});
