/** The little of WebAssembly that is used here: neither the language's library nor Node's types name it. */
interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}
export interface WasmGlobal {
  readonly value: number;
}

interface Api {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => WasmInstance;
  readonly RuntimeError: new (message?: string) => Error;
}

export const wasm = (globalThis as unknown as { readonly WebAssembly: Api }).WebAssembly;
