import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';

import { expect } from 'chai';

import { EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';

import { addressText, parseAddress } from '../../../agent/control-plane/address.ts';
import { connectTo, fetchRoot } from '../../../agent/control-plane/connection.ts';
import { AgentError } from '../../../agent/error.ts';
import { pinOfFingerprint } from '../../../agent/identity/pinned-root.ts';
import { digest, digestText } from '../../../protocol/bill/digest.ts';
import { TestAuthority, type IssuedCertificate } from '../../fakes/authority.ts';

describe('the connection to the control plane', () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;
  before(async () => {
    authority = await TestAuthority.create();
    stranger = await TestAuthority.create();
  });

  const cases: Readonly<Record<string, () => Promise<IssuedCertificate>>> = {
    'a certificate of another authority': () => stranger.server(['localhost']),
    'a certificate for another name': () => authority.server(['elsewhere.test']),
    'a certificate that has expired': () =>
      authority.server(['localhost'], { notAfter: new Date(Date.now() - 1_000) }),
    'a certificate that signed itself': () => authority.server(['localhost'], { selfSigned: true }),
    'the certificate of a client of ours': () =>
      authority.client(`c-${'a'.repeat(20)}`, { dnsNames: ['localhost'] }),
  };
  for (const [what, issue] of Object.entries(cases)) {
    it(`sends nothing to a server with ${what}`, async () => {
      const said: Buffer[] = [];
      const server = await listen(await issue(), (bytes) => said.push(bytes));
      const connection = connectTo(addressOf(server), {
        root: authority.rootCertificate,
        certificate: null,
      });
      try {
        const refused = await connection
          .client(EarningsService)
          .getEarnings({})
          .then(() => false)
          .catch(() => true);
        expect(refused).to.equal(true);
        expect(connection.distrust()).to.be.a('string');
        expect(said).to.deep.equal([]);
      } finally {
        connection.close();
        server.close();
      }
    });
  }

  it('does not speak TLS 1.2', async () => {
    const issued = await authority.server(['localhost']);
    const server = await listen(issued, () => {}, { maxVersion: 'TLSv1.2' });
    try {
      const error = await fetchRoot(addressOf(server), {
        kind: 'certificate',
        root: authority.rootCertificate,
      }).catch((cause: unknown) => cause);
      expect(error).to.be.instanceOf(AgentError).and.include({
        reason: 'CONTROL_PLANE_UNREACHABLE',
      });
    } finally {
      server.close();
    }
  });

  it('finds the pinned root in the handshake, and no root that is not pinned', async () => {
    const issued = await authority.server(['localhost']);
    const withRoot = { ...issued, chainPem: `${issued.chainPem}\n${authority.rootPem}` };
    const server = await listen(withRoot, () => {});
    try {
      const pin = pinOfFingerprint(digestText(digest(authority.rootCertificate.raw)));
      const root = await fetchRoot(addressOf(server), pin);
      expect(root.raw).to.deep.equal(authority.rootCertificate.raw);
      // The intermediate is in the chain as well, and is no root.
      for (const other of [stranger.rootCertificate, issued.certificate]) {
        const error = await fetchRoot(
          addressOf(server),
          pinOfFingerprint(digestText(digest(other.raw))),
        ).catch((cause: unknown) => cause);
        expect(error).to.be.instanceOf(AgentError).and.include({
          reason: 'CONTROL_PLANE_UNTRUSTED',
        });
      }
    } finally {
      server.close();
    }
  });

  it('reads addresses as people write them', () => {
    for (const text of ['control.example.com:7443', '127.0.0.1:1', '[::1]:65535']) {
      expect(addressText(parseAddress(text))).to.equal(text);
    }
    const wrong = ['', 'host', 'host:', 'host:0', 'host:65536', '::1:7443', '[host]:1', 'a b:1'];
    for (const text of [
      ...wrong,
      'https://host:1',
      `${'a'.repeat(254)}:1`,
      'host:1:2',
      'host:1 ',
    ]) {
      expect(() => parseAddress(text), text).to.throw(AgentError);
    }
  });
});

async function listen(
  issued: IssuedCertificate,
  onData: (bytes: Buffer) => void,
  options: { readonly maxVersion?: 'TLSv1.2' } = {},
): Promise<Server> {
  const server = createServer(
    {
      cert: issued.chainPem,
      key: issued.keys.privateKeyPem,
      ALPNProtocols: ['h2'],
      ...options,
    },
    (socket) => {
      socket.on('error', () => socket.destroy());
      socket.on('data', onData);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: Server) {
  return { host: 'localhost', port: (server.address() as AddressInfo).port };
}
