// Heartbeat spoofing: someone keeps a node alive, or takes its place, without being it. Against it: a
// certificate of our authority that names the node, and a MAC under keys that only its holder has.
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';
import { Liveness, NodeAdminService } from '#gen/gapjunction/admin/v1/node_admin_pb';
import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { TestAuthority } from '../fakes/authority.ts';
import { type ControlPlane, startControlPlane } from '../fakes/control-plane.ts';
import { BeatStream, enrolNode, type TestNode } from '../fakes/node.ts';

describe('threat: heartbeat spoofing', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  let victim: TestNode;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
    victim = await enrolNode(controlPlane, 'Victim');
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  const isLive = async () => {
    const admin = controlPlane.clientFor(NodeAdminService, controlPlane.operator);
    const { node } = await admin.getNode({ nodeId: victim.id });
    return node?.liveness === Liveness.LIVE;
  };
  /** The status of a stream that is opened with these credentials in the victim's place. */
  const statusOf = async (credentials: Pick<TestNode, 'certificatePem' | 'privateKeyPem'>) => {
    const outcome = await BeatStream.open(controlPlane, { ...victim, ...credentials }).catch(
      (cause: unknown) => cause,
    );
    return outcome instanceof ConnectError ? outcome.code : outcome;
  };

  it('a certificate with the stolen name that another authority issued opens no stream', async () => {
    const foreign = await TestAuthority.create({ trustDomain: 'dev.gap-junction' });
    for (const selfSigned of [false, true]) {
      const { chainPem, keys } = await foreign.node(victim.id, { selfSigned });
      const credentials = { certificatePem: chainPem, privateKeyPem: keys.privateKeyPem };
      expect(await statusOf(credentials)).to.equal(Code.Unauthenticated);
    }
    expect(await isLive()).to.equal(false);
  });

  it("a client's certificate of our own authority opens no stream", async () => {
    const client = await controlPlane.newClient('Spoofer');
    expect(await statusOf(client)).to.equal(Code.PermissionDenied);
    expect(await isLive()).to.equal(false);
  });

  it("another node cannot beat in the victim's place, nor the victim's frames on its own stream", async () => {
    const attacker = await enrolNode(controlPlane, 'Attacker');
    const mine = await BeatStream.open(controlPlane, attacker);
    const theirs = await BeatStream.open(controlPlane, victim);
    expect(await mine.exchange(theirs.beat())).to.have.nested.property(
      'value.reason',
      RefusalReason.BAD_MAC,
    );
    theirs.close();
    expect(await isLive()).to.equal(false);
  });
});
