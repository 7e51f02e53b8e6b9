import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { expect } from 'chai';
import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { AcknowledgeOutputRequestSchema } from '#gen/gapjunction/job/v1/job_pb';
import { digest } from '../../../protocol/bill/digest.ts';
import { clientHolder } from '../../../server/blobs/blob.ts';
import { DEFAULT_OUTPUT_RETENTION_MS } from '../../../server/jobs/retention.ts';
import { query } from '../../../server/store/query.ts';
import { expectRefusal } from '../expect-refusal.ts';
import {
  EMPTY_PROGRAM,
  onEachWorld,
  type JobMessage,
  type TestClient,
  type WorkNode,
  type WorkWorld,
} from '../work-world.ts';

const HOUR_MS = 60 * 60 * 1000;

onEachWorld('what a job leaves', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let node: WorkNode;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
    node = await world.node();
    node.connect(1);
  });
  afterEach(async () => {
    expect(world.failures).to.deep.equal([]);
    await world.reset();
  });
  after(() => world.close());

  const acknowledge = async (jobId: string, whose = client): Promise<JobMessage> => {
    const request = create(AcknowledgeOutputRequestSchema, { jobId });
    return (await world.jobs.acknowledgeOutput(request, whose.context)).job ?? {};
  };

  /** A job with marked bytes in all that it leaves. */
  async function ended(inputDigest?: Uint8Array) {
    const [input, output] = [randomBytes(100), randomBytes(100)];
    const moduleDigest = await client.register();
    const { jobId } = await client.submit({
      moduleDigest,
      grants: [Grant.DEBUG_LOGS],
      input:
        inputDigest === undefined
          ? { case: 'inlineInput', value: input }
          : { case: 'inputDigest', value: inputDigest },
    });
    const order = await node.nextOrder();
    node.acknowledge(order);
    await node.appendLogs(order.order.attemptId, 0, 'said');
    await node.complete(order, { output });
    const outcome = await client.outcome(jobId);
    node.offer(1);
    const digests = { input: inputDigest ?? digest(input), output: digest(output) };
    return { jobId, digests, job: outcome.job as JobMessage };
  }

  const isReadable = (blobDigest: Uint8Array) =>
    world.blobs.isReadable({ clientId: client.clientId, digest: blobDigest });
  const isStored = async (blobDigest: Uint8Array) => (await world.blobs.open(blobDigest)) !== null;
  const keysOf = async () => {
    const rows = await world.store.read((em) =>
      query<{ count: number }>(em, 'select count(*)::int as count from content_key'),
    );
    return rows[0]?.count ?? -1;
  };

  it('can be read until it is acknowledged, and is erased then, with its keys', async () => {
    const keysBefore = await keysOf();
    const { jobId, digests, job } = await ended();
    expect(timestampMs(job.outputExpiresAt as never)).to.equal(
      timestampMs(job.endedAt as never) + DEFAULT_OUTPUT_RETENTION_MS,
    );
    expect(await isReadable(digests.input)).to.equal(true);
    expect(await isReadable(digests.output)).to.equal(true);
    expect(await client.logs(jobId)).to.equal('said');
    const acknowledged = await acknowledge(jobId);
    expect(acknowledged.revision).to.equal((job.revision ?? 0n) + 1n);
    expect(acknowledged.outputAcknowledgedAt).to.not.equal(undefined);
    expect(acknowledged.outputExpiresAt).to.deep.equal(acknowledged.outputAcknowledgedAt);
    expect(await isReadable(digests.input)).to.equal(false);
    expect(await isReadable(digests.output)).to.equal(false);
    await expectRefusal(client.logs(jobId), 'FAILED_PRECONDITION', 'LOGS_ERASED');
    await world.retention.sweep();
    expect(await isStored(digests.input)).to.equal(false);
    expect(await isStored(digests.output)).to.equal(false);
    // Its module's key is there still.
    expect(await keysOf()).to.equal(keysBefore + 1);
    expect(await isStored(digest(EMPTY_PROGRAM))).to.equal(true);
    expect(await acknowledge(jobId)).to.deep.equal(acknowledged);
    expect((await client.outcome(jobId)).bill).to.not.equal(undefined);
  });

  it('is erased an hour after the end where nobody acknowledges it, and not before', async () => {
    const { jobId, digests } = await ended();
    await world.passTime(DEFAULT_OUTPUT_RETENTION_MS - 60_000);
    await world.retention.sweep();
    expect(await isReadable(digests.output)).to.equal(true);
    expect(await client.logs(jobId)).to.equal('said');
    await world.passTime(61_000);
    await world.retention.sweep();
    expect(await isStored(digests.output)).to.equal(false);
    expect(await isStored(digests.input)).to.equal(false);
    await expectRefusal(client.logs(jobId), 'FAILED_PRECONDITION', 'LOGS_ERASED');
    expect((await acknowledge(jobId)).outputAcknowledgedAt).to.not.equal(undefined);
  });

  it('is kept as long as another job of the client needs the same bytes', async () => {
    const input = await client.upload(randomBytes(200));
    const first = await ended(input);
    const second = await ended(input);
    await acknowledge(first.jobId);
    await world.retention.sweep();
    expect(await isReadable(input)).to.equal(true);
    await acknowledge(second.jobId);
    await world.retention.sweep();
    expect(await isStored(input)).to.equal(false);
  });

  it('is acknowledged by its client alone, and after the end alone', async () => {
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    await expectRefusal(acknowledge(jobId), 'FAILED_PRECONDITION', 'NOT_ENDED');
    node.acknowledge(order);
    await node.complete(order);
    await client.outcome(jobId);
    const stranger = await world.client();
    await expectRefusal(acknowledge(jobId, stranger), 'NOT_FOUND', 'NOT_FOUND');
  });

  it('counts against what its client may store until it is acknowledged, and no longer', async () => {
    const { digests, jobId } = await ended();
    const counted = () =>
      world.store.read((em) =>
        query<{ counted_bytes: number }>(
          em,
          `select counted_bytes from client_blob where client_id = $1 and digest in ($2, $3)`,
          [client.clientId, digests.input, digests.output],
        ),
      );
    expect(await counted()).to.deep.equal([{ counted_bytes: 4096 }, { counted_bytes: 4096 }]);
    await acknowledge(jobId);
    expect(await counted()).to.deep.equal([]);
  });

  it('upload that no job names is erased an hour after its last byte; a module is not', async () => {
    const bytes = randomBytes(100);
    const upload = () => client.upload(bytes);
    const unnamed = await upload();
    const module = await client.register();
    await world.passTime(HOUR_MS - 60_000);
    await world.retention.sweep();
    expect(await isReadable(unnamed)).to.equal(true);
    // Sent again, it is kept for as long again.
    await world.blobs.upload({
      uploader: clientHolder(client.clientId),
      start: { digest: unnamed, sizeBytes: bytes.length, offset: 0 },
      pieces: (async function* () {})(),
    });
    await world.passTime(120_000);
    await world.retention.sweep();
    expect(await isReadable(unnamed)).to.equal(true);
    await world.passTime(HOUR_MS);
    await world.retention.sweep();
    expect(await isStored(unnamed)).to.equal(false);
    expect(await isReadable(module)).to.equal(true);
    expect((await client.submit({ moduleDigest: module })).jobId).to.match(/^j-/);
  });

  it('is erased with what its attempts uploaded for nothing', async () => {
    const { jobId } = await client.submit();
    const order = await node.nextOrder();
    node.acknowledge(order);
    const { attemptId } = order.order;
    const wasted = randomBytes(100);
    await world.blobs.upload({
      uploader: { kind: 'attempt', id: attemptId, clientId: client.clientId },
      start: { digest: digest(wasted), sizeBytes: wasted.length, offset: 0 },
      pieces: (async function* () {
        yield wasted;
      })(),
    });
    await world.fleet.lose(node.nodeId);
    const other = await world.node();
    other.connect(1);
    const again = await other.nextOrder();
    other.acknowledge(again);
    await other.complete(again);
    await client.outcome(jobId);
    expect(await isStored(digest(wasted))).to.equal(true);
    expect(await isReadable(digest(wasted))).to.equal(false);
    await acknowledge(jobId);
    await world.retention.sweep();
    expect(await isStored(digest(wasted))).to.equal(false);
  });

  it('module is erased when its client deletes it', async () => {
    const module = await client.register();
    await world.blobs.delete({ clientId: client.clientId, digest: module });
    expect(await isReadable(module)).to.equal(false);
    const submitted = client.submit({ moduleDigest: module });
    await expectRefusal(submitted, 'NOT_FOUND', 'MODULE_UNKNOWN');
  });
});
