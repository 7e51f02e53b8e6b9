/** Is told what became of jobs and attempts here, after the commit: to be counted. */
export interface JobObserver {
  /** As it stands with the attempt: a code, or a node's own words. */
  attemptFailed(failure: string): void;
  /** By JobEnd's name; of this replica's doing, so that a sum over replicas counts each job once. */
  jobEnded(end: string): void;
  fuelSettled(fuel: bigint): void;
}

export const NOBODY: JobObserver = {
  attemptFailed: () => undefined,
  jobEnded: () => undefined,
  fuelSettled: () => undefined,
};
