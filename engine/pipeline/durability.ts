import type { Definition } from '../component.ts';
import type { Section } from '../config/model.ts';
import { paramText } from '../config/section.ts';
import type { Level } from '../log/entrance-log.ts';
import type { Registry } from '../registry.ts';

/** From the least to the most. */
export const LEVELS = ['memory', 'os', 'fsync'] as const satisfies readonly Level[];

export interface Durability {
  readonly level: Level;
  /** False: events are not put on the disk; their source is told once the outputs have them (`spool false`). */
  readonly isSpooled: boolean;
}

/** `durability` of a `<source>`, else what its kind has. An unknown word has been refused by `check`. */
export function levelOf(section: Section, { durability }: Pick<Definition, 'durability'>): Level {
  const given = paramText(section, 'durability');
  return LEVELS.find((level) => level === given) ?? durability;
}

/** Sources that can read again what was not delivered say `spool false`. */
export function isSpooled(section: Section): boolean {
  return !['false', 'no'].includes(paramText(section, 'spool') ?? 'true');
}

/** Whether anything of a configuration has to be on disk before it is acknowledged. */
export async function needsDisk(root: Section, registry: Registry): Promise<boolean> {
  for (const section of sourcesOf(root)) {
    const definition = await registry.find(['source'], paramText(section, '@type') ?? '')?.load();
    if (definition !== undefined && isSpooled(section) && levelOf(section, definition) !== 'memory') return true;
  }
  return false;
}

function sourcesOf(section: Section): Section[] {
  return section.sections.flatMap((child) => {
    if (child.name === 'source') return [child];
    return child.name === 'worker' || child.name === 'label' ? sourcesOf(child) : [];
  });
}
