import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { listAuditEntries, recordAudit } from '../../../server/audit/audit-store.ts';
import { openStore } from '../../../server/store/open.ts';
import { TestClock } from '../../fakes/clock.ts';
import { storeTemplate } from '../../fakes/store-template.ts';

const MIB = 1024 * 1024;

describe('an embedded database whose disk fills up', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'gap-junction-full-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('refuses to write before it is too late, reads on, and writes again when there is room', async () => {
    const clock = new TestClock(0);
    let freeMib = 1_000;
    let looked = Promise.withResolvers<void>();
    const pass = async (): Promise<void> => {
      looked = Promise.withResolvers();
      clock.advance(1_000);
      await looked.promise;
      // The look that was told this has been taken note of.
      await new Promise(setImmediate);
    };
    const store = await openStore(
      { kind: 'folder', path: folder },
      {
        clock,
        exclusive: true,
        template: await storeTemplate(),
        async freeBytes() {
          looked.resolve();
          if (freeMib < 0) throw new Error('the file system does not answer');
          return freeMib * MIB;
        },
      },
    );
    const write = () =>
      store
        .transaction((em) =>
          recordAudit(em, { actor: 'control-plane', action: 'TESTED', subject: 'x' }),
        )
        .then(
          () => 'written',
          (error: { reason?: string }) => error.reason,
        );
    const count = () =>
      store.read(
        async (em) => (await listAuditEntries(em, { beforeEntryNumber: null, limit: 10 })).length,
      );

    expect(await write()).to.equal('written');
    for (const full of [100, 0, -1]) {
      freeMib = full;
      await pass();
      expect(await write(), `${full} MiB`).to.equal('STORAGE_FULL');
    }
    expect(await count()).to.equal(1);
    freeMib = 200;
    await pass();
    expect(await write()).to.equal('written');
    expect(await count()).to.equal(2);
    await store.close();
  });

  it('does not start on one that is full', async () => {
    const refused = await openStore(
      { kind: 'folder', path: folder },
      { clock: new TestClock(0), exclusive: true, freeBytes: async () => 127 * MIB },
    ).catch((error: Error) => error.message);
    expect(refused).to.contain('its disk has 127 MiB left');
  });
});
