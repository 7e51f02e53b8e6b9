import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { listAuditEntries } from '../../../server/audit/audit-store.ts';
import { ensureFirstOperator } from '../../../server/clients/first-operator.ts';
import { openFileSecrets } from '../../../server/secrets/file-secrets.ts';
import type { Authority } from '../../../server/secrets/secrets.ts';
import type { Store } from '../../../server/store/store.ts';
import { onEachStore } from '../../fakes/stores.ts';

onEachStore('the first operator', (store) => {
  const nowMs = Date.now();
  let dataDir: string;
  let authority: Authority;

  before(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'gap-junction-operator-'));
    const trustDomain = 'test.gap-junction';
    ({ authority } = await openFileSecrets({ dataDir, trustDomain, nowMs, inUse: false }));
  });
  after(() => rmSync(dataDir, { recursive: true, force: true }));

  const ensure = (on: Store = store()) =>
    ensureFirstOperator({ store: on, authority, dataDir, nowMs });
  const audited = async () =>
    (await store().read((em) => listAuditEntries(em, { beforeEntryNumber: null, limit: 10 }))).map(
      ({ actor, action, subject }) => ({ actor, action, subject }),
    );

  it('is made by the next start when the first was killed before it wrote him down', async () => {
    const killed: Store = {
      ...store(),
      transaction: async () => {
        throw new Error('killed');
      },
    };
    await ensure(killed).catch((error: Error) => expect(error.message).to.equal('killed'));
    const folder = join(dataDir, 'first-operator');
    const files = readdirSync(folder);
    expect(files.toSorted()).to.deep.equal(['operator.crt', 'operator.key']);
    for (const name of files) expect(statSync(join(folder, name)).mode & 0o777).to.equal(0o600);
    expect(await audited()).to.deep.equal([]);

    await ensure();
    const [entry, ...more] = await audited();
    expect(more).to.deep.equal([]);
    expect(entry).to.include({ actor: 'control-plane', action: 'CERTIFICATE_ISSUED' });
    expect(entry?.subject).to.match(/^o-[a-z2-7]{20}$/);
  });

  it('is made once: whoever takes his files away does not get others', async () => {
    rmSync(join(dataDir, 'first-operator'), { recursive: true });
    await ensure();
    expect(readdirSync(dataDir)).not.to.include('first-operator');
    expect(await audited()).to.have.length(1);
  });

  it('is nobody whose certificate this control plane did not issue', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-operator-'));
    const other = await openFileSecrets({
      dataDir: folder,
      trustDomain: 'test.gap-junction',
      nowMs,
      inUse: false,
    });
    const empty: Store = { ...store(), read: async () => false as never };
    await ensureFirstOperator({
      store: { ...empty, transaction: async () => undefined as never },
      authority: other.authority,
      dataDir: folder,
      nowMs,
    });
    const refused = await ensureFirstOperator({ store: empty, authority, dataDir: folder, nowMs })
      .then(() => 'accepted')
      .catch((error: Error) => error.message);
    expect(refused).to.contain("no operator's certificate of this control plane");
    writeFileSync(join(folder, 'first-operator', 'operator.crt'), 'x', { mode: 0o600 });
    const broken = await ensureFirstOperator({ store: empty, authority, dataDir: folder, nowMs })
      .then(() => 'accepted')
      .catch((error: Error) => error.message);
    expect(broken).to.contain('remove the folder');
    rmSync(folder, { recursive: true });
  });
});
