import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { AuditError, openAudit, type Audit, type AuditRecord } from './audit.ts';
import { BANK, MERCHANT, SCHEMA, prepareChanges, type Change } from './changes.ts';
import { ServiceError } from './errors.ts';

/**
 * The database and its audit, kept in step:
 *
 *     commit: audit written and synced ──> change made in the database, together with the audit's number and hash
 *                                    ^ a crash here leaves the audit one ahead; the next start makes the change from the audit
 *
 * The database can therefore never hold a change that the audit does not.
 */
export interface Ledger {
  readonly recovery: Recovery;
  /** False after a failure that only a restart can mend: all changes are refused, reading goes on. */
  readonly isHealthy: boolean;
  /** The number that the next record of the audit will have; ids are made from it. */
  nextSeq(): number;
  /**
   * Records the changes and makes them, all or none as far as readers can see.
   *
   * @throws ServiceError `audit_unavailable` when the audit cannot be written (then nothing was changed) or the ledger is closed
   */
  commit(actor: string, ...changes: Change[]): void;
  /** A statement for reading. */
  prepare(sql: string): StatementSync;
  totals(): Totals;
  close(): void;
}

/** What the start found and did. */
export interface Recovery {
  /** Records in the audit. */
  readonly records: number;
  /** Changes that were in the audit only and have been made now. */
  readonly redone: number;
  /** Movements whose bank answer is unknown because the service ended in between; they have been failed, the money is free again. */
  readonly interrupted: number;
  /** Bytes of a record that was never finished. */
  readonly tornBytes: number;
}

/** In cents. The sum of all accounts is always 0. */
export interface Totals {
  readonly customers: number;
  readonly merchant: number;
  readonly bank: number;
  readonly held: number;
}

export interface LedgerOptions {
  /** Made when it is not there. Only one service can have it open. */
  readonly directory: string;
  readonly fsync: boolean;
  readonly now: () => number;
  /** Told of each record after its change was made. */
  readonly onAudit?: (record: AuditRecord<Change>) => void;
  /** Tests end the service here, between audit and change. */
  readonly betweenAuditAndChange?: (record: AuditRecord<Change>) => void;
}

/** @throws AuditError when audit and database contradict each other, Error when the folder is in use or cannot be written */
export function openLedger(options: LedgerOptions): Ledger {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const database = openDatabase(join(options.directory, 'core.db'));
  try {
    const apply = prepareChanges(database);
    const setProgress = database.prepare(
      'INSERT INTO progress VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET seq = ?1, hash = ?2',
    );
    const makeChanges = (records: readonly AuditRecord<Change>[]): void => {
      inTransaction(database, () => {
        for (const record of records) apply(record.seq, record.at, record.change);
        const last = records.at(-1);
        if (last !== undefined) setProgress.run(last.seq, last.hash);
      });
    };
    const { audit, redone, tornBytes } = recover(options, database, makeChanges);
    const ledger = makeLedger(options, database, audit, makeChanges);
    try {
      const interrupted = failInterrupted(ledger);
      return Object.assign(ledger, { recovery: { records: audit.head.seq, redone, interrupted, tornBytes } });
    } catch (error) {
      audit.close();
      throw error;
    }
  } catch (error) {
    database.close();
    throw error;
  }
}

function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    // Losing the end of the database is harmless, the audit has it: so it need not be synced at each change.
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON',
    );
    database.exec(SCHEMA);
    return database;
  } catch (error) {
    database.close();
    const isLocked = error instanceof Error && error.message.includes('locked');
    throw isLocked ? new Error(`${file} is in use by another service`, { cause: error }) : error;
  }
}

/** Reads the whole audit beside the database: what only the audit has is made now, anything else that differs is refused. */
function recover(options: LedgerOptions, database: DatabaseSync, makeChanges: (records: readonly AuditRecord<Change>[]) => void) {
  const file = join(options.directory, 'audit.ndjson');
  const row = database.prepare('SELECT seq, hash FROM progress').get();
  const progress = { seq: Number(row?.['seq'] ?? 0), hash: String(row?.['hash'] ?? '') };
  let redone = 0;
  const { audit, tornBytes } = openAudit<Change>({
    file,
    fsync: options.fsync,
    onRecord: (record) => {
      if (record.seq === progress.seq && record.hash !== progress.hash) {
        throw new AuditError(`record ${record.seq} of ${file} is not the one the database was made from`);
      }
      if (record.seq <= progress.seq) return;
      makeChanges([record]);
      options.onAudit?.(record);
      redone += 1;
    },
  });
  if (audit.head.seq < progress.seq) {
    audit.close();
    throw new AuditError(`${file} ends at record ${audit.head.seq}, the database was made from ${progress.seq}`);
  }
  return { audit, redone, tornBytes };
}

function makeLedger(
  options: LedgerOptions,
  database: DatabaseSync,
  audit: Audit<Change>,
  makeChanges: (records: readonly AuditRecord<Change>[]) => void,
): Omit<Ledger, 'recovery'> {
  const totals = database.prepare(`SELECT
    coalesce(sum(balance) FILTER (WHERE id NOT IN ('${BANK}', '${MERCHANT}')), 0) AS customers,
    coalesce(sum(balance) FILTER (WHERE id = '${MERCHANT}'), 0) AS merchant,
    coalesce(sum(balance) FILTER (WHERE id = '${BANK}'), 0) AS bank, coalesce(sum(held), 0) AS held FROM accounts`);
  let isHealthy = true;
  let isOpen = true;
  return {
    get isHealthy() {
      return isHealthy;
    },
    nextSeq: () => audit.head.seq + 1,
    commit(actor, ...changes) {
      if (!isHealthy || !isOpen) throw new ServiceError('audit_unavailable', 'changes cannot be recorded');
      let records: AuditRecord<Change>[];
      try {
        records = audit.append(
          changes.map((change) => ({ actor, change })),
          options.now(),
        );
      } catch (cause) {
        throw new ServiceError('audit_unavailable', 'the change cannot be recorded', { cause });
      }
      try {
        for (const record of records) options.betweenAuditAndChange?.(record);
        makeChanges(records);
      } catch (cause) {
        // The audit is ahead now. Another change on top of it would make its repair at the next start a guess.
        isHealthy = false;
        throw new ServiceError('internal', 'the change is recorded but not made', { cause });
      }
      for (const record of records) options.onAudit?.(record);
    },
    prepare: (sql) => database.prepare(sql),
    totals() {
      const row = totals.get();
      const read = (name: keyof Totals) => Number(row?.[name]);
      return { customers: read('customers'), merchant: read('merchant'), bank: read('bank'), held: read('held') };
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      audit.close();
      database.close();
    },
  };
}

function failInterrupted(ledger: Omit<Ledger, 'recovery'>): number {
  const pending = ledger.prepare(`SELECT id FROM movements WHERE status = 'pending' ORDER BY id`).all();
  for (const row of pending) {
    ledger.commit('system', { action: 'movement-fail', id: String(row['id']), status: 'failed', reason: 'interrupted' });
  }
  return pending.length;
}

function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    work();
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
