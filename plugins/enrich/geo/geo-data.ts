/** The databases of one filter: opened at start, and swapped when a file changes while the filter runs. */
import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Context } from '../../../engine/component.ts';
import { MillraceError, messageOf } from '../../../engine/errors.ts';
import { Chain } from './chain.ts';
import type { GeoDatabase } from './database.ts';
import { openDefault, type Sources } from './default-data.ts';
import { openDatabase } from './open.ts';
import { prepareDefault } from './prepare.ts';

export interface GeoDataOptions {
  /** Paths in the order in which they are asked. */
  readonly paths: readonly string[];
  /** Whether the packaged data answer where the files know nothing. */
  readonly withDefault: boolean;
  /** Milliseconds between two looks at the files. */
  readonly checkMs: number;
  /** For tests. */
  readonly sources?: Sources;
}

type Needed = Pick<Context, 'log' | 'clock' | 'baseDir' | 'dataDir'>;

/** A file is read when it was seen unchanged twice in a row: a copy in progress is not damage. */
interface Watched {
  readonly path: string;
  database: GeoDatabase;
  /** What the database in use was read from. */
  inUse: string;
  /** The last signature seen, and the last one that was refused. */
  seen: string;
  refused: string;
}

export class GeoData {
  readonly #ctx: Needed;
  readonly #options: GeoDataOptions;
  readonly #onSwap: () => void;
  readonly #watched: Watched[] = [];
  #default: GeoDatabase | undefined;
  #chain = new Chain([]);
  #timer: Disposable | undefined;
  #looking: Promise<void> | undefined;

  /** @param onSwap  called after another set of databases took over */
  constructor(ctx: Needed, options: GeoDataOptions, onSwap: () => void) {
    this.#ctx = ctx;
    this.#options = options;
    this.#onSwap = onSwap;
  }

  get chain(): Chain {
    return this.#chain;
  }

  /** @throws MillraceError MR_NO_INPUT or MR_GEO_DATABASE when a file that was named cannot be used, or there are no data at all */
  async start(): Promise<void> {
    const { baseDir, dataDir, log, clock } = this.#ctx;
    for (const name of this.#options.paths) {
      const path = isAbsolute(name) ? name : join(baseDir, name);
      // The signature is taken first: a change while the file is read is seen at the next look.
      const signature = await signatureOf(path);
      const database = await openDatabase(path);
      this.#watched.push({ path, database, inUse: signature, seen: signature, refused: '' });
      log.info(describe(database), 'opened an IP database');
    }
    if (this.#options.withDefault || this.#watched.length === 0) {
      try {
        const { sources } = this.#options;
        const options = { dataDir, clock, log, ...(sources && { sources }) };
        await prepareDefault(options);
        this.#default = openDefault(options);
        log.info(describe(this.#default), 'opened an IP database');
      } catch (error) {
        // The user's own files are enough; without them there is nothing to answer from.
        if (this.#watched.length === 0 || !(error instanceof MillraceError)) throw error;
        log.info({ error: messageOf(error) }, 'no packaged IP data behind the files that are named');
      }
    }
    this.#rebuild();
    if (this.#watched.length > 0) this.#timer = clock.every(this.#options.checkMs, () => void this.look());
  }

  stop(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    return this.#looking ?? Promise.resolve();
  }

  /** One look at all files. Never rejects; a look that is still going on is shared. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    let hasChanged = false;
    for (const watched of this.#watched) hasChanged = (await this.#lookAt(watched)) || hasChanged;
    if (!hasChanged) return;
    this.#rebuild();
    this.#onSwap();
  }

  async #lookAt(watched: Watched): Promise<boolean> {
    const { log } = this.#ctx;
    const { path } = watched;
    const signature = await signatureOf(path);
    const isSettled = signature === watched.seen;
    watched.seen = signature;
    if (!isSettled || signature === '' || signature === watched.inUse || signature === watched.refused) return false;
    try {
      const database = await openDatabase(path);
      if ((await signatureOf(path)) !== signature) return false;
      watched.database = database;
      watched.inUse = signature;
      watched.refused = '';
      log.info(describe(database), 'swapped an IP database for its new version');
      return true;
    } catch (error) {
      watched.refused = signature;
      log.error(
        { path, error: messageOf(error), in_use: watched.database.version },
        'the new IP database cannot be used, the old one stays in use',
      );
      return false;
    }
  }

  #rebuild(): void {
    const databases = this.#watched.map(({ database }) => database);
    this.#chain = new Chain(this.#default ? [...databases, this.#default] : databases);
  }
}

/** '' for a file that is not there: between the two steps of a careless replacement the old data stay. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch {
    // Told by the attempt to open it at start; later a missing file only means that nothing new is there.
    return '';
  }
}

function describe({ path, format, version, records }: GeoDatabase): Record<string, unknown> {
  return { path, format, version, records };
}
