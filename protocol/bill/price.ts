// What a job costs. All amounts are whole microcents (10^-6 US cent) in a bigint:
//
//   charge = base + ceil(module bytes * per MiB of module / 2^20)
//                 + ceil((input bytes + output bytes) * per MiB of input and output / 2^20)
//                 + ceil(fuel * per million fuel / 10^6)
//   node's share = floor(charge * share in basis points / 10,000); the platform takes the rest.

import type { Price } from '#gen/gapjunction/job/v1/bill_pb';

/** The fields of the contract's Price; its messages fit. */
export type PriceRates = Readonly<
  Pick<
    Price,
    | 'baseMicrocents'
    | 'perMibModuleMicrocents'
    | 'perMibIoMicrocents'
    | 'perMillionFuelMicrocents'
    | 'shareBasisPoints'
  >
>;

export const DEFAULT_PRICE: PriceRates = {
  baseMicrocents: 100n,
  perMibModuleMicrocents: 2_000n,
  perMibIoMicrocents: 200n,
  perMillionFuelMicrocents: 2n,
  shareBasisPoints: 8_000,
};

/** Amounts are kept in signed 64-bit columns, so none may be larger: 92 trillion dollars. */
export const MAX_AMOUNT_MICROCENTS = 2n ** 63n - 1n;

/** The whole of a charge, in ten-thousandths. */
export const MAX_SHARE_BASIS_POINTS = 10_000;

/** Counts travel as uint64. */
const MAX_COUNT = 2n ** 64n - 1n;

const BYTES_PER_MIB = 2n ** 20n;
const FUEL_PER_MILLION = 1_000_000n;
const BASIS_POINTS = 10_000n;

export interface Usage {
  readonly price: PriceRates;
  readonly moduleBytes: bigint;
  readonly inputBytes: bigint;
  readonly outputBytes: bigint;
  readonly fuel: bigint;
}

/** What the usage costs, in microcents. Throws a RangeError for a negative or too large number. */
export function chargeMicrocents(usage: Usage): bigint {
  const { price } = usage;
  const moduleBytes = count(usage.moduleBytes, 'moduleBytes');
  const ioBytes = count(usage.inputBytes, 'inputBytes') + count(usage.outputBytes, 'outputBytes');
  const fuel = count(usage.fuel, 'fuel');
  const charge =
    amount(price.baseMicrocents, 'baseMicrocents') +
    ceilDivide(
      moduleBytes * amount(price.perMibModuleMicrocents, 'perMibModuleMicrocents'),
      BYTES_PER_MIB,
    ) +
    ceilDivide(ioBytes * amount(price.perMibIoMicrocents, 'perMibIoMicrocents'), BYTES_PER_MIB) +
    ceilDivide(
      fuel * amount(price.perMillionFuelMicrocents, 'perMillionFuelMicrocents'),
      FUEL_PER_MILLION,
    );
  return amount(charge, 'charge');
}

export interface MostUsage {
  readonly price: PriceRates;
  readonly moduleBytes: bigint;
  readonly inputBytes: bigint;
  readonly outputLimitBytes: bigint;
  readonly fuelLimit: bigint;
}

/** The most that a job within these limits can cost: what is held from the client when it submits. */
export function holdMicrocents(most: MostUsage): bigint {
  return chargeMicrocents({
    price: most.price,
    moduleBytes: most.moduleBytes,
    inputBytes: most.inputBytes,
    outputBytes: most.outputLimitBytes,
    fuel: most.fuelLimit,
  });
}

/** The node's part of a charge; the platform's is the rest, so the two sum to the whole. */
export function nodeShareMicrocents(charge: bigint, shareBasisPoints: number): bigint {
  if (
    !Number.isInteger(shareBasisPoints) ||
    shareBasisPoints < 0 ||
    shareBasisPoints > MAX_SHARE_BASIS_POINTS
  ) {
    throw new RangeError(
      `The share of ${shareBasisPoints} basis points must be a whole number from 0 to ${MAX_SHARE_BASIS_POINTS}`,
    );
  }
  return (amount(charge, 'charge') * BigInt(shareBasisPoints)) / BASIS_POINTS;
}

/** Whether both are the same rates. */
export function samePrice(left: PriceRates, right: PriceRates): boolean {
  return (
    left.baseMicrocents === right.baseMicrocents &&
    left.perMibModuleMicrocents === right.perMibModuleMicrocents &&
    left.perMibIoMicrocents === right.perMibIoMicrocents &&
    left.perMillionFuelMicrocents === right.perMillionFuelMicrocents &&
    left.shareBasisPoints === right.shareBasisPoints
  );
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function amount(value: bigint, name: string): bigint {
  if (value < 0n || value > MAX_AMOUNT_MICROCENTS) {
    throw new RangeError(
      `The ${name} of ${value} must be from 0 to ${MAX_AMOUNT_MICROCENTS} microcents`,
    );
  }
  return value;
}

function count(value: bigint, name: string): bigint {
  if (value < 0n || value > MAX_COUNT) {
    throw new RangeError(`The ${name} of ${value} must be from 0 to ${MAX_COUNT}`);
  }
  return value;
}
