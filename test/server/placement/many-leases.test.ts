// A rack that goes dark ends hundreds of leases in one moment: other work gets its turn in between.
import { expect } from 'chai';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import { NOBODY } from '../../../server/jobs/job-observer.ts';
import { readOpenLeases } from '../../../server/placement/lease-store.ts';
import { Leases } from '../../../server/placement/leases.ts';
import { WorkStreams } from '../../../server/placement/work-stream.ts';
import { query } from '../../../server/store/query.ts';
import type { EntityManager } from '../../../server/store/store.ts';
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
  await query(
    em,
    `insert into job (job_id, client_id, request_id, body_digest, state, revision, module_digest, module_bytes,
       input_digest, input_bytes, entry, stdout_as_result, debug_logs, fuel_limit, deadline_epochs,
       memory_limit_bytes, output_limit_bytes, log_limit_bytes, profile, profile_digest, price_base_microcents,
       price_per_mib_module_microcents, price_per_mib_io_microcents, price_per_million_fuel_microcents,
       price_share_basis_points, seed, hold_microcents, priority, required_labels, least_isolation_level,
       queue_timeout_ms, total_timeout_ms, submit_request_id, submitted_ms, queued_ms, queue_end_ms)
     select 'j-' || i, 'c-' || i % 3, 'r-' || i, '', 'running', 1, '', 1, '', 1, 'START', false, false, 1, 1, 1,
       1, 1, '', '', 1, 1, 1, 1, 1, '', 1, 0, '{}', 0, 3600000, 7200000, '', now_ms, now_ms, now_ms + 3600000
       from gap_junction_now_ms() as now_ms, generate_series(1, $1::int) as i`,
    [LEASES],
  );
  await query(
    em,
    `insert into attempt (attempt_id, job_id, fence, node_id, state, leased_ms, acknowledge_by_ms, lease_end_ms,
       task_id, order_payload, order_key_id, order_chain_digest, node_key_id, node_chain_digest)
     select 'a-' || i, 'j-' || i, 1, 'n-' || i % 5, 'acknowledged', 1, 1, 1, i::text::bytea, '', '', '', '', ''
       from generate_series(1, $1::int) as i`,
    [LEASES],
  );
}
