/** Is told what became of jobs and attempts here, after the commit: to be counted. */
export interface JobObserver {
  /** As it stands with the attempt: a code, or a node's own words. */
  attemptFailed(failure: string): void;
  /** By JobEnd's name; of this replica's doing, so that a sum over replicas counts each job once. */
  jobEnded(end: string): void;
  fuelSettled(fuel: bigint): void;
  /** For the log: what to search for to follow a job. */
  step(step: JobStep): void;
}

/** Where a job got to. */
export type JobStep =
  /** `requestId` is the submitting call's `x-request-id`; the node has it, too. */
  | {
      readonly kind: 'submitted';
      readonly requestId: string;
      readonly jobId: string;
      readonly clientId: string;
    }
  | ({ readonly kind: 'ordered'; readonly requestId: string } & StepOfAttempt)
  | ({ readonly kind: 'attempt-failed'; readonly failure: string } & StepOfAttempt)
  /** With its receipt accepted, or without one: `end` is JobEnd's name. */
  | { readonly kind: 'ended'; readonly jobId: string; readonly end: string };

interface StepOfAttempt {
  readonly jobId: string;
  readonly attemptId: string;
  readonly nodeId: string;
}

export const NOBODY: JobObserver = {
  attemptFailed: () => undefined,
  jobEnded: () => undefined,
  fuelSettled: () => undefined,
  step: () => undefined,
};
