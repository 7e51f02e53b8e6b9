import { expect } from 'chai';

import {
  FuelMeter,
  HostFault,
  MAX_BUDGET_FUEL,
  MemoryAboveCap,
  meterModule,
  OutOfFuel,
  Stopped,
} from '../../../metering/metering.ts';
import { everything, everythingImports } from '../samples.ts';
import { wasmOf } from '../wat.ts';
import { meteredGuest } from './metered-guest.ts';

/** 10 fuel a turn: a check of the header, then ten operators that cost. */
const LOOP = `(module (func (export "spin") (param i32)
  (loop $l
    (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1))
    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))`;

describe('the fuel meter', () => {
  it('asks at absolute multiples of a million, so that any machine stops at the same point', () => {
    const asked: bigint[] = [];
    const guest = meteredGuest(LOOP, {
      budgetFuel: 3_500_000n,
      onRefill(fuel) {
        asked.push(fuel);
        return 'continue';
      },
    });
    expect(() => guest.call('spin', 0)).to.throw(OutOfFuel);
    expect(asked).to.deep.equal([1_000_001n, 2_000_001n, 3_000_001n]);
    expect(guest.meter.consumedFuel).to.equal(3_500_000n);
    expect(guest.meter.end).to.equal('OUT_OF_FUEL');
  });

  it('ends a guest whose budget is exactly what it has used at a check, and not one fuel later', () => {
    for (const [budgetFuel, completes] of [
      [0n, false],
      [1n, false],
      [91n, false],
      [92n, true],
      [101n, true],
    ] as const) {
      const guest = meteredGuest(LOOP, { budgetFuel });
      const run = () => guest.call('spin', 10);
      if (completes) expect(run, `budget ${budgetFuel}`).not.to.throw();
      else expect(run, `budget ${budgetFuel}`).to.throw(OutOfFuel);
      expect(guest.meter.consumedFuel).to.equal(completes && budgetFuel > 101n ? 101n : budgetFuel);
    }
  });

  it('stops at a refill point, and a replay with that much fuel ends at the same check', () => {
    const stopped = meteredGuest(LOOP, {
      onRefill: (fuel) => (fuel > 2_000_000n ? 'stop' : 'continue'),
    });
    expect(() => stopped.call('spin', 0)).to.throw(Stopped);
    expect(stopped.meter.end).to.equal('STOPPED');
    const budgetFuel = stopped.meter.consumedFuel;
    expect(budgetFuel).to.equal(2_000_001n);

    const replay = meteredGuest(LOOP, { budgetFuel });
    expect(() => replay.call('spin', 0)).to.throw(OutOfFuel);
    expect(replay.meter.consumedFuel).to.equal(budgetFuel);
  });

  const HOST = `(module (import "env" "host" (func $host (param i32)))
    (func (export "use") (param i32) (drop (i32.const 1)) (call $host (local.get 0)) (drop (i32.const 1))))`;
  const charging = (done: number[]) => (meter: FuelMeter) => ({
    env: {
      host(fuel: number) {
        meter.charge(BigInt(fuel));
        done.push(fuel);
      },
    },
  });

  it('charges a host call what it says, on top of what the guest did before it', () => {
    const done: number[] = [];
    const guest = meteredGuest(HOST, { imports: charging(done) });
    guest.call('use', 500);
    expect(guest.meter.consumedFuel).to.equal(505n);
    expect(done).to.deep.equal([500]);
  });

  it('lets a host call do nothing that cannot be paid', () => {
    const done: number[] = [];
    const guest = meteredGuest(HOST, { imports: charging(done), budgetFuel: 504n });
    expect(() => guest.call('use', 500)).to.throw(OutOfFuel);
    expect(done).to.deep.equal([]);
    expect(guest.meter.consumedFuel).to.equal(504n);
  });

  it('takes a host call past a refill point as one', () => {
    const asked: bigint[] = [];
    const guest = meteredGuest(HOST, {
      imports: charging([]),
      onRefill(fuel) {
        asked.push(fuel);
        return 'continue';
      },
    });
    guest.call('use', 2_500_000);
    guest.call('use', 499_900);
    guest.call('use', 1);
    expect(asked).to.deep.equal([2_500_004n]);
    guest.call('use', 100);
    expect(asked).to.deep.equal([2_500_004n, 3_000_020n]);
  });

  it('refuses a budget that the counter cannot hold', () => {
    expect(() => new FuelMeter({ budgetFuel: -1n })).to.throw(RangeError, /-1/);
    expect(() => new FuelMeter({ budgetFuel: MAX_BUDGET_FUEL + 1n })).to.throw(RangeError);
    expect(() => new FuelMeter({ budgetFuel: 1n }).charge(1n)).to.throw(/attached/);
  });

  it('lets nothing run before it is attached: the start function waits for the host', () => {
    const guest = meteredGuest(everything, { imports: everythingImports });
    expect(guest.meter.consumedFuel).to.equal(0n);
    expect(guest.call('counted')).to.equal(14);
    (guest.exports[guest.metered.exports.start!] as Function)();
    expect(guest.call('counted')).to.equal(80);
  });
});

describe('growth of a metered guest', () => {
  const GROW = `(module (memory (export "memory") 1 SIZE) (table $t 0 20 funcref)
    (func (export "memory.grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "table.grow") (param i32) (result i32)
      (table.grow $t (ref.null func) (local.get 0))))`;

  it('ends at the cap of the job, with the -1 that any machine answers there', () => {
    const guest = meteredGuest(GROW.replace('SIZE', ''), { maxMemoryPages: 3 });
    expect(guest.call('memory.grow', 1)).to.equal(1);
    expect(guest.call('memory.grow', 2)).to.equal(-1);
    expect(guest.call('memory.grow', -1)).to.equal(-1);
    expect(guest.call('memory.grow', 1)).to.equal(2);
    expect((guest.exports['memory'] as WebAssembly.Memory).buffer.byteLength).to.equal(3 * 65_536);
  });

  it('ends at the cap of the job also where the module asks for more', () => {
    const guest = meteredGuest(GROW.replace('SIZE', '100'), { maxMemoryPages: 3 });
    expect(guest.call('memory.grow', 3)).to.equal(-1);
    expect(guest.call('memory.grow', 2)).to.equal(1);
  });

  it('tells a memory that starts above the cap from a module that is not accepted', () => {
    const wasm = wasmOf('(module (memory 4))');
    expect(() => meterModule(wasm, { maxMemoryPages: 3 }))
      .to.throw(MemoryAboveCap, /starts with 4 pages of memory where 3 are allowed/)
      .with.property('minPages', 4);
    expect(() => meterModule(wasm, { maxMemoryPages: 4 })).not.to.throw();
    expect(() => meterModule(wasm, { maxMemoryPages: 65_537 })).to.throw(RangeError);
  });

  for (const max of ['', '4000000000']) {
    it(`ends for a table at a million elements, on any machine: maximum '${max}'`, () => {
      const guest = meteredGuest(`(module (table $t 0 ${max} externref)
        (func (export "grow") (param i32) (result i32)
          (table.grow $t (ref.null extern) (local.get 0))))`);
      expect(guest.call('grow', 1_000_001)).to.equal(-1);
      expect(guest.call('grow', 1_000_000)).to.equal(0);
      expect(guest.call('grow', 1)).to.equal(-1);
    });
  }

  it("ends at the module's own maximum where that is lower", () => {
    const guest = meteredGuest(GROW.replace('SIZE', '2'), { maxMemoryPages: 3 });
    expect(guest.call('memory.grow', 2)).to.equal(-1);
    expect(guest.call('memory.grow', 1)).to.equal(1);
    expect(guest.call('table.grow', 21)).to.equal(-1);
    expect(guest.call('table.grow', 20)).to.equal(0);
  });

  it('is a fault of the host when it fails within the cap, and the guest never sees it', () => {
    // An imported memory may be smaller at its end than its type allows: as if the machine had no more.
    const guest = meteredGuest(
      `(module (import "env" "mem" (memory 1))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))`,
      { imports: () => ({ env: { mem: new WebAssembly.Memory({ initial: 1, maximum: 2 }) } }) },
    );
    expect(guest.call('grow', 1)).to.equal(1);
    expect(() => guest.call('grow', 1)).to.throw(HostFault);
    expect(guest.meter.end).to.equal('HOST_FAULT');
    expect(guest.call('grow', 65_535)).to.equal(-1);
  });
});
