import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { Positions, fileKeeper, kvKeeper, printPositions, readPositions, type Position } from './positions.ts';

const line = (path: string, offset: string, inode: string): string => `${path}\t${offset}\t${inode}\n`;

describe('reading', () => {
  for (const [text, follows, want, unreadable] of [
    ['', false, [], 0],
    [line('/a', '0000000000000010', '000000000000000a'), false, [['/a', 16, 10n]], 0],
    [line('/a b/中.log', 'FF', 'aB'), false, [['/a b/中.log', 255, 171n]], 0],
    [line('/a', 'ffffffffffffffff', '0a'), false, [], 0],
    [line('/a', 'fffffffffffffffb', '0a'), false, [], 1],
    [
      line('/a', '1', '1') + line('/b', '2', '2') + line('/a', '3', '3'),
      false,
      [
        ['/b', 2, 2n],
        ['/a', 3, 3n],
      ],
      0,
    ],
    [line('/a', '1', '9') + line('/b', '2', '9'), true, [['/b', 2, 9n]], 0],
    ['/a 1 2\n\nrubbish', false, [], 2],
    [line('/a', '1', 'ffffffffffffffff'), false, [['/a', 1, 0xffff_ffff_ffff_ffffn]], 0],
  ] as const) {
    test(JSON.stringify(text), () => {
      const result = readPositions(text, follows);
      assert.deepEqual(
        result.positions.map(({ path, offset, inode }) => [path, offset, inode]),
        want,
      );
      assert.equal(result.unreadable, unreadable);
    });
  }

  test('what is printed is read back; any text is read', () => {
    const position = fc
      .tuple(
        fc.string({ unit: 'grapheme', minLength: 1 }),
        fc.nat(Number.MAX_SAFE_INTEGER),
        fc.bigInt(0n, 0xffff_ffff_ffff_ffffn),
      )
      .map(([text, offset, inode]) => ({ path: `/${text.replaceAll(/[\t\n\r]/g, '')}`, offset, inode }));
    fc.assert(
      fc.property(fc.uniqueArray(position, { selector: ({ path }) => path }), (positions) => {
        assert.deepEqual(readPositions(printPositions(positions), false).positions, positions);
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => readPositions(text, false).unreadable >= 0));
  });
});

describe('keeping', () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-positions-'));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const alive = (): boolean => true;
  let files = 0;

  test('any sequence of changes leaves a file that says the same as the memory', async () => {
    const change = fc.record({
      path: fc.constantFrom('/a', '/b', '/中.log'),
      offset: fc.nat(100),
      inode: fc.constantFrom(1n, 2n),
      op: fc.constantFrom('set' as const, 'forget' as const, 'compact' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const path = join(dir, `${files++}`);
        const { positions } = await Positions.load(fileKeeper(path), false, alive);
        const model = new Map<string, Position>();
        for (const { op, ...position } of changes) {
          if (op === 'set') {
            positions.set(position);
            model.set(position.path, position);
          } else if (op === 'compact') positions.compact();
          else {
            positions.forget(position.path, position.inode);
            if (model.get(position.path)?.inode === position.inode) model.delete(position.path);
          }
        }
        await positions.close();
        const byPath = (all: Iterable<Position>): Position[] => [...all].toSorted((a, b) => (a.path < b.path ? -1 : 1));
        assert.deepEqual(byPath(readPositions(readFileSync(path, 'utf8'), false).positions), byPath(model.values()));
      }),
      { numRuns: 50 },
    );
  });

  test('puts into the data directory follow each other; the newest text wins', async () => {
    const texts: string[] = [];
    const kv = {
      get: () => Promise.resolve(undefined),
      put: (_key: string, value: Uint8Array) => Promise.resolve(void texts.push(Buffer.from(value).toString('utf8'))),
    };
    const { positions } = await Positions.load(
      kvKeeper(kv, 'positions', () => undefined),
      false,
      alive,
    );
    for (let offset = 1; offset <= 100; offset++) positions.set({ path: '/a', offset, inode: 1n });
    await positions.close();
    assert.ok(texts.length <= 3);
    assert.equal(texts.at(-1), line('/a', '0000000000000064', '0000000000000001'));
  });

  test('a put that fails is told', async () => {
    const told: unknown[] = [];
    const kv = { get: () => Promise.resolve(undefined), put: () => Promise.reject(new Error('full')) };
    const { positions } = await Positions.load(
      kvKeeper(kv, 'positions', (error) => told.push(error)),
      false,
      alive,
    );
    positions.set({ path: '/a', offset: 1, inode: 1n });
    await positions.close();
    assert.match(String(told[0]), /full/);
  });
});
