import { expect } from 'chai';
import { readCertificate } from '../../../protocol/identity/certificate.ts';
import { MalformedDer } from '../../../protocol/identity/der.ts';
import { knownCertificate } from '../../../protocol/identity/known-certificate.ts';
import { TestAuthority } from '../../fakes/authority.ts';

describe('a certificate that comes again', () => {
  it('says what it said, and never what another one says', async () => {
    const authority = await TestAuthority.create();
    // More than are kept, so that the first ones are read anew.
    const issued = await Promise.all(
      Array.from({ length: 70 }, async (_, at) => {
        const id =
          String.fromCharCode(97 + (at % 26)).repeat(19) +
          String.fromCharCode(97 + Math.floor(at / 26));
        const { certificate } = await authority.node(`n-${id}`);
        return Uint8Array.from(certificate.raw);
      }),
    );
    for (const der of [...issued, ...issued.toReversed(), ...issued]) {
      const { x509: _, ...known } = knownCertificate(der);
      const { x509: __, ...read } = readCertificate(der);
      expect(known).to.deep.equal(read);
    }
  });

  it('is read once: its key need not be taken out of it for every signature', async () => {
    const authority = await TestAuthority.create();
    const { certificate } = await authority.node(`n-${'a'.repeat(20)}`);
    expect(knownCertificate(Uint8Array.from(certificate.raw)).x509.publicKey).to.equal(
      knownCertificate(Uint8Array.from(certificate.raw)).x509.publicKey,
    );
  });

  it('is refused every time when it is none', () => {
    const der = Uint8Array.of(0x30, 0x01);
    for (const _ of [1, 2]) expect(() => knownCertificate(der)).to.throw(MalformedDer);
  });
});
