import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { compileStrftime } from '../../engine/time/strftime.ts';
import { zoneOf } from '../../engine/time/zone.ts';
import { findFiles, isPattern, pathMatcher } from './paths.ts';
import type { TailConfig, TailContext } from './tail.ts';

/** Looks up which files a tail has to read now. */
export class Finder {
  readonly #config: TailConfig;
  readonly #ctx: TailContext;
  readonly #isExcluded: (path: string) => boolean;

  constructor(config: TailConfig, ctx: TailContext) {
    this.#config = config;
    this.#ctx = ctx;
    this.#isExcluded = pathMatcher(config.exclude_path.map((one) => resolve(ctx.baseDir, one)));
  }

  /** Absolute paths, in order, one too many when there are more than max_files; those named in full need not exist. */
  find(): string[] {
    const { glob_policy: policy, limit_recently_modified: maxAgeMs, max_files: max } = this.#config;
    const oldest = maxAgeMs === undefined ? -Infinity : this.#ctx.clock.now() - maxAgeMs;
    return findFiles(this.#patterns(), policy, {
      isWanted: (path) =>
        !this.#isExcluded(path) && (maxAgeMs === undefined || Number(statOf(path)?.mtimeMs ?? oldest) >= oldest),
      max,
    });
  }

  named(): string[] {
    return this.#patterns().filter((one) => !isPattern(one, this.#config.glob_policy));
  }

  /** The date is that of now: a path with %Y%m%d names another file each day. */
  #patterns(): string[] {
    const { path, path_delimiter: delimiter, path_timezone: timezone } = this.#config;
    const seconds = Math.floor(this.#ctx.clock.now() / 1000);
    const zone = zoneOf({ localtime: true, timezone });
    return path
      .split(delimiter)
      .map((one) => one.trim())
      .filter((one) => one !== '')
      .map((one) => resolve(this.#ctx.baseDir, one.includes('%') ? compileStrftime(one, zone)(seconds, 0) : one));
  }
}

export interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeMs: bigint;
  isFile(): boolean;
}

export function statOf(path: string): Stat | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // A folder on the way cannot be entered: as good as not there; opening says why.
    return undefined;
  }
}
