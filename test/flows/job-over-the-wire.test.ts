// The whole control plane over TLS: a node enrols, beats and offers a slot; a client uploads, registers,
// submits and watches; only what the guest would have done is made up.
import { createPublicKey, randomUUID, X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { JobService, type WatchJobResponse } from '#gen/gapjunction/job/v1/job_pb';
import { DispatchService } from '#gen/gapjunction/node/v1/dispatch_pb';
import { digest } from '../../protocol/bill/digest.ts';
import { verifyBill } from '../../protocol/bill/verify.ts';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { signerOf } from '../fakes/authority.ts';
import { type ControlPlane, startControlPlane } from '../fakes/control-plane.ts';
import { BeatStream, enrolNode } from '../fakes/node.ts';
import { ScriptedNode } from '../fakes/scripted-node.ts';
import { EMPTY_PROGRAM } from '../server/work-world.ts';

describe('a job over the wire', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  it('goes from upload to a bill that verifies, between strangers with certificates', async () => {
    const client = await controlPlane.newClient('Ada');
    await controlPlane.clientFor(ClientAdminService, controlPlane.operator).creditClient({
      clientId: client.id,
      requestId: randomUUID(),
      amountMicrocents: 1_000_000n,
    });
    const enrolled = await enrolNode(controlPlane, 'owner');
    const beats = await BeatStream.open(controlPlane, enrolled);
    await beats.exchange(beats.beat());
    const { privateKey } = enrolled.key;
    const node = new ScriptedNode(
      controlPlane.clientFor(DispatchService, enrolled),
      signerOf({ privateKey, publicKey: createPublicKey(privateKey) }),
    );
    node.connect(1);

    const moduleDigest = digest(EMPTY_PROGRAM);
    const jobs = controlPlane.clientFor(JobService, client);
    await controlPlane.clientFor(BlobService, client).upload(
      (async function* () {
        const sizeBytes = BigInt(EMPTY_PROGRAM.length);
        yield { kind: { case: 'start' as const, value: { digest: moduleDigest, sizeBytes } } };
        yield { kind: { case: 'chunk' as const, value: EMPTY_PROGRAM } };
      })(),
    );
    await jobs.registerModule({ digest: moduleDigest });
    const { job } = await jobs.submitJob({ requestId: 'first', spec: { moduleDigest } });
    const order = await node.nextOrder();
    node.acknowledge(order);
    const output = Buffer.from('hello');
    await node.complete(order, { output });

    let last: WatchJobResponse | undefined;
    for await (const message of jobs.watchJob({ jobId: job?.jobId ?? '' })) last = message;
    expect(last?.job?.end).to.equal(JobEnd.SUCCEEDED);
    if (last?.bill === undefined) throw new Error('the last message carries no bill');
    const rootCertificate = new X509Certificate(controlPlane.ca);
    const report = await verifyBill(last.bill, { rootCertificate });
    expect(report.ok).to.equal(true);
    const chunks = controlPlane.clientFor(BlobService, client).download({ digest: digest(output) });
    const received: Uint8Array[] = [];
    for await (const { chunk } of chunks) received.push(chunk);
    expect(Buffer.concat(received).toString()).to.equal('hello');
    const balance = await controlPlane.clientFor(BillingService, client).getBalance({});
    expect(balance.heldMicrocents).to.equal(0n);
    beats.close();
    await node.disconnect();
  });
});
