/** Finds what is wrong with a board itself: ids, places, and fields that nothing produces or that cannot answer the question. */
import { type Board, fieldsOf } from './model.ts';

/** Types of Elasticsearch fields that fit a use; a field that is only matched or shown may have any type. */
const FIT: Readonly<Record<string, readonly string[]>> = {
  values: ['keyword', 'ip', 'long', 'boolean', 'constant_keyword'],
  number: ['long', 'integer', 'double', 'float', 'date'],
  place: ['geo_point'],
};

/**
 * @param fields  dotted path -> type of every field that a pipeline or template declares
 * @returns one sentence per problem
 */
export function checkBoard(board: Board, fields: ReadonlyMap<string, string>): readonly string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  for (const panel of board.panels) {
    const say = (text: string): void => void problems.push(`board ${board.id}: panel ${panel.id}: ${text}`);
    if (!/^[a-z0-9-]+$/.test(panel.id)) say('its id holds more than lower case letters, digits and -');
    if (ids.has(panel.id)) say('its id is there twice');
    ids.add(panel.id);
    for (const [field, use] of fieldsOf(panel)) {
      const type = fields.get(field);
      if (type === undefined) say(`field ${field} is not known`);
      else if (FIT[use]?.includes(type) === false) say(`field ${field} is of type ${type}, which cannot be used for ${use}`);
    }
  }
  return problems;
}
