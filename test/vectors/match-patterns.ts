import { compilePattern } from '../../engine/pipeline/match-pattern.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared } from './compare.ts';

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) {
      const expected = item.expected as { match: string[]; no_match: string[] };
      const matcher = compilePattern(item['pattern'] as string);
      if ('error' in matcher) yield { id: item.id, difference: matcher.error };
      else
        yield compared(
          item.id,
          { match: expected.match.filter(matcher), no_match: expected.no_match.filter((tag) => !matcher(tag)) },
          { ...expected },
        );
    }
  },
};
