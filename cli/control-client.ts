/** Asking the millrace that runs on a data directory. */
import { resolve } from 'node:path';
import { request } from 'undici';
import { MillraceError } from '../engine/errors.ts';
import { controlOf, dataDirOf } from './data-dir.ts';

/** A replay waits for the server that the letters go to. */
const TIMEOUT_MS = 130_000;

/** The directory that a command means: `--data`, else the usual one. */
export function dataDirectory(data: string | undefined): string {
  return data === undefined ? dataDirOf(undefined) : resolve(data);
}

/**
 * @param body  makes it a POST
 * @throws MillraceError MR_NO_STATUS when nobody runs or answers, MR_AUTH, MR_REFUSED with what the process says
 */
export async function askControl(data: string | undefined, path: string, body?: unknown): Promise<unknown> {
  const directory = dataDirectory(data);
  const control = controlOf(directory);
  if (control === undefined) throw new MillraceError('MR_NO_STATUS', `no millrace runs on the data directory ${directory}`);
  const { address, token } = control;
  const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  let response: Awaited<ReturnType<typeof request>>;
  try {
    response = await request(`${address}${path}`, {
      headers,
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new MillraceError(
      'MR_NO_STATUS',
      `nobody answers on ${address}; the process that wrote ${directory}/control.json is gone`,
      { cause },
    );
  }
  if (response.statusCode === 401) throw new MillraceError('MR_AUTH', `${address} refused the token of ${directory}`);
  const answer: unknown = await response.body.json();
  if (response.statusCode === 200) return answer;
  const { error = `status ${response.statusCode}` } = answer as { error?: string };
  throw new MillraceError('MR_REFUSED', `${address}${path}: ${error}`);
}
