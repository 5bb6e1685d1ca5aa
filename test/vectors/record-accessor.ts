import type { Fields } from '../../engine/events/batch.ts';
import { deleteAt, getAt, parseAccessor, setAt } from '../../engine/events/record-accessor.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield runCase(item);
  },
};

function runCase(item: Case): CaseResult {
  const accessor = parseAccessor((item['input'] ?? item['param']) as string);
  if (typeof accessor === 'object' && 'error' in accessor)
    return expectsError(item.expected) ? { id: item.id } : { id: item.id, difference: accessor.error };
  if (expectsError(item.expected)) return { id: item.id, difference: `expected an error, got ${shown(accessor)}` };
  const record = structuredClone(item['record']) as Fields;
  switch (item.group) {
    case 'parse':
      return compared(item.id, accessor, item.expected);
    case 'call':
      return compared(item.id, getAt(record, accessor) ?? null, item.expected);
    case 'set':
      setAt(record, accessor, item['argument']);
      return compared(item.id, record, item.expected);
    case 'delete':
      deleteAt(record, accessor);
      return compared(item.id, record, item.expected);
    default:
      return { id: item.id, difference: `unknown group ${item.group}` };
  }
}
