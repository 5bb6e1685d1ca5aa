/** Who may import whom (docs/ARCHITECTURE.md), read with oxc's parser. */
import { dirname, join } from 'node:path/posix';
import { parseSync } from 'oxc-parser';

/** Specifiers of all static and dynamic imports and re-exports. */
export function importsOf(file: string, source: string): string[] {
  const { module } = parseSync(file, source);
  const stated = [
    ...module.staticImports.map((one) => one.moduleRequest.value),
    ...module.staticExports.flatMap((one) => one.entries.map((entry) => entry.moduleRequest?.value)),
    ...module.dynamicImports.map(
      (one) => /^['"`]([^'"`$]+)['"`]$/.exec(source.slice(one.moduleRequest.start, one.moduleRequest.end))?.[1],
    ),
  ];
  return [...new Set(stated.filter((specifier) => specifier !== undefined))];
}

/**
 * @param isComponent  whether a file of plugins/ declares a component; others are helpers of their folder
 * @returns a sentence with the way out for each import that is not allowed
 */
export function checkImports(file: string, specifiers: readonly string[], isComponent: (file: string) => boolean): string[] {
  return specifiers.flatMap((specifier) => {
    if (!specifier.startsWith('.')) return [];
    const target = join(dirname(file), specifier);
    if (!/\.(?:[cm]?[jt]s|json)$/.test(specifier)) return [`${file}: write the extension: '${specifier}.ts'`];
    const remedy = refusal(file, target, isComponent);
    return remedy === undefined ? [] : [`${file}: imports ${target}; ${remedy}`];
  });
}

function refusal(file: string, target: string, isComponent: (file: string) => boolean): string | undefined {
  const from = placeOf(file);
  const to = placeOf(target);
  const isTest = /\.(?:test|cases|bench|fuzz)\.ts$/.test(file);
  if (['cli', 'test', 'bench', 'scripts', 'examples'].includes(from.place)) return undefined;
  if (from.place === 'service')
    return to.place === 'service'
      ? undefined
      : 'service/ stands for a customer and imports nothing of millrace: use an npm package';
  if (from.place === 'engine') {
    if (to.place !== 'engine') return 'the engine imports none of the folders above it: move what both need down to engine/';
    return isTest || !target.startsWith('engine/testing/') || file.startsWith('engine/testing/')
      ? undefined
      : 'engine/testing/ is for tests only';
  }
  if (to.place === 'engine')
    return isTest || !target.startsWith('engine/testing/') ? undefined : 'engine/testing/ is for tests only';
  if (from.place === 'alerts' || from.place === 'dashboards') {
    if (to.place === from.place || /^shippers\/[^/]+\/client\.ts$/.test(target)) return undefined;
    return `${from.place}/ may import engine/ and shippers/*/client.ts: move what both need down to engine/`;
  }
  if (target === `${from.place}/all.gen.ts`) return 'registries are for cli/: take parsers and formatters from ctx';
  if (to.place === from.place && to.component === from.component) return undefined;
  if (file.endsWith('/all.gen.ts')) return undefined;
  // `log-to-metric-rules.ts` is a part of `log-to-metric.ts`.
  const isPart = file.startsWith(target.replace(/\.ts$/, '-'));
  if (dirname(file) === dirname(target) && (isTest || isPart || !isComponent(target))) return undefined;
  if (from.place === 'plugins' && dirname(file) === dirname(target))
    return 'components never import each other: move what both need to a file of its own beside them, or down to engine/';
  return 'components never import each other: move what both need down to engine/';
}

/** `plugins/enrich/geo/qqwry.ts` → place plugins, component `plugins/enrich/geo`; a plugin in one file is that file. */
function placeOf(file: string): { place: string; component: string } {
  const parts = file.split('/');
  const place = parts[0] ?? '';
  if (place !== 'plugins') return { place, component: parts.slice(0, 2).join('/') };
  const component = parts.length > 3 ? parts.slice(0, 3).join('/') : file.replace(/(?:\.(?:test|cases|bench|fuzz))?\.ts$/, '');
  return { place, component };
}
