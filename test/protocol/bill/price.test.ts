import { expect } from 'chai';
import fc from 'fast-check';

import {
  chargeMicrocents,
  DEFAULT_PRICE,
  holdMicrocents,
  MAX_AMOUNT_MICROCENTS,
  nodeShareMicrocents,
  samePrice,
  type PriceRates,
  type Usage,
} from '../../../protocol/bill/price.ts';

const rate = fc.bigInt({ min: 0n, max: 1_000_000n });
const price: fc.Arbitrary<PriceRates> = fc.record({
  baseMicrocents: rate,
  perMibModuleMicrocents: rate,
  perMibIoMicrocents: rate,
  perMillionFuelMicrocents: rate,
  shareBasisPoints: fc.integer({ min: 0, max: 10_000 }),
});
const bytes = fc.bigInt({ min: 0n, max: 2n ** 30n });
const fuel = fc.bigInt({ min: 0n, max: 10n ** 12n });
const usage: fc.Arbitrary<Usage> = fc.record({
  price,
  moduleBytes: bytes,
  inputBytes: bytes,
  outputBytes: bytes,
  fuel,
});
const COUNTS = ['moduleBytes', 'inputBytes', 'outputBytes', 'fuel'] as const;

describe('the price of a job', () => {
  it('is the base price for a job that uses nothing', () => {
    const nothing = { moduleBytes: 0n, inputBytes: 0n, outputBytes: 0n, fuel: 0n };
    expect(chargeMicrocents({ price: DEFAULT_PRICE, ...nothing })).to.equal(100n);
  });

  it('splits into two parts that sum to the whole, neither negative', () => {
    fc.assert(
      fc.property(usage, (used) => {
        const charge = chargeMicrocents(used);
        const node = nodeShareMicrocents(charge, used.price.shareBasisPoints);
        const platform = charge - node;
        expect(node >= 0n && platform >= 0n).to.equal(true);
        // Rounding favours the platform by less than one microcent.
        const exact = charge * BigInt(used.price.shareBasisPoints);
        expect(exact - node * 10_000n < 10_000n && exact >= node * 10_000n).to.equal(true);
      }),
    );
  });

  it('never falls when more is used', () => {
    const more = fc.bigInt({ min: 0n, max: 2n ** 30n });
    fc.assert(
      fc.property(usage, fc.constantFrom(...COUNTS), more, (used, field, extra) => {
        const greater = { ...used, [field]: used[field] + extra };
        expect(chargeMicrocents(greater) >= chargeMicrocents(used)).to.equal(true);
      }),
    );
  });

  it('never exceeds what was held, for whatever stays within the limits', () => {
    fc.assert(
      fc.property(usage, bytes, fuel, (most, outputBytes, burnt) => {
        fc.pre(outputBytes <= most.outputBytes && burnt <= most.fuel);
        const hold = holdMicrocents({
          price: most.price,
          moduleBytes: most.moduleBytes,
          inputBytes: most.inputBytes,
          outputLimitBytes: most.outputBytes,
          fuelLimit: most.fuel,
        });
        const charge = chargeMicrocents({ ...most, outputBytes, fuel: burnt });
        expect(charge <= hold).to.equal(true);
      }),
    );
  });

  it('counts input and output together, so that splitting them costs nothing', () => {
    fc.assert(
      fc.property(usage, (used) => {
        const joined = { ...used, inputBytes: used.inputBytes + used.outputBytes, outputBytes: 0n };
        expect(chargeMicrocents(joined)).to.equal(chargeMicrocents(used));
      }),
    );
  });

  const base = { price: DEFAULT_PRICE, moduleBytes: 0n, inputBytes: 0n, outputBytes: 0n, fuel: 0n };
  for (const field of COUNTS) {
    for (const value of [-1n, 2n ** 64n]) {
      it(`is refused for ${field} ${value}`, () => {
        expect(() => chargeMicrocents({ ...base, [field]: value })).to.throw(RangeError, field);
      });
    }
  }

  it('is refused for a negative rate, and for an amount that no ledger holds', () => {
    const negative = { ...DEFAULT_PRICE, baseMicrocents: -1n };
    expect(() => chargeMicrocents({ ...base, price: negative })).to.throw(RangeError, 'base');
    const largest = { ...DEFAULT_PRICE, baseMicrocents: MAX_AMOUNT_MICROCENTS };
    expect(chargeMicrocents({ ...base, price: largest })).to.equal(MAX_AMOUNT_MICROCENTS);
    expect(() => chargeMicrocents({ ...base, price: largest, fuel: 1n })).to.throw(
      RangeError,
      'charge',
    );
  });

  for (const share of [-1, 10_001, 0.5, Number.NaN]) {
    it(`has no share of ${share} basis points`, () => {
      expect(() => nodeShareMicrocents(1n, share)).to.throw(RangeError, String(share));
    });
  }

  it('is another price when any rate differs', () => {
    expect(samePrice(DEFAULT_PRICE, { ...DEFAULT_PRICE })).to.equal(true);
    for (const field of Object.keys(DEFAULT_PRICE) as (keyof PriceRates)[]) {
      const other = { ...DEFAULT_PRICE, [field]: field === 'shareBasisPoints' ? 1 : 1n };
      expect(samePrice(DEFAULT_PRICE, other), field).to.equal(false);
    }
  });
});
