/** Process exit codes (sysexits.h above 63). 0 done or in step, 1 the answer is no, 2 differs (`plan`, `drift`). */
export const EXIT = {
  ok: 0,
  no: 1,
  differs: 2,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  io: 74,
  permission: 77,
  config: 78,
} as const;

export interface ErrorCode {
  readonly exit: number;
  readonly meaning: string;
  readonly remedy: string;
}

/** The one table of error codes; `docs/reference/errors.md` is generated from it. */
export const ERROR_CODES = {
  MR_CONFIG: {
    exit: EXIT.config,
    meaning: 'The configuration is not valid.',
    remedy: 'Mend the places that the message lists; `millrace check` shows all of them at once.',
  },
  MR_USAGE: {
    exit: EXIT.usage,
    meaning: 'A command was called with an option or argument it does not know.',
    remedy: 'See `millrace COMMAND --help`.',
  },
  MR_UNKNOWN_PLUGIN: {
    exit: EXIT.config,
    meaning: 'No component has that `@type`.',
    remedy: '`millrace describe` lists the components; check the spelling.',
  },
  MR_NO_INPUT: {
    exit: EXIT.noInput,
    meaning: 'A file that was named does not exist or cannot be read.',
    remedy: 'Check the path and its permissions.',
  },
  MR_PORT_TAKEN: {
    exit: EXIT.unavailable,
    meaning: 'Another process listens on that address.',
    remedy: 'Stop it, or set another `port`.',
  },
  MR_LISTEN: {
    exit: EXIT.unavailable,
    meaning: 'The address cannot be listened on.',
    remedy: 'Check `bind` and `port`, and that the process may use that port.',
  },
  MR_CONNECT: {
    exit: EXIT.unavailable,
    meaning: 'A server cannot be reached.',
    remedy: 'Check host and port; while running, the delivery is tried again by itself.',
  },
  MR_AUTH: {
    exit: EXIT.permission,
    meaning: 'A server refused the credentials.',
    remedy: 'Check user, password or token in the configuration or its environment variables.',
  },
  MR_REFUSED: {
    exit: EXIT.data,
    meaning: 'A server refused what was sent, and sending it again cannot help.',
    remedy: 'The message carries the reason the server gave.',
  },
  MR_PROTOCOL: {
    exit: EXIT.unavailable,
    meaning: 'A peer answered in a way its protocol does not allow.',
    remedy: 'Check that host and port belong to the expected server and version.',
  },
  MR_GEO_DATABASE: {
    exit: EXIT.data,
    meaning: 'An IP database is missing or damaged.',
    remedy: '`millrace geo check FILE` says what is wrong with it; the one in use stays in use.',
  },
  MR_DATA_DIR: {
    exit: EXIT.io,
    meaning: 'The data directory cannot be used.',
    remedy: 'Set `<system> root_dir` or MILLRACE_DATA to a directory that this user may write.',
  },
  MR_DISK: { exit: EXIT.io, meaning: 'Reading from or writing to the disk failed.', remedy: 'Check free space and permissions.' },
  MR_LOG_FORMAT: {
    exit: EXIT.data,
    meaning: 'The log in the data directory was written by a newer millrace.',
    remedy: 'Run that version until the log is empty, or name another data directory.',
  },
  MR_NO_STATUS: {
    exit: EXIT.unavailable,
    meaning: 'No running millrace answered on its control address.',
    remedy: 'Start it with `millrace run`, or name its data directory with --data.',
  },
  MR_NODE: {
    exit: EXIT.unavailable,
    meaning: 'No Node.js that can run millrace was found.',
    remedy: 'Install with optional dependencies, or put Node.js 24.12 or later on PATH.',
  },
  MR_INTERNAL: {
    exit: EXIT.software,
    meaning: 'A promise of our own code was broken.',
    remedy: 'Please report it with the text of the message.',
  },
} as const satisfies Record<string, ErrorCode>;

export type Code = keyof typeof ERROR_CODES;

/** An expected failure: a code for programs, a message for people, the cause for both. */
export class MillraceError extends Error {
  readonly code: Code;
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
  static {
    MillraceError.prototype.name = 'MillraceError';
  }
}

/** Codes of the system that say that the disk is full, broken or read-only. */
const DISK_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS']);

/** The code of anything thrown: own errors have theirs, a disk that is full or broken is no fault of ours. */
export function codeOf(error: unknown): Code {
  if (error instanceof MillraceError) return error.code;
  return error instanceof Error && 'code' in error && DISK_CODES.has(error.code) ? 'MR_DISK' : 'MR_INTERNAL';
}

/** The text to show for anything thrown: own errors as they are, the rest by their message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message) return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error.name;
}
