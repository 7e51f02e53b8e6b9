import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { BillSchema, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { AttemptState, JobState } from '#gen/gapjunction/job/v1/job_pb';
import { digest } from '../../../protocol/bill/digest.ts';
import { verifyBill } from '../../../protocol/bill/verify.ts';
import { systemClock } from '../../../server/clock.ts';
import { openStore } from '../../../server/store/open.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';
import { onEachWorld, earnings, WorkWorld } from '../work-world.ts';

onEachWorld('a job on its straight path', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
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

whenAll('jobs on PostgreSQL', () => {
  let postgresql: Postgresql;
  let world: WorkWorld;
  before(async () => {
    postgresql = await startPostgresql();
    const store = await openStore(
      { kind: 'postgresql', url: postgresql.newDatabase() },
      { clock: systemClock, exclusive: true },
    );
    world = await WorkWorld.open({ store });
  });
  after(async () => {
    await world.close();
    postgresql.stop();
  });

  it('many at once, some failing, some cancelled: each ends once, and the books are even', async () => {
    const nodes = await Promise.all([world.node(), world.node(), world.node()]);
    let orders = 0;
    for (const node of nodes) {
      node.connect(4);
      void node.serve(4, (received) =>
        ++orders % 5 === 0
          ? node.complete(received, { end: JobEnd.NODE_FAULT, fuel: 0n })
          : node.complete(received, { output: Buffer.from(received.order.jobId) }),
      );
    }
    const clients = await Promise.all([world.client(), world.client()]);
    const moduleDigest = (await Promise.all(clients.map((client) => client.register())))[0]!;
    const outcomes = await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: 20 }, async (_, index) => {
          const { jobId } = await client.submit({
            moduleDigest,
            input: { case: 'inlineInput', value: Buffer.from(`input ${index}`) },
          });
          if (index % 7 === 0) await world.jobs.cancelJob({ jobId } as never, client.context);
          return client.outcome(jobId);
        }),
      ),
    );
    expect(outcomes.every(({ job }) => job?.state === JobState.ENDED)).to.equal(true);
    for (const client of clients) expect((await client.balance()).heldMicrocents).to.equal(0n);
    expect(await world.ledgerSum()).to.equal(0n);
    const paid = outcomes.filter(({ bill }) => bill !== undefined).length;
    const settled = await Promise.all(nodes.map((node) => earnings(world, node)));
    expect(settled.reduce((sum, { settledJobs }) => sum + settledJobs, 0n)).to.equal(BigInt(paid));
    expect(world.failures).to.deep.equal([]);
  });
});
