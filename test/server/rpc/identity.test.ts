import { once } from 'node:events';
import { connect } from 'node:http2';
import { expect } from 'chai';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { serialHex } from '../../../protocol/identity/serial.ts';
import { SERVER_AUTH_EKU_OID, SIGNING_EKU_OID } from '../../../protocol/identity/certificate.ts';
import { type Caller, implement } from '../../../server/rpc/service.ts';
import { type IssuedCertificate, TestAuthority } from '../../fakes/authority.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';
const YESTERDAY = new Date(Date.now() - 24 * 3600 * 1000);
const LAST_WEEK = new Date(Date.now() - 7 * 24 * 3600 * 1000);

describe('the identity of a caller', () => {
  let seen: Caller;
  let rpc: TestListener;
  const billing = implement(BillingService, {
    async getBalance(_, { caller }) {
      seen = caller;
      return { availableMicrocents: 1n };
    },
  });

  before(async () => {
    rpc = await startListener({ services: [billing] });
  });
  after(() => rpc.stop());

  const call = (identity: IssuedCertificate | null) =>
    rpc.clientFor(BillingService, identity).getBalance({});

  it('is what our authority certified, with serial, key, end and chain', async () => {
    const identity = await rpc.authority.client(`c-${ID}`);
    await call(identity);
    expect(seen).to.deep.equal({
      kind: 'client',
      clientId: `c-${ID}`,
      serial: serialHex(identity.certificate.serialNumber),
      keyId: Buffer.from(identity.signer.keyId),
      expiresAtMs: identity.certificate.validToDate.getTime(),
      chain: identity.chain.map((der) => Buffer.from(der)),
    });
  });

  it('stands on a resumed TLS session as on a full one', async () => {
    const identity = await rpc.authority.client(`c-${ID}`);
    const tls = { cert: identity.chainPem, key: identity.keys.privateKeyPem };
    const first = await rpc.socket(tls);
    const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
    const second = await rpc.socket({ ...tls, session });
    expect(second.isSessionReused()).to.equal(true);
    const http2 = connect(`https://localhost:${rpc.listener.port}`, {
      createConnection: () => second,
    });
    const stream = http2.request({
      ':method': 'POST',
      ':path': '/gapjunction.billing.v1.BillingService/GetBalance',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.resume().end(Buffer.alloc(5));
    const [trailers] = await once(stream, 'trailers');
    expect(trailers['grpc-status']).to.equal('0');
    expect(seen).to.deep.include({
      clientId: `c-${ID}`,
      chain: identity.chain.map((der) => Buffer.from(der)),
    });
    http2.destroy();
  });

  const wrongs: readonly {
    readonly what: string;
    readonly reason: string;
    readonly make: () => Promise<IssuedCertificate | null>;
  }[] = [
    { what: 'no certificate', reason: 'NO_CERTIFICATE', make: async () => null },
    {
      what: 'a self-signed one with a stolen name',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.client(`c-${ID}`, { selfSigned: true }),
    },
    {
      what: 'one of another authority',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: async () => (await TestAuthority.create()).client(`c-${ID}`),
    },
    {
      what: 'an expired one',
      reason: 'CERTIFICATE_EXPIRED',
      make: () => rpc.authority.client(`c-${ID}`, { notBefore: LAST_WEEK, notAfter: YESTERDAY }),
    },
    {
      what: 'one of another trust domain',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.issue({ uris: [`spiffe://other.example/client/c-${ID}`] }),
    },
    {
      what: 'one with two names',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () =>
        rpc.authority.client(`c-${ID}`, {
          uris: [
            `spiffe://${rpc.authority.trustDomain}/client/c-${ID}`,
            `spiffe://${rpc.authority.trustDomain}/operator/o-${ID}`,
          ],
        }),
    },
    {
      what: 'one with a DNS name beside the URI',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.client(`c-${ID}`, { dnsNames: ['localhost'] }),
    },
    {
      what: 'one without a name',
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.issue({ commonName: `c-${ID}` }),
    },
    {
      what: "the control plane's own for its port",
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.client(`c-${ID}`, { extendedKeyUsages: [SERVER_AUTH_EKU_OID] }),
    },
    {
      what: "the control plane's own for signatures",
      reason: 'CERTIFICATE_UNTRUSTED',
      make: () => rpc.authority.client(`c-${ID}`, { extendedKeyUsages: [SIGNING_EKU_OID] }),
    },
  ];
  for (const { what, reason, make } of wrongs) {
    it(`is nobody's with ${what}, and the status says why`, async () => {
      expect(await failureOf(call(await make()))).to.include({ code: 'Unauthenticated', reason });
    });
  }

  it('is nobody any more once the certificate is revoked', async () => {
    const identity = await rpc.authority.client(`c-${ID}`);
    await call(identity);
    rpc.revocations.revoke(serialHex(identity.certificate.serialNumber));
    const failure = await failureOf(call(identity));
    expect(failure).to.include({ code: 'Unauthenticated', reason: 'CERTIFICATE_REVOKED' });
  });

  it('is not believed while the list of revocations cannot be read', async () => {
    const identity = await rpc.authority.client(`c-${ID}`);
    rpc.revocations.fresh = false;
    const failure = await failureOf(call(identity));
    rpc.revocations.fresh = true;
    expect(failure).to.include({ code: 'Unavailable', reason: 'REVOCATIONS_UNKNOWN' });
  });

  it('in the wrong role is refused by name', async () => {
    const node = await rpc.authority.node(`n-${ID}`);
    const failure = await failureOf(call(node));
    expect(failure).to.include({ code: 'PermissionDenied', reason: 'WRONG_ROLE' });
  });
});
