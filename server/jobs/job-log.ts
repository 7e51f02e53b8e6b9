// The way of each job in the log: a line where it is submitted, ordered from a node, given up by one, and over.
import type { Logger } from 'pino';
import type { JobStep } from './job-observer.ts';

const SAYS: Readonly<Record<JobStep['kind'], string>> = {
  submitted: 'a job was submitted',
  ordered: 'a job was ordered from a node',
  'attempt-failed': 'an attempt ended unpaid',
  ended: 'a job ended',
};

/** Ids, codes and what a node says of a failure: nothing that a guest or its client wrote. */
export function jobLog(log: Logger): (step: JobStep) => void {
  return ({ kind, ...ids }) => log.info(ids, SAYS[kind]);
}
