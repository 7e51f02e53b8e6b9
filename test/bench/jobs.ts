// No-op jobs from submit to bill: the latency of a warm one, how many a second, and what each of them costs
// each program in CPU time.
import { summaryOf, type Row } from './measure.ts';
import { withJobs, type JobWorld } from './job-world.ts';
import type { Parts } from './parts.ts';
import { cpuByRole } from './processes.ts';

const LATENCY_JOBS_PER_RUN = 40;
const THROUGHPUT_JOBS_PER_RUN = 200;
const IN_FLIGHT = [1, 8, 32] as const;

export async function jobs(parts: Parts, runs: number): Promise<Row[]> {
  return withJobs(parts, async (world) => {
    const rows = [await latency(world, parts, runs)];
    for (const width of IN_FLIGHT) rows.push(...(await throughput(world, { parts, runs, width })));
    return rows;
  });
}

async function latency(world: JobWorld, parts: Parts, runs: number): Promise<Row> {
  const values: number[] = [];
  for (let job = 0; job < runs * LATENCY_JOBS_PER_RUN; job += 1) {
    const before = performance.now();
    await world.run(1, 1);
    values.push(performance.now() - before);
  }
  const what = `warm no-op job, submit to bill, ${parts}`;
  return { what, unit: 'ms', summary: summaryOf(values) };
}

async function throughput(
  world: JobWorld,
  { parts, runs, width }: { readonly parts: Parts; readonly runs: number; readonly width: number },
): Promise<Row[]> {
  const perSecond: number[] = [];
  const cpuMs = new Map<string, number[]>();
  for (let round = 0; round < runs; round += 1) {
    const cpuBefore = cpuByRole(world.pids);
    const before = performance.now();
    await world.run(width, THROUGHPUT_JOBS_PER_RUN);
    perSecond.push((THROUGHPUT_JOBS_PER_RUN * 1000) / (performance.now() - before));
    for (const [role, spent] of cpuByRole(world.pids)) {
      const perJobMs = (spent - (cpuBefore.get(role) ?? 0)) / 1000 / THROUGHPUT_JOBS_PER_RUN;
      cpuMs.set(role, [...(cpuMs.get(role) ?? []), perJobMs]);
    }
  }
  const what = `no-op jobs, ${width} in flight, ${parts}`;
  return [
    { what, unit: 'jobs/s', summary: summaryOf(perSecond) },
    ...[...cpuMs].map(([role, values]) => ({
      what: `  CPU a job, ${role}`,
      unit: 'ms',
      summary: summaryOf(values),
    })),
  ];
}
