// What is paid has a bill that anyone can check offline, of the attempt that was the job's last, for what
// the guest's input and seed give.
import type { X509Certificate } from 'node:crypto';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { sameBytes } from '../../../protocol/bill/digest.ts';
import { endName, SANDBOX_DIED } from '../../../protocol/bill/ends.ts';
import { verifyBill } from '../../../protocol/bill/verify.ts';
import { createHash } from 'node:crypto';
import { EMPTY_PROGRAM, type SimulatedClient } from '../client.ts';
import { guestResult } from '../guests.ts';
import { TRUST_DOMAIN } from '../identities.ts';
import type { Rows } from './rows.ts';

/** A bill is of the completed attempt, that is the last one, and each completed attempt has one. */
export function checkPaid({ attempts, bills }: Rows): readonly string[] {
  const completed = attempts.filter(({ state }) => state === 'completed');
  return [
    ...bills.flatMap(({ job_id, attempt_id }) => {
      const last = attempts.filter((one) => one.job_id === job_id).at(-1);
      if (last?.attempt_id !== attempt_id)
        return [`'${job_id}' is billed for '${attempt_id}', which is not its last attempt`];
      return last.state === 'completed' ? [] : [`'${attempt_id}' is billed, and ${last.state}`];
    }),
    ...completed.flatMap(({ attempt_id }) =>
      bills.some((bill) => bill.attempt_id === attempt_id)
        ? []
        : [`'${attempt_id}' is completed and has no bill`],
    ),
  ];
}

/** A receipt is taken from the node that the order was given to, and from no other. */
export function checkHanders(
  { attempts }: Rows,
  answered: readonly { readonly nodeId: string; readonly taskId: string }[],
): readonly string[] {
  const nodeOf = new Map(
    attempts.map(({ task_id, node_id }) => [Buffer.from(task_id).toString('hex'), node_id]),
  );
  return answered.flatMap(({ nodeId, taskId }) =>
    nodeOf.get(taskId) === nodeId
      ? []
      : [`'${nodeId}' handed in the task of '${nodeOf.get(taskId)}', and that was taken`],
  );
}

export async function checkBills(
  clients: readonly SimulatedClient[],
  rootCertificate: X509Certificate,
): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { bill, jobId, input, debugLogs } of clients.flatMap(({ jobs }) => jobs)) {
    if (bill === null) continue;
    const report = await verifyBill(bill, { rootCertificate, trustDomain: TRUST_DOMAIN });
    const { order, receipt } = report;
    for (const check of report.checks) {
      if (check.status === 'failed') {
        problems.push(`the bill of '${jobId}' fails ${check.name}: ${check.reason}`);
      }
    }
    if (order === null || receipt === null) continue;
    if (order.jobId !== jobId) problems.push(`the bill of '${jobId}' is of '${order.jobId}'`);
    // Stopped, or died under the guest: how far it came then is the node's chance.
    if (receipt.end === JobEnd.CANCELLED || receipt.endDetail === SANDBOX_DIED) continue;
    const result = guestResult({
      module: EMPTY_PROGRAM,
      input,
      seed: order.seed,
      grants: { stdoutAsResult: false, debugLogs },
    });
    const digest = createHash('sha256').update(result.output).digest();
    if (
      endName(receipt.end) !== result.end ||
      receipt.fuel !== result.fuel ||
      !sameBytes(receipt.output.digest, digest)
    ) {
      problems.push(`'${jobId}' is paid for another result than its input and seed give`);
    }
  }
  return problems;
}
