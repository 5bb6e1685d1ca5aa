/** What a process and its children use, read from /proc. All of it is Linux only, as the benchmark is. */
import { readdirSync, readFileSync } from 'node:fs';

/** The kernel tells CPU time in ticks of 10 ms on every machine that Node runs on (USER_HZ). */
const TICKS_PER_SECOND = 100;

export interface Usage {
  /** CPU seconds, user and system, of all threads that live or have lived, children too. */
  readonly cpuSeconds: number;
  readonly userSeconds: number;
}

/** @throws when the process has ended */
export function usageOf(pid: number): Usage {
  let user = 0;
  let system = 0;
  for (const one of familyOf(pid)) {
    const fields = statOf(one);
    // utime, stime; cutime and cstime hold children that have ended.
    user += Number(fields[11]) + Number(fields[13]);
    system += Number(fields[12]) + Number(fields[14]);
  }
  return { cpuSeconds: (user + system) / TICKS_PER_SECOND, userSeconds: user / TICKS_PER_SECOND };
}

/** CPU seconds by the name of the thread; threads of one name are added up. */
export function threadsOf(pid: number): Map<string, number> {
  const threads = new Map<string, number>();
  for (const one of familyOf(pid)) {
    for (const task of readdirSync(`/proc/${one}/task`)) {
      try {
        const name = readFileSync(`/proc/${one}/task/${task}/comm`, 'utf8').trim();
        const fields = fieldsOf(readFileSync(`/proc/${one}/task/${task}/stat`, 'latin1'));
        threads.set(name, (threads.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND);
      } catch {
        // It ended between the two readings.
      }
    }
  }
  return threads;
}

export interface Memory {
  /** Resident set now, and the highest it has been; children are in both. */
  readonly rssMb: number;
  readonly peakMb: number;
}

export function memoryOf(pid: number): Memory {
  let now = 0;
  let peak = 0;
  for (const one of familyOf(pid)) {
    const status = readFileSync(`/proc/${one}/status`, 'latin1');
    now += kilobytes(status, 'VmRSS');
    peak += kilobytes(status, 'VmHWM');
  }
  return { rssMb: now / 1024, peakMb: peak / 1024 };
}

/** Datagrams that the kernel threw away at the sockets of a local UDP port since they were opened. */
export function udpDrops(port: number): number {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let drops = 0;
  for (const table of ['/proc/net/udp', '/proc/net/udp6'])
    for (const line of readFileSync(table, 'latin1').split('\n').slice(1)) {
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(wanted) === true) drops += Number(columns.at(-1));
    }
  return drops;
}

const kilobytes = (status: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);

const statOf = (pid: number): readonly string[] => fieldsOf(readFileSync(`/proc/${pid}/stat`, 'latin1'));

/** The fields behind the name, which may hold blanks and brackets; field 3 of proc(5) is the first. */
const fieldsOf = (stat: string): readonly string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

/** The process and all below it. */
function familyOf(pid: number): number[] {
  const family = [pid];
  for (let n = 0; n < family.length; n++) {
    const parent = family[n] as number;
    try {
      for (const task of readdirSync(`/proc/${parent}/task`)) {
        const children = readFileSync(`/proc/${parent}/task/${task}/children`, 'latin1').trim();
        if (children !== '') family.push(...children.split(' ').map(Number));
      }
    } catch (error) {
      // A child may end while we look; the process itself must be there.
      if (parent === pid) throw error;
    }
  }
  return family;
}
