// Who is served first, on the database: what clients would lose to one another.
import { expect } from 'chai';
import { saveQuota } from '../../../server/clients/quota-store.ts';
import { PassedOver } from '../../../server/jobs/passed-over.ts';
import { burnCharge, leaseCharge } from '../../../server/jobs/queue.ts';
import { chooseJobs, requireInFlight } from '../../../server/jobs/queue-store.ts';
import { query } from '../../../server/store/query.ts';
import { systemClock } from '../../../server/clock.ts';
import { openStore } from '../../../server/store/open.ts';
import { whenAll } from '../../all.ts';
import { type Postgresql, startPostgresql } from '../../fakes/postgresql.ts';
import { onEachWorld, type TestClient, type WorkNode, WorkWorld } from '../work-world.ts';

const NO_QUOTA = { jobsInFlight: 0, jobsQueued: 0, fuelPerHour: 0n, blobBytes: 0, weight: 0 };

onEachWorld('clients that want the same nodes', (openWorld) => {
  let world: WorkWorld;
  let many: TestClient;
  let few: TestClient;
  let moduleDigest: Uint8Array;
  before(async () => {
    world = await openWorld();
    many = await world.client();
    few = await world.client();
    moduleDigest = await many.register();
    await few.register();
  });
  after(() => world.close());
  afterEach(async () => {
    await world.reset();
    await world.store.transaction((em) => query(em, 'truncate client_quota'));
  });

  const submit = async (client: TestClient, count: number, spec = {}): Promise<string[]> => {
    const jobIds: string[] = [];
    for (let index = 0; index < count; index++) {
      jobIds.push((await client.submit({ ...spec, moduleDigest })).jobId);
    }
    return jobIds;
  };

  /** So many more that wait, as if they had been submitted behind this one. They have no holds. */
  const queueMore = (client: TestClient, jobId: string, count: number) =>
    world.store.transaction(async (em) => {
      await query(
        em,
        `insert into job select r.* from job j
           cross join generate_series(1, $2::int) n
           cross join lateral jsonb_populate_record(null::job, to_jsonb(j) || jsonb_build_object(
             'job_id', overlay(j.job_id placing translate(lpad(n::text, 6, '0'), '0189', 'wxyz') from 17),
             'request_id', 'more-' || n,
             'submitted_ms', j.submitted_ms + n)) r
          where j.job_id = $1`,
        [jobId, count],
      );
      await query(
        em,
        'update client_queue set queued_jobs = queued_jobs + $2::int where client_id = $1',
        [client.clientId, count],
      );
    });

  /** Whose orders a node with one slot gets, one after another; each job burns so much. */
  async function served(node: WorkNode, count: number, fuel = 1_000n): Promise<string[]> {
    const jobIds: string[] = [];
    for (let index = 0; index < count; index++) {
      const received = await node.nextOrder();
      jobIds.push(received.order.jobId);
      node.acknowledge(received);
      await node.complete(received, { fuel });
      node.offer(1);
    }
    return jobIds;
  }

  it('a single job does not wait for the 10,000 of another client', async () => {
    const [first] = await submit(many, 1);
    await queueMore(many, first!, 9_999);
    const [single] = await submit(few, 1);
    const node = await world.node();
    node.connect(3);
    const orders = [await node.nextOrder(), await node.nextOrder(), await node.nextOrder()];
    expect(orders.map(({ order }) => order.jobId)).to.include(single);
  });

  it('weights share the nodes out, and the share outlives a restart of placement', async () => {
    await world.store.transaction((em) => saveQuota(em, many.clientId, { ...NO_QUOTA, weight: 2 }));
    const heavy = new Set(await submit(many, 12));
    await submit(few, 12);
    const node = await world.node();
    node.connect(1);
    const before = await served(node, 6, 50_000_000n);
    await node.disconnect();
    await world.restartPlacement();
    node.connect(1);
    const after = await served(node, 6, 50_000_000n);
    const share = [...before, ...after].filter((jobId) => heavy.has(jobId)).length;
    expect(share).to.be.within(7, 9);
  });

  it('a priority passes the own jobs of a client, and no other client', async () => {
    const low = await submit(many, 2);
    const [high] = await submit(many, 1, { priority: 9 });
    const others = await submit(few, 2);
    const node = await world.node();
    node.connect(1);
    const order = await served(node, 5);
    const own = order.filter((jobId) => !others.includes(jobId));
    expect(own).to.deep.equal([high, ...low]);
    expect(order.indexOf(others[0]!)).to.be.at.most(1);
  });

  it('one at its quota of jobs in flight is passed over, until one of them ends', async () => {
    await world.store.transaction((em) =>
      saveQuota(em, many.clientId, { ...NO_QUOTA, jobsInFlight: 1 }),
    );
    const own = await submit(many, 3);
    const [other] = await submit(few, 1);
    const node = await world.node();
    node.connect(4);
    const orders = [await node.nextOrder(), await node.nextOrder()];
    expect(orders.map(({ order }) => order.jobId)).to.have.members([own[0], other]);
    await world.placement.sweep();
    expect(node.waitingOrders).to.equal(0);
    const first = orders.find(({ order }) => order.jobId === own[0])!;
    node.acknowledge(first);
    await node.complete(first);
    node.offer(3);
    expect((await node.nextOrder()).order.jobId).to.equal(own[1]);
  });

  it('jobs that no node may take hold up neither those of others nor those behind them', async () => {
    const [first] = await submit(many, 1, { constraints: { labels: { gpu: 'yes' } } });
    await queueMore(many, first!, 300);
    const [behind] = await submit(many, 1);
    const [other] = await submit(few, 1);
    const node = await world.node();
    node.connect(2);
    expect((await node.nextOrder()).order.jobId).to.equal(other);
    const found: string[] = [];
    const next = node.nextOrder().then(({ order }) => found.push(order.jobId));
    // 300 jobs, some 30 a look.
    for (let look = 0; look < 20 && found.length === 0; look++) await world.placement.sweep();
    await next;
    expect(found).to.deep.equal([behind]);
  });

  it('the counts and the virtual times follow from the jobs, whatever happens to them', async () => {
    const node = await world.node();
    const ended = await submit(many, 2);
    node.connect(1);
    await served(node, 2, 7_654_321n);
    const [running, queued, cancelled] = await submit(many, 3);
    const order = await node.nextOrder();
    expect(order.order.jobId).to.equal(running);
    await world.jobs.cancelJob({ jobId: cancelled } as never, many.context);
    const rows = await world.store.read((em) =>
      query<Record<string, unknown>>(
        em,
        `select q.queued_jobs, q.running_jobs, q.open_fuel::text, q.ended_fuel::text, q.virtual_time::text,
                (select sum(fuel_limit) from job where state in ('queued', 'running'))::text as limits
           from client_queue q where client_id = $1`,
        [many.clientId],
      ),
    );
    const { limits, ...counts } = rows[0]!;
    expect(ended).to.have.length(2);
    expect(queued).not.to.equal(undefined);
    expect(counts).to.deep.equal({
      queued_jobs: 1,
      running_jobs: 1,
      open_fuel: limits,
      ended_fuel: String(2n * 7_654_321n),
      virtual_time: String(3n * leaseCharge(1) + 2n * burnCharge(7_654_321n, 1)),
    });
  });

  it('choosing reads a few rows of a long queue, and sorts none of it', async () => {
    const [first] = await submit(many, 1);
    await queueMore(many, first!, 5_000);
    await submit(few, 1);
    const options = { limit: 32, jobsInFlight: 1_000, ...new PassedOver().next() };
    const choice = await world.store.transaction((em) => chooseJobs(em, options));
    expect(choice.looks.reduce((sum, { jobs }) => sum + jobs.length, 0)).to.be.at.most(32 + 2 * 2);
    const plan = await world.store.transaction(async (em) => {
      await query(em, 'analyze job');
      const rows = await query<{ 'QUERY PLAN': string }>(
        em,
        `explain select job_id from job where state = 'queued' and client_id = $1
            and (9 - priority, submitted_ms, job_id) > (-1, 0, '')
          order by 9 - priority, submitted_ms, job_id limit 18`,
        [many.clientId],
      );
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    });
    expect(plan).to.contain('job_queue_index').and.not.to.contain('Sort');
  });
});

whenAll('replicas that choose from one queue', () => {
  let postgresql: Postgresql;
  let world: WorkWorld;
  before(async () => {
    postgresql = await startPostgresql();
    const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
    const store = await openStore(location, { clock: systemClock, exclusive: true });
    world = await WorkWorld.open({ store });
  });
  afterEach(() => world.reset());
  after(async () => {
    await world.close();
    postgresql.stop();
  });

  it('at the same moment give no job twice', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => world.client()));
    const [moduleDigest] = await Promise.all(clients.map((client) => client.register()));
    await Promise.all(
      clients.flatMap((client) => [1, 2, 3, 4].map(() => client.submit({ moduleDigest }))),
    );
    const chosen: string[][] = [];
    const bothChose = Promise.withResolvers<void>();
    const choose = () =>
      world.store.transaction(async (em) => {
        const options = { limit: 6, jobsInFlight: 100, ...new PassedOver().next() };
        const { jobIds, waitingJobs } = await chooseJobs(em, options);
        expect(waitingJobs).to.equal(12);
        if (chosen.push([...jobIds]) === 2) bothChose.resolve();
        await bothChose.promise;
      });
    await Promise.all([choose(), choose()]);
    const all = chosen.flat();
    expect(new Set(all).size).to.equal(all.length);
    expect(all.length).to.be.at.least(6);
  });

  it('never give a client more in flight than its quota, though each saw room', async () => {
    const client = await world.client();
    await world.store.transaction((em) =>
      saveQuota(em, client.clientId, { ...NO_QUOTA, jobsInFlight: 2 }),
    );
    const moduleDigest = await client.register();
    for (let count = 0; count < 4; count++) await client.submit({ moduleDigest });
    const bothChose = Promise.withResolvers<void>();
    let chosen = 0;
    const place = () =>
      world.store.transaction(async (em) => {
        const options = { limit: 8, jobsInFlight: 100, ...new PassedOver().next() };
        const { jobIds, nearQuota } = await chooseJobs(em, options);
        if (++chosen === 2) bothChose.resolve();
        await bothChose.promise;
        await query(
          em,
          `update job set state = 'running', revision = 2
            where job_id in (select jsonb_array_elements_text($1::jsonb))`,
          [JSON.stringify(jobIds)],
        );
        await requireInFlight(em, { clientIds: [...nearQuota], jobsInFlight: 100 });
        return jobIds.length;
      });
    const outcomes = await Promise.allSettled([place(), place()]);
    const placed = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(placed).to.deep.equal([2]);
  });

  it('never do so either where one saw more room than jobs, since the other had locked the rest', async () => {
    const client = await world.client();
    await world.store.transaction((em) =>
      saveQuota(em, client.clientId, { ...NO_QUOTA, jobsInFlight: 2 }),
    );
    const moduleDigest = await client.register();
    for (let count = 0; count < 3; count++) await client.submit({ moduleDigest });
    const bothChose = Promise.withResolvers<void>();
    const isFull = Promise.withResolvers<void>();
    let chosen = 0;
    const place = () =>
      world.store.transaction(async (em) => {
        const options = { limit: 8, jobsInFlight: 100, ...new PassedOver().next() };
        const { jobIds, nearQuota } = await chooseJobs(em, options);
        if (++chosen === 2) bothChose.resolve();
        await bothChose.promise;
        if (jobIds.length === 1) await isFull.promise;
        await query(
          em,
          `update job set state = 'running', revision = 2
            where job_id in (select jsonb_array_elements_text($1::jsonb))`,
          [JSON.stringify(jobIds)],
        );
        await requireInFlight(em, { clientIds: [...nearQuota], jobsInFlight: 100 });
        return jobIds.length;
      });
    const placeAndTell = async () => {
      const placed = await place();
      if (placed === 2) isFull.resolve();
      return placed;
    };
    const outcomes = await Promise.allSettled([placeAndTell(), placeAndTell()]);
    const placed = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(placed).to.deep.equal([2]);
  });

  it('end every job of many clients once, and count none wrongly', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => world.client()));
    const moduleDigest = (await Promise.all(clients.map((client) => client.register())))[0]!;
    const nodes = await Promise.all([world.node(), world.node()]);
    for (const node of nodes) {
      node.connect(4);
      void node.serve(4, (received) => node.complete(received, { fuel: 5_000n }));
    }
    await Promise.all(
      clients.flatMap((client, index) =>
        Array.from({ length: 15 }, async (_, number) => {
          const { jobId } = await client.submit({
            moduleDigest,
            priority: number % 10,
            input: { case: 'inlineInput', value: Buffer.from(`${index}`) },
          });
          if (number % 5 === 0) await world.jobs.cancelJob({ jobId } as never, client.context);
          return client.outcome(jobId);
        }),
      ),
    );
    const wrong = await world.store.read((em) =>
      query(
        em,
        `select q.client_id from client_queue q left join job j on j.client_id = q.client_id
          group by q.client_id
         having q.queued_jobs <> count(j) filter (where j.state = 'queued')
             or q.running_jobs <> count(j) filter (where j.state = 'running')
             or q.open_fuel <> coalesce(sum(j.fuel_limit) filter (where j.state in ('queued', 'running')), 0)
             or q.ended_fuel <> coalesce(sum(j.fuel), 0)`,
      ),
    );
    expect(wrong).to.deep.equal([]);
    expect(world.failures).to.deep.equal([]);
  });
});
