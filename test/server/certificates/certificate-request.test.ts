import 'reflect-metadata';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509';
import { expect } from 'chai';
import { parseCertificateRequest } from '../../../server/certificates/certificate-request.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import { requestKey } from '../../fakes/certificate-request.ts';

const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};

async function reasonOf(der: Uint8Array): Promise<string> {
  try {
    await parseCertificateRequest(der);
  } catch (error) {
    if (error instanceof RpcError && error.code === 'INVALID_ARGUMENT') return error.reason;
    throw error;
  }
  return 'accepted';
}

describe('a certificate request', () => {
  it('gives its key and nothing else', async () => {
    const { csr } = await requestKey();
    const { publicKeySpki, keyId } = await parseCertificateRequest(csr);
    expect(publicKeySpki).to.have.length(91);
    expect(keyId).to.have.length(32);
  });

  it('cut off at any byte is refused', async () => {
    const { csr } = await requestKey();
    for (let length = 0; length < csr.length; length++) {
      expect(await reasonOf(csr.subarray(0, length))).to.equal('CSR_MALFORMED');
    }
  });

  it('with any one bit changed gives no other key and breaks nothing here', async () => {
    const { csr } = await requestKey();
    const { keyId } = await parseCertificateRequest(csr);
    for (let byte = 0; byte < csr.length; byte++) {
      const changed = Uint8Array.from(csr);
      changed[byte] = (changed[byte] ?? 0) ^ 1;
      const outcome = await parseCertificateRequest(changed).catch((error: unknown) => error);
      if (!(outcome instanceof RpcError)) expect(outcome).to.deep.include({ keyId });
    }
  }).timeout(20_000);

  const wrongs: readonly [string, string, () => Promise<Uint8Array>][] = [
    [
      'with bytes after it',
      'CSR_MALFORMED',
      async () => Buffer.concat([(await requestKey()).csr, Buffer.from([0])]),
    ],
    [
      'in PEM',
      'CSR_MALFORMED',
      async () =>
        Buffer.from(
          `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from((await requestKey()).csr).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`,
        ),
    ],
    ['beyond 4 KiB', 'CSR_MALFORMED', async () => new Uint8Array(5000)],
    ['for RSA', 'CSR_KEY_UNSUPPORTED', async () => (await requestKey({ algorithm: RSA })).csr],
    [
      'for P-384',
      'CSR_KEY_UNSUPPORTED',
      async () =>
        (await requestKey({ algorithm: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } }))
          .csr,
    ],
    [
      'with a signature that its key did not make',
      'CSR_SIGNATURE_INVALID',
      async () => {
        const { csr } = await requestKey();
        // The last byte belongs to the signature's s.
        csr[csr.length - 1] = (csr.at(-1) ?? 0) ^ 1;
        return csr;
      },
    ],
    [
      'that asks to be a CA',
      'CSR_EXTENSION_REFUSED',
      async () =>
        (await requestKey({ extensions: [new BasicConstraintsExtension(true, 0, true)] })).csr,
    ],
    [
      'that asks for a name',
      'CSR_EXTENSION_REFUSED',
      async () =>
        (
          await requestKey({
            extensions: [
              new SubjectAlternativeNameExtension([
                { type: 'url', value: 'spiffe://gj.example/operator/o-aaaaaaaaaaaaaaaaaaaa' },
              ]),
            ],
          })
        ).csr,
    ],
  ];
  for (const [what, reason, make] of wrongs) {
    it(`${what} is refused: ${reason}`, async () => {
      expect(await reasonOf(await make())).to.equal(reason);
    });
  }

  it('that asks for a usage is given its key alone', async () => {
    const { csr } = await requestKey({
      extensions: [new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1'])],
    });
    expect(await reasonOf(csr)).to.equal('accepted');
  });
});
