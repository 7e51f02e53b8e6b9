import { expect } from 'chai';
import { judgeRenewal } from '../../../server/enrolment/renewal.ts';
import { makeCsr, makeOwnerKey } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { callerFrom, IdentityWorld } from '../identity-world.ts';

describe('renewal', () => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open();
  });
  after(() => world.close());

  it('gives the node a certificate for a new key; the older one lives on', async () => {
    const { caller } = await world.enrolled('Renewing');
    const key = await makeOwnerKey();
    const renewed = await world.renew(caller, key, 1n);
    expect(renewed.nodeId).to.equal(caller.nodeId);
    expect(renewed.renewalCounter).to.equal(1n);
    expect(callerFrom(renewed).keyId).to.deep.equal(key.digest);
    expect(world.revocations.isRevoked(caller.serial)).to.equal(false);
    expect(await world.auditActions(caller.nodeId)).to.deep.equal([
      'NODE_ENROLLED',
      'NODE_RENEWED',
    ]);
  });

  it('answers the same certificate to the same key and counter, from the old and the new one', async () => {
    const { caller } = await world.enrolled('Answer lost');
    const key = await makeOwnerKey();
    const first = await world.renew(caller, key, 1n);
    expect((await world.renew(caller, key, 1n)).certificateChain).to.deep.equal(
      first.certificateChain,
    );
    const again = await world.renew(callerFrom(first), key, 1n);
    expect(again.certificateChain).to.deep.equal(first.certificateChain);
    expect(again.heartbeatKeys).to.deep.equal(first.heartbeatKeys);
  });

  it('of two copies of a node, one is superseded', async () => {
    const { caller } = await world.enrolled('Two copies');
    const [mine, copy] = [await makeOwnerKey(), await makeOwnerKey()];
    const both = await Promise.allSettled([
      world.renew(caller, mine, 1n),
      world.renew(caller, copy, 1n),
    ]);
    expect(both.map(({ status }) => status).toSorted()).to.deep.equal(['fulfilled', 'rejected']);
  });

  for (const [what, counter] of [
    ['an older counter', 1n],
    ['a counter left out', 4n],
    ['the largest counter', 2n ** 64n - 1n],
  ] as const) {
    it(`refuses ${what}: these files are not the newest`, async () => {
      const { caller } = await world.enrolled(`Superseded ${counter}`);
      await world.renew(caller, await makeOwnerKey(), 1n);
      await world.renew(caller, await makeOwnerKey(), 2n);
      const call = world.renew(caller, await makeOwnerKey(), counter);
      await expectRefusal(call, 'FAILED_PRECONDITION', 'RENEWAL_SUPERSEDED');
    });
  }

  it('refuses a key that the node has already, and a request that is none', async () => {
    const { caller, key } = await world.enrolled('Same key');
    await expectRefusal(world.renew(caller, key, 1n), 'INVALID_ARGUMENT', 'KEY_REUSED');
    const truncated = (await makeCsr(key)).subarray(0, 20);
    const call = world.renewWith(caller, truncated, 1n);
    await expectRefusal(call, 'INVALID_ARGUMENT', 'CSR_MALFORMED');
  });

  it('counts from 1 again after the owner enrolled the node anew', async () => {
    const { caller } = await world.enrolled('Anew');
    await world.renew(caller, await makeOwnerKey(), 1n);
    const fresh = await world.enrolled('Anew', { replace: true });
    expect(fresh.identity.renewalCounter).to.equal(0n);
    expect((await world.renew(fresh.caller, await makeOwnerKey(), 1n)).renewalCounter).to.equal(1n);
  });

  it('has one rule for each counter and key', () => {
    const [newest, other, callers] = [Buffer.of(1), Buffer.of(2), Buffer.of(3)];
    const judge = (counter: bigint, keyId: Uint8Array) =>
      judgeRenewal(
        { renewalCounter: 5n, keyId: newest },
        { counter, request: { keyId }, callerKeyId: callers },
      );
    expect([4n, 5n, 6n, 7n].map((counter) => judge(counter, other))).to.deep.equal([
      'superseded',
      'superseded',
      'issue',
      'superseded',
    ]);
    expect([4n, 5n, 6n].map((counter) => judge(counter, newest))).to.deep.equal([
      'superseded',
      'repeat',
      'reused',
    ]);
    expect(judge(6n, callers)).to.equal('reused');
  });
});
