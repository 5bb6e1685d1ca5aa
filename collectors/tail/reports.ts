import { messageOf } from '../../engine/errors.ts';
import type { TailConfig, TailContext } from './tail.ts';

/** A log line for the 1st, 2nd, 4th, 8th ... time: one bad file does not flood the log. */
const isNotable = (times: number): boolean => (times & (times - 1)) === 0;
const SHOWN_BYTES = 200;

/** What goes wrong with files and lines: counted each time, told now and then. */
export class Reports {
  readonly #config: TailConfig;
  readonly #ctx: TailContext;
  #unmatched = 0;
  #tooLong = 0;
  #isRepairTold = false;

  constructor(config: TailConfig, ctx: TailContext) {
    this.#config = config;
    this.#ctx = ctx;
  }

  unreadable(file: { readonly path: string; failures: number }, error: unknown): void {
    // Between looking and opening a file may go away; that is no failure.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    this.#ctx.metrics.unreadable.add(1);
    file.failures++;
    if (file.failures > 1 && (this.#config.ignore_repeated_permission_error || !isNotable(file.failures))) return;
    const { path, failures: times } = file;
    this.#ctx.log.warn({ path, reason: messageOf(error), times }, 'the file cannot be read, trying again');
  }

  unmatched(reason: string, line: Buffer): void {
    if (!this.#config.emit_unmatched_lines) this.#ctx.dropped(reason, 1);
    if (!isNotable(++this.#unmatched)) return;
    const shown = line.subarray(0, SHOWN_BYTES).toString('utf8');
    this.#ctx.log.warn({ reason, line: shown, times: this.#unmatched }, 'a line does not match the parser');
  }

  tooLong(lines: number): void {
    this.#ctx.dropped('line too long', lines);
    this.#tooLong += lines;
    if (isNotable(this.#tooLong))
      this.#ctx.log.warn(
        { limit: this.#config.max_line_size, lines: this.#tooLong },
        'lines longer than max_line_size are left out',
      );
  }

  repaired(): void {
    this.#ctx.metrics.repaired.add(1);
    if (this.#isRepairTold) return;
    this.#isRepairTold = true;
    this.#ctx.log.warn({}, 'bytes that are no UTF-8 are replaced; set from_encoding if the files have another encoding, GBK say');
  }
}
