// The plain bytes of a job, looked for in every file of a control plane and of the node that ran it. The
// sandbox has no file to look into: it may write none.
import { randomBytes } from 'node:crypto';
import { relative } from 'node:path';
import { expect } from 'chai';

import { Code, ConnectError } from '@connectrpc/connect';
import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { temporaryFolder } from '../fakes/agent.ts';
import { enrolIn, startAgent, startAgentWorld } from '../fakes/agent-world.ts';
import { filesWith } from '../fakes/files-with.ts';
import { ClientOfJobs } from '../fakes/job-client.ts';
import { whenAll } from '../all.ts';

const INPUT_BYTES = 48;

/** Logs its input's second half, and gives the first with each bit turned; has a mark of its own. */
const markedGuest = (mark: string) => `(module
  (import "gap_junction" "input_read" (func $read (param i32 i32 i32) (result i32)))
  (import "gap_junction" "output_write" (func $give (param i32 i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1000) "${mark}")
  (data (i32.const 500) "\\18\\00\\00\\00\\18\\00\\00\\00")
  (func (export "run") (local $at i32)
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const ${INPUT_BYTES})))
    (loop
      (i64.store (local.get $at) (i64.xor (i64.load (local.get $at)) (i64.const -1)))
      (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 24))))
    (drop (call $write (i32.const 2) (i32.const 500) (i32.const 1) (i32.const 600)))
    (call $give (i32.const 0) (i32.const 24))))`;

whenAll('the plain bytes of a job that was acknowledged', () => {
  it('are in no file of control plane and node, but for the module that the node keeps', async () => {
    const world = await startAgentWorld({
      configure: (config) => ({ ...config, store: { kind: 'folder', path: config.dataDir } }),
    });
    const { folder, dispose } = temporaryFolder();
    try {
      const { dataDir } = world.controlPlane;
      await enrolIn(world, folder);
      const agent = startAgent(folder);
      const client = await ClientOfJobs.open(world.controlPlane);
      const mark = randomBytes(24).toString('hex');
      const input = randomBytes(INPUT_BYTES);
      const jobId = await client.submit(markedGuest(mark), { input, grants: [Grant.DEBUG_LOGS] });
      const { job } = await client.watch(jobId);
      const output = Buffer.from(await client.outputOf(job));
      expect(output.map((byte) => byte ^ 0xff)).to.deep.equal(input.subarray(0, 24));
      await agent.record.next('job_settled');
      await client.jobs.acknowledgeOutput({ jobId });
      const error: unknown = await client.outputOf(job).catch((cause: unknown) => cause);
      expect(error).to.be.instanceOf(ConnectError).with.property('code', Code.NotFound);

      const folders = [dataDir, folder.path];
      const [ofModule = [], ...ofOthers] = filesWith(
        [Buffer.from(mark), input.subarray(0, 24), input.subarray(24), output],
        ...folders,
      );
      for (const files of ofOthers) expect(files).to.deep.equal([]);
      const [modules, ...others] = ofModule;
      expect(modules).to.match(new RegExp(`^${relative(folder.path, folder.moduleFolder)}/`));
      expect(others).to.deep.equal([]);
      await agent.stop();
    } finally {
      await world.stop();
      dispose();
    }
  });
});
