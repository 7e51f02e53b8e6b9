// Which node gets which job. Pure.
import { IsolationLevel } from '#gen/gapjunction/job/v1/isolation_pb';
import type { JobConstraints } from '../jobs/job-record.ts';
import { failedNodes, type Job } from '../jobs/jobs.ts';

/** What a node said of itself when it opened its Work stream. */
export interface NodeTraits {
  readonly labels: Readonly<Record<string, string>>;
  readonly isolationLevel: IsolationLevel;
}

/** Of a node that said nothing. */
export const NO_TRAITS: NodeTraits = { labels: {}, isolationLevel: IsolationLevel.PROCESS };

/** A node that may take work, whether it has a free slot or not. */
export interface Worker extends NodeTraits {
  readonly nodeId: string;
  readonly freeSlots: number;
}

export interface WaitingJob {
  readonly job: Job;
  readonly terms: { readonly constraints: JobConstraints };
}

export interface Assignment {
  readonly job: Job;
  readonly nodeId: string;
}

/**
 * A job that failed on all nodes of this replica waits for so long for those of the others: two of their
 * sweeps, and as many batches as that takes. After that the other nodes are busy, or will not do.
 */
const WAIT_FOR_OTHER_REPLICAS_MS = 3_000;

/** A node that is busy for so long may be so for ever: a second try where the first one failed is better. */
const WAIT_FOR_BUSY_NODES_MS = 60_000;

/**
 * First job first, each to the node with the most free slots that meets its constraints; a job that no
 * node can take holds up none behind it. A node on which this job failed gets it again only when no other
 * node may take it at all; while another is merely busy, the job waits for it, for a minute.
 */
export function assign(
  jobs: readonly WaitingJob[],
  workers: readonly Worker[],
  fleet: {
    /** All nodes that may take work, whichever replica they are connected to. Called when it matters. */
    readonly workingNodes: () => readonly string[];
    readonly nowMs: number;
  },
): readonly Assignment[] {
  const free = new Map(
    workers.flatMap((worker) =>
      worker.freeSlots > 0 ? [[worker, worker.freeSlots] as const] : [],
    ),
  );
  const assignments: Assignment[] = [];
  for (const { job, terms } of jobs) {
    if (free.size === 0) break;
    const excluded = excludedNodes(job, terms.constraints, workers, fleet);
    const worker = mostFree(
      free,
      (candidate) => !excluded.has(candidate.nodeId) && meets(candidate, terms.constraints),
    );
    if (worker === null) continue;
    const left = (free.get(worker) ?? 0) - 1;
    if (left > 0) free.set(worker, left);
    else free.delete(worker);
    assignments.push({ job, nodeId: worker.nodeId });
  }
  return assignments;
}

/** Whether the node is as the job wants it. */
export function meets(node: NodeTraits, { labels, isolationLevel }: JobConstraints): boolean {
  if (node.isolationLevel < isolationLevel) return false;
  for (const [key, value] of Object.entries(labels)) {
    if (!Object.hasOwn(node.labels, key) || node.labels[key] !== value) return false;
  }
  return true;
}

const NONE: ReadonlySet<string> = new Set();

/** The nodes that are not to get the job, though they are as it wants them. */
function excludedNodes(
  job: Job,
  constraints: JobConstraints,
  workers: readonly Worker[],
  { workingNodes, nowMs }: Parameters<typeof assign>[2],
): ReadonlySet<string> {
  const failed = failedNodes(job);
  if (failed.size === 0) return NONE;
  const fits = workers.filter((worker) => meets(worker, constraints));
  if (fits.some(({ nodeId }) => !failed.has(nodeId))) {
    return nowMs - job.queuedMs < WAIT_FOR_BUSY_NODES_MS ? failed : NONE;
  }
  if (nowMs - job.queuedMs >= WAIT_FOR_OTHER_REPLICAS_MS) return NONE;
  const here = new Set(workers.map(({ nodeId }) => nodeId));
  const mayFitElsewhere = workingNodes().some((nodeId) => !here.has(nodeId) && !failed.has(nodeId));
  return mayFitElsewhere ? failed : NONE;
}

/**
 * The jobs whose turn came while a slot was free, and that were not given one: no free node is for them.
 * `jobs` in the order in which they were assigned, `freeSlots` before the first.
 */
export function passedOver(
  jobs: readonly Job[],
  assignments: readonly Assignment[],
  freeSlots: number,
): ReadonlySet<string> {
  const assigned = new Set(assignments.map(({ job }) => job.jobId));
  const passed = new Set<string>();
  let free = freeSlots;
  for (const { jobId } of jobs) {
    if (assigned.has(jobId)) free--;
    else if (free > 0) passed.add(jobId);
  }
  return passed;
}

function mostFree(
  free: ReadonlyMap<Worker, number>,
  isAllowed: (worker: Worker) => boolean,
): Worker | null {
  let best: Worker | null = null;
  let mostSlots = 0;
  for (const [worker, slots] of free) {
    if (slots > mostSlots && isAllowed(worker)) [best, mostSlots] = [worker, slots];
  }
  return best;
}
