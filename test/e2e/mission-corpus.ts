/** Logs with known figures: the seeded corpus, or a file that a simple reader of our own counts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { corpusLines } from '../../service/corpus.ts';

export interface Figures {
  readonly lines: number;
  readonly distinctAddresses: number;
  readonly byStatus: Readonly<Record<string, number>>;
}

export interface Corpus {
  readonly name: string;
  readonly text: string;
  readonly figures: Figures;
}

const LINE = /^(\S+) \S+ .+? \[[^\]]+\] ".*?" (\d{3}) (?:\d+|-)(?: |$)/;

/** What any reader of an access log must find; shares no code with millrace. */
export function countLines(text: string): Figures {
  const addresses = new Set<string>();
  const byStatus: Record<string, number> = {};
  let lines = 0;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, address, status] = LINE.exec(line) ?? [];
    assert.ok(address !== undefined && status !== undefined, `no access line: ${line}`);
    lines++;
    addresses.add(address);
    byStatus[status] = (byStatus[status] ?? 0) + 1;
  }
  return { lines, distinctAddresses: addresses.size, byStatus };
}

/** The generator's own figures, and the reader must agree with them. */
export function seededCorpus(lines: number, seed: number): Corpus {
  const generator = corpusLines({ lines, seed });
  const all: string[] = [];
  for (;;) {
    const next = generator.next();
    if (next.done === true) {
      const { distinctAddresses, byStatus } = next.value;
      const text = `${all.join('\n')}\n`;
      const figures = { lines: next.value.lines, distinctAddresses, byStatus };
      assert.deepEqual(countLines(text), figures);
      return { name: `seeded corpus of ${lines} lines`, text, figures };
    }
    all.push(next.value);
  }
}

/** A well-known log of 10,000 lines; its figures were counted with awk. */
const KNOWN: Figures = {
  lines: 10_000,
  distinctAddresses: 1753,
  byStatus: { '200': 9126, '206': 45, '301': 164, '304': 445, '403': 2, '404': 213, '416': 2, '500': 3 },
};

export function corpusOf(path: string): Corpus {
  const text = readFileSync(path, 'utf8');
  const figures = countLines(text);
  if (path.endsWith('apache-combined.log')) assert.deepEqual(figures, KNOWN);
  return { name: path.replace(/^.*\//, ''), text, figures };
}

/** One line of the combined format, of now. */
export function accessLine(address: string, status: number, path: string, time = new Date()): string {
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const iso = time.toISOString();
  const stamp = `${iso.slice(8, 10)}/${months[time.getUTCMonth()] ?? ''}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
  return `${address} - - [${stamp}] "GET ${path} HTTP/1.1" ${status} 512 "-" "mission/1.0"\n`;
}
