// What a guest logs, read while it runs.
import { expect } from 'chai';
import { SharedBytes } from '../../sandbox/shared-bytes.ts';
import { specOf, wasm } from './guests.ts';
import { withPool } from './pool.ts';

const IMPORT = `(import "wasi_snapshot_preview1" "fd_write"
  (func $write (param i32 i32 i32 i32) (result i32)))`;

/** Says a line, and does not end by itself. */
const SAYS_AND_STAYS = `(module ${IMPORT}
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\n")
  (func (export "run")
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)))
    (loop (br 0))))`;

/** Says 64 KiB of zeroes, sixteen times. */
const SAYS_MUCH = `(module ${IMPORT}
  (memory (export "memory") 2)
  (data (i32.const 65536) "\\00\\00\\00\\00\\00\\00\\01\\00")
  (func (export "run") (local $left i32)
    (local.set $left (i32.const 16))
    (loop
      (drop (call $write (i32.const 1) (i32.const 65536) (i32.const 1) (i32.const 70000)))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))`;

describe('the logs of a guest that runs', () => {
  const { pool, run } = withPool(1);
  const logged = (changes = {}) => ({ grants: { debugLogs: true }, ...changes });

  it('can be read before it ends, and are the beginning of what its outcome has', async () => {
    const stop = new AbortController();
    const shown: Uint8Array[] = [];
    const outcome = await pool().run('key', specOf(await wasm(SAYS_AND_STAYS), logged()), {
      signal: stop.signal,
      onLogs(bytes) {
        shown.push(bytes);
        stop.abort();
      },
    });
    expect(outcome.end).to.equal('CANCELLED');
    expect(Buffer.concat(shown).toString()).to.equal('hello\n');
    expect(Buffer.from(outcome.logs).toString()).to.equal('hello\n');
  });

  it('survive a sandbox that dies under it', async () => {
    const spec = specOf(await wasm(SAYS_AND_STAYS), logged());
    const outcome = await pool().run('key', spec, {
      onLogs() {
        for (const { pid } of pool().processes()) process.kill(pid!, 'SIGKILL');
      },
    });
    expect(outcome).to.include({ end: 'NODE_FAULT', detail: 'SANDBOX_DIED' });
    expect(Buffer.from(outcome.logs).toString()).to.equal('hello\n');
  });

  it('are cut at their bound, and cost the same fuel whoever reads them', async () => {
    const module = await wasm(SAYS_MUCH);
    const silent = await run(specOf(module));
    expect(silent.logs).to.have.length(0);
    for (const onLogs of [undefined, () => {}]) {
      const spec = specOf(module, logged({ limits: { logBytes: 100_000 } }));
      const outcome = await pool().run('key', spec, { onLogs });
      expect(outcome.end).to.equal('SUCCEEDED');
      expect(outcome.logs).to.have.length(100_000);
      expect(outcome.fuel).to.equal(silent.fuel);
    }
  });

  it('never show a length whose bytes are not there, and keep what fits', () => {
    const written = SharedBytes.create(5);
    const read = SharedBytes.of(written.buffer);
    expect(written.append(Uint8Array.of(1, 2, 3))).to.equal(true);
    expect([...read.take(1)]).to.deep.equal([2, 3]);
    expect(written.append(Uint8Array.of(4, 5, 6))).to.equal(false);
    expect(read.length).to.equal(5);
    expect([...read.take(3)]).to.deep.equal([4, 5]);
  });
});
