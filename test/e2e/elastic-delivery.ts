/**
 * `npm run e2e:delivery [-- NAME...]`: delivery to real servers, one after another, each started with narrow limits beside those of
 * the other suites and stopped again (see ../servers/README.md). Names: elasticsearch7 elasticsearch elasticsearch9 opensearch
 * opensearch3; all of them by default. A server that cannot be had on this machine is skipped by name.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare, REAL_ROWS } from '../elastic/real-rows.ts';
import { RealServer } from '../elastic/real-server.ts';

const ALL = ['elasticsearch7', 'elasticsearch', 'elasticsearch9', 'opensearch', 'opensearch3'] as const;

const asked = process.argv.slice(2);
const sums = { passed: 0, failed: 0, skipped: 0 };

async function suite(name: string, dir: string): Promise<void> {
  const began = performance.now();
  const server = await RealServer.start(name, dir);
  if (typeof server === 'string') {
    sums.skipped += REAL_ROWS.length;
    console.log(`skipped: test/e2e/elastic-delivery.ts:1: ${name} (${server})`);
    return;
  }
  console.log(`# ${name}: up after ${seconds(began)}`);
  try {
    await prepare(server);
    for (const row of REAL_ROWS) {
      const from = performance.now();
      try {
        await row.run(server);
        sums.passed++;
        console.log(`ok - ${name}: ${row.name} (${seconds(from)})`);
      } catch (error) {
        sums.failed++;
        console.log(`not ok - ${name}: ${row.name}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
    }
  } finally {
    await server.stop();
  }
}

const seconds = (from: number): string => `${((performance.now() - from) / 1000).toFixed(1)} s`;

const dir = mkdtempSync(join(tmpdir(), 'millrace-delivery-'));
try {
  for (const name of asked.length > 0 ? asked : ALL) {
    try {
      await suite(name, dir);
    } catch (error) {
      sums.failed++;
      console.log(`not ok - ${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
console.log(`${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
process.exitCode = sums.failed > 0 ? 1 : 0;
