// Which node gets which job. Pure.
import { failedNodes, type Job } from '../jobs/jobs.ts';

export interface Offer {
  readonly nodeId: string;
  readonly freeSlots: number;
}

export interface Assignment {
  readonly job: Job;
  readonly nodeId: string;
}

/**
 * Oldest job first, each to the node with the most free slots. A node on which this job failed gets it
 * again only when no other node may take work at all; while another is merely busy, the job waits for it.
 * `working` are all nodes that may take work, whether they have a free slot or not.
 */
export function assign(
  jobs: readonly Job[],
  { offers, working }: { readonly offers: readonly Offer[]; readonly working: readonly string[] },
): readonly Assignment[] {
  const free = new Map(offers.map(({ nodeId, freeSlots }) => [nodeId, freeSlots]));
  const assignments: Assignment[] = [];
  for (const job of jobs) {
    const failed = failedNodes(job);
    const mayRepeat = working.every((nodeId) => failed.has(nodeId));
    const nodeId = mostFree(free, (candidate) => mayRepeat || !failed.has(candidate));
    if (nodeId === null) continue;
    free.set(nodeId, (free.get(nodeId) ?? 0) - 1);
    assignments.push({ job, nodeId });
  }
  return assignments;
}

function mostFree(
  free: ReadonlyMap<string, number>,
  isAllowed: (nodeId: string) => boolean,
): string | null {
  let best: string | null = null;
  let mostSlots = 0;
  for (const [nodeId, slots] of free) {
    if (slots > mostSlots && isAllowed(nodeId)) [best, mostSlots] = [nodeId, slots];
  }
  return best;
}
