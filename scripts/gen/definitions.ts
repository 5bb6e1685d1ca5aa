/** Finds every component in the tree by the shape of its literal. */
import { globSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../engine/errors.ts';
import type { Definition } from '../../engine/component.ts';

export const ROOT = resolve(import.meta.dirname, '..', '..');
export const PLACES = ['collectors', 'plugins', 'shippers'] as const;
export type Place = (typeof PLACES)[number];

export interface Found {
  readonly place: Place;
  /** Path from the root of the checkout. */
  readonly file: string;
  /** Name of the exported constant. */
  readonly exported: string;
  readonly definition: Definition;
}

/**
 * Imports the main file of every component folder and every plugin file.
 *
 * @returns the definitions in order of place and name, and what could not be imported
 */
export async function findDefinitions(): Promise<{ found: Found[]; failures: string[] }> {
  const found: Found[] = [];
  const failures: string[] = [];
  for (const place of PLACES) {
    for (const file of mainFiles(place)) {
      try {
        const module = (await import(pathToFileURL(resolve(ROOT, file)).href)) as Record<string, unknown>;
        for (const [exported, value] of Object.entries(module))
          if (isDefinition(value)) found.push({ place, file, exported, definition: value });
      } catch (error) {
        failures.push(`${file}: ${messageOf(error)}`);
      }
    }
  }
  found.sort(
    (a, b) =>
      compare(a.place, b.place) || compare(a.definition.kind, b.definition.kind) || compare(a.definition.name, b.definition.name),
  );
  return { found, failures };
}

/** `collectors/NAME/NAME.ts`, `plugins/WHAT/NAME.ts`, `plugins/WHAT/NAME/NAME.ts`. */
function mainFiles(place: Place): string[] {
  const patterns = place === 'plugins' ? ['plugins/*/*.ts', 'plugins/*/*/*.ts'] : [`${place}/*/*.ts`];
  return globSync(patterns, { cwd: ROOT })
    .filter((file) => !/\.(?:test|cases|gen|bench)\.ts$/.test(file))
    .filter((file) =>
      file.split('/').length === 3 && place === 'plugins' ? true : basename(file, '.ts') === basename(dirname(file)),
    )
    .sort();
}

function isDefinition(value: unknown): value is Definition {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    'api' in value &&
    value.api === 1 &&
    'name' in value &&
    'create' in value
  );
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
