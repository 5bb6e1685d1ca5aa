import assert from 'node:assert/strict';
import { loadConfigText } from '../engine/config/load.ts';
import { memoryFiles } from '../engine/config/files.ts';
import type { FuzzTarget } from '../engine/testing/fuzz.ts';
import { parseRules, RULES_MAX, type PlaceOf } from './rule.ts';
import { parseThreshold } from './threshold.ts';
import { fieldsOf, parseWhere, renderWhereError } from './where.ts';

const files = memoryFiles({});
const placeOf: PlaceOf = (path) => ({ file: path.join('.'), line: 1, column: 1 });

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'alerts/where',
    seeds: [
      'status >= 500 and not (path: /api/* or level: ("error" or fatal)) and user.id: *',
      'a: "x \\"y\\"" or b: 1e3',
      '*',
      '消息: 失败*',
      'not not not a: 1',
      '((((a:1))))',
      'a:* and b > -1.5',
    ],
    words: [' and ', ' or ', 'not ', '(', ')', ':', '>=', '<', '*', '"', '\\', '"a":', '1e999', ' '],
    maxBytes: 6000,
    run(bytes) {
      const text = bytes.toString('utf8');
      const where = parseWhere(text);
      if ('error' in where) {
        assert.ok(where.offset >= 0 && where.offset <= text.length, `offset ${where.offset} of ${text.length}`);
        renderWhereError(text, where);
        return where.error.replaceAll(/"[^"]*"/g, '').slice(0, 60);
      }
      return `${where.op} ${fieldsOf(where).size}`;
    },
  },
  {
    name: 'alerts/threshold',
    seeds: ['> 1', '>= 5 %', '< 1.5k and > 0', '10 %', '==1', 'above 5'],
    words: ['>', '<', '>=', ' and ', '%', 'k', 'ms', '1e999', '-'],
    maxBytes: 256,
    run(bytes) {
      const threshold = parseThreshold(bytes.toString('utf8'), bytes.length % 2 === 0 ? 'ratio' : 'number');
      return typeof threshold === 'string' ? threshold.replaceAll(/".*"/gs, '').slice(0, 40) : threshold.limits.length;
    },
  },
  {
    name: 'alerts/rules',
    seeds: [
      '- { name: a, measure: count, condition: "> 1" }\n- name: 乙\n  from: app.**\n  where: "status >= 500"\n  measure: { ratio: { part: "s >= 5", whole: "s: *" } }\n  by: [user.id]\n  every: 10s\n  condition: "> 5 %"\n  recovery: "< 1 %"\n  for: 1m\n  severity: high\n  tags: { team: x }',
      '- { name: p, measure: { percentile: { field: duration, of: 95 } }, condition: "> 500" }',
      '[]',
      'null',
    ],
    words: [
      'name: ',
      'measure: ',
      'count',
      'ratio',
      'percentile',
      'unique',
      'absence',
      'condition: ',
      '"> 1"',
      'where: ',
      'by: ',
      'every: ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '\n  ',
      '1e99',
      '-1',
      'null',
      '__proto__: ',
    ],
    run(bytes) {
      const text = bytes.toString('utf8');
      const data = loadConfigText('/c/millrace.yaml', `alerts:\n${text}`, { env: {}, files }).extras.get('alerts');
      if (data === undefined) return 'no YAML';
      const { rules, problems } = parseRules(data.value, placeOf);
      assert.ok(rules.length <= RULES_MAX);
      return `${rules.map(({ measure }) => measure.kind).join()} ${problems.map(({ message }) => message.replaceAll(/["'].*["']|\d+/gs, '').slice(0, 30)).join()}`;
    },
  },
];
