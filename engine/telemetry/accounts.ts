/**
 * The books of a component. Asserted in every end-to-end test:
 * `in + created = out + dropped + pending`; an output's `out` is what was delivered, `dead` counts with the drops.
 */
export class Account {
  in = 0;
  created = 0;
  out = 0;
  pending = 0;
  bytesIn = 0;
  bytesOut = 0;
  errors = 0;
  readonly dropped: Record<string, number> = {};

  drop(reason: string, count: number): void {
    // Reasons come from components, a handful each; a component that makes them up per event is cut off.
    const known = Object.hasOwn(this.dropped, reason) || Object.keys(this.dropped).length < MAX_REASONS;
    const name = known ? reason : 'other';
    this.dropped[name] = (this.dropped[name] ?? 0) + count;
  }
}

const MAX_REASONS = 32;

/** An account at a moment, with what identifies it; structured-cloneable and printed by `status --json`. */
export interface ComponentStatus {
  readonly id: string;
  readonly kind: string;
  readonly type: string;
  readonly worker: number;
  readonly in: number;
  readonly created: number;
  readonly out: number;
  readonly pending: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly errors: number;
  /** 'ok', or what keeps it from moving. */
  readonly state: string;
  readonly reason?: string;
  readonly addresses?: readonly string[];
  /** `file:line:column` of its section; absent for what the engine makes itself. */
  readonly place?: string;
  readonly metrics: Readonly<Record<string, number>>;
}

export function sumOf(dropped: Readonly<Record<string, number>>): number {
  return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** Undefined when the books balance, else a sentence. */
export function imbalance(status: ComponentStatus): string | undefined {
  const left = status.in + status.created;
  const right = status.out + sumOf(status.dropped) + status.pending;
  return left === right
    ? undefined
    : `${status.kind} ${status.id}: in + created = ${left}, but out + dropped + pending = ${right}`;
}
