// A guest is read along while it runs, and what was read is what its receipt has the digest of.
import { expect } from 'chai';

import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import type { AgentFolder } from '../../agent/folder.ts';
import { digest } from '../../protocol/bill/digest.ts';
import { endName } from '../../protocol/bill/ends.ts';
import { decodeReceipt } from '../../protocol/bill/receipt.ts';
import { temporaryFolder } from '../fakes/agent.ts';
import {
  enrolIn,
  startAgent,
  startAgentWorld,
  stopAgents,
  type AgentWorld,
} from '../fakes/agent-world.ts';
import { ClientOfJobs } from '../fakes/job-client.ts';

/** Says two lines, and does not end by itself. */
const SAYS_AND_STAYS = `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\n")
  (func (export "run")
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (loop (br 0))))`;

describe('the logs of a guest that runs', () => {
  let world: AgentWorld;
  let client: ClientOfJobs;
  let folder: AgentFolder;
  let dispose: () => void;
  beforeEach(async () => {
    world = await startAgentWorld();
    client = await ClientOfJobs.open(world.controlPlane);
    ({ folder, dispose } = temporaryFolder());
    await enrolIn(world, folder);
  });
  afterEach(async () => {
    await stopAgents();
    dispose();
    await world.stop();
  });

  it('reach its client meanwhile, and all of them before its bill', async () => {
    const agent = startAgent(folder);
    const jobId = await client.submit(SAYS_AND_STAYS, { grants: [Grant.DEBUG_LOGS] });
    let text = '';
    for await (const { chunk } of client.jobs.tailLogs({ jobId })) {
      text += Buffer.from(chunk).toString();
      if (text === 'hello\nhello\n') await client.jobs.cancelJob({ jobId });
    }
    const { job, bill } = await client.watch(jobId);
    expect(endName(job.end)).to.equal('CANCELLED');
    expect(text).to.equal('hello\nhello\n');
    const receipt = decodeReceipt(bill?.receipt?.payload ?? new Uint8Array());
    expect(Buffer.from(receipt.logDigest).toString('hex')).to.equal(
      Buffer.from(digest(Buffer.from(text))).toString('hex'),
    );
    await agent.stop();
  });
});
