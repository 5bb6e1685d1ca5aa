export interface CorsRules {
  readonly cors_allow_origins?: readonly string[] | undefined;
  readonly cors_allow_credentials: boolean;
}

/**
 * What the answer to a request from `origin` says about it.
 *
 * @returns undefined: the request is not allowed
 */
export function corsHeaders(rules: CorsRules, origin: string | undefined): Record<string, string> | undefined {
  const { cors_allow_origins: origins, cors_allow_credentials: hasCredentials } = rules;
  if (origins === undefined) return {};
  if (origins.includes('*')) return { 'Access-Control-Allow-Origin': '*' };
  if (origin === undefined || !origins.some((pattern) => fits(pattern, origin))) return undefined;
  return {
    'Access-Control-Allow-Origin': origin,
    ...(hasCredentials ? { 'Access-Control-Allow-Credentials': 'true' } : {}),
  };
}

function fits(pattern: string, origin: string): boolean {
  if (pattern === origin) return true;
  const star = pattern.indexOf('*');
  if (star < 0) return false;
  const [start, end] = [pattern.slice(0, star), pattern.slice(star + 1)];
  return origin.length >= start.length + end.length && origin.startsWith(start) && origin.endsWith(end);
}
