/** Counts distinct texts: exactly up to a limit, then with HyperLogLog (2^14 registers, standard error 0.8 %, 16 KiB). */
const BITS = 14;
const REGISTERS = 1 << BITS;

/** Survives structured cloning. */
export type DistinctData = { readonly members: readonly string[] } | { readonly registers: Uint8Array };

/** Memory shared by all sets of one aggregate: what is left, in bytes. */
export interface SetBudget {
  left: number;
}

/** About what V8 needs for a short string in a set, beside its characters. */
const MEMBER_BYTES = 48;

export class Distinct {
  #members: Set<string> | undefined = new Set();
  #registers: Uint8Array | undefined;
  #taken = 0;
  readonly #exact: number;
  readonly #budget: SetBudget;

  /** @param exact  texts that are kept; with more, or when the budget is used up, only registers are */
  constructor(exact: number, budget: SetBudget = { left: Infinity }) {
    this.#exact = exact;
    this.#budget = budget;
  }

  /** @returns false when there is no memory left for it, not even as an estimate */
  add(member: string): boolean {
    if (this.#members !== undefined) {
      if (this.#members.has(member)) return true;
      const cost = member.length * 2 + MEMBER_BYTES;
      if (this.#members.size < this.#exact && this.#take(cost)) {
        this.#members.add(member);
        return true;
      }
      if (this.#estimate() === undefined) return false;
    }
    register(this.#registers as Uint8Array, member);
    return true;
  }

  #take(bytes: number): boolean {
    if (this.#budget.left < bytes) return false;
    this.#budget.left -= bytes;
    this.#taken += bytes;
    return true;
  }

  #estimate(): Uint8Array | undefined {
    // Nothing more can be added then, but what is there stays.
    if (this.#budget.left + this.#taken < REGISTERS) return undefined;
    this.release();
    this.#take(REGISTERS);
    const registers = new Uint8Array(REGISTERS);
    for (const member of this.#members ?? []) register(registers, member);
    this.#members = undefined;
    this.#registers = registers;
    return registers;
  }

  /** Gives its share of the budget back. */
  release(): void {
    this.#budget.left += this.#taken;
    this.#taken = 0;
  }

  merge(data: DistinctData): void {
    if ('members' in data) {
      for (const member of data.members) this.add(member);
      return;
    }
    const registers = this.#registers ?? this.#estimate();
    if (registers === undefined) return;
    for (let n = 0; n < REGISTERS; n++) registers[n] = Math.max(registers[n] as number, data.registers[n] ?? 0);
  }

  data(): DistinctData {
    return this.#members === undefined ? { registers: (this.#registers as Uint8Array).slice() } : { members: [...this.#members] };
  }

  get count(): number {
    return this.#members === undefined ? estimate(this.#registers as Uint8Array) : this.#members.size;
  }

  /** The members while they are kept. */
  get members(): ReadonlySet<string> | undefined {
    return this.#members;
  }
}

function register(registers: Uint8Array, member: string): void {
  // Two independent 32-bit hashes over the code units: one chooses the register, the other one is the bit pattern.
  let a = 0x9e37_79b9;
  let b = 0x85eb_ca6b;
  for (let n = 0; n < member.length; n++) {
    const unit = member.charCodeAt(n);
    a = Math.imul(a ^ unit, 0x9e37_79b1);
    b = Math.imul(b ^ unit, 0x5f35_6495);
    a = (a << 13) | (a >>> 19);
    b = (b << 15) | (b >>> 17);
  }
  const at = mix(a ^ member.length) & (REGISTERS - 1);
  const rank = Math.clz32(mix(b + Math.imul(a, 0x27d4_eb2f))) + 1;
  if (rank > (registers[at] as number)) registers[at] = rank;
}

function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function estimate(registers: Uint8Array): number {
  let sum = 0;
  let empty = 0;
  for (const value of registers) {
    sum += 2 ** -value;
    if (value === 0) empty++;
  }
  const raw = ((0.7213 / (1 + 1.079 / REGISTERS)) * REGISTERS * REGISTERS) / sum;
  // Few members leave registers empty, and counting those is the better estimate then.
  return Math.round(raw <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : raw);
}
