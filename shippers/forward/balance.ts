/** Which server gets the next chunk: shares by weight, spares while one is missing, and the broken ones last. */

export interface Member {
  readonly weight: number;
  readonly standby: boolean;
}

interface Seat<M extends Member> {
  readonly member: M;
  /** Smooth weighted round robin: rises by the weight at every choice, falls by the sum when chosen. */
  credit: number;
}

export class Balance<M extends Member> {
  readonly #seats: readonly Seat<M>[];

  /** A weight of 0 takes a server out. */
  constructor(members: readonly M[]) {
    this.#seats = members.filter(({ weight }) => weight > 0).map((member) => ({ member, credit: 0 }));
  }

  /**
   * The servers for one chunk in the order in which they are to be tried. Spares stand in for the weight that is lost,
   * in the order of the configuration. Servers that do not work come last rather than not at all: when every server is
   * down, trying one is the way to find out that it is back.
   */
  order(isUp: (member: M) => boolean): M[] {
    const up = this.#seats.filter(({ member }) => isUp(member));
    const regular = up.filter(({ member }) => !member.standby);
    let lost = weightOf(this.#seats.filter(({ member }) => !member.standby)) - weightOf(regular);
    const active = [...regular];
    for (const seat of up.filter(({ member }) => member.standby)) {
      if (lost <= 0) break;
      active.push(seat);
      lost -= seat.member.weight;
    }
    const rest = [...up.filter((seat) => !active.includes(seat)), ...this.#seats.filter((seat) => !up.includes(seat))];
    return [...this.#turn(active), ...rest].map(({ member }) => member);
  }

  #turn(seats: readonly Seat<M>[]): Seat<M>[] {
    for (const seat of seats) seat.credit += seat.member.weight;
    const order = seats.toSorted((a, b) => b.credit - a.credit);
    const [first] = order;
    if (first !== undefined) first.credit -= weightOf(seats);
    return order;
  }
}

const weightOf = (seats: readonly Seat<Member>[]): number => seats.reduce((sum, { member }) => sum + member.weight, 0);
