// What a client's quotas count as used is what its jobs use: it is neither kept out for jobs that are over
// nor let in for nothing.
import type { Rows } from './rows.ts';

export function checkQueues({ jobs, clientQueues }: Rows): readonly string[] {
  return clientQueues.flatMap(({ client_id, queued_jobs, running_jobs, open_fuel }) => {
    const own = jobs.filter((job) => job.client_id === client_id);
    const open = own.filter(({ state }) => state === 'queued' || state === 'running');
    const queued = own.filter(({ state }) => state === 'queued').length;
    const openFuel = open.reduce((sum, { fuel_limit }) => sum + fuel_limit, 0n);
    const is = `${queued_jobs} queued, ${running_jobs} running, ${open_fuel} fuel`;
    const should = `${queued} queued, ${open.length - queued} running, ${openFuel} fuel`;
    return is === should ? [] : [`'${client_id}' is counted with ${is}, and has ${should}`];
  });
}
