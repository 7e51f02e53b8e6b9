// One world of nodes and clients is dear to make, so every end that a receipt can come to is tried here.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { BillSchema, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { JobState } from '#gen/gapjunction/job/v1/job_pb';
import { digest } from '../../../protocol/bill/digest.ts';
import { verifyBill } from '../../../protocol/bill/verify.ts';
import { readCertificate } from '../../../protocol/identity/certificate.ts';
import { makeKeys, signerOf } from '../../fakes/authority.ts';
import type { ReceivedOrder } from '../../fakes/scripted-node.ts';
import { expectRefusal, refusalOf } from '../expect-refusal.ts';
import {
  onEachWorld,
  earnings,
  type WorkWorld,
  type TestClient,
  type WorkNode,
} from '../work-world.ts';

onEachWorld('a receipt', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let node: WorkNode;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
    node = await world.node();
    node.connect(1);
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  async function ordered(spec: Parameters<TestClient['submit']>[0] = {}) {
    const { jobId } = await client.submit(spec);
    const order = await node.nextOrder();
    node.acknowledge(order);
    return { jobId, order };
  }

  async function expectInvalid(call: Promise<unknown>, cause: RegExp): Promise<void> {
    const { metadata } = await expectRefusal(call, 'INVALID_ARGUMENT', 'RECEIPT_INVALID');
    expect(metadata['cause']).to.match(cause);
  }

  it('handed in twice is paid once and answered alike', async () => {
    const { jobId, order } = await ordered();
    const receipt = await node.receipt(order);
    const first = await node.handIn(order, receipt);
    const second = await node.handIn(order, receipt);
    expect(second).to.deep.equal(first);
    expect((await earnings(world, node)).settledJobs).to.equal(1n);
    expect((await client.outcome(jobId)).job?.state).to.equal(JobState.ENDED);
  });

  it('is paid by a bill that holds, though the clock of the database was set back meanwhile', async () => {
    const { jobId, order } = await ordered();
    await world.passTime(-300_000);
    try {
      await node.complete(order);
      const { bill } = await client.outcome(jobId);
      const rootCertificate = world.authority.rootCertificate;
      const report = await verifyBill(create(BillSchema, bill), { rootCertificate });
      expect(report.checks.filter(({ status }) => status === 'failed')).to.deep.equal([]);
    } finally {
      await world.passTime(300_000);
    }
  });

  it('that differs from the accepted one is refused', async () => {
    const { order } = await ordered();
    await node.complete(order);
    await expectRefusal(node.complete(order, { fuel: 999n }), 'ALREADY_EXISTS', 'RECEIPT_CHANGED');
  });

  it("for another node's task finds none", async () => {
    const { order } = await ordered();
    const thief = await world.node();
    await expectRefusal(thief.complete(order), 'NOT_FOUND', 'TASK_UNKNOWN');
    const unknown = { ...order, taskId: new Uint8Array(32) };
    await expectRefusal(node.complete(unknown), 'NOT_FOUND', 'TASK_UNKNOWN');
  });

  const hostile: [string, (order: ReceivedOrder) => Promise<unknown>, RegExp][] = [
    [
      'with more fuel than the limit',
      (order) => node.complete(order, { fuel: 10_000_000_001n }),
      /more than the limit/,
    ],
    [
      'for another task inside',
      async (order) =>
        node.handIn(order, await node.receipt(order, { taskId: new Uint8Array(32).fill(7) })),
      /receipt is for task/,
    ],
    [
      'under another key',
      async (order) =>
        node.handIn(order, await node.receipt(order, {}, signerOf(await makeKeys()))),
      /key id names another key/,
    ],
    [
      'with a changed payload',
      async (order) => {
        const receipt = await node.receipt(order);
        const payload = Uint8Array.from(receipt.payload);
        payload[payload.length - 1]! ^= 1;
        return node.handIn(order, { ...receipt, payload });
      },
      /signature does not verify/,
    ],
    [
      'whose output has another digest than the bytes that came',
      async (order) => {
        const said = { digest: digest(Buffer.from('said')), sizeBytes: 4n };
        const receipt = await node.receipt(order, { output: said });
        return node.handIn(order, receipt, Buffer.from('sent'));
      },
      /another digest/,
    ],
    [
      'whose output has another size than the bytes that came',
      async (order) => {
        const output = Buffer.from('sent');
        const said = { digest: digest(output), sizeBytes: 5n };
        return node.handIn(order, await node.receipt(order, { output: said }), output);
      },
      /another size/,
    ],
    [
      'with an output above the limit',
      async (order) => {
        const said = { digest: digest(Buffer.from('x')), sizeBytes: 1_048_577n };
        return node.handIn(order, await node.receipt(order, { output: said }));
      },
      /more than the limit/,
    ],
    [
      'that says CANCELLED when nobody asked for it',
      (order) =>
        node.complete(order, { end: JobEnd.CANCELLED, stopStateDigest: new Uint8Array(32) }),
      /nobody asked/,
    ],
  ];
  for (const [what, handIn, cause] of hostile) {
    it(`${what} is refused and costs nobody anything; an honest one is still taken`, async () => {
      const { jobId, order } = await ordered();
      await expectInvalid(handIn(order), cause);
      expect((await earnings(world, node)).settledJobs).to.equal(0n);
      await node.complete(order);
      expect((await client.outcome(jobId)).job?.end).to.equal(JobEnd.SUCCEEDED);
    });
  }

  it('that is no receipt at all is refused', async () => {
    const { order } = await ordered();
    const receipt = await node.receipt(order);
    const settled = { ...receipt, payloadType: order.envelope.payloadType ?? '' };
    await expectInvalid(node.handIn(order, settled), /its type is/);
    await expectInvalid(node.handIn(order, { ...receipt, signature: new Uint8Array() }), /0 bytes/);
  });

  it('whose output was not uploaded asks for it, and is taken once it was', async () => {
    const { jobId, order } = await ordered();
    const output = Buffer.from('uploaded before');
    const receipt = await node.receipt(order, {
      output: { digest: digest(output), sizeBytes: BigInt(output.length) },
    });
    await expectRefusal(node.handIn(order, receipt), 'FAILED_PRECONDITION', 'OUTPUT_MISSING');
    const { attemptId } = order.order;
    const lease = await world.placement.leases.mayUpload(node.nodeId, attemptId);
    expect(lease).to.deep.equal({ clientId: client.clientId, maxOutputBytes: 1_048_576 });
    await world.store.transaction((em) =>
      world.blobs.put(em, {
        holder: { kind: 'attempt', id: attemptId, clientId: client.clientId },
        bytes: output,
      }),
    );
    await node.handIn(order, receipt);
    expect((await client.outcome(jobId)).job?.output?.sizeBytes).to.equal(15n);
  });

  it('under a key that the node renewed meanwhile is taken, under a revoked one never', async () => {
    const { jobId, order } = await ordered();
    const receipt = await node.receipt(order);
    const renewed = await world.renewedNode(node);
    world.revokedSerials.add(node.serial);
    await expectInvalid(renewed.handIn(order, receipt), /revoked/);
    world.revokedSerials.clear();
    await expectInvalid(renewed.complete(order), /key id names another key/);
    await renewed.handIn(order, receipt);
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(bill?.receiptChain?.[0]).to.deep.equal(Buffer.from(node.issued.chain[0] ?? []));
  });

  it('of a deadline that was reached too slowly sends the job to another node, unpaid', async () => {
    const { jobId, order } = await ordered();
    const settlement = await node.complete(order, {
      end: JobEnd.DEADLINE_EXCEEDED,
      fuel: 599_999_999n,
      stopStateDigest: new Uint8Array(32),
    });
    expect(settlement).to.equal(undefined);
    const { state, attempts } = await client.job(jobId);
    expect(state).to.equal(JobState.QUEUED);
    expect(attempts?.[0]?.failure).to.equal('TOO_SLOW');
  });

  it('of a deadline that was reached at speed is paid', async () => {
    const { jobId, order } = await ordered();
    await node.complete(order, {
      end: JobEnd.DEADLINE_EXCEEDED,
      fuel: 600_000_000n,
      stopStateDigest: new Uint8Array(32),
    });
    const { job } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.DEADLINE_EXCEEDED);
    expect(job?.chargeMicrocents).to.equal(1_301n);
  });

  it('of a sandbox that died ends the job on the second node only, charged without fuel', async () => {
    const { jobId, order } = await ordered();
    const died = { end: JobEnd.TRAPPED, endDetail: 'SANDBOX_DIED', fuel: 5_000_000n };
    expect(await node.complete(order, died)).to.equal(undefined);
    const second = await world.node();
    second.connect(1);
    const again = await second.nextOrder();
    expect(await second.complete(again, died)).not.to.equal(undefined);
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.TRAPPED);
    expect(job?.endDetail).to.equal('SANDBOX_DIED');
    expect(job?.chargeMicrocents).to.equal(101n);
    expect(bill).not.to.equal(undefined);
  });

  it('of an invalid module ends the job when a second node agrees, and costs nothing', async () => {
    const before = await client.balance();
    const { jobId, order } = await ordered();
    const refusal = { end: JobEnd.INVALID_MODULE, endDetail: 'at byte 8: no', fuel: 0n };
    await node.complete(order, refusal);
    const second = await world.node();
    second.connect(1);
    await second.complete(await second.nextOrder(), refusal);
    const { job } = await client.outcome(jobId);
    expect(job).to.include({ end: JobEnd.INVALID_MODULE, endDetail: 'at byte 8: no' });
    expect(job?.attempts?.[0]?.failure).to.equal('INVALID_MODULE: at byte 8: no');
    expect(await client.balance()).to.deep.equal(before);
  });

  it('of a failed attempt is answered alike when it comes again', async () => {
    const { order } = await ordered();
    const receipt = await node.receipt(order, { end: JobEnd.NODE_FAULT, fuel: 0n });
    expect(await node.handIn(order, receipt)).to.equal(undefined);
    expect(await node.handIn(order, receipt)).to.equal(undefined);
    await expectRefusal(node.complete(order), 'FAILED_PRECONDITION', 'ATTEMPT_STALE');
  });
});

onEachWorld('a settlement', (openWorld) => {
  it('that could not be signed is signed by the next Complete, and paid once', async () => {
    const signing = { isDown: false };
    const world = await openWorld({
      signer: (real) => ({
        ...real,
        sign: async (bytes) => {
          if (signing.isDown) throw new Error('the signer is gone');
          return real.sign(bytes);
        },
      }),
    });
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    signing.isDown = true;
    const receipt = await node.receipt(order);
    const refusal = await refusalOf(node.handIn(order, receipt));
    expect(refusal).to.include({ code: 'UNAVAILABLE', reason: 'SETTLEMENT_UNSIGNED' });
    // Nobody sees an end that has no signed settlement; its money has moved already.
    expect((await client.job(jobId)).state).to.equal(JobState.RUNNING);
    expect((await earnings(world, node)).settledJobs).to.equal(1n);

    signing.isDown = false;
    const settlement = await node.handIn(order, receipt);
    expect(settlement?.signature).to.have.length(64);
    expect((await client.outcome(jobId)).bill).not.to.equal(undefined);
    expect((await earnings(world, node)).settledJobs).to.equal(1n);
    await world.close();
  });

  it('keeps the chain of its own signer when that is replaced: the node has a bill still', async () => {
    const world = await openWorld();
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    await client.submit();
    const order = await node.nextOrder();
    const receipt = await node.receipt(order);
    const first = await node.answerTo(order, receipt);
    await world.replaceSigner();
    const second = await node.answerTo(order, receipt);
    expect(second.settlement).to.deep.equal(first.settlement);
    for (const { settlement, settlementChain } of [first, second]) {
      const [leaf = new Uint8Array()] = settlementChain ?? [];
      expect(settlementChain).to.have.length(2);
      expect(readCertificate(leaf).keyId).to.deep.equal(Uint8Array.from(settlement?.keyId ?? []));
    }
    await world.close();
  });

  it('that a crash left unsigned is signed when the server starts again', async () => {
    const signing = { isDown: false };
    const world = await openWorld({
      signer: (real) => ({
        ...real,
        sign: async (bytes) => {
          if (signing.isDown) throw new Error('killed here');
          return real.sign(bytes);
        },
      }),
    });
    const [client, node] = [await world.client(), await world.node()];
    node.connect(1);
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    signing.isDown = true;
    await refusalOf(node.complete(order));
    signing.isDown = false;
    await world.restartPlacement();
    const { job, bill } = await client.outcome(jobId);
    expect(job?.end).to.equal(JobEnd.SUCCEEDED);
    expect(bill?.settlement?.signature).to.have.length(64);
    await world.close();
  });
});
