import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { VERIFIED } from '../../../stripe-simulator/account.ts';
import { makeCsr, makeOwnerKey } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { callerFrom, IdentityWorld } from '../identity-world.ts';

describe('enrolment with a code of Stripe', () => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open();
  });
  after(() => world.close());

  const stripeCode = (value: string) => ({ case: 'stripeCode', value }) as const;

  it('gives a verified owner a certificate that names the node and nothing else', async () => {
    const { key, identity } = await world.enrolled('Ada');
    const [leaf] = identity.certificateChain ?? [];
    const certificate = new X509Certificate(leaf ?? new Uint8Array());
    expect(identity.nodeId).to.match(/^n-[a-z2-7]{20}$/);
    expect(certificate.subject).to.equal(`CN=${identity.nodeId}`);
    expect(certificate.subjectAltName).to.equal(
      `URI:spiffe://test.gap-junction/node/${identity.nodeId}`,
    );
    expect(certificate.keyUsage).to.deep.equal(['1.3.6.1.5.5.7.3.2']);
    expect(certificate.ca).to.equal(false);
    expect(callerFrom(identity).keyId).to.deep.equal(key.digest);
    const lifeMs = certificate.validToDate.getTime() - world.clock.now();
    expect(lifeMs).to.be.within(86_390_000, 86_400_000);
    expect(identity.heartbeatKeys?.nodeToControlPlane).to.have.length(32);
    expect(identity.heartbeatKeys?.nodeToControlPlane).not.to.deep.equal(
      identity.heartbeatKeys?.controlPlaneToNode,
    );
    expect(await world.auditActions(identity.nodeId ?? '')).to.deep.equal(['NODE_ENROLLED']);
    expect(world.fleet.standingOf(identity.nodeId ?? '')).to.equal('enrolled');
  });

  it('answers the same certificate when the answer was lost and the request is sent again', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const code = await world.visit(connectUrl, 'Lost answer');
    const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
    const first = await world.enrol(request);
    const again = await world.enrol({ ...request, csr: await makeCsr(key) });
    expect(again.certificateChain).to.deep.equal(first.certificateChain);
    expect(again.heartbeatKeys).to.deep.equal(first.heartbeatKeys);
    expect(await world.auditActions(first.nodeId ?? '')).to.deep.equal(['NODE_ENROLLED']);
  });

  it('gives two requests sent at once one node and one certificate', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const code = await world.visit(connectUrl, 'Twice at once');
    const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
    const [one, two] = await Promise.all([world.enrol(request), world.enrol(request)]);
    expect(one.certificateChain).to.deep.equal(two.certificateChain);
  });

  describe('refuses, and nothing is lost', () => {
    for (const [missing, switches] of [
      ['details_submitted', { ...VERIFIED, detailsSubmitted: false }],
      ['payouts_enabled', { ...VERIFIED, payoutsEnabled: false }],
      ['transfers_capability', { ...VERIFIED, transfers: 'inactive' }],
      ['past_due_requirements', { ...VERIFIED, pastDue: ['individual.verification.document'] }],
    ] as const) {
      it(`an account without ${missing}, until its owner completes it at Stripe`, async () => {
        const key = await makeOwnerKey();
        const { state, connectUrl } = await world.start(key);
        const name = `Unverified ${missing}`;
        const code = await world.visit(connectUrl, name, switches);
        const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
        const refusal = await expectRefusal(
          world.enrol(request),
          'FAILED_PRECONDITION',
          'ACCOUNT_UNVERIFIED',
        );
        expect(refusal.metadata).to.deep.equal({ missing });
        await world.setAccount(name, VERIFIED);
        expect((await world.enrol(request)).nodeId).to.match(/^n-/);
      });
    }

    it('a code that Stripe never gave', async () => {
      const key = await makeOwnerKey();
      const { state } = await world.start(key);
      const request = { csr: await makeCsr(key), state, proof: stripeCode('ac_never') };
      await expectRefusal(world.enrol(request), 'FAILED_PRECONDITION', 'CODE_UNKNOWN');
    });

    it('a code that another enrolment used', async () => {
      const [one, two] = [await makeOwnerKey(), await makeOwnerKey()];
      const started = await world.start(one);
      const code = await world.visit(started.connectUrl, 'Code thief');
      await world.enrol({
        csr: await makeCsr(one),
        state: started.state,
        proof: stripeCode(code),
      });
      const { state } = await world.start(two);
      const request = { csr: await makeCsr(two), state, proof: stripeCode(code) };
      await expectRefusal(world.enrol(request), 'FAILED_PRECONDITION', 'CODE_USED');
    });

    it("someone else's state, whatever code comes with it", async () => {
      const [owner, thief] = [await makeOwnerKey(), await makeOwnerKey()];
      const { state, connectUrl } = await world.start(owner);
      const code = await world.visit(connectUrl, 'State thief');
      const request = { csr: await makeCsr(thief), state, proof: stripeCode(code) };
      await expectRefusal(world.enrol(request), 'INVALID_ARGUMENT', 'KEY_MISMATCH');
    });

    it('a state that was never given, and one whose 10 minutes are over', async () => {
      const key = await makeOwnerKey();
      const { state, connectUrl } = await world.start(key);
      const code = await world.visit(connectUrl, 'Late');
      const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
      await expectRefusal(
        world.enrol({ ...request, state: `${state}x` }),
        'FAILED_PRECONDITION',
        'STATE_UNKNOWN',
      );
      await world.passTime(10 * 60_000);
      await expectRefusal(world.enrol(request), 'FAILED_PRECONDITION', 'STATE_UNKNOWN');
    });

    it('a return code or Stripe code that is guessed before Stripe said anything', async () => {
      const key = await makeOwnerKey();
      const { state } = await world.start(key);
      const guess = { case: 'returnCode', value: '0000-0000' } as const;
      const request = { csr: await makeCsr(key), state, proof: guess };
      await expectRefusal(world.enrol(request), 'FAILED_PRECONDITION', 'CODE_UNKNOWN');
    });

    it('while Stripe is down, and takes the same request once it is back', async () => {
      const key = await makeOwnerKey();
      const { state, connectUrl } = await world.start(key);
      const code = await world.visit(connectUrl, 'Outage');
      const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
      await world.fault({ kind: 'down', path: '/oauth/token', times: 2 });
      await expectRefusal(world.enrol(request), 'UNAVAILABLE', 'STRIPE_UNAVAILABLE');
      await world.fault({ kind: 'down', path: '/v1/accounts', times: 2 });
      await expectRefusal(world.enrol(request), 'UNAVAILABLE', 'STRIPE_UNAVAILABLE');
      expect((await world.enrol(request)).nodeId).to.match(/^n-/);
    });
  });

  it('loses nothing when the answer of Stripe is lost after the exchange', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const code = await world.visit(connectUrl, 'Cut');
    const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
    await world.fault({ kind: 'answer-lost', path: '/oauth/token', times: 2 });
    await expectRefusal(world.enrol(request), 'UNAVAILABLE', 'STRIPE_UNAVAILABLE');
    expect((await world.enrol(request)).nodeId).to.match(/^n-/);
  });

  it('goes on with another code where Stripe forgot that it answered', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const csr = await makeCsr(key);
    const code = await world.visit(connectUrl, 'Forgotten');
    await world.fault({ kind: 'answer-lost', path: '/oauth/token', ignoreIdempotencyKey: true });
    await expectRefusal(
      world.enrol({ csr, state, proof: stripeCode(code) }),
      'FAILED_PRECONDITION',
      'CODE_USED',
    );
    const another = await world.visit(connectUrl, 'Forgotten');
    const identity = await world.enrol({ csr, state, proof: stripeCode(another) });
    expect(identity.nodeId).to.match(/^n-/);
  });

  it('keeps what Stripe said when the server dies right after the exchange', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const code = await world.visit(connectUrl, 'Killed');
    const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
    // The exchange is stored, then everything after it fails.
    await world.fault({ kind: 'reset', path: '/v1/accounts', times: 2 });
    await expectRefusal(world.enrol(request), 'UNAVAILABLE', 'STRIPE_UNAVAILABLE');
    // The code could not be exchanged again: Stripe forgot the key, and the code is used.
    await world.fault({ kind: 'down', path: '/oauth/token', times: 2 });
    expect((await world.enrol(request)).nodeId).to.match(/^n-/);
    await world.control('DELETE', 'faults', {});
  });

  describe('binds one account to one node for ever', () => {
    it('refuses a second key without replace, and moves the node to it with replace', async () => {
      const first = await world.enrolled('Bound');
      const key = await makeOwnerKey();
      const { state, connectUrl } = await world.start(key);
      const code = await world.visit(connectUrl, 'Bound');
      const request = { csr: await makeCsr(key), state, proof: stripeCode(code) };
      await expectRefusal(world.enrol(request), 'ALREADY_EXISTS', 'ALREADY_BOUND');
      const second = await world.enrol({ ...request, replace: true });
      expect(second.nodeId).to.equal(first.identity.nodeId);
      expect(callerFrom(second).serial).not.to.equal(first.caller.serial);
      expect(world.revocations.isRevoked(first.caller.serial)).to.equal(true);
      expect(world.revocations.isRevoked(callerFrom(second).serial)).to.equal(false);
      expect(await world.auditActions(second.nodeId ?? '')).to.deep.equal([
        'NODE_ENROLLED',
        'NODE_REPLACED',
      ]);
    });

    it('tells whoever works for the old machine that it is over', async () => {
      const { identity } = await world.enrolled('Replaced');
      const told = new Promise<string>((resolve) => {
        const stop = world.fleet.onRevoked((nodeId) => {
          stop();
          resolve(nodeId);
        });
      });
      await world.enrolled('Replaced', { replace: true });
      expect(await told).to.equal(identity.nodeId);
    });

    it('lets the same machine with the same key in again without replace', async () => {
      const key = await makeOwnerKey();
      const enrol = async () => {
        const { state, connectUrl } = await world.start(key);
        const code = await world.visit(connectUrl, 'Same machine');
        return world.enrol({ csr: await makeCsr(key), state, proof: stripeCode(code) });
      };
      const [first, second] = [await enrol(), await enrol()];
      expect(second.nodeId).to.equal(first.nodeId);
      expect(world.revocations.isRevoked(callerFrom(first).serial)).to.equal(false);
    });
  });

  it('stores no state and no code, only their digests', async () => {
    const key = await makeOwnerKey();
    const { state, connectUrl } = await world.start(key);
    const code = await world.visit(connectUrl, 'Secrets');
    await world.enrol({ csr: await makeCsr(key), state, proof: stripeCode(code) });
    const rows = await world.store.read((em) => em.execute('select * from enrolment'));
    const text = JSON.stringify(rows, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    );
    expect(text).not.to.include(state).and.not.to.include(code);
  });
});
