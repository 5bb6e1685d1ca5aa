import type { Definition, Kind, Registered } from './component.ts';

/** What the folders of components offer, by kind and name. */
export class Registry {
  readonly all: readonly Registered[];

  constructor(...lists: readonly (readonly Registered[])[]) {
    this.all = lists.flat();
  }

  find(kinds: readonly Kind[], type: string): Registered | undefined {
    return (
      this.all.find((entry) => kinds.includes(entry.kind) && entry.name === type) ??
      this.all.find((entry) => kinds.includes(entry.kind) && entry.aliases.includes(type))
    );
  }

  /** Names of these kinds, for "did you mean". */
  names(kinds: readonly Kind[]): string[] {
    return this.all.filter((entry) => kinds.includes(entry.kind)).flatMap((entry) => [entry.name, ...entry.aliases]);
  }

  /** Loads every definition of a kind; parsers and formatters are few, and are made where nothing can be awaited. */
  async loadAll(kind: Kind): Promise<ReadonlyMap<string, Definition>> {
    const loaded = new Map<string, Definition>();
    for (const entry of this.all) {
      if (entry.kind !== kind) continue;
      const definition = await entry.load();
      for (const name of [entry.name, ...entry.aliases]) loaded.set(name, definition);
    }
    return loaded;
  }
}
