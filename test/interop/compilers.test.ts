// Programs that were not written for Gap Junction, as jobs between strangers: stdin in, stdout out, and a
// bill that anybody can replay.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect } from 'chai';

import { Grant, JobEnd } from '#gen/gapjunction/job/v1/bill_pb';

import { whenAll } from '../all.ts';
import { LocalWorld } from '../flows/local-world.ts';
import { compileC, compileGo, gofmtSource, ROT13 } from '../sandbox/compilers.ts';

whenAll('a job of another compiler', () => {
  let world: LocalWorld;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gap-junction-compilers-'));
    world = await LocalWorld.start();
    await world.run(await world.enrol('owner'));
  });
  after(async () => {
    await world.dispose();
    await rm(folder, { recursive: true });
  });

  async function expectOutput(
    path: string,
    { stdin, stdout }: { readonly stdin: string; readonly stdout: string },
  ): Promise<void> {
    const module = await readFile(path);
    const input = Buffer.from(stdin);
    const ended = await world.watch(
      await world.submit(module, {
        input: { case: 'inlineInput', value: input },
        grants: [Grant.STDOUT_AS_RESULT],
      }),
    );
    expect(ended.job.end, ended.job.endDetail).to.equal(JobEnd.SUCCEEDED);
    expect(Buffer.from(await world.outputOf(ended)).toString()).to.equal(stdout);
    await world.expectReplays(ended, { module, input });
  }

  it('C: rot13, by clang with wasi-libc', async () => {
    const program = join(folder, 'rot13.wasm');
    await compileC(ROT13, program);
    await expectOutput(program, { stdin: 'Hello, World!\n', stdout: 'Uryyb, Jbeyq!\n' });
  });

  it("Go: gofmt, the Go project's own", async () => {
    const program = join(folder, 'gofmt.wasm');
    await compileGo(await gofmtSource(), program);
    await expectOutput(program, {
      stdin: 'package x\nfunc  f( ) {\nx:=1;_=x }\n',
      stdout: 'package x\n\nfunc f() {\n\tx := 1\n\t_ = x\n}\n',
    });
  });
});
