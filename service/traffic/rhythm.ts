/** Visits in each hour of a day in China, 1 is the mean: quiet at night, a rise to the morning, lunch, a long evening. */
const HOURS = [
  0.55, 0.32, 0.2, 0.14, 0.13, 0.2, 0.42, 0.78, 1.12, 1.42, 1.5, 1.36, 1.26, 1.18, 1.32, 1.38, 1.3, 1.16, 1.06, 1.22, 1.46, 1.5,
  1.22, 0.8,
] as const;

const MEAN = HOURS.reduce((sum, hour) => sum + hour, 0) / HOURS.length;

/**
 * How busy it is.
 *
 * @param hour  0 up to 24, with fractions; the curve runs straight between the middles of two hours
 * @returns a factor whose mean over a day is 1
 */
export function dailyFactor(hour: number): number {
  const at = (((hour - 0.5) % 24) + 24) % 24;
  const before = Math.floor(at);
  const left = HOURS[before] ?? MEAN;
  const right = HOURS[(before + 1) % 24] ?? MEAN;
  return (left + (right - left) * (at - before)) / MEAN;
}

/** The hour on the clocks of China, which are 8 hours before UTC all year. */
export function hourInChina(ms: number): number {
  return (((ms / 3_600_000 + 8) % 24) + 24) % 24;
}

/** What is the matter at some second of a run. `bank` and `guessing` are the two incidents, in turn. */
export type Phase = 'calm' | 'burst' | 'bank' | 'guessing';

export interface RhythmOptions {
  /** Seconds from one burst to the next; 0 for none. */
  readonly burstEvery: number;
  /** Seconds from the end of one incident to the next; 0 for none. */
  readonly incidentEvery: number;
  readonly incidentSeconds: number;
}

const BURST_SECONDS = 6;

/** @param seconds since the start of the run */
export function phaseAt(seconds: number, { burstEvery, incidentEvery, incidentSeconds }: RhythmOptions): Phase {
  if (incidentEvery > 0) {
    const period = incidentEvery + incidentSeconds;
    if (seconds % period >= incidentEvery) return Math.floor(seconds / period) % 2 === 0 ? 'bank' : 'guessing';
  }
  const isBurst = burstEvery > 0 && seconds >= burstEvery && seconds % burstEvery < BURST_SECONDS;
  return isBurst ? 'burst' : 'calm';
}
