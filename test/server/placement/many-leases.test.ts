// A rack that goes dark ends hundreds of leases in one moment: other work gets its turn in between.
import { expect } from 'chai';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import { NOBODY } from '../../../server/jobs/job-observer.ts';
import { readOpenLeases } from '../../../server/placement/lease-store.ts';
import { Leases } from '../../../server/placement/leases.ts';
import { WorkStreams } from '../../../server/placement/work-stream.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
import { insertAttemptRows, insertJobRows } from '../../fakes/job-rows.ts';
import { onEachStore } from '../../fakes/stores.ts';

const LEASES = 250;

onEachStore('many leases that end at once', (store) => {
  it('hold no lock for longer than a hundred of them take, and all end', async () => {
    await store().transaction(fill);
    const leases = new Leases({
      store: store(),
      blobs: { endJob: async () => undefined },
      announcements: new LocalAnnouncements(),
      streams: new WorkStreams(),
      maxAttempts: 3,
      observer: NOBODY,
    });
    const overdue = await store().read((em) => readOpenLeases(em, null));
    expect(overdue).to.have.length(LEASES);
    await leases.expire(overdue);

    // The rows that one transaction wrote have its number.
    const rows = await store().read((em) =>
      query<{ jobs: number }>(
        em,
        `select count(*)::int as jobs from job where state = 'queued' group by xmin::text order by jobs desc`,
      ),
    );
    expect(rows.map(({ jobs }) => jobs)).to.deep.equal([100, 100, 50]);
  });
});

async function fill(em: EntityManager): Promise<void> {
  await insertJobRows(em, { last: LEASES }, { client_id: `'c-' || i % 3`, state: `'running'` });
  await insertAttemptRows(
    em,
    { last: LEASES },
    { node_id: `'n-' || i % 5`, state: `'acknowledged'` },
  );
}
