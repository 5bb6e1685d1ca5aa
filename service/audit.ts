import { createHash } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

/** One line of the audit: who did what, written before it is done. */
export interface AuditRecord<Change> {
  /** From 1, without gaps. */
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** An account, or `system`. */
  readonly actor: string;
  readonly change: Change;
  /** SHA-256 of this record, which contains the hash of the one before it: nothing can be taken out or altered unseen. */
  readonly hash: string;
}

export interface Audit<Change> {
  /** Of the last record; 0 and 64 zeros when there is none. */
  readonly head: { readonly seq: number; readonly hash: string };
  /**
   * Writes the records and returns when the disk has them: one write and one sync however many there are.
   *
   * @throws when they cannot be written; the file is then as before, or, when even that fails, every later append throws
   */
  append(entries: readonly { readonly actor: string; readonly change: Change }[], now: number): AuditRecord<Change>[];
  close(): void;
}

export interface AuditOptions<Change> {
  readonly file: string;
  /** False leaves the time of the disk write to the operating system; the records still survive the end of the process. */
  readonly fsync: boolean;
  /** Called for each record found at the start, oldest first. */
  readonly onRecord: (record: AuditRecord<Change>) => void;
}

/** The audit on disk is not what was written: somebody changed it, or the disk did. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
}

const NO_HASH = '0'.repeat(64);
// {"seq":..,"at":..,"actor":..,"change":..,"previous":"<64>" + ,"hash":"<64>"}
const HASH_TAIL = /,"hash":"([0-9a-f]{64})"\}$/;
const LINE_BYTES_MAX = 64 * 1024;

/**
 * Opens the audit, checks the chain from its first record on and cuts off a last record that was never finished
 * (its change was not made and nobody was told that it was).
 *
 * @returns the bytes cut off beside the audit
 * @throws AuditError naming the record when the chain is broken anywhere else
 */
export function openAudit<Change>(options: AuditOptions<Change>): { audit: Audit<Change>; tornBytes: number } {
  const file = openSync(options.file, 'a+', 0o600);
  try {
    const found = readChain(file, options);
    const tornBytes = fstatSync(file).size - found.bytes;
    if (tornBytes > 0) ftruncateSync(file, found.bytes);
    return { audit: makeAudit(file, found, options), tornBytes };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

interface Found {
  readonly seq: number;
  readonly hash: string;
  /** Length of the whole records. */
  readonly bytes: number;
}

function makeAudit<Change>(file: number, found: Found, options: AuditOptions<Change>): Audit<Change> {
  let { seq, hash, bytes } = found;
  let broken: unknown;
  let open = true;
  return {
    get head() {
      return { seq, hash };
    },
    append(entries, now) {
      if (broken !== undefined) throw new AuditError('the audit cannot be written since an earlier failure', { cause: broken });
      const at = new Date(now).toISOString();
      const records: AuditRecord<Change>[] = [];
      let text = '';
      let previous = hash;
      for (const [index, { actor, change }] of entries.entries()) {
        const body = JSON.stringify({ seq: seq + 1 + index, at, actor, change, previous });
        previous = digest(body);
        text += `${body.slice(0, -1)},"hash":"${previous}"}\n`;
        records.push({ seq: seq + 1 + index, at, actor, change, hash: previous });
      }
      const data = Buffer.from(text);
      try {
        // A short write is what a full disk answers; the rest would fail the same way.
        const written = writeSync(file, data);
        if (written < data.length) throw new AuditError(`only ${written} of ${data.length} bytes could be written`);
        if (options.fsync) fdatasyncSync(file);
      } catch (error) {
        broken = cutBack(file, bytes, error);
        throw error;
      }
      seq += entries.length;
      hash = previous;
      bytes += data.length;
      return records;
    },
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

/** @returns the failure when the file could not be brought back to its length, so that the next record would follow half a record */
function cutBack(file: number, bytes: number, failure: unknown): unknown {
  try {
    ftruncateSync(file, bytes);
    // After a failed sync the kernel may have dropped the pages; what is on disk is unknown until the file is read anew.
    return failure instanceof Error && 'syscall' in failure && failure.syscall === 'fdatasync' ? failure : undefined;
  } catch {
    return failure;
  }
}

function readChain<Change>(file: number, options: AuditOptions<Change>): Found {
  let found: Found = { seq: 0, hash: NO_HASH, bytes: 0 };
  for (const line of readLines(file, options.file)) {
    const tail = HASH_TAIL.exec(line);
    const body = `${line.slice(0, tail?.index)}}`;
    const hash = tail?.[1];
    if (hash === undefined || digest(body) !== hash)
      throw new AuditError(`record ${found.seq + 1} of ${options.file} was altered`);
    const { seq, at, actor, change, previous } = JSON.parse(body) as Omit<AuditRecord<Change>, 'hash'> & { previous: string };
    if (seq !== found.seq + 1 || previous !== found.hash) {
      throw new AuditError(`record ${found.seq + 1} of ${options.file} is missing: ${seq} follows ${found.seq}`);
    }
    found = { seq, hash, bytes: found.bytes + Buffer.byteLength(line) + 1 };
    options.onRecord({ seq, at, actor, change, hash });
  }
  return found;
}

/** Whole lines only: what stands after the last line feed was never finished. */
function* readLines(file: number, name: string): Generator<string> {
  const chunk = Buffer.alloc(LINE_BYTES_MAX);
  let rest = Buffer.alloc(0);
  for (let position = 0; ;) {
    const length = readSync(file, chunk, 0, chunk.length, position);
    if (length === 0) return;
    position += length;
    rest = Buffer.concat([rest, chunk.subarray(0, length)]);
    let start = 0;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, start)) {
      yield rest.toString('utf8', start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
    if (rest.length > LINE_BYTES_MAX) throw new AuditError(`a line of ${name} is longer than ${LINE_BYTES_MAX} bytes`);
  }
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}
