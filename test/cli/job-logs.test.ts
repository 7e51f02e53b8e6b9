// `job logs` and `job ack` as a person uses them, on a system of real processes.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { whenAll } from '../all.ts';
import { wasmOf } from '../fakes/job-client.ts';
import { LocalWorld } from '../flows/local-world.ts';

const COMMAND = fileURLToPath(new URL('../../cli/gap-junction.mjs', import.meta.url));

/** Says a line, and does not end by itself. */
const SAYS_AND_STAYS = `(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\n")
  (func (export "run")
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)))
    (loop (br 0))))`;

whenAll('the logs of a job on the command line', () => {
  let world: LocalWorld;
  beforeEach(async () => {
    world = await LocalWorld.start();
  });
  afterEach(() => world.dispose());

  const environment = () => ({ ...process.env, ...world.clientEnvironment });
  const command = (...args: readonly string[]) =>
    promisify(execFile)(process.execPath, [COMMAND, 'job', ...args], { env: environment() });

  it('are followed to the end of the job, and erased when it is acknowledged', async () => {
    await world.run(await world.enrol('node'));
    const jobId = await world.submit(await wasmOf(SAYS_AND_STAYS), { grants: [Grant.DEBUG_LOGS] });
    const following = spawn(process.execPath, [COMMAND, 'job', 'logs', jobId, '--follow'], {
      env: environment(),
    });
    let text = '';
    following.stdout.on('data', (chunk) => (text += String(chunk)));
    await once(following.stdout, 'data');
    await world.cancel(jobId);
    expect(await once(following, 'exit')).to.deep.equal([0, null]);
    expect(text).to.equal('hello\n');

    await world.watch(jobId);
    const { stdout } = await command('logs', jobId, '--json');
    expect(JSON.parse(stdout)).to.include({
      offsetBytes: '0',
      chunk: Buffer.from('hello\n').toString('base64'),
    });
    const acknowledged = await command('ack', jobId, '--json');
    expect(JSON.parse(acknowledged.stdout)).to.have.property('outputAcknowledgedAt');
    const refused = await command('logs', jobId).catch((error: { stderr: string }) => error);
    expect(refused.stderr).to.contain('LOGS_ERASED');
  });
});
