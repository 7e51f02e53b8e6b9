import { randomBytes, randomInt } from 'node:crypto';

import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';

import { JobSpecSchema } from '#gen/gapjunction/job/v1/job_pb';

import { makeId } from '../../../protocol/identity/ids.ts';
import { DEFAULT_QUOTA } from '../../../server/clients/quota.ts';
import { submitJobs, type SubmissionBlobs } from '../../../server/jobs/submission-store.ts';
import { RpcError } from '../../../server/rpc/error.ts';
import type { Store } from '../../../server/store/store.ts';
import { onEachWorld, TARIFF, type TestClient, type WorkWorld } from '../work-world.ts';

const TERMS = {
  submitRequestId: '',
  seed: Buffer.alloc(32, 1),
  tariff: TARIFF,
  quota: DEFAULT_QUOTA,
};

onEachWorld('a job that is submitted', (openWorld) => {
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

  it('beside others makes each of them, or says what is wrong with it alone', async () => {
    await client.register();
    const before = await client.submit({}, 'before');
    const inline = (text: string) => ({ case: 'inlineInput', value: Buffer.from(text) }) as const;
    const outcomes = await Promise.allSettled([
      client.submit({}, 'a'),
      client.submit({ input: inline('one') }, 'b'),
      client.submit({ moduleDigest: new Uint8Array(32) }, 'c'),
      client.submit({}, 'before'),
      client.submit({ input: inline('one') }, 'd'),
      client.submit({ limits: { fuel: 5n } }, 'before'),
      client.submit({}, 'a'),
    ]);
    const [a, b, c, again, d, reused, alsoA] = outcomes.map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value.jobId : (outcome.reason as RpcError).reason,
    );
    expect([c, reused]).to.deep.equal(['MODULE_UNKNOWN', 'REQUEST_ID_REUSED']);
    expect(again).to.equal(before.jobId);
    expect(alsoA).to.equal(a);
    expect(new Set([a, b, d, again]).size).to.equal(4);
    // One microcent for each of two inputs.
    expect((await client.balance()).heldMicrocents).to.equal(4n * 20_301n + 2n);
  });

  it('beside others is made as far as the balance goes', async () => {
    // Three jobs of 20,301 each, and not a fourth.
    const poor = await world.client({ microcents: 80_000n });
    await poor.register();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, at) => poor.submit({}, `job ${at}`)),
    );
    const reasons = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as RpcError).reason] : [],
    );
    expect(reasons).to.deep.equal(Array.from({ length: 5 }, () => 'BALANCE_TOO_LOW'));
    expect((await poor.balance()).heldMicrocents).to.equal(60_903n);
  });

  it('beside one that fails as nobody expected is made all the same', async () => {
    const moduleDigest = await client.register();
    const blobs: SubmissionBlobs = {
      requireOwned: (...call) => world.blobs.requireOwned(...call),
      claimUpload: (...call) => world.blobs.claimUpload(...call),
      useBlobs: (...call) => world.blobs.useBlobs(...call),
      put: async () => {
        throw new RangeError('a bug');
      },
    };
    const inputs = [{ case: undefined }, { case: 'inlineInput', value: Buffer.from('x') }] as const;
    const outcomes = await submitJobs(
      world.store,
      blobs,
      inputs.map((input, at) => ({
        ...TERMS,
        clientId: client.clientId,
        requestId: `unexpected ${at}`,
        spec: create(JobSpecSchema, { moduleDigest, input }),
        jobId: makeId('j', randomBytes),
      })),
    );
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected']);
  });

  it('beside the same ones in another order, as at other replicas, waits for none in a circle', async () => {
    const moduleDigest = await client.register();
    const uploads = await Promise.all(
      Array.from({ length: 4 }, (_, at) => client.upload(Buffer.from(`upload ${at}`))),
    );
    const inputs = [
      ...uploads.map((value) => ({ case: 'inputDigest', value }) as const),
      ...uploads.map(
        (_, at) => ({ case: 'inlineInput', value: Buffer.from(`inline ${at}`) }) as const,
      ),
    ];
    const failures: string[] = [];
    const store: Store = {
      kind: world.store.kind,
      close: () => world.store.close(),
      read: (work) => world.store.read(work),
      transaction: (work) =>
        world.store.transaction(work).catch((cause: unknown) => {
          failures.push(cause instanceof RpcError ? cause.reason : (cause as Error).name);
          throw cause;
        }),
    };
    for (let round = 0; round < 10; round++) {
      const submissions = inputs.map((input, at) => ({
        clientId: client.clientId,
        requestId: `round ${round}, ${at}`,
        spec: create(JobSpecSchema, { moduleDigest, input }),
        ...TERMS,
      }));
      const orders = [
        submissions,
        submissions.toReversed(),
        submissions.toSorted(() => randomInt(3) - 1),
      ];
      const outcomes = await Promise.all(
        orders.map((order) =>
          submitJobs(
            store,
            world.blobs,
            order.map((one) => ({ ...one, jobId: makeId('j', randomBytes) })),
          ),
        ),
      );
      const made = outcomes
        .flat()
        .flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
      expect(made).to.have.length(3 * inputs.length);
      expect(made.filter(({ isNew }) => isNew)).to.have.length(inputs.length);
    }
    expect(new Set(failures)).to.deep.equal(new Set(['RequestTaken']));
  });
});
