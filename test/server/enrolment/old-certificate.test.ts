import { expect } from 'chai';
import { oldCertificateMessage } from '../../../protocol/identity/old-certificate.ts';
import { makeCsr, makeOwnerKey, type OwnerKey, signP1363 } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { callerFrom, type Identity, IdentityWorld } from '../identity-world.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('enrolment with an old certificate', () => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open();
  });
  after(() => world.close());

  /** A request for a new key, with the old certificate and its signature over it. */
  async function request({
    identity,
    oldKey,
    newKey,
    signed = {},
  }: {
    identity: Identity;
    oldKey: OwnerKey;
    newKey?: OwnerKey;
    signed?: { state?: string; csr?: Uint8Array };
  }) {
    const key = newKey ?? (await makeOwnerKey());
    const { state } = await world.start(key);
    const csr = await makeCsr(key);
    const message = oldCertificateMessage({ state: signed.state ?? state, csr: signed.csr ?? csr });
    const [certificate] = identity.certificateChain ?? [];
    const value = {
      certificate: certificate ?? new Uint8Array(),
      signature: signP1363(oldKey, message),
    };
    return { csr, state, proof: { case: 'oldCertificate', value } } as const;
  }

  const unusable = (call: Promise<unknown>) =>
    expectRefusal(call, 'FAILED_PRECONDITION', 'CERTIFICATE_UNUSABLE');

  it('brings a machine back after a weekend, without a browser, as the same node', async () => {
    const { identity, key } = await world.enrolled('Weekend');
    await world.passTime(3 * DAY_MS);
    const back = await world.enrol(await request({ identity, oldKey: key }));
    expect(back.nodeId).to.equal(identity.nodeId);
    expect(world.revocations.isRevoked(callerFrom(identity).serial)).to.equal(false);
    expect(await world.auditActions(back.nodeId ?? '')).to.deep.equal([
      'NODE_ENROLLED',
      'NODE_RETURNED',
    ]);
  });

  it('is refused while the certificate lives: renewal has a counter, this has none', async () => {
    const { identity, key } = await world.enrolled('Alive');
    await unusable(world.enrol(await request({ identity, oldKey: key })));
  });

  it('is refused 7 days after the end', async () => {
    const { identity, key } = await world.enrolled('Too late');
    await world.passTime(8 * DAY_MS + 1_000);
    await unusable(world.enrol(await request({ identity, oldKey: key })));
  });

  it('is refused for a certificate that was revoked', async () => {
    const { identity, key } = await world.enrolled('Thrown out');
    await world.enrolled('Thrown out', { replace: true });
    await world.passTime(2 * DAY_MS);
    await unusable(world.enrol(await request({ identity, oldKey: key })));
  });

  it('is refused for one that was renewed since: an old copy of the files takes nothing over', async () => {
    const { identity, key, caller } = await world.enrolled('Old copy');
    await world.renew(caller, await makeOwnerKey(), 1n);
    await world.passTime(2 * DAY_MS);
    await unusable(world.enrol(await request({ identity, oldKey: key })));
  });

  it('is taken for the key of a renewal whose answer never arrived', async () => {
    const { identity, key, caller } = await world.enrolled('Lost renewal');
    const newKey = await makeOwnerKey();
    await world.renew(caller, newKey, 1n);
    await world.passTime(2 * DAY_MS);
    const back = await world.enrol(await request({ identity, oldKey: key, newKey }));
    expect(back.nodeId).to.equal(identity.nodeId);
  });

  describe('is refused with a signature', () => {
    it('by another key', async () => {
      const { identity } = await world.enrolled('Stolen certificate');
      await world.passTime(2 * DAY_MS);
      await unusable(world.enrol(await request({ identity, oldKey: await makeOwnerKey() })));
    });

    it('over another state or another request', async () => {
      const { identity, key } = await world.enrolled('Replayed signature');
      await world.passTime(2 * DAY_MS);
      for (const signed of [{ state: 'another' }, { csr: await makeCsr(await makeOwnerKey()) }]) {
        await unusable(world.enrol(await request({ identity, oldKey: key, signed })));
      }
    });
  });

  it('is refused for bytes that are no certificate of ours', async () => {
    const key = await makeOwnerKey();
    const [issued] = [await world.enrolled('Padded')];
    const [leaf = new Uint8Array()] = issued.identity.certificateChain ?? [];
    await world.passTime(2 * DAY_MS);
    for (const certificate of [
      Buffer.from('no certificate'),
      Buffer.concat([leaf, Buffer.of(0)]),
      leaf.subarray(0, leaf.length - 1),
      world.secrets.authority.rootCertificate,
      world.secrets.authority.intermediateCertificate,
    ]) {
      const { state } = await world.start(key);
      const proof = {
        case: 'oldCertificate',
        value: { certificate, signature: new Uint8Array(64) },
      } as const;
      await unusable(world.enrol({ csr: await makeCsr(key), state, proof }));
    }
  });

  it('still needs a verified account', async () => {
    const { identity, key } = await world.enrolled('Fell behind');
    await world.passTime(2 * DAY_MS);
    await world.setAccount('Fell behind', { payoutsEnabled: false });
    const refusal = await expectRefusal(
      world.enrol(await request({ identity, oldKey: key })),
      'FAILED_PRECONDITION',
      'ACCOUNT_UNVERIFIED',
    );
    expect(refusal.metadata['missing']).to.equal('payouts_enabled');
  });
});
