/** Every answer of this service that is not the one asked for: status, code for programs, message for people. */
const ERRORS = {
  invalid: 400,
  idempotency_key_missing: 400,
  not_signed_in: 401,
  credentials_wrong: 401,
  insufficient_funds: 402,
  declined: 402,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  idempotency_key_reused: 409,
  too_large: 413,
  media_type: 415,
  not_payable: 422,
  account_locked: 429,
  internal: 500,
  bank_unavailable: 502,
  overloaded: 503,
  audit_unavailable: 503,
  bank_timeout: 504,
} as const;

export type ErrorCode = keyof typeof ERRORS;

export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly code: ErrorCode;
  readonly status: number;
  /** Seconds after which it may work; sent as Retry-After. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, options: { readonly cause?: unknown; readonly retryAfter?: number } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = ERRORS[code];
    this.retryAfter = options.retryAfter;
  }
}
