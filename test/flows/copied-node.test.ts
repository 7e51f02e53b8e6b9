// The folder of a node is copied, and both run: whichever replica each is linked to, one of them is told and
// ends, and jobs go on at the other.
import { cpSync } from 'node:fs';

import { expect } from 'chai';

import { EXIT } from '../../cli/failure.ts';
import { whenAll } from '../all.ts';
import { NOTHING, wasmOf } from '../fakes/job-client.ts';
import type { LocalWorld } from './local-world.ts';
import { withReplicaWorlds } from './replica-worlds.ts';

whenAll('two agents of one node, with two replicas', () => {
  const startWorld = withReplicaWorlds();
  let world: LocalWorld;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.dispose());

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
