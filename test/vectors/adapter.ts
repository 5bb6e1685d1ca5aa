/** A parsed vector file; the shape below its head depends on the topic. */
export interface VectorFile {
  /** Path of the file, for adapters that need files beside it. */
  readonly path: string;
  /** The JSON as parsed; names such as `__proto__` may be keys, so compare through `Map` or null-prototype objects. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface CaseResult {
  readonly id: string;
  /** Undefined when the case passed; otherwise what differed, for a person. */
  readonly difference?: string | undefined;
  /** A case that is deviated from on purpose, or that belongs to a feature named as pending: the reason. */
  readonly skipped?: string | undefined;
}

/** Runs every case of one kind of vector file, whatever their number. */
export interface VectorAdapter {
  run(file: VectorFile): Iterable<CaseResult> | AsyncIterable<CaseResult>;
}
