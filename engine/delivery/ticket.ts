/** Counts who still needs a frame; `done` runs once nobody does. */
export class Ticket {
  #holders = 1;
  readonly #done: () => void;
  constructor(done: () => void) {
    this.#done = done;
  }
  hold(): void {
    this.#holders++;
  }
  release(): void {
    if (--this.#holders === 0) this.#done();
  }
}
