import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { LimitsSchema } from '#gen/gapjunction/job/v1/bill_pb';
import { DEFAULT_QUOTA, quotaOf, type SetQuota } from '../../../server/clients/quota.ts';
import { saveQuota } from '../../../server/clients/quota-store.ts';
import { refusal } from '../../../server/jobs/admission-store.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, type TestClient, type WorkWorld } from '../work-world.ts';

const NO_QUOTA = { jobsInFlight: 0, jobsQueued: 0, fuelPerHour: 0n, blobBytes: 0, weight: 0 };
const HOUR_MS = 3_600_000;

describe('a refusal for a quota', () => {
  const quota = quotaOf({ ...NO_QUOTA, jobsQueued: 5, fuelPerHour: 100n }, DEFAULT_QUOTA);

  it('says how long until enough of what was burnt is an hour ago', () => {
    const burnt = [
      { fuel: 10n, forgottenAfterMs: 1_000 },
      { fuel: 50n, forgottenAfterMs: 61_000 },
      { fuel: 20n, forgottenAfterMs: 121_000 },
    ];
    const { metadata } = refusal(50n, quota, { queuedJobs: 0, openFuel: 10n, burnt });
    expect(metadata).to.deep.equal({
      quota: 'fuel_per_hour',
      limit: '100',
      used: '90',
      retry_after_ms: '61000',
    });
  });

  it('gives no hope to a job that is more than the whole quota', () => {
    const refused = refusal(101n, quota, { queuedJobs: 0, openFuel: 0n, burnt: [] });
    expect(refused.metadata).not.to.have.property('retry_after_ms');
    expect(refused.message).to.contain('the job alone is more than that');
  });
});

onEachWorld('quotas of a client', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let moduleDigest: Uint8Array;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
    moduleDigest = await client.register();
  });
  afterEach(() => world.reset());
  after(() => world.close());

  const set = (quota: Partial<SetQuota>) =>
    world.store.transaction((em) => saveQuota(em, client.clientId, { ...NO_QUOTA, ...quota }));
  const submit = (requestId?: string) => client.submit({ moduleDigest }, requestId);
  const withFuel = (fuel: bigint) =>
    client.submit({ moduleDigest, limits: create(LimitsSchema, { fuel }) });

  it('of waiting jobs lets no more in, however many come at once, and takes no money for those refused', async () => {
    await set({ jobsQueued: 3 });
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => submit()));
    const admitted = outcomes.filter(({ status }) => status === 'fulfilled');
    expect(admitted).to.have.length(3);
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    for (const reason of refused) {
      expect(reason).to.be.instanceOf(RpcError);
      expect((reason as RpcError).reason).to.equal('QUOTA_EXCEEDED');
      expect((reason as RpcError).metadata).to.deep.equal({
        quota: 'jobs_queued',
        limit: '3',
        used: '3',
        retry_after_ms: '1000',
      });
    }
    const { value } = admitted[0] as PromiseFulfilledResult<{ holdMicrocents?: bigint }>;
    expect((await client.balance()).heldMicrocents).to.equal(3n * (value.holdMicrocents ?? 0n));
  });

  it('has a place again for each job that leaves the queue', async () => {
    await set({ jobsQueued: 1 });
    const { jobId } = await submit();
    await expectRefusal(submit(), 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED');
    await world.jobs.cancelJob({ jobId } as never, client.context);
    await submit();
    const node = await world.node();
    node.connect(1);
    await node.nextOrder();
    await submit();
  });

  it('answers a repeated request as before, though the quota is used up', async () => {
    await set({ jobsQueued: 1 });
    const { jobId } = await submit('once');
    expect((await submit('once')).jobId).to.equal(jobId);
  });

  it('of fuel counts limits while jobs last, then what they burnt, for an hour', async () => {
    await set({ fuelPerHour: 10_000_000n });
    await withFuel(8_000_000n);
    const refused = await expectRefusal(
      withFuel(8_000_000n),
      'RESOURCE_EXHAUSTED',
      'QUOTA_EXCEEDED',
    );
    expect(refused.metadata).to.include({ quota: 'fuel_per_hour', used: '8000000' });

    const node = await world.node();
    node.connect(1);
    const order = await node.nextOrder();
    node.acknowledge(order);
    await node.complete(order, { fuel: 3_000_000n });
    await withFuel(7_000_000n);
    const again = await expectRefusal(withFuel(1_000n), 'RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED');
    expect(again.metadata['used']).to.equal('10000000');
    expect(Number(again.metadata['retry_after_ms'])).to.be.within(HOUR_MS - 60_000, HOUR_MS);
    await world.passTime(HOUR_MS);
    await withFuel(3_000_000n);
  });

  it('of one client are none of another', async () => {
    await set({ jobsQueued: 1 });
    await submit();
    const other = await world.client();
    for (let count = 0; count < 3; count++) await other.submit();
  });
});
