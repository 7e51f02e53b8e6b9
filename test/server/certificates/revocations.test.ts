import { expect } from 'chai';
import {
  recordCertificate,
  revokeCertificatesOf,
} from '../../../server/certificates/certificate-store.ts';
import { Revocations } from '../../../server/certificates/revocations.ts';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import { TestClock } from '../../fakes/clock.ts';
import { onEachStore } from '../../fakes/stores.ts';

const HOUR_MS = 3_600_000;

onEachStore('revocations', (store) => {
  const clock = new TestClock(Date.now());
  const announcements = new LocalAnnouncements();
  let serials = 0;

  async function issue(holderId: string, notAfterMs = clock.now() + HOUR_MS): Promise<string> {
    const serial = `40${(++serials).toString(16).padStart(4, '0')}`;
    await store().transaction((em) =>
      recordCertificate(em, {
        serial,
        holder: { role: 'node', id: holderId },
        keyId: new Uint8Array(32),
        certificate: new Uint8Array(1),
        notAfterMs,
      }),
    );
    return serial;
  }
  const revoke = (id: string) =>
    store().transaction((em) => revokeCertificatesOf(em, { role: 'node', id }, clock.now()));
  const open = () =>
    Revocations.open({
      store: store(),
      clock,
      announcements,
      onError: (cause) => {
        throw cause;
      },
    });

  it('are known at the start, for the holder alone, and once', async () => {
    const mine = await issue('n-1');
    const other = await issue('n-2');
    expect(await revoke('n-1')).to.deep.equal([mine]);
    expect(await revoke('n-1')).to.deep.equal([]);
    const revocations = await open();
    expect([revocations.isRevoked(mine), revocations.isRevoked(other)]).to.deep.equal([
      true,
      false,
    ]);
    await revocations.close();
  });

  it('of this replica hold at once, those of another within a second, each told once', async () => {
    const revocations = await open();
    const told: string[] = [];
    revocations.onRevoked((fresh) => told.push(...fresh));
    const mine = await issue('n-3');
    revocations.announce(await revoke('n-3'));
    expect(revocations.isRevoked(mine)).to.equal(true);

    const elsewhere = await issue('n-4');
    await revoke('n-4');
    expect(revocations.isRevoked(elsewhere)).to.equal(false);
    clock.advance(1000);
    await revocations.close();
    expect(revocations.isRevoked(elsewhere)).to.equal(true);
    expect(told).to.deep.equal([mine, elsewhere]);
  });

  it('of another replica hold as soon as it has announced them', async () => {
    const [here, there] = [await open(), await open()];
    const told = Promise.withResolvers<readonly string[]>();
    there.onRevoked(told.resolve);
    const serial = await issue('n-5');
    here.announce(await revoke('n-5'));
    expect(await told.promise).to.deep.equal([serial]);
    expect(there.isRevoked(serial)).to.equal(true);
    await Promise.all([here.close(), there.close()]);
  });

  it('are not trusted when they have not been read for long', async () => {
    const revocations = await open();
    await revocations.close();
    expect(revocations.isFresh(clock.now())).to.equal(true);
    expect(revocations.isFresh(clock.now() + HOUR_MS)).to.equal(false);
  });
});
