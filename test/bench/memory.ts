// Whether a program grows with the jobs it has seen: memory after the first thousand, which fill its caches
// and pools, and after ten times as many.
import { setTimeout as pause } from 'node:timers/promises';

import { withJobs, type JobWorld } from './job-world.ts';
import { summaryOf, type Row } from './measure.ts';
import type { Parts } from './parts.ts';
import { memoryByRole } from './processes.ts';

const IN_FLIGHT = 8;
const FIRST_JOBS = 1_000;
const ALL_JOBS = 10_000;
const ROLES = ['server', 'agent', 'sandboxes'] as const;

/** Each reading is at another place between two garbage collections. */
const READINGS = 10;
const READING_INTERVAL_MS = 200;

const MIB_BYTES = 1024 * 1024;

export async function memory(parts: Parts): Promise<Row[]> {
  return withJobs(parts, async (world) => {
    await world.run(IN_FLIGHT, FIRST_JOBS);
    const rows = await readings(world, `${parts}, after ${FIRST_JOBS} jobs`);
    await world.run(IN_FLIGHT, ALL_JOBS - FIRST_JOBS);
    return [...rows, ...(await readings(world, `${parts}, after ${ALL_JOBS} jobs`))];
  });
}

async function readings({ pids }: JobWorld, when: string): Promise<Row[]> {
  const mib = new Map<string, number[]>(ROLES.map((role) => [role, []]));
  for (let reading = 0; reading < READINGS; reading += 1) {
    await pause(READING_INTERVAL_MS);
    for (const [role, bytes] of memoryByRole(pids)) mib.get(role)?.push(bytes / MIB_BYTES);
  }
  return [...mib].map(([role, values]) => ({
    what: `resident memory of the ${role}, ${when}`,
    unit: 'MiB',
    summary: summaryOf(values),
  }));
}
