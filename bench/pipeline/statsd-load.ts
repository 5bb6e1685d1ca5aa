/** StatsD metrics: 40 % counters, 40 % timers, 20 % gauges over 1000 names. */
const NAMES = 1000;
const DATAGRAMS = 20_000;

/** Datagrams of `linesEach` metrics; the same in every run. */
export function datagrams(linesEach: number): Buffer[] {
  return Array.from({ length: Math.ceil(DATAGRAMS / linesEach) }, (_, n) =>
    Buffer.from(Array.from({ length: linesEach }, (_, k) => line(n * linesEach + k)).join('\n')),
  );
}

function line(n: number): string {
  const name = `service.shop.endpoint${(n * 7919) % NAMES}`;
  const kind = n % 5;
  if (kind < 2) return `${name}.hits:1|c`;
  return kind < 4 ? `${name}.time:${(n * 31) % 1000}.${n % 10}|ms` : `${name}.level:${n % 100}|g`;
}
