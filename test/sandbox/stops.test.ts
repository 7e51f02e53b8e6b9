import { expect } from 'chai';
import fc from 'fast-check';
import { isBelowDeadlineFloor } from '../../protocol/bill/deadline-floor.ts';
import { stopStateDigest } from '../../protocol/bill/stop-state.ts';
import { MAX_EPOCHS, digestStopState, isBelowFloor } from '../../sandbox/sandbox.ts';
import type { GuestOutcome, GuestSpec } from '../../sandbox/sandbox.ts';
import { isPastDeadline } from '../../sandbox/engine/stop.ts';
import { HOST_CALLS, LOOP, specOf, wasm } from './guests.ts';
import { withPool } from './pool.ts';

const SECOND_NS = 1_000_000_000n;

/** Sleeps `ns` again and again, and counts in memory how often. */
async function sleeper(ns: bigint): Promise<Uint8Array> {
  return await wasm(`(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
      (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "run")
      (i32.store (i32.const 16) (i32.const 1)) ;; the monotonic clock
      (i64.store (i32.const 24) (i64.const ${ns}))
      (loop $again
        (i32.store (i32.const 512) (i32.add (i32.load (i32.const 512)) (i32.const 1)))
        (drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256)))
        (br $again))))`);
}

/** Fills all its memory over and over; a check for stops comes only each million of those. */
const STUCK = `(module (memory (export "memory") 2048)
  (func (export "run")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 134217728))
      (br $again))))`;

/** Each million fuel takes it a tenth of a second or more, as on a machine that is far too slow. */
const SLUGGISH = `(module (memory 1)
  (func (export "run")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 49152))
      (br $again))))`;

describe('a guest that is stopped', () => {
  const { run, pool } = withPool(2);

  /** What whoever checks a bill does: the same without deadline, on the fuel of the stop. */
  async function replay(spec: GuestSpec, stopped: GuestOutcome): Promise<GuestOutcome> {
    return await run({
      ...spec,
      limits: { ...spec.limits, fuel: stopped.fuel, epochs: MAX_EPOCHS },
      stopStateAtOutOfFuel: true,
    });
  }

  it('at its deadline: the bill replays to the same memory', async () => {
    const spec = specOf(await wasm(LOOP), { limits: { epochs: 20, fuel: 2n ** 62n } });
    const stopped = await run(spec);
    expect(stopped.end).to.equal('DEADLINE_EXCEEDED');
    expect(stopped.stopStateDigest).to.have.length(32);
    const replayed = await replay(spec, stopped);
    expect(replayed.end).to.equal('OUT_OF_FUEL');
    expect(replayed.fuel).to.equal(stopped.fuel);
    expect(replayed.stopStateDigest).to.deep.equal(stopped.stopStateDigest);
  });

  it('by a cancel while it computes: the bill replays to the same memory', async () => {
    const spec = specOf(await wasm(LOOP), { limits: { fuel: 2n ** 62n } });
    await run({ ...spec, limits: { ...spec.limits, fuel: 1000n } });
    const cancel = new AbortController();
    const running = run(spec, cancel.signal);
    cancel.abort();
    const stopped = await running;
    expect(stopped).to.include({ end: 'CANCELLED', detail: '' });
    const replayed = await replay(spec, stopped);
    expect(replayed.end).to.equal('OUT_OF_FUEL');
    expect(replayed.stopStateDigest).to.deep.equal(stopped.stopStateDigest);
  });

  it('by sleeping past its deadline: at once, with the sleep counted, and it replays', async () => {
    const spec = specOf(await sleeper(7n * SECOND_NS));
    const stopped = await run(spec);
    // 30 s are over in the fifth sleep of 7 s: 35 s were asked for.
    expect(stopped).to.include({ end: 'DEADLINE_EXCEEDED', sleptNs: 35n * SECOND_NS });
    const replayed = await replay(spec, stopped);
    expect(replayed).to.include({ end: 'OUT_OF_FUEL', sleptNs: 35n * SECOND_NS });
    expect(replayed.stopStateDigest).to.deep.equal(stopped.stopStateDigest);
    const again = await run(spec);
    expect(again, 'the same on every machine').to.deep.equal(stopped);
  });

  it('by one sleep of all time there is: once, without wrapping round', async () => {
    const stopped = await run(specOf(await sleeper(-1n)));
    expect(stopped).to.include({ end: 'DEADLINE_EXCEEDED', sleptNs: 2n ** 64n - 1n });
  });

  it('after short sleeps: what it slept shortens its deadline', async () => {
    // It computes for 10 ms at most after 29,990 ms of sleep, and then never sleeps again.
    const module = await wasm(`(module
      (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "run")
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 29990000000))
        (drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256)))
        (loop $again (br $again))))`);
    const stopped = await run(specOf(module, { limits: { fuel: 2n ** 62n } }));
    expect(stopped).to.include({ end: 'DEADLINE_EXCEEDED', sleptNs: 29_990_000_000n });
  });

  it('on a machine that is too slow for its deadline: a NODE_FAULT, not a bill', async () => {
    const outcome = await run(specOf(await wasm(SLUGGISH), { limits: { epochs: 30 } }));
    expect(outcome).to.include({ end: 'NODE_FAULT', detail: 'TOO_SLOW' });
  });

  it('by a cancel, a machine is never too slow', async () => {
    const module = await wasm(SLUGGISH);
    await run(specOf(module, { limits: { fuel: 1000n } }));
    const cancel = new AbortController();
    const running = run(specOf(module), cancel.signal);
    cancel.abort();
    expect((await running).end).to.equal('CANCELLED');
  });

  it('in one long operation at its deadline: KILLED with nothing counted, its process gone', async () => {
    const before = pool().processes();
    const outcome = await run(specOf(await wasm(STUCK), { limits: { epochs: 1 } }));
    expect(outcome).to.include({
      end: 'DEADLINE_EXCEEDED',
      detail: 'KILLED',
      fuel: 0n,
      stopStateDigest: null,
    });
    expect(pool().processes()).to.not.deep.include.members(before);
  });

  it('in one long operation by a cancel: KILLED, and control was never lost', async () => {
    const cancel = new AbortController();
    const running = run(specOf(await wasm(STUCK)), cancel.signal);
    cancel.abort();
    expect(await running).to.include({ end: 'CANCELLED', detail: 'KILLED', fuel: 0n });
  });

  it('before it has a process: KILLED, nothing ran', async () => {
    const cancel = new AbortController();
    cancel.abort();
    expect(await run(specOf(await wasm(LOOP)), cancel.signal)).to.include({
      end: 'CANCELLED',
      detail: 'KILLED',
    });
  });

  it('a cancel that comes after the end changes nothing, also for the next run', async () => {
    const module = await wasm(`(module ${HOST_CALLS} (memory 1) (func (export "run")))`);
    const cancel = new AbortController();
    expect((await run(specOf(module), cancel.signal)).end).to.equal('SUCCEEDED');
    cancel.abort();
    expect((await run(specOf(module))).end).to.equal('SUCCEEDED');
  });
});

describe('the rules of a stop', () => {
  it('a deadline counts time and sleep together', () => {
    const at = (elapsedNs: bigint, sleptNs: bigint) =>
      isPastDeadline({ epochs: 100, elapsedNs, sleptNs });
    expect(at(999_999_999n, 0n)).to.equal(false);
    expect(at(SECOND_NS, 0n)).to.equal(true);
    expect(at(400_000_000n, 600_000_000n)).to.equal(true);
    expect(at(400_000_000n, 599_999_999n)).to.equal(false);
  });

  it('20 million fuel a second is just enough; sleeping asks for none', () => {
    const below = (fuel: bigint, sleptNs = 0n) => isBelowFloor({ fuel, epochs: 100, sleptNs });
    expect(below(19_999_999n)).to.equal(true);
    expect(below(20_000_000n)).to.equal(false);
    expect(below(9_999_999n, 500_000_000n)).to.equal(true);
    expect(below(10_000_000n, 500_000_000n)).to.equal(false);
    expect(below(0n, SECOND_NS)).to.equal(false);
    expect(below(0n, 5n * SECOND_NS)).to.equal(false);
  });

  it('a node and whoever checks its bill judge alike', () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 2n ** 40n),
        fc.integer({ min: 1, max: 60_000 }),
        fc.bigInt(0n, 2n ** 40n),
        (fuel, epochs, sleptNs) => {
          expect(isBelowFloor({ fuel, epochs, sleptNs })).to.equal(
            isBelowDeadlineFloor({ fuel, deadlineEpochs: epochs, sleptNs }),
          );
        },
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 3 }), (memories) => {
        expect(Buffer.from(digestStopState(memories))).to.deep.equal(
          Buffer.from(stopStateDigest(memories)),
        );
      }),
    );
  });
});
