// Network attacker: someone on the way reads, holds back, sends again, or answers in the control plane's
// place. Against it: TLS with both sides' certificates, and nonces.
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { connect as connectTls, createServer, type Server, type TLSSocket } from 'node:tls';
import { ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { EarningsService } from '#gen/gapjunction/billing/v1/billing_pb';
import { RefusalReason } from '#gen/gapjunction/node/v1/heartbeat_pb';
import { startStripeSimulator, type StripeSimulator } from '../../stripe-simulator/simulator.ts';
import { SERVER_AUTH_EKU_OID } from '../../protocol/identity/certificate.ts';
import { TestAuthority } from '../fakes/authority.ts';
import { type ControlPlane, startControlPlane } from '../fakes/control-plane.ts';
import { BeatStream, enrolNode, type TestNode } from '../fakes/node.ts';

describe('threat: network attacker', () => {
  let simulator: StripeSimulator;
  let controlPlane: ControlPlane;
  let node: TestNode;
  before(async () => {
    simulator = await startStripeSimulator({ port: 0 });
    controlPlane = await startControlPlane({ settings: { stripeSimulatorUrl: simulator.url } });
    node = await enrolNode(controlPlane, 'On the wire');
  });
  after(async () => {
    await controlPlane.stop();
    await simulator.stop();
  });

  it('a recorded beat is taken neither again on its stream nor on a new one', async () => {
    const first = await BeatStream.open(controlPlane, node);
    const recorded = first.beat();
    expect((await first.exchange(recorded)).case).to.equal('answer');
    expect(await first.exchange(recorded)).to.have.nested.property(
      'value.reason',
      RefusalReason.WRONG_SEQUENCE,
    );
    const second = await BeatStream.open(controlPlane, node);
    expect(await second.exchange(recorded)).to.have.nested.property(
      'value.reason',
      RefusalReason.WRONG_STREAM,
    );
  });

  it('a beat that was held back for more than a minute is not taken', async () => {
    const stream = await BeatStream.open(controlPlane, node);
    const heldBack = stream.beat({ timestampMs: Date.now() - 60_500 });
    expect(await stream.exchange(heldBack)).to.have.nested.property(
      'value.reason',
      RefusalReason.CLOCK_OUT_OF_WINDOW,
    );
  });

  it('a man in the middle with a certificate of his own gets no byte of a call', async () => {
    const authority = await TestAuthority.create();
    const { chainPem, keys } = await authority.issue({
      dnsNames: ['localhost'],
      extendedKeyUsages: [SERVER_AUTH_EKU_OID],
    });
    const received: unknown[] = [];
    const middle: Server = createServer(
      { cert: chainPem, key: keys.privateKeyPem, ALPNProtocols: ['h2'] },
      (socket: TLSSocket) => socket.on('data', (data) => received.push(data)),
    ).on('tlsClientError', () => {});
    middle.listen(0, '127.0.0.1');
    await once(middle, 'listening');
    const { port } = middle.address() as AddressInfo;
    const transport = createGrpcTransport({
      baseUrl: `https://localhost:${port}`,
      nodeOptions: { ca: controlPlane.ca, cert: node.certificatePem, key: node.privateKeyPem },
    });
    const call = createClient(EarningsService, transport).getEarnings({});
    const outcome = await call.catch((cause: unknown) => cause);
    expect(outcome).to.be.instanceOf(ConnectError);
    expect(received).to.deep.equal([]);
    middle.close();
  });

  it('nothing is said in the clear, nor by TLS older than 1.3', async () => {
    const { port } = controlPlane.server;
    const plain = connectTcp(port, '127.0.0.1');
    plain.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    let answer = '';
    plain.on('data', (data) => (answer += data.toString())).on('error', () => {});
    await once(plain, 'close');
    expect(answer).not.to.include('HTTP');
    const old = connectTls({ port, host: '127.0.0.1', ca: controlPlane.ca, maxVersion: 'TLSv1.2' });
    const [failure] = (await once(old, 'error')) as [NodeJS.ErrnoException];
    expect(failure.message).to.match(/version|handshake|disconnected/i);
  });
});
