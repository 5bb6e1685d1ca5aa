/** A strict reader of Prometheus' text format 0.0.4, for tests: what a scraper would refuse or only warn of throws here. */

export interface Exposed {
  readonly families: ReadonlyMap<string, { readonly type: string; readonly help: string; readonly unit: string }>;
  /** `name{label="value",...}` as written → value. */
  readonly series: ReadonlyMap<string, number>;
  /** Label → its values, unescaped. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/sy;
const VALUE = /^(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]Inf|NaN)$/;

/** @throws Error naming the line that is wrong */
export function parseExposition(text: string): Exposed {
  const families = new Map<string, { type: string; help: string; unit: string }>();
  const series = new Map<string, number>();
  const labels = new Map<string, Set<string>>();
  let current = '';
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no line feed');
  for (const line of text.split('\n').slice(0, -1)) {
    const fail = (why: string): never => {
      throw new Error(`${why}: ${line}`);
    };
    const comment = /^# (HELP|TYPE|UNIT) (\S+) (.*)$/s.exec(line);
    if (comment !== null) {
      const [, word, name = '', rest = ''] = comment;
      if (!NAME.test(name)) fail('no name of a metric');
      if (word === 'HELP') {
        if (families.has(name)) fail('a family comes twice');
        if (/\\[^\\n]|\\$/.test(rest.replaceAll('\\\\', ''))) fail('an escape that there is not');
        families.set(name, { type: '', unit: '', help: unescaped(rest) });
        current = name;
      } else {
        const family = families.get(name);
        if (family === undefined || name !== current) throw new Error(`behind no HELP of it: ${line}`);
        if (word === 'TYPE' && !['counter', 'gauge'].includes(rest)) fail('no type');
        if (word === 'TYPE') family.type = rest;
        else family.unit = rest;
      }
      continue;
    }
    const match = SAMPLE.exec(line) ?? fail('no sample');
    const [, name, inside, value = ''] = match;
    if (name !== current) fail('a sample outside of its family');
    if (families.get(current)?.type === '') fail('a sample before its TYPE');
    if (!VALUE.test(value)) fail('no value');
    readLabels(inside ?? '', labels, fail);
    const key = line.slice(0, -value.length - 1);
    if (series.has(key)) fail('a series comes twice');
    series.set(key, value.endsWith('Inf') ? Number(`${value}inity`) : Number(value));
  }
  for (const name of families.keys())
    if (![...series.keys()].some((key) => key === name || key.startsWith(`${name}{`)))
      throw new Error(`a family without samples: ${name}`);
  return { families, series, labels };
}

function readLabels(inside: string, labels: Map<string, Set<string>>, fail: (why: string) => never): void {
  const seen = new Set<string>();
  for (let at = 0; at < inside.length; at = LABEL.lastIndex) {
    LABEL.lastIndex = at;
    const match = LABEL.exec(inside) ?? fail('no labels');
    const [, label = '', value = ''] = match;
    if (seen.has(label) || label.startsWith('__')) fail('a label that may not be');
    seen.add(label);
    const values = labels.get(label) ?? new Set();
    labels.set(label, values.add(unescaped(value)));
  }
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/gs, (_all, char: string) => (char === 'n' ? '\n' : char));
}
