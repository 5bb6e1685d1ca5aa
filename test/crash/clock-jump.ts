/** Preloaded into millrace in a crash run: its clock is off by as many milliseconds as the file says, which may change at any moment. */
import { readFileSync } from 'node:fs';

const file = process.env['CRASH_CLOCK_FILE'];
const LOOK_EVERY_MS = 20;

if (file !== undefined) {
  const RealDate = Date;
  const realNow = Date.now.bind(Date);
  let offsetMs = 0;
  let lookedMs = -Infinity;
  const now = (): number => {
    if (performance.now() - lookedMs > LOOK_EVERY_MS) {
      lookedMs = performance.now();
      try {
        offsetMs = Number(readFileSync(file, 'utf8')) || 0;
      } catch {
        // No file: the clock goes right.
        offsetMs = 0;
      }
    }
    return realNow() + offsetMs;
  };
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: unknown[], self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self) as Date,
    get: (target, key, self) => (key === 'now' ? now : (Reflect.get(target, key, self) as unknown)),
  });
}
