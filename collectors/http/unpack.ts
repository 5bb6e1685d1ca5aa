import { promisify } from 'node:util';
import { gunzip, inflate, zstdDecompress } from 'node:zlib';

const DECODERS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  zstd: promisify(zstdDecompress),
};

export type Unpacked = Buffer | 'too large' | 'damaged' | 'unknown';

/** Bodies are unpacked one after another: only one of them may grow to its limit at a time. */
export class Unpacker {
  readonly #limit: number;
  #last: Promise<unknown> = Promise.resolve();

  /** @param limit  bytes that a body may grow to */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * @param encoding  value of Content-Encoding
   * @param use  called with the result before the next body is unpacked
   */
  unpack(body: Buffer, encoding: string, use: (unpacked: Unpacked) => void): void {
    const decoder = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding as keyof typeof DECODERS] : undefined;
    if (decoder === undefined) return use('unknown');
    this.#last = this.#last.then(async () => {
      let unpacked: Unpacked;
      try {
        unpacked = await decoder(body, { maxOutputLength: this.#limit });
      } catch (error) {
        unpacked = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too large' : 'damaged';
      }
      use(unpacked);
    });
  }
}
