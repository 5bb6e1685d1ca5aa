/** Deep equality in which numbers may differ by a part in a billion, and `"Infinity"` stands for the number. */
export function sameNumbers(got: unknown, want: unknown): boolean {
  if (typeof got === 'number') return sameNumber(got, typeof want === 'string' ? Number(want) : want);
  if (typeof got !== 'object' || got === null || typeof want !== 'object' || want === null) return Object.is(got, want);
  if (Array.isArray(got) !== Array.isArray(want)) return false;
  const [a, b] = [new Map(Object.entries(got)), new Map(Object.entries(want))];
  return a.size === b.size && [...a].every(([key, value]) => b.has(key) && sameNumbers(value, b.get(key)));
}

function sameNumber(got: number, want: unknown): boolean {
  if (typeof want !== 'number') return false;
  return got === want || Object.is(got, want) || Math.abs(got - want) <= 1e-9 * Math.max(Math.abs(got), Math.abs(want));
}
