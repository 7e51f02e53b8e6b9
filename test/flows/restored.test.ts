import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

import { whenAll } from '../all.ts';
import { NOTHING, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { LocalWorld } from './local-world.ts';

const TIMEOUT_MS = 120_000;

/** A copy of a folder, away from where it was. */
function copyOf(folder: string): string {
  const copy = mkdtempSync(join(tmpdir(), 'gap-junction-backup-'));
  cpSync(folder, copy, { recursive: true });
  return copy;
}

/** What a job of before the loss, its node and its client can still do. */
async function tellStory(
  world: LocalWorld,
  { lose, restore }: { lose: () => void; restore: () => void },
): Promise<void> {
  const module = await wasmOf(NOTHING);
  const machine = await world.enrol('Ada');
  const agent = await world.run(machine);
  const before = await world.watch(await world.submit(module));
  await world.stopReplica(0);

  lose();
  restore();
  await world.restartReplica(0);

  const again = await world.watch(before.job.jobId);
  expect(again.bill).to.deep.equal(before.bill);
  await world.expectReplays(again, { module, input: new Uint8Array() });
  // The agent was never stopped: the restored keys are those that it knows.
  const after = await world.watch(await world.submit(module));
  expect(after.job.end).to.equal(JobEnd.SUCCEEDED);
  expect((await world.earnings(machine)).settledJobs).to.equal(2n);
  await agent.stop();
  expect(await world.stopAndSumBooks()).to.equal(0n);
}

whenAll('a control plane that was lost comes back from its backup', function () {
  this.timeout(TIMEOUT_MS);
  let postgresql: Postgresql;
  let world: LocalWorld;

  before(async () => {
    postgresql = await startPostgresql();
  });
  after(() => postgresql.stop());
  afterEach(() => world.dispose());

  it('PGlite: a copy of the data folder of a stopped server', async () => {
    world = await LocalWorld.start();
    let copy = '';
    await tellStory(world, {
      lose() {
        copy = copyOf(world.serverFolder);
        rmSync(world.serverFolder, { recursive: true });
      },
      restore: () => cpSync(copy, world.serverFolder, { recursive: true }),
    });
    rmSync(copy, { recursive: true });
  });

  it('PostgreSQL: a dump, and a copy of the keys', async () => {
    const databaseUrl = postgresql.newDatabase();
    world = await LocalWorld.start({ databaseUrl });
    const dump: Buffer[] = [];
    let copy = '';
    await tellStory(world, {
      lose() {
        dump.push(postgresql.dump(databaseUrl));
        copy = copyOf(world.serverFolder);
        rmSync(world.serverFolder, { recursive: true });
      },
      restore() {
        postgresql.restore(databaseUrl, dump[0]!);
        cpSync(copy, world.serverFolder, { recursive: true });
      },
    });
    rmSync(copy, { recursive: true });
  });
});
