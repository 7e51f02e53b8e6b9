import { systemClock } from '../../server/clock.ts';
import { openStore, type OpenStore } from '../../server/store/open.ts';
import { query } from '../../server/store/query.ts';
import type { EntityManager } from '../../server/store/store.ts';
import { whenAll } from '../all.ts';
import { type Postgresql, startPostgresql } from './postgresql.ts';

/**
 * Describes `tests` on a PostgreSQL that was filled once, and knows how full its tables are; when everything
 * is run.
 */
export function onFilledPostgresql(
  title: string,
  fill: (em: EntityManager) => Promise<void>,
  tests: (store: () => OpenStore) => void,
): void {
  whenAll(title, () => {
    let postgresql: Postgresql;
    let store: OpenStore;
    before(async () => {
      postgresql = await startPostgresql();
      const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
      store = await openStore(location, { clock: systemClock, exclusive: true });
      await store.transaction(fill);
      await store.read((em) => query(em, 'vacuum analyze'));
    });
    after(async () => {
      await store.close();
      postgresql.stop();
    });
    tests(() => store);
  });
}
