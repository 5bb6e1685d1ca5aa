/** What JavaScript sees of the kernel. */
import { LONGEST_NAME, NAMES, TEXTS, addName, clearNames, rows } from './fields.ts';
import { lines } from './lines.ts';
import { fillTables } from './number.ts';
import {
  CUT,
  DONE,
  ENDS,
  EVENTS,
  FULL,
  IDS,
  INPUT,
  INPUT_SIZE,
  LEAD,
  LEAD_SIZE,
  LEFT,
  NAME,
  NAME_SIZE,
  OUTPUT,
  QUOTED,
  TOP,
  TRAIL,
  TRAIL_SIZE,
  events,
  stoppedAt,
  written,
} from './regions.ts';
import { fillSizes } from './skip.ts';

// Not `export from`: the compiler takes no extension there.
export {
  CUT,
  DONE,
  ENDS,
  EVENTS,
  FULL,
  IDS,
  INPUT,
  INPUT_SIZE,
  LEAD,
  LEAD_SIZE,
  LEFT,
  NAME,
  NAME_SIZE,
  OUTPUT,
  QUOTED,
  TOP,
  TRAIL,
  TRAIL_SIZE,
  events,
  stoppedAt,
  written,
  LONGEST_NAME,
  NAMES,
  TEXTS,
  addName,
  clearNames,
  rows,
  lines,
};

fillTables();
fillSizes();
