/** What to do about it: for the reasons that keep a component from moving, and for those why events were dropped. */

/** First match counts. The texts are those of servers, of the system and of our own components. */
const WAITING: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [
    /dead letters cannot be written|dead letter.*(disk|space)/i,
    'make room on the disk of the data directory; it goes on by itself',
  ],
  [
    /flood.?stage|disk usage exceeded|read.only.allow.delete/i,
    'make room on the disks of the server; it goes on by itself when the block is lifted',
  ],
  [
    /\b(401|403)\b|security_exception|unauthori[sz]ed|forbidden|credential|password/i,
    'check user, password or key in the configuration and what they may do on the server',
  ],
  [/\bblock(ed|ing)?\b|read.only|write block/i, 'lift the block on the index; it goes on by itself'],
  [
    /pipeline.*(missing|not exist)|index_not_found|no such index/i,
    'create what the server misses (`millrace apply` may); it goes on by itself',
  ],
  [
    /\b429\b|too many requests|rejected|overload|circuit.?break|queue capacity/i,
    'the server takes less than comes in: give it more room, or send less',
  ],
  [/certificate|tls|ssl|self.signed/i, 'check the certificate of the server and the `ca_file` of the configuration'],
  [/ENOTFOUND|EAI_AGAIN|getaddrinfo/i, 'check the name of the host and the DNS of this machine'],
  [
    /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ECONNRESET|EPIPE|connect|socket|closed|hang up/i,
    'start the server, or check host, port and firewall; delivery is tried again by itself',
  ],
  [/timed? ?out|timeout|no answer/i, 'look at the load of the server and the network; delivery is tried again by itself'],
  [/\b50[0-9]\b|unavailable|master_not_discovered/i, 'look at the state of the server; delivery is tried again by itself'],
  [/ENOSPC|no space|disk full/i, 'make room on the disk of the data directory; it goes on by itself'],
  [/EIO|EROFS|read-only file system/i, 'look at the disk (`dmesg`); when it works again, restart'],
  [/log_limit_size|log.*full/i, 'mend the output that holds the log up, or raise `log_limit_size`'],
];

/** What a person can do about a reason for waiting. */
export function remedyFor(reason: string): string {
  for (const [pattern, remedy] of WAITING) if (pattern.test(reason)) return remedy;
  return 'act on what the reason says; what waits is kept';
}

interface DropReason {
  readonly meaning: string;
  readonly remedy: string;
  /** Dropped as the configuration wants it. */
  readonly intended?: boolean;
}

const DROPS: Readonly<Record<string, DropReason>> = {
  filtered: { meaning: 'a filter does not let them pass', remedy: 'nothing, if the filter is meant so', intended: true },
  relabelled: { meaning: 'they went on under another label', remedy: 'nothing', intended: true },
  'by filters': {
    meaning: 'filters of the chain dropped them; each counts its own',
    remedy: 'look at the filters',
    intended: true,
  },
  'no match': { meaning: 'no <match> takes their tag', remedy: 'add a <match> for the tag, or a `<match **>` at the end' },
  'no output in this worker': {
    meaning: 'the output runs in another worker',
    remedy: 'move source and output into one <worker>',
  },
  'routed in a circle': {
    meaning: 'labels or tags lead back to where they came from',
    remedy: 'mend the relabel or retag rules',
  },
  'split into more than 255 parts': { meaning: 'a filter made too many events of one', remedy: 'split earlier, or into fewer' },
  'filter error': { meaning: 'a filter failed on them', remedy: 'the log says how; an `<label @ERROR>` would keep them' },
  'filter error, sent to @ERROR': { meaning: 'a filter failed on them, and @ERROR took them', remedy: 'the log says how' },
  'entrance log full': {
    meaning: 'the log was full and the sender cannot be held back (UDP)',
    remedy: 'mend the slow output, or raise `log_limit_size`',
  },
  'buffer overflow': {
    meaning: 'total_limit_size was reached with `overflow_action drop_oldest_chunk`',
    remedy: 'raise total_limit_size, or mend the output',
  },
  refused: {
    meaning: 'the server will never take them; they are dead letters',
    remedy: '`millrace dlq ls` shows why, `dlq replay` sends them again',
  },
  'refused, no backup': {
    meaning: 'the server will never take them, and `disable_chunk_backup` keeps no dead letters',
    remedy: 'mend what the log says, or take disable_chunk_backup out',
  },
  'chunk file damaged': {
    meaning: 'a chunk file could not be read; what could be read of it was delivered',
    remedy: 'look at the disk (`dmesg`)',
  },
  'retries exhausted': {
    meaning: 'given up at retry_timeout or retry_max_times; they are dead letters',
    remedy: '`millrace dlq replay` sends them again',
  },
  'stopped before delivery': {
    meaning: 'the process ended before they were delivered, and nothing keeps them',
    remedy: 'raise shutdown_timeout, or run with a data directory',
  },
  'invalid event': { meaning: 'the sender sent what is no event', remedy: 'look at the sender; the log names it' },
  'line too long': { meaning: 'a line was longer than max_line_size', remedy: 'raise max_line_size' },
  'pattern not matched': {
    meaning: 'lines do not fit the parser',
    remedy: 'check `<parse>`; `emit_unmatched_lines true` keeps them',
  },
};

/** What a reason for drops means, what can be done, and whether it was wanted. */
export function explainDrop(reason: string): DropReason {
  const known = Object.hasOwn(DROPS, reason) ? DROPS[reason] : undefined;
  return (
    known ?? {
      meaning: 'the component dropped them for this reason',
      remedy: '`millrace describe` has its page; the log may say more',
    }
  );
}
