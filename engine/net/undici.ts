import { createRequire } from 'node:module';
import type * as all from 'undici';

type Undici = typeof all;

let loaded: Undici | undefined;

/**
 * The HTTP client, loaded when it is first asked for: it takes 150 ms and 20 MB, which a run that talks to no server in this
 * thread does not have to spend.
 */
export function undici(): Undici {
  return (loaded ??= createRequire(import.meta.url)('undici') as Undici);
}
