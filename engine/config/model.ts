/** Where something stands in a configuration: file as the user named it, line and column from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `use_default` and `use_nil` of Fluentd: the parameter counts as not given, or as explicitly nothing. */
export type ParamValue = string | number | boolean | null | readonly unknown[] | { readonly [key: string]: unknown };

export interface Param {
  readonly name: string;
  /** Text from `fluent.conf`; YAML may give numbers, booleans, lists and maps. `undefined`: use_default. */
  readonly value: ParamValue | undefined;
  readonly place: SourcePlace;
}

/** `<name arg> params sections </name>`; both spellings of a configuration become a tree of these. */
export interface Section {
  readonly name: string;
  readonly arg: string;
  readonly params: ReadonlyMap<string, Param>;
  readonly sections: readonly Section[];
  readonly place: SourcePlace;
}

/** One thing wrong with a configuration; all of them are shown at once. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly place: SourcePlace;
  readonly message: string;
  /** What is allowed, or "did you mean". */
  readonly hint?: string;
}
