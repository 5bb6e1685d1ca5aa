/** What a crash run will do, chosen by its seed alone. */
import { seeded } from '../../engine/testing/seeded.ts';
import { BULK_MODES, type BulkMode } from './bulk-sink.ts';

export const FAULTS = [
  'kill',
  'kill while starting',
  'restart',
  'pause',
  'bulk server',
  'carbon server',
  'connections',
  'clock jump',
  'disk full',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface Step {
  readonly fault: Fault;
  /** Load before the fault. */
  readonly loadMs: number;
  /** How long it lasts: a pause, a server in trouble, a full disk, the time between death and start. */
  readonly forMs: number;
  /** What the bulk server does meanwhile. */
  readonly bulk: BulkMode;
  /** For `clock jump`. */
  readonly jumpMs: number;
  /** Workers from the next start on. */
  readonly workers: number;
}

export interface Plan {
  readonly seed: number;
  readonly workers: number;
  readonly connections: number;
  readonly window: number;
  readonly eventsPerSecond: number;
  readonly resends: boolean;
  readonly steps: readonly Step[];
}

export interface PlanOptions {
  /** Faults that this machine cannot have. */
  readonly without?: readonly Fault[];
  /** Only these. */
  readonly only?: readonly Fault[];
}

const KILLS: readonly Fault[] = ['kill', 'kill while starting'];
const MAX_JUMP_MS = 2 * 3_600_000;

export function planOf(seed: number, { without = [], only }: PlanOptions = {}): Plan {
  const random = seeded(seed);
  const faults = (only ?? FAULTS).filter((fault) => !without.includes(fault));
  // Every fault has its turn as seeds go up; a kill is in every run unless only other faults were asked for.
  const turn = faults[seed % faults.length] as Fault;
  const kills = faults.filter((fault) => KILLS.includes(fault));
  const chosen: Fault[] = [turn];
  if (kills.length > 0) chosen.push(random.pick(kills));
  if (random.chance(0.4)) chosen.push(random.pick(faults));
  const workers = random.pick([1, 1, 1, 2]);
  return {
    seed,
    workers,
    connections: random.between(2, 6),
    window: random.pick([1, 4, 16]),
    eventsPerSecond: random.pick([3000, 10_000, 20_000]),
    resends: random.chance(0.3),
    steps: chosen.map((fault) => ({
      fault,
      loadMs: random.between(100, 900),
      forMs: random.between(50, 900),
      bulk: fault === 'bulk server' || random.chance(0.4) ? random.pick(BULK_MODES.slice(1)) : 'well',
      jumpMs: random.between(-MAX_JUMP_MS, MAX_JUMP_MS),
      workers: random.chance(0.25) ? random.between(1, 3) : workers,
    })),
  };
}

/** One line for a report. */
export function describeStep({ fault, loadMs, forMs, bulk, jumpMs, workers }: Step): string {
  const parts = [`${fault} after ${loadMs} ms`];
  if (fault !== 'connections' && fault !== 'clock jump') parts.push(`for ${forMs} ms`);
  if (fault === 'clock jump') parts.push(`by ${Math.round(jumpMs / 1000)} s`);
  if (bulk !== 'well') parts.push(`bulk server: ${bulk}`);
  if (fault === 'restart' || fault.startsWith('kill')) parts.push(`workers ${workers}`);
  return parts.join(', ');
}
