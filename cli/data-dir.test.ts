import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { controlOf, dataDirOf, takeDataDir } from './data-dir.ts';

describe('where the data directory is', () => {
  const fallback = userInfo().uid === 0 ? '/var/lib/millrace' : join(homedir(), '.local', 'state', 'millrace');
  for (const [root, env, want] of [
    ['/a', { MILLRACE_DATA: '/b' }, '/a'],
    [undefined, { MILLRACE_DATA: '/b' }, '/b'],
    ['b', {}, resolve('b')],
    [undefined, {}, fallback],
    [undefined, { MILLRACE_DATA: '' }, fallback],
    // Ignored: it has to be absolute.
    [undefined, { XDG_STATE_HOME: 'state' }, fallback],
  ] as const) {
    test(`${root} ${JSON.stringify(env)}`, () => assert.equal(dataDirOf(root, env), want));
  }
});

describe('taking it', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-data-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('a token that only its owner reads, kept from start to start', () => {
    const path = join(folder, 'kept', 'deep');
    const first = takeDataDir(path);
    assert.match(first.token, /^[\w-]{32}$/);
    assert.equal(statSync(join(path, 'token')).mode & 0o777, 0o600);
    assert.equal(controlOf(path), undefined);
    first.announce('http://127.0.0.1:1');
    assert.deepEqual(controlOf(path), { address: 'http://127.0.0.1:1', token: first.token });
    first.release();
    assert.equal(controlOf(path), undefined);
    assert.ok(!existsSync(join(path, 'lock')));
    const second = takeDataDir(path);
    assert.equal(second.token, first.token);
    second.release();
  });

  for (const [what, holder, isRefused] of [
    ['a process that runs', String(process.ppid), true],
    // Linux gives out numbers up to 2^22 at most.
    ['a process that is gone', '99999999', false],
    ['nothing', '', false],
    ['no number', 'x', false],
    ['ourselves in an earlier life', String(process.pid), false],
  ] as const) {
    test(`a lock of ${what}`, () => {
      const path = mkdtempSync(join(folder, 'lock-'));
      writeFileSync(join(path, 'lock'), holder);
      if (isRefused) {
        assert.throws(() => takeDataDir(path), {
          code: 'MR_DATA_DIR',
          message: `the data directory ${path} is in use by process ${holder}`,
        });
        assert.equal(readFileSync(join(path, 'lock'), 'utf8'), holder);
      } else {
        const taken = takeDataDir(path);
        assert.equal(readFileSync(join(path, 'lock'), 'utf8'), String(process.pid));
        taken.release();
      }
    });
  }

  test('below a file', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(() => takeDataDir(join(folder, 'file', 'data')), {
      code: 'MR_DATA_DIR',
      message: /cannot use the data directory/,
    });
  });

  test('a control file that is none', () => {
    const path = mkdtempSync(join(folder, 'control-'));
    for (const text of ['', '{', '[]', '{"address": 5}']) {
      writeFileSync(join(path, 'control.json'), text);
      writeFileSync(join(path, 'token'), 'x');
      assert.equal(controlOf(path), undefined, text);
    }
  });
});
