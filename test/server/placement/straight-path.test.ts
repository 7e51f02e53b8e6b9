import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { BillSchema, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { digest } from '../../../protocol/bill/digest.ts';
import { verifyBill } from '../../../protocol/bill/verify.ts';
import { earnings, WorkWorld } from '../work-world.ts';

describe('a job on its straight path', () => {
  let world: WorkWorld;
  before(async () => {
    world = await WorkWorld.open();
  });
  after(() => world.close());

  it('ends with its output, a charge that both sides agree on, and a bill that verifies', async () => {
    const client = await world.client();
    const node = await world.node();
    node.connect(1);
    const before = await client.balance();

    const input = Buffer.from('the input');
    const { jobId, holdMicrocents } = await client.submit({
      input: { case: 'inlineInput', value: input },
    });
    const held = await client.balance();
    expect(held.heldMicrocents).to.equal(holdMicrocents);
    expect(held.availableMicrocents).to.equal(before.availableMicrocents - held.heldMicrocents);

    const order = await node.nextOrder();
    expect(Buffer.from(order.inlineInput ?? []).toString()).to.equal('the input');
    node.acknowledge(order);
    const running = await client.until(jobId, ({ attempts }) =>
      (attempts ?? []).some(({ state }) => state === AttemptState.ACKNOWLEDGED),
    );
    expect(running.state).to.equal(JobState.RUNNING);
    const output = Buffer.from('the output');
    const settlement = await node.complete(order, { output, fuel: 2_000_000n });
    expect(settlement).not.to.equal(undefined);

    const { job, bill } = await client.outcome(jobId);
    expect(job?.state).to.equal(JobState.ENDED);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(job?.fuel).to.equal(2_000_000n);
    // 100 to begin with, and rounded up: 1 for the module, 1 for input and output, 4 for the fuel.
    expect(job?.chargeMicrocents).to.equal(106n);
    expect(await earnings(world, node)).to.deep.equal({ pendingMicrocents: 84n, settledJobs: 1n });
    expect(await client.balance()).to.deep.equal({
      availableMicrocents: before.availableMicrocents - 106n,
      heldMicrocents: 0n,
    });
    expect(await world.ledgerSum()).to.equal(0n);
    const { rootCertificate } = world.authority;
    const report = await verifyBill(create(BillSchema, bill), { rootCertificate });
    expect(report.checks.filter(({ status }) => status === 'failed')).to.deep.equal([]);
    expect(report.ok).to.equal(true);
    const read = await world.blobs.readAll(digest(output), 1_000);
    expect(Buffer.from(read).toString()).to.equal('the output');
    expect(world.failures).to.deep.equal([]);
  });
});
