// What the benchmarks read, and how they sum it up.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';

/** Linux counts CPU time in these, whatever the kernel's own tick. */
const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
const MIB_BYTES = 1024 * 1024;

/** CPU time of a process with all its threads, user and system, in microseconds. Linux only. */
export function cpuMicroseconds(pid: number): number {
  return cpuOf(pid).own;
}

/** CPU time of the children that it had and that have ended, with theirs, in microseconds. Linux only. */
export function endedChildrenMicroseconds(pid: number): number {
  return cpuOf(pid).endedChildren;
}

function cpuOf(pid: number): { readonly own: number; readonly endedChildren: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name before may hold spaces and parentheses; the fields after the last one do not.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const microseconds = (...at: readonly number[]) =>
    at.reduce((ticks, field) => ticks + Number(fields[field]), 0) * (1_000_000 / TICKS_PER_SECOND);
  return { own: microseconds(11, 12), endedChildren: microseconds(13, 14) };
}

/** Resident memory of a process, in bytes. Linux only. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

export interface Summary {
  readonly median: number;
  readonly p95: number;
  readonly runs: number;
}

/** Nearest-rank percentiles. */
export function summaryOf(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
  return { median: at(0.5), p95: at(0.95), runs: sorted.length };
}

export function machine(): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / MIB_BYTES / 1024)} GiB`;
  return `${cpus().length} x ${cpu?.model.trim()}, ${memory}, ${platform()} ${release()} ${arch()}, Node.js ${process.versions.node}`;
}

export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly summary: Summary;
}

export function printRow({ what, unit, summary: { median, p95, runs } }: Row): void {
  const number = (value: number) => value.toFixed(value < 100 ? 1 : 0).padStart(9);
  process.stdout.write(
    `${what.padEnd(64)} median ${number(median)}  p95 ${number(p95)} ${unit} (${runs} runs)\n`,
  );
}
