import type { Movement } from './changes.ts';

/** What the payment channel of the bank answers; it has a mind and a clock of its own. */
export type BankAnswer = 'settled' | 'declined' | 'unavailable' | 'timeout';

export interface Bank {
  ask(movement: Movement): Promise<BankAnswer>;
  /**
   * Makes the bank fail for a while.
   *
   * @param ratio  share of the questions that fail, 0 to 1; 0 ends it
   */
  fail(ratio: number, ms: number): void;
}

export interface BankOptions {
  /** From 0 up to but without 1. */
  readonly random: () => number;
  readonly now: () => number;
  /** 1 is a median answer within 40 ms and a time limit of 2 s; 0 answers at once. */
  readonly latencyScale: number;
}

const DECLINED_RATIO = 0.015;
const UNAVAILABLE_RATIO = 0.002;
const TIMEOUT_MS = 2000;
/** While the bank fails, one failure in five is a silence until the time limit, the others come fast. */
const SILENT_RATIO = 0.2;

/** A bank that is not there: answers as one does, in time, usually. */
export function simulateBank({ random, now, latencyScale }: BankOptions): Bank {
  let failing = { ratio: 0, until: 0 };
  const after = (ms: number): Promise<void> =>
    latencyScale === 0 ? Promise.resolve() : new Promise((resolve) => void setTimeout(resolve, ms * latencyScale));
  return {
    async ask() {
      const ratio = now() < failing.until ? failing.ratio : UNAVAILABLE_RATIO;
      if (random() < ratio) {
        const isSilent = random() < SILENT_RATIO;
        await after(isSilent ? TIMEOUT_MS : 5 + 20 * random());
        return isSilent ? 'timeout' : 'unavailable';
      }
      // Log-normal by the sum of three: half within 40 ms, one in a hundred above 300 ms.
      const bell = random() + random() + random() - 1.5;
      await after(Math.min(TIMEOUT_MS, 40 * Math.exp(1.8 * bell)));
      return random() < DECLINED_RATIO ? 'declined' : 'settled';
    },
    fail: (ratio, ms) => {
      failing = { ratio, until: now() + ms };
    },
  };
}
