import type { PeerCertificate } from 'node:tls';
import { expect } from 'chai';
import type { TlsMaterial } from '../../../server/rpc/listener.ts';
import { keepServerCertificateFresh } from '../../../server/secrets/server-certificate.ts';
import { TestClock } from '../../fakes/clock.ts';
import { startListener } from '../../fakes/listener.ts';

const DAY_MS = 24 * 3600 * 1000;
const HOUR_MS = 3600 * 1000;
const MATERIAL: TlsMaterial = { certificateChain: '', privateKey: '', authorities: [] };

/** Lets what a timer began run to its end. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the certificate of the port', () => {
  it('is renewed at half of its life, and again an hour after a failure', async () => {
    const clock = new TestClock(0);
    const used: number[] = [];
    const failures: unknown[] = [];
    let issuerIsDown = false;
    const stop = keepServerCertificateFresh({
      clock,
      issue: async () => {
        if (issuerIsDown) throw new Error('the issuer is down');
        return MATERIAL;
      },
      use: () => used.push(clock.now()),
      onError: (cause) => failures.push(cause),
    });
    clock.advance(15 * DAY_MS - HOUR_MS);
    await settled();
    expect(used).to.deep.equal([]);
    clock.advance(HOUR_MS);
    await settled();
    expect(used).to.deep.equal([15 * DAY_MS]);

    issuerIsDown = true;
    clock.advance(14 * DAY_MS);
    await settled();
    clock.advance(DAY_MS);
    await settled();
    expect(failures).not.to.deep.equal([]);
    issuerIsDown = false;
    clock.advance(HOUR_MS);
    await settled();
    expect(used).to.have.length(2);
    stop();
    clock.advance(100 * DAY_MS);
    await settled();
    expect(used).to.have.length(2);
  });

  it('changes for new connections, and those that stand are not cut', async () => {
    const rpc = await startListener({ services: [] });
    const serialOf = ({ serialNumber }: PeerCertificate) => serialNumber;
    const standing = await rpc.http2(null);
    const before = serialOf((await rpc.socket()).getPeerCertificate());
    const next = await rpc.authority.server(['localhost']);
    rpc.listener.setCertificate({
      certificateChain: next.chainPem,
      privateKey: next.keys.privateKeyPem,
      authorities: [rpc.authority.rootPem],
    });
    const after = serialOf((await rpc.socket()).getPeerCertificate());
    expect(after).to.equal(next.certificate.serialNumber).and.not.to.equal(before);
    await new Promise<void>((resolve, reject) => {
      standing.ping((error) => (error === null ? resolve() : reject(error)));
    });
    await rpc.stop();
  });
});
