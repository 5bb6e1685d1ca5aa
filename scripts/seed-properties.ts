/**
 * Gives every property test the same seed, so that a change is judged by the same cases each time. Other cases are
 * looked for with `FC_SEED=random npm test`, or `FC_SEED=NUMBER` to see one again that failed.
 */
import { configureGlobal } from 'fast-check';

const DEFAULT_SEED = 20_261_124;

const wanted = process.env['FC_SEED'];
if (wanted !== 'random') configureGlobal({ seed: wanted === undefined ? DEFAULT_SEED : Number(wanted) });
