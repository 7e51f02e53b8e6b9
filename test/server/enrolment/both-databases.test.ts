import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { countLeases, findNode, listNodes } from '../../../server/nodes/node-store.ts';
import { oldCertificateMessage } from '../../../protocol/identity/old-certificate.ts';
import { onEachStore } from '../../fakes/stores.ts';
import { makeCsr, makeOwnerKey, signP1363 } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { IdentityWorld } from '../identity-world.ts';

onEachStore('the life of a node', (store) => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open({ store: store() });
  });
  after(() => world.close());

  it('is the same from its first enrolment to its return, renewed, replaced, silent and heard', async () => {
    // It enrols, renews, and is replaced by another machine.
    const first = await world.enrolled('Life');
    const { nodeId } = first.caller;
    await world.renew(first.caller, await makeOwnerKey(), 1n);
    const { key, identity, caller } = await world.enrolled('Life', { replace: true });
    expect(caller.nodeId).to.equal(nodeId);
    await expectRefusal(
      world.renew(caller, await makeOwnerKey(), 2n),
      'FAILED_PRECONDITION',
      'RENEWAL_SUPERSEDED',
    );

    // It beats, is silent for too long, and is lost.
    const heard = await world.restartFleet();
    heard.heard(nodeId, {
      atMs: world.clock.now(),
      grantedIntervalMs: 15_000,
      slots: 3,
      attemptIds: [],
      agentVersion: "agent '1'",
      engineVersion: 'engine 1',
      residentMemoryBytes: 7n,
      fuelSinceStart: 2n ** 63n - 1n,
    });
    await heard.flush();
    await world.liveThrough(65_000, heard);
    await heard.close();
    const row = await world.store.read((em) => findNode(em, nodeId));
    expect(row).to.include({ nodeId, slots: 3, agentVersion: "agent '1'", standing: 'enrolled' });
    expect(row?.fuelSinceStart).to.equal(2n ** 63n - 1n);
    expect(row?.renewalCounter).to.equal(0n);
    expect(row?.lostMs).to.be.a('number');

    // It comes back after its certificate ended.
    await world.passTime(2 * 86_400_000);
    const newKey = await makeOwnerKey();
    const { state } = await world.start(newKey);
    const csr = await makeCsr(newKey);
    const signature = signP1363(key, oldCertificateMessage({ state, csr }));
    const [certificate = randomBytes(1)] = identity.certificateChain ?? [];
    const proof = { case: 'oldCertificate', value: { certificate, signature } } as const;
    expect((await world.enrol({ csr, state, proof })).nodeId).to.equal(nodeId);

    expect(await world.auditActions(nodeId)).to.deep.equal([
      'NODE_ENROLLED',
      'NODE_RENEWED',
      'NODE_REPLACED',
      'NODE_RETURNED',
    ]);
    const nodes = await world.store.read((em) => listNodes(em, { before: null, limit: 10 }));
    expect(nodes.map((node) => node.nodeId)).to.deep.equal([nodeId]);
    const leases = await world.store.read((em) => countLeases(em, [nodeId]));
    expect(leases.size).to.equal(0);
  });

  it('of two enrolments of one account at once, one makes the node', async () => {
    const enrolments = await Promise.allSettled([world.enrolled('Race'), world.enrolled('Race')]);
    expect(enrolments.map(({ status }) => status).toSorted()).to.deep.equal([
      'fulfilled',
      'rejected',
    ]);
    const [refused] = enrolments.filter(({ status }) => status === 'rejected');
    expect(refused).to.have.nested.property('reason.reason', 'ALREADY_BOUND');
  });
});
