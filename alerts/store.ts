import { closeSync, fdatasyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import type { Log } from '../engine/component.ts';
import { messageOf } from '../engine/errors.ts';
import type { RuleStore, SavedRules } from './schedule.ts';

/** Keeps the states of the rules in one JSON file, replaced by rename. A file that cannot be read or written is reported, once. */
export function ruleStore(path: string, log: Log): RuleStore {
  let isReported = false;
  return {
    read() {
      try {
        const saved = JSON.parse(readFileSync(path, 'utf8')) as SavedRules;
        return saved.version === 1 && Array.isArray(saved.rules) ? saved : undefined;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
          log.warn({ path, reason: messageOf(error) }, 'the states of the rules cannot be read, they begin anew');
        return undefined;
      }
    },
    write(saved) {
      try {
        replace(path, JSON.stringify(saved));
        isReported = false;
      } catch (error) {
        if (!isReported) log.warn({ path, reason: messageOf(error) }, 'the states of the rules cannot be saved');
        isReported = true;
      }
    },
  };
}

function replace(path: string, text: string): void {
  const file = openSync(`${path}.new`, 'w', 0o640);
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}
