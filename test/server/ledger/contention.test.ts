// Many jobs of few clients on few nodes at once, as submissions and completions do it: nothing deadlocks,
// nothing is lost, and the balances are what the postings say.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { DEFAULT_BLOB_LIMITS } from '../../../server/blobs/blob.ts';
import { blobUses } from '../../../server/blobs/held-blobs-store.ts';
import {
  balanceOf,
  creditClient,
  earningsOf,
  holdForJob,
  ledgerSum,
  releaseJob,
  settleJob,
} from '../../../server/ledger/ledger-store.ts';
import { query } from '../../../server/store/query.ts';
import { onEachStore } from '../../fakes/stores.ts';

const WORKERS = 12;
const JOBS_A_WORKER = 6;

onEachStore('money under contention', (store) => {
  const blobs = blobUses({ limits: DEFAULT_BLOB_LIMITS, random: (bytes) => randomBytes(bytes) });
  const clients = ['c-one', 'c-two', 'c-three'];
  const nodes = ['n-one', 'n-two'];
  const pick = (from: readonly string[], at: number) => from[at % from.length] ?? '';

  /** One job from submission to its end; every third is cancelled. */
  async function runJob(worker: number, round: number): Promise<void> {
    const clientId = pick(clients, worker + round);
    const nodeId = pick(nodes, worker * 7 + round);
    const jobId = `j-${worker}-${round}`;
    const job = { kind: 'job', id: jobId, clientId } as const;
    // The same few bytes from everybody: what is new is stored by all at once.
    const bytes = Buffer.from(`round ${round}`);
    const digest = await store().transaction(async (em) => {
      const put = await blobs.put(em, { holder: job, bytes });
      await holdForJob(em, { clientId, jobId, microcents: 100n });
      return put.digest;
    });
    await store().transaction(async (em) => {
      await blobs.put(em, { holder: { ...job, kind: 'output' }, bytes });
      await blobs.endUses(em, { holder: job, digests: [digest] });
      if (round % 3 === 0) return releaseJob(em, { clientId, jobId });
      const amounts = { chargeMicrocents: 50n, nodeShareMicrocents: 40n };
      return settleJob(em, { clientId, jobId, nodeId, ...amounts });
    });
    await store().transaction((em) =>
      blobs.giveUpLeft(em, [{ jobId, clientId, digests: [digest], attemptIds: [] }]),
    );
  }

  it('pays every job once and leaves nothing held', async () => {
    for (const clientId of clients) {
      const credit = { clientId, requestId: clientId, operatorId: 'o-a', microcents: 1_000_000n };
      await store().transaction((em) => creditClient(em, credit));
    }
    await Promise.all(
      Array.from({ length: WORKERS }, async (_, worker) => {
        for (let round = 0; round < JOBS_A_WORKER; round++) await runJob(worker, round);
      }),
    );
    await store().read(async (em) => {
      let settled = 0n;
      let pending = 0n;
      for (const nodeId of nodes) {
        const earnings = await earningsOf(em, nodeId);
        settled += earnings.settledJobs;
        pending += earnings.pendingMicrocents;
      }
      expect(settled).to.equal(BigInt((WORKERS * JOBS_A_WORKER * 2) / 3));
      expect(pending).to.equal(settled * 40n);
      let available = 0n;
      for (const clientId of clients) {
        const balance = await balanceOf(em, clientId);
        expect(balance.heldMicrocents).to.equal(0n);
        available += balance.availableMicrocents;
      }
      expect(available).to.equal(3_000_000n - settled * 50n);
      expect(await ledgerSum(em)).to.equal(0n);
      const storage = await query<{ used: string }>(
        em,
        'select sum(used_bytes)::text as used from client_storage',
      );
      expect(storage[0]?.used).to.equal('0');
    });
  });
});
