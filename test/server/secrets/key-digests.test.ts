import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { openFileSecrets } from '../../../server/secrets/file-secrets.ts';
import { requireSameKeys } from '../../../server/secrets/key-digest-store.ts';
import { keyDigestsOf, type KeyDigests } from '../../../server/secrets/key-digests.ts';
import { onEachStore } from '../../fakes/stores.ts';

onEachStore('the keys of several replicas', (store) => {
  const folder = mkdtempSync(join(tmpdir(), 'gap-junction-keys-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function digestsOf(name: string): Promise<KeyDigests> {
    const dataDir = join(folder, name);
    const trustDomain = 'test.gap-junction';
    return keyDigestsOf(
      await openFileSecrets({ dataDir, trustDomain, nowMs: Date.now(), inUse: false }),
    );
  }
  const check = (digests: KeyDigests) =>
    requireSameKeys(store(), digests, '/the/folder').then(
      () => 'same',
      (error: Error) => error.message,
    );

  it('may be copies of each other', async () => {
    const first = await digestsOf('one');
    expect(await check(first)).to.equal('same');
    expect(await check(first)).to.equal('same');
    cpSync(join(folder, 'one'), join(folder, 'copy'), { recursive: true });
    expect(await check(await digestsOf('copy'))).to.equal('same');
  });

  it('are refused when they are others, by their names, with what to do', async () => {
    expect(await check(await digestsOf('two')))
      .to.contain("'/the/folder'")
      .and.to.contain('(root, signer, heartbeat-master, isolation)')
      .and.to.contain("copy the folder 'secrets' from the data folder of another replica");
    // What was refused has not taken the place of the first.
    expect(await check(await digestsOf('one'))).to.equal('same');
  });

  it('are refused when one alone is another', async () => {
    const digests = { ...(await digestsOf('one')), isolation: new Uint8Array(32) };
    expect(await check(digests)).to.contain('(isolation)');
  });
});
