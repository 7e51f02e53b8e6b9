// Where the counter is exact, and what it is where it is not: section 2 of the profile document.
import { expect } from 'chai';

import { trapOf } from '../../../metering/metering.ts';
import { meteredGuest } from './metered-guest.ts';

/** Three times 1 fuel. */
const THREE = '(drop (i32.const 1)) (drop (i32.const 1)) (drop (i32.const 1))';

describe('the counter that a host function sees', () => {
  const calls: readonly (readonly [how: string, call: string, fuel: bigint])[] = [
    ['a call', '(call $host)', 5n],
    ['a call through a table', '(call_indirect (type $t) (i32.const 0))', 6n],
    ['a tail call', '(return_call $host)', 5n],
    ['a tail call through a table', '(return_call_indirect (type $t) (i32.const 0))', 6n],
  ];
  for (const [how, call, fuel] of calls) {
    it(`has all in it that ran before, the call too, and nothing that comes after: ${how}`, () => {
      const seen: bigint[] = [];
      const guest = meteredGuest(
        `(module (type $t (func)) (import "env" "host" (func $host)) (table 1 funcref)
          (elem (i32.const 0) $host) (func (export "f") ${THREE} ${call} ${THREE}))`,
        {
          imports: (meter) => ({
            env: {
              host() {
                seen.push(meter.consumedFuel);
              },
            },
          }),
        },
      );
      guest.call('f');
      expect(seen).to.deep.equal([fuel]);
      expect(guest.meter.consumedFuel).to.equal(how.startsWith('a tail') ? fuel : fuel + 3n);
    });
  }
});

describe('the counter at a trap', () => {
  const DIVIDE = '(drop (i32.div_u (i32.const 1) (i32.const 0)))';
  const traps: readonly (readonly [what: string, body: string, fuel: bigint])[] = [
    ['all of the run, also what comes after', `${THREE} ${DIVIDE} ${THREE}`, 10n],
    [
      'nothing behind an end that a branch names',
      `(block (br_if 0 (i32.const 0)) ${DIVIDE}) ${THREE}`,
      6n,
    ],
    ['what is behind an end that no branch names', `(block ${DIVIDE}) ${THREE}`, 7n],
    ['what is behind the end of a loop', `(loop (br_if 0 (i32.const 0)) ${DIVIDE}) ${THREE}`, 9n],
    ['nothing behind the end of an if', `(if (i32.const 1) (then ${DIVIDE})) ${THREE}`, 6n],
    ['nothing of the other arm', `(if (i32.const 1) (then ${DIVIDE}) (else ${THREE}))`, 6n],
    ['nothing behind a return', `(block (br_if 0 (i32.const 0)) ${DIVIDE} return) ${THREE}`, 6n],
    [
      'what is behind a load that only its address puts out of bounds',
      `(drop (i32.load offset=131068 (i32.const 1))) ${THREE}`,
      6n,
    ],
    [
      'nothing behind a load that no address can save',
      `(drop (i32.load offset=131069 (i32.const 0))) ${THREE}`,
      3n,
    ],
    [
      'nothing behind a vector load that no address can save',
      `(drop (v128.load offset=131057 (i32.const 0))) ${THREE}`,
      3n,
    ],
  ];
  for (const [what, body, fuel] of traps) {
    it(`is the same on every machine, with ${what}`, () => {
      const guest = meteredGuest(`(module (memory 1 2) (func (export "f") ${body}))`);
      let trap: unknown;
      try {
        guest.call('f');
      } catch (error) {
        trap = trapOf(error);
      }
      expect(trap).to.be.oneOf(['INTEGER_DIVISION_BY_ZERO', 'MEMORY_OUT_OF_BOUNDS']);
      expect(guest.meter.consumedFuel).to.equal(fuel);
    });
  }
});
