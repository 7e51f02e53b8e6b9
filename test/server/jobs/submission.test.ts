import { expect } from 'chai';
import { create } from '@bufbuild/protobuf';
import { Entry, Grant, LimitsSchema } from '#gen/gapjunction/job/v1/bill_pb';
import {
  JobSpecSchema,
  ListJobsRequestSchema,
  ListModulesRequestSchema,
  QuoteJobRequestSchema,
  RegisterModuleRequestSchema,
} from '#gen/gapjunction/job/v1/job_pb';
import { digest } from '../../../protocol/bill/digest.ts';
import { query } from '../../../server/store/query.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, EMPTY_PROGRAM, type WorkWorld, type TestClient } from '../work-world.ts';

/** The same program under another digest: a custom section named `x` behind it. */
const padded = (bytes: number): Uint8Array =>
  Buffer.concat([
    EMPTY_PROGRAM,
    Uint8Array.from([0x00, bytes + 2, 0x01, 0x78]),
    new Uint8Array(bytes),
  ]);

onEachWorld('submitting a job', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
  });
  afterEach(async () => {
    expect(await world.ledgerSum()).to.equal(0n);
    await world.reset();
  });
  after(() => world.close());

  it('holds exactly what QuoteJob says, once for all retries of one request', async () => {
    const moduleDigest = await client.register();
    const spec = create(JobSpecSchema, {
      moduleDigest,
      input: { case: 'inlineInput', value: Buffer.from('abc') },
      grants: [Grant.STDOUT_AS_RESULT, Grant.DEBUG_LOGS],
    });
    const quote = await world.jobs.quoteJob(
      create(QuoteJobRequestSchema, { spec }),
      client.context,
    );
    // 100, 1 for 41 bytes of module, 201 for 1 MiB + 3 bytes of output and input, 20,000 for the fuel.
    expect(quote.holdMicrocents).to.equal(20_302n);
    expect(quote.leastMicrocents).to.equal(102n);
    const job = await client.submit(spec, 'once');
    const retry = await client.submit(
      { ...spec, grants: [Grant.DEBUG_LOGS, Grant.STDOUT_AS_RESULT], limits: create(LimitsSchema) },
      'once',
    );
    expect(retry.jobId).to.equal(job.jobId);
    expect(job.holdMicrocents).to.equal(quote.holdMicrocents);
    expect((await client.balance()).heldMicrocents).to.equal(20_302n);
  });

  it('again answers the job, also where it would be refused by now', async () => {
    const moduleDigest = await client.register(padded(3));
    const { jobId } = await client.submit({ moduleDigest }, 'again');
    await world.jobs.cancelJob({ jobId } as never, client.context);
    await world.blobs.delete({ clientId: client.clientId, digest: moduleDigest });
    await expectRefusal(client.submit({ moduleDigest }, 'anew'), 'NOT_FOUND', 'MODULE_UNKNOWN');
    expect((await client.submit({ moduleDigest }, 'again')).jobId).to.equal(jobId);
    await expectRefusal(
      client.submit({ moduleDigest, limits: { fuel: 5n } }, 'again'),
      'ALREADY_EXISTS',
      'REQUEST_ID_REUSED',
    );
  });

  it('twice at the same moment makes one job', async () => {
    await client.register();
    const jobs = await Promise.all([1, 2, 3, 4].map(() => client.submit({}, 'at once')));
    expect(new Set(jobs.map(({ jobId }) => jobId)).size).to.equal(1);
  });

  it('with another body under the same request id is refused; of another client it is another job', async () => {
    const { jobId } = await client.submit({}, 'mine');
    await expectRefusal(
      client.submit({ limits: { fuel: 5n } }, 'mine'),
      'ALREADY_EXISTS',
      'REQUEST_ID_REUSED',
    );
    const stranger = await world.client();
    expect((await stranger.submit({}, 'mine')).jobId).not.to.equal(jobId);
  });

  it('beyond the balance is refused with what is needed, and leaves nothing behind', async () => {
    const poor = await world.client({ microcents: 20_300n });
    const refusal = await expectRefusal(poor.submit(), 'FAILED_PRECONDITION', 'BALANCE_TOO_LOW');
    expect(refusal.metadata).to.deep.equal({
      needed_microcents: '20301',
      available_microcents: '20300',
    });
    const { jobs } = await world.jobs.listJobs(create(ListJobsRequestSchema), poor.context);
    expect(jobs).to.deep.equal([]);
    expect((await poor.submit({ limits: { fuel: 1_000_000n } })).holdMicrocents).to.equal(303n);
  });

  it('beyond each limit names the field', async () => {
    const beyond = {
      fuel: 10n ** 12n + 1n,
      deadlineEpochs: 60_001,
      memoryBytes: 2n ** 30n + 1n,
      outputBytes: 64n * 2n ** 20n + 1n,
      logBytes: 2n ** 20n + 1n,
    };
    const { fieldViolations } = await expectRefusal(
      client.submit({ limits: beyond }),
      'INVALID_ARGUMENT',
      'LIMIT_EXCEEDED',
    );
    expect(fieldViolations.map(({ field }) => field)).to.deep.equal([
      'spec.limits.fuel',
      'spec.limits.deadline_epochs',
      'spec.limits.memory_bytes',
      'spec.limits.output_bytes',
      'spec.limits.log_bytes',
    ]);
  });

  it('for an entry that the module does not have is refused', async () => {
    await expectRefusal(client.submit({ entry: Entry.RUN }), 'INVALID_ARGUMENT', 'ENTRY_MISSING');
    expect((await client.submit({ entry: Entry.START })).entry).to.equal(Entry.START);
  });

  it("with another client's module or input finds none", async () => {
    const stranger = await world.client();
    const moduleDigest = await stranger.register(padded(9));
    await expectRefusal(client.submit({ moduleDigest }), 'NOT_FOUND', 'MODULE_UNKNOWN');
    const value = await stranger.upload(Buffer.from('secret'));
    const input = { case: 'inputDigest', value } as const;
    await expectRefusal(client.submit({ input }), 'NOT_FOUND', 'INPUT_UNKNOWN');
    await client.upload(Buffer.from('secret'));
    expect((await client.submit({ input })).input?.sizeBytes).to.equal(6n);
  });

  it('keeps its module and input from being deleted until it ends', async () => {
    const moduleDigest = await client.register();
    const { clientId } = client;
    const { jobId } = await client.submit({ moduleDigest });
    const remove = () => world.blobs.delete({ clientId, digest: moduleDigest });
    await expectRefusal(remove(), 'FAILED_PRECONDITION', 'BLOB_IN_USE');
    await world.jobs.cancelJob({ jobId } as never, client.context);
    await remove();
    await expectRefusal(client.submit({ moduleDigest }), 'NOT_FOUND', 'MODULE_UNKNOWN');
    const { modules } = await world.jobs.listModules(
      create(ListModulesRequestSchema),
      client.context,
    );
    expect(modules).to.deep.equal([]);
  });

  it("shows a client's jobs to nobody else, and in pages, newest first", async () => {
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) ids.push((await client.submit()).jobId);
    const stranger = await world.client();
    const jobId = ids[0] ?? '';
    for (const call of [
      () => world.jobs.getJob({ jobId } as never, stranger.context),
      () => world.jobs.getBill({ jobId } as never, stranger.context),
      () => stranger.outcome(jobId),
    ]) {
      await expectRefusal(call(), 'NOT_FOUND', 'NOT_FOUND');
    }
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await world.jobs.listJobs(
        create(ListJobsRequestSchema, { pageSize: 2, pageToken }),
        client.context,
      );
      seen.push(...(page.jobs ?? []).map((job) => job.jobId ?? ''));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    expect(seen).to.have.members(ids);
    expect(seen).to.have.length(5);
    const forged = create(ListJobsRequestSchema, { pageToken: 'x' });
    await expectRefusal(
      world.jobs.listJobs(forged, client.context),
      'INVALID_ARGUMENT',
      'PAGE_TOKEN_UNKNOWN',
    );
  });

  it('that runs has no bill yet, and says so', async () => {
    const { jobId } = await client.submit();
    await expectRefusal(
      world.jobs.getBill({ jobId } as never, client.context),
      'FAILED_PRECONDITION',
      'NOT_ENDED',
    );
  });

  it('stores the input under a key of its own, not as it was sent', async () => {
    const value = Buffer.from('a secret that must not lie in the database');
    await client.submit({ input: { case: 'inlineInput', value } });
    const rows = await world.store.read((em) =>
      query<{ sealed: Uint8Array }>(em, 'select sealed from blob where digest = $1', [
        digest(value),
      ]),
    );
    expect(rows).to.have.length(1);
    expect(Buffer.from(rows[0]?.sealed ?? []).includes('a secret')).to.equal(false);
  });
});

onEachWorld('registering a module', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  before(async () => {
    world = await openWorld();
    client = await world.client();
  });
  after(() => world.close());

  const register = (moduleDigest: Uint8Array, as = client) =>
    world.jobs.registerModule(
      create(RegisterModuleRequestSchema, { digest: moduleDigest }),
      as.context,
    );

  it('tells its entries and its memory, and again when repeated', async () => {
    const moduleDigest = await client.upload(EMPTY_PROGRAM);
    const { module } = await register(moduleDigest);
    expect(module?.entries).to.deep.equal([Entry.START]);
    expect(module?.minMemoryPages).to.equal(1);
    expect(await register(moduleDigest)).to.deep.equal({ module });
  });

  it('of bytes that were not uploaded by this client is refused', async () => {
    const moduleDigest = await client.upload(padded(20));
    const stranger = await world.client();
    await expectRefusal(register(moduleDigest, stranger), 'NOT_FOUND', 'BLOB_UNKNOWN');
    await expectRefusal(register(new Uint8Array(32)), 'NOT_FOUND', 'BLOB_UNKNOWN');
  });

  it('cut off at any byte is refused, with where and why', async () => {
    for (let length = 1; length < EMPTY_PROGRAM.length; length++) {
      // A module of complete sections is a module; without an entry it runs no job.
      if (length === 8 || [14, 18, 23].includes(length)) continue;
      const moduleDigest = await client.upload(EMPTY_PROGRAM.subarray(0, length));
      const { metadata } = await expectRefusal(
        register(moduleDigest),
        'INVALID_ARGUMENT',
        'MODULE_REFUSED',
      );
      expect(Number(metadata['offset'])).to.be.within(0, length);
      expect(metadata['cause']).not.to.equal('');
    }
  });

  it('whose types do not fit is refused with its offset', async () => {
    const broken = Uint8Array.from(EMPTY_PROGRAM);
    // The body's `end` becomes a `drop` with nothing to drop.
    broken[broken.length - 1] = 0x1a;
    const moduleDigest = await client.upload(broken);
    await expectRefusal(register(moduleDigest), 'INVALID_ARGUMENT', 'MODULE_REFUSED');
  });
});
