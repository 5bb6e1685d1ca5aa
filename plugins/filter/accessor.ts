import * as z from 'zod';
import { field, type Field } from '../../engine/events/field.ts';
import { parseAccessor } from '../../engine/events/record-accessor.ts';
import { text } from '../../engine/units.ts';

/** A field as Fluentd names it: `host` is that very key, also with dots in it; `$.a.b[0]` and `$['a']['b']` are paths. */
export function accessor() {
  return text()
    .transform((value, ctx): Field => {
      const result = accessorField(value);
      if (typeof result !== 'string') return result;
      ctx.addIssue(result);
      return z.NEVER;
    })
    .meta({ kind: 'text' });
}

/** @returns the field, or a text that says what is wrong */
export function accessorField(value: string): Field | string {
  const parsed = parseAccessor(value);
  if (typeof parsed === 'string') return field([parsed]);
  return 'error' in parsed ? parsed.error : field(parsed);
}
