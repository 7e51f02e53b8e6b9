// Which attempts of each job nodes hold a bill of, as their own folders say.
import { folderAt } from '../../agent/folder.ts';
import { billsIn } from '../../agent/jobs/bill-store.ts';
import { decodeWorkOrder } from '../../protocol/bill/work-order.ts';

/** Attempts by job, over the data folders of agents. */
export function paidAttemptsIn(folders: readonly string[]): Map<string, Set<string>> {
  const paid = new Map<string, Set<string>>();
  for (const { billFolder } of folders.map(folderAt)) {
    for (const { workOrder } of billsIn(billFolder)) {
      if (workOrder === undefined) continue;
      const { jobId, attemptId } = decodeWorkOrder(workOrder.payload);
      paid.set(jobId, (paid.get(jobId) ?? new Set()).add(attemptId));
    }
  }
  return paid;
}
