// What is erased is in no file any more: neither its bytes, which never were there in the clear, nor the
// keys that they were sealed under.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { AcknowledgeOutputRequestSchema } from '#gen/gapjunction/job/v1/job_pb';
import { clientHolder } from '../../../server/blobs/blob.ts';
import { systemClock } from '../../../server/clock.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { query } from '../../../server/store/query.ts';
import { digest } from '../../../protocol/bill/digest.ts';
import { whenAll } from '../../all.ts';
import { filesWith } from '../../fakes/files-with.ts';
import { startPostgresql } from '../../fakes/postgresql.ts';
import { storeTemplate } from '../../fakes/store-template.ts';
import { EMPTY_PROGRAM, WorkWorld } from '../work-world.ts';

/** A custom section with these bytes: the module stays valid, and is another. */
function markedProgram(mark: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from([1, 0x78]), mark]);
  return Buffer.concat([EMPTY_PROGRAM, Buffer.from([0, body.length]), body]);
}

interface Marks {
  readonly module: Uint8Array;
  readonly input: Uint8Array;
  readonly largeInput: Uint8Array;
  readonly output: Uint8Array;
  readonly logs: string;
}

/** Runs two jobs with these bytes in all that they bring and leave. */
async function runJobs(world: WorkWorld, marks: Marks) {
  const client = await world.client();
  const node = await world.node();
  node.connect(1);
  const moduleDigest = await client.register(markedProgram(marks.module));
  const large = Buffer.concat([marks.largeInput, new Uint8Array(300_000)]);
  await world.blobs.upload({
    uploader: clientHolder(client.clientId),
    start: { digest: digest(large), sizeBytes: large.length, offset: 0 },
    pieces: (async function* () {
      yield large;
    })(),
  });
  const jobIds: string[] = [];
  for (const input of [
    { case: 'inlineInput', value: marks.input },
    { case: 'inputDigest', value: digest(large) },
  ] as const) {
    const { jobId } = await client.submit({ moduleDigest, grants: [Grant.DEBUG_LOGS], input });
    const order = await node.nextOrder();
    node.acknowledge(order);
    await node.appendLogs(order.order.attemptId, 0, marks.logs);
    await node.complete(order, { output: marks.output });
    await client.outcome(jobId);
    node.offer(1);
    jobIds.push(jobId);
  }
  return { client, moduleDigest, jobIds };
}

async function eraseAll(
  world: WorkWorld,
  { client, moduleDigest, jobIds }: Awaited<ReturnType<typeof runJobs>>,
): Promise<void> {
  for (const jobId of jobIds) {
    const request = create(AcknowledgeOutputRequestSchema, { jobId });
    await world.jobs.acknowledgeOutput(request, client.context);
  }
  await world.blobs.delete({ clientId: client.clientId, digest: moduleDigest });
  await world.retention.sweep();
  expect(world.failures).to.deep.equal([]);
}

async function keysIn(store: OpenStore): Promise<Uint8Array[]> {
  const rows = await store.read((em) =>
    query<{ key: Uint8Array }>(em, 'select key from content_key'),
  );
  return rows.map(({ key }) => key);
}

const newMarks = (): Marks => ({
  module: randomBytes(40),
  input: randomBytes(40),
  largeInput: randomBytes(40),
  output: randomBytes(40),
  logs: randomBytes(40).toString('hex'),
});

const plainOf = ({ logs, ...bytes }: Marks) => [...Object.values(bytes), Buffer.from(logs)];

describe('the bytes of an acknowledged job', () => {
  it('and the keys that they were sealed under are in no file of database and blob store', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'gap-junction-erased-'));
    const store = await openStore(
      { kind: 'folder', path: folder },
      { clock: systemClock, exclusive: true, template: await storeTemplate() },
    );
    const world = await WorkWorld.open({ store });
    try {
      const folders = [folder, world.dataDir];
      const marks = newMarks();
      const jobs = await runJobs(world, marks);
      const keys = await keysIn(store);
      // The module, two inputs, one output of both, and the logs of each.
      expect(keys).to.have.length(6);
      await store.read((em) => query(em, 'checkpoint'));
      const before = filesWith([...keys, ...plainOf(marks)], ...folders);
      for (const files of before.slice(0, keys.length)) expect(files).to.not.deep.equal([]);
      for (const files of before.slice(keys.length)) expect(files).to.deep.equal([]);
      await eraseAll(world, jobs);
      expect(await keysIn(store)).to.deep.equal([]);
      for (const files of filesWith([...keys, ...plainOf(marks)], ...folders)) {
        expect(files).to.deep.equal([]);
      }
    } finally {
      await world.close();
      rmSync(folder, { recursive: true });
    }
  });
});

whenAll('the bytes of an acknowledged job (PostgreSQL)', () => {
  it('and their keys are in no file but what the database wrote ahead, until that is dropped', async () => {
    const postgresql = await startPostgresql();
    const location = { kind: 'postgresql', url: postgresql.newDatabase() } as const;
    const store = await openStore(location, { clock: systemClock, exclusive: true });
    const world = await WorkWorld.open({ store });
    try {
      const marks = newMarks();
      const jobs = await runJobs(world, marks);
      const keys = await keysIn(store);
      const [row] = await store.read((em) =>
        query<{ folder: string }>(em, `select current_setting('data_directory') as folder`),
      );
      const folders = [row?.folder ?? '', world.dataDir];
      await store.read((em) => query(em, 'checkpoint'));
      for (const files of filesWith(keys, ...folders)) expect(files).to.not.deep.equal([]);
      await eraseAll(world, jobs);
      await store.read((em) => query(em, 'checkpoint'));
      for (const path of filesWith(keys, ...folders).flat()) expect(path).to.match(/^pg_wal\//);
      for (const files of filesWith(plainOf(marks), ...folders)) expect(files).to.deep.equal([]);
    } finally {
      await world.close();
      postgresql.stop();
    }
  });
});
