// The folder of a node is copied, and both run: whichever replica each is linked to, one of them is told and
// ends, and jobs go on at the other.
import { cpSync } from 'node:fs';

import { expect } from 'chai';

import { EXIT } from '../../cli/failure.ts';
import { whenAll } from '../all.ts';
import { NOTHING, wasmOf } from '../fakes/job-client.ts';
import { startPostgresql, type Postgresql } from '../fakes/postgresql.ts';
import { startRedis, type TestRedis } from '../fakes/redis.ts';
import { LocalWorld } from './local-world.ts';

whenAll('two agents of one node, with two replicas', () => {
  let postgresql: Postgresql;
  let redis: TestRedis;
  let world: LocalWorld;
  before(async () => {
    postgresql = await startPostgresql();
    redis = await startRedis(['--maxmemory-policy', 'noeviction']);
    world = await LocalWorld.start({
      databaseUrl: postgresql.newDatabase(),
      redisUrl: redis.url,
      replicas: 2,
    });
  });
  after(async () => {
    await world.dispose();
    await redis.stop();
    postgresql.stop();
  });

  it('are not both believed: one ends and says why, the other works on', async () => {
    const node = await world.enrol('node');
    const copy = { ...node, dataDir: `${node.dataDir}-copy` };
    const first = await world.run(node);
    cpSync(node.dataDir, copy.dataDir, { recursive: true });
    const second = await world.run(copy);

    const { agent: ended, code } = await Promise.race(
      [first, second].map(async (agent) => ({ agent, code: await agent.ended() })),
    );
    expect(code).to.equal(EXIT.failed);
    expect(ended.log).to.contain('NODE_SUPERSEDED');
    const other = ended === first ? second : first;
    const { job } = await world.watch(await world.submit(await wasmOf(NOTHING)));
    expect(job.attempts.map(({ nodeId }) => nodeId)).to.deep.equal([node.nodeId]);
    expect(other.running, 'the other one').to.equal(true);
  });
});
