// The same tests on both databases: PGlite in memory always, PostgreSQL when everything is run.
import { systemClock } from '../../server/clock.ts';
import { openStore, type OpenStore } from '../../server/store/open.ts';
import { whenAll } from '../all.ts';
import { type Postgresql, startPostgresql } from './postgresql.ts';
import { storeTemplate } from './store-template.ts';

/** Describes `tests` for a fresh database of each kind, open while they run. */
export function onEachStore(title: string, tests: (store: () => OpenStore) => void): void {
  describe(`${title} (PGlite)`, () => {
    const current = openFor(async () =>
      openStore({ kind: 'memory' }, { ...OPTIONS, template: await storeTemplate() }),
    );
    tests(current);
  });
  whenAll(`${title} (PostgreSQL)`, () => {
    let postgresql: Postgresql | undefined;
    const current = openFor(async () => {
      postgresql = await startPostgresql();
      return openStore({ kind: 'postgresql', url: postgresql.newDatabase() }, OPTIONS);
    });
    after(() => postgresql?.stop());
    tests(current);
  });
}

const OPTIONS = { clock: systemClock, exclusive: true };

function openFor(open: () => Promise<OpenStore>): () => OpenStore {
  let store: OpenStore | undefined;
  before(async () => {
    store = await open();
  });
  after(() => store?.close());
  return () => {
    if (store === undefined) throw new Error('using the store of a test: it is not open yet');
    return store;
  };
}
