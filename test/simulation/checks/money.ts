// The books against a model of their own: what was credited, what each job held and was charged, and who
// got it. The model reads only settlements, which are signed, and the jobs' holds.
import { decodeSettlement } from '../../../protocol/bill/settlement.ts';
import type { Rows } from './rows.ts';

export function checkMoney(
  { jobs, attempts, bills, postings, balances }: Rows,
  creditMicrocents: bigint,
  clientIds: readonly string[],
): readonly string[] {
  const expected = new Map<string, bigint>();
  const add = (holderId: string, account: string, microcents: bigint): void => {
    const name = `${account} of ${holderId}`;
    expected.set(name, (expected.get(name) ?? 0n) + microcents);
  };
  for (const clientId of clientIds) {
    add(clientId, 'client_available', creditMicrocents);
    add(clientId, 'client_held', 0n);
  }
  for (const job of jobs) {
    const bill = bills.find(({ job_id }) => job_id === job.job_id);
    if (job.state !== 'ended' && job.state !== 'settling') {
      add(job.client_id, 'client_available', -job.hold_microcents);
      add(job.client_id, 'client_held', job.hold_microcents);
    }
    if (bill === undefined) continue;
    const { chargeMicrocents, nodeShareMicrocents } = decodeSettlement(bill.settlement_payload);
    add(job.client_id, 'client_available', -chargeMicrocents);
    const attempt = attempts.find(({ attempt_id }) => attempt_id === bill.attempt_id);
    add(attempt?.node_id ?? 'nobody', 'node_pending', nodeShareMicrocents);
  }
  const actual = new Map(
    balances.map(({ holder_id, account, microcents }) => [
      `${account} of ${holder_id}`,
      microcents,
    ]),
  );
  const posted = new Map<string, bigint>();
  for (const { account, holder_id, microcents } of postings) {
    const name = `${account} of ${holder_id}`;
    posted.set(name, (posted.get(name) ?? 0n) + microcents);
  }
  return [
    ...differences('balance', expected, actual),
    ...[...actual].flatMap(([name, microcents]) =>
      (posted.get(name) ?? 0n) === microcents
        ? []
        : [`the ${name} is ${microcents}, its postings sum to ${posted.get(name)}`],
    ),
    ...checkSums(postings),
    ...checkHolds({ jobs, postings }),
  ];
}

function differences(
  what: string,
  expected: ReadonlyMap<string, bigint>,
  actual: ReadonlyMap<string, bigint>,
): readonly string[] {
  return [...new Set([...expected.keys(), ...actual.keys()])].flatMap((name) => {
    const [should = 0n, is = 0n] = [expected.get(name), actual.get(name)];
    return should === is ? [] : [`the ${what} ${name} is ${is}, and should be ${should}`];
  });
}

function checkSums(postings: Rows['postings']): readonly string[] {
  const sums = new Map<string, bigint>();
  for (const { transaction_key: key, microcents } of postings) {
    sums.set(key, (sums.get(key) ?? 0n) + microcents);
  }
  return [...sums].flatMap(([key, sum]) => (sum === 0n ? [] : [`'${key}' sums to ${sum}`]));
}

/** Each job's hold is made once, and closed once: settled where there is a bill, released where not. */
function checkHolds({ jobs, postings }: Pick<Rows, 'jobs' | 'postings'>): readonly string[] {
  const kindsOf = (jobId: string): readonly string[] => [
    ...new Set(
      postings
        .filter(({ transaction_key }) => transaction_key.endsWith(jobId))
        .map(({ transaction_key, kind }) => `${kind} ${transaction_key}`),
    ),
  ];
  return jobs.flatMap((job) => {
    const kinds = kindsOf(job.job_id).map((kind) => kind.split(' ')[0]);
    const closing = job.charge_microcents === null ? 'release' : 'settle';
    const right = job.state === 'ended' ? ['hold', closing] : ['hold'];
    return kinds.length === right.length && right.every((kind) => kinds.includes(kind))
      ? []
      : [`'${job.job_id}' is ${job.state} with the postings ${kinds.join(', ')}`];
  });
}
