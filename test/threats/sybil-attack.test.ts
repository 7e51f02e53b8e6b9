// Sybil attack: one person pretends to be many nodes. Against it: every node needs a verified Stripe
// account, and an account is one node for ever.
import { Code, type ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { EnrolmentService } from '#gen/gapjunction/node/v1/enrolment_pb';
import { ErrorInfoSchema } from '#gen/google/rpc/error_details_pb';
import { VERIFIED } from '../../stripe-simulator/account.ts';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { connectAccount } from '../../stripe-simulator/visit.ts';
import { type ControlPlane, startControlPlane } from '../fakes/control-plane.ts';
import { enrolNode } from '../fakes/node.ts';
import { makeCsr, makeOwnerKey } from '../fakes/owner.ts';

describe('threat: Sybil attack', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({
      settings: {
        stripeSimulatorUrl: simulator.url,
        enrolmentsPerAddressPerSecond: 1_000,
        enrolmentBurstPerAddress: 1_000,
      },
    });
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  const nodeCount = async () => {
    const admin = controlPlane.clientFor(NodeAdminService, controlPlane.operator);
    return (await admin.listNodes({})).nodes.length;
  };
  const failureOf = async (call: Promise<unknown>) =>
    call.then(
      () => null,
      (cause: unknown) => cause as ConnectError,
    );

  it('an account that Stripe has not verified becomes no node', async () => {
    const before = await nodeCount();
    const enrolment = controlPlane.clientFor(EnrolmentService, null);
    const key = await makeOwnerKey();
    const { connectUrl, state } = await enrolment.startEnrolment({
      publicKeySha256: key.digest,
      loopbackPort: 40_000,
    });
    const back = await connectAccount(connectUrl, {
      accountName: 'Nobody',
      switches: {
        ...VERIFIED,
        detailsSubmitted: false,
        payoutsEnabled: false,
        transfers: 'inactive',
      },
    });
    const failure = await failureOf(
      enrolment.enrol({
        csr: await makeCsr(key),
        state,
        proof: { case: 'stripeCode', value: back.searchParams.get('code') ?? '' },
      }),
    );
    expect(failure?.code).to.equal(Code.FailedPrecondition);
    const [info] = failure?.findDetails(ErrorInfoSchema) ?? [];
    expect(info?.reason).to.equal('ACCOUNT_UNVERIFIED');
    expect(info?.metadata['missing']).to.equal(
      'details_submitted,payouts_enabled,transfers_capability',
    );
    expect(await nodeCount()).to.equal(before);
  });

  it('one account stays one node, however many keys its owner makes', async () => {
    const first = await enrolNode(controlPlane, 'One person');
    const before = await nodeCount();
    const failure = await failureOf(enrolNode(controlPlane, 'One person'));
    expect(failure?.code).to.equal(Code.AlreadyExists);
    const moved = await enrolNode(controlPlane, 'One person', { replace: true });
    expect(moved.id).to.equal(first.id);
    expect(await nodeCount()).to.equal(before);
  });

  it('a stranger cannot try without end', async () => {
    const limited = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
    try {
      const enrolment = limited.clientFor(EnrolmentService, null);
      const key = await makeOwnerKey();
      const calls = Array.from({ length: 30 }, () =>
        failureOf(enrolment.startEnrolment({ publicKeySha256: key.digest, loopbackPort: 1 })),
      );
      const failures = (await Promise.all(calls)).filter((failure) => failure !== null);
      expect(failures).to.have.length.within(15, 29);
      expect(new Set(failures.map(({ code }) => code))).to.deep.equal(
        new Set([Code.ResourceExhausted]),
      );
    } finally {
      await limited.stop();
    }
  });
});
