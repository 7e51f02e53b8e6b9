import { requestKey } from '../../fakes/certificate-request.ts';
import { authorityExtension, makeCsr, makeOwnerKey, nameExtension } from '../../fakes/owner.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { IdentityWorld } from '../identity-world.ts';

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const P384 = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };

describe('enrolment takes from a certificate request its key alone', () => {
  let world: IdentityWorld;
  before(async () => {
    world = await IdentityWorld.open();
  });
  after(() => world.close());

  const hostile: readonly [
    string,
    string,
    (csr: Uint8Array) => Uint8Array | Promise<Uint8Array>,
  ][] = [
    ['truncated', 'CSR_MALFORMED', (csr) => csr.subarray(0, csr.length - 1)],
    ['with trailing bytes', 'CSR_MALFORMED', (csr) => Buffer.concat([csr, Buffer.of(0)])],
    ['no request at all', 'CSR_MALFORMED', () => Buffer.from('hello')],
    [
      'whose signature was changed',
      'CSR_SIGNATURE_INVALID',
      (csr) => {
        const changed = Buffer.from(csr);
        changed[changed.length - 3] = (changed.at(-3) ?? 0) ^ 1;
        return changed;
      },
    ],
    [
      'that asks for a CA',
      'CSR_EXTENSION_REFUSED',
      async () => makeCsr(await makeOwnerKey(), [authorityExtension()]),
    ],
    [
      'that asks for a foreign name',
      'CSR_EXTENSION_REFUSED',
      async () =>
        makeCsr(await makeOwnerKey(), [
          nameExtension('spiffe://test.gap-junction/operator/o-aaaaaaaaaaaaaaaaaaaa'),
        ]),
    ],
    [
      'of an RSA key',
      'CSR_KEY_UNSUPPORTED',
      async () => (await requestKey({ algorithm: RSA })).csr,
    ],
    [
      'of a P-384 key',
      'CSR_KEY_UNSUPPORTED',
      async () => (await requestKey({ algorithm: P384 })).csr,
    ],
    ['of another key than the state', 'KEY_MISMATCH', async () => makeCsr(await makeOwnerKey())],
  ];
  for (const [what, reason, change] of hostile) {
    it(`refuses a request ${what}`, async () => {
      const key = await makeOwnerKey();
      const { state } = await world.start(key);
      const csr = await change(await makeCsr(key));
      await expectRefusal(
        world.enrol({ csr, state, proof: { case: 'stripeCode', value: 'ac_x' } }),
        'INVALID_ARGUMENT',
        reason,
      );
    });
  }
});
