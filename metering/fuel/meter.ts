// The host's side of counting. The metered guest keeps its counter in a global of its own and looks at
// a second one, the grant, at every check:
//
//   1. the host grants fuel up to the next absolute multiple of REFILL_FUEL, or to the budget when that
//      is nearer; these points are the same on every machine, whatever its speed;
//   2. a check that finds the counter at or past the grant calls refill, here, with the counter;
//   3. refill ends the guest when its budget is used up, or when the owner of the meter says stop; else
//      it raises the grant and the guest goes on.
//
// To end a guest is to throw through it: a guest cannot catch, since modules that use the exceptions
// proposal are refused.

import { IMPORTS, type MeteredModule } from './metered-module.ts';

/** Fuel between two looks at the deadline: some 0.1 ms of guest time, and no cost that can be measured. */
export const REFILL_FUEL = 1_000_000n;

/** The largest budget, in fuel: the counter is a signed 64-bit number and must never wrap round. */
export const MAX_BUDGET_FUEL = 2n ** 62n;

/** Thrown through a guest that has used up its budget. */
export class OutOfFuel extends Error {
  override readonly name = 'OutOfFuel';
}

/** Thrown through a guest when `onRefill` said stop: at a deadline, or when the job is cancelled. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** Thrown through a guest to which this host could not give what it was entitled to. */
export class HostFault extends Error {
  override readonly name = 'HostFault';
}

export type MeterEnd = 'OUT_OF_FUEL' | 'STOPPED' | 'HOST_FAULT';

export interface FuelMeterOptions {
  /** Fuel that the guest may use, 0 to MAX_BUDGET_FUEL. */
  readonly budgetFuel: bigint;
  /** Asked at each refill point that is below the budget, with the fuel used so far; default: continue. */
  readonly onRefill?: (consumedFuel: bigint) => 'continue' | 'stop';
}

/** Counts the fuel of one instance: give `imports` to it, `attach` it, then call into it. */
export class FuelMeter {
  readonly budgetFuel: bigint;
  /** To be merged into the import object of the metered module. */
  readonly imports: WebAssembly.Imports;
  readonly #onRefill: (consumedFuel: bigint) => 'continue' | 'stop';
  #counter: WebAssembly.Global<bigint> | null = null;
  #grant: WebAssembly.Global<bigint> | null = null;
  #grantFuel = 0n;
  #end: MeterEnd | null = null;

  constructor({ budgetFuel, onRefill }: FuelMeterOptions) {
    if (budgetFuel < 0n || budgetFuel > MAX_BUDGET_FUEL) {
      throw new RangeError(
        `The budget ${budgetFuel} must be between 0 and ${MAX_BUDGET_FUEL} fuel`,
      );
    }
    this.budgetFuel = budgetFuel;
    this.#onRefill = onRefill ?? (() => 'continue');
    this.imports = {
      [IMPORTS.module]: {
        [IMPORTS.refill]: (counter: bigint) => this.#refill(counter),
        [IMPORTS.growthFailed]: () => this.#growthFailed(),
      },
    };
  }

  /** Takes hold of the counter of an instance of `metered` and grants it its first fuel. */
  attach(instance: WebAssembly.Instance, metered: MeteredModule): void {
    this.#counter = instance.exports[metered.exports.counter] as WebAssembly.Global<bigint>;
    this.#grant = instance.exports[metered.exports.grant] as WebAssembly.Global<bigint>;
    this.#counter.value = 0n;
    this.#raiseGrant(0n);
  }

  /** Fuel used so far, at most the budget. Exact whenever the host has control, but after a trap. */
  get consumedFuel(): bigint {
    const counter = this.#counter?.value ?? 0n;
    return counter < this.budgetFuel ? counter : this.budgetFuel;
  }

  /** Why this meter ended the guest; null when it did not. */
  get end(): MeterEnd | null {
    return this.#end;
  }

  /**
   * Charges a host call for `fuel` before it acts, and checks. Throws OutOfFuel or Stopped, which the
   * caller lets through to the guest with nothing done.
   */
  charge(fuel: bigint): void {
    const counter = this.#attached().value + fuel;
    this.#attached().value = counter;
    if (counter >= this.#grantFuel) this.#refill(counter);
  }

  #refill(counter: bigint): void {
    // A check passes the counter that it found, which the guest has not stored yet.
    if (counter >= this.budgetFuel) {
      this.#attached().value = counter;
      this.#end = 'OUT_OF_FUEL';
      throw new OutOfFuel(`The guest has used up its ${this.budgetFuel} fuel`);
    }
    if (this.#onRefill(counter) === 'stop') {
      this.#attached().value = counter;
      this.#end = 'STOPPED';
      throw new Stopped(`The guest was stopped at ${counter} fuel`);
    }
    this.#raiseGrant(counter);
  }

  #raiseGrant(counter: bigint): void {
    const next = (counter / REFILL_FUEL + 1n) * REFILL_FUEL;
    this.#grantFuel = next < this.budgetFuel ? next : this.budgetFuel;
    if (this.#grant !== null) this.#grant.value = this.#grantFuel;
  }

  #growthFailed(): never {
    this.#end = 'HOST_FAULT';
    throw new HostFault('This machine could not give the guest memory that is within its limit');
  }

  #attached(): WebAssembly.Global<bigint> {
    if (this.#counter === null) throw new Error('The meter must be attached before the guest runs');
    return this.#counter;
  }
}
