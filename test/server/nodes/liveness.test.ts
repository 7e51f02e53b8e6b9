import { expect } from 'chai';
import fc from 'fast-check';
import { nextLiveness, type Liveness } from '../../../server/nodes/liveness.ts';

describe('the liveness of a node', () => {
  const live = (lostAtMs: number): Liveness => ({ kind: 'live', lostAtMs });
  const lost: Liveness = { kind: 'lost' };
  const table = [
    ['live + beat', live(10), { kind: 'beat', atMs: 9, lostPeriodMs: 60 }, live(69)],
    ['lost + beat', lost, { kind: 'beat', atMs: 9, lostPeriodMs: 60 }, live(69)],
    ['live + tick before its end', live(10), { kind: 'tick', atMs: 9 }, live(10)],
    ['live + tick at its end', live(10), { kind: 'tick', atMs: 10 }, lost],
    ['lost + tick', lost, { kind: 'tick', atMs: 10 }, lost],
    ['live + start', live(10), { kind: 'start', atMs: 1_000, lostPeriodMs: 60 }, live(1_060)],
    ['lost + start', lost, { kind: 'start', atMs: 1_000, lostPeriodMs: 60 }, lost],
  ] as const;
  for (const [what, before, event, after] of table) {
    it(`${what} = ${after.kind === 'live' ? `live until ${after.lostAtMs}` : 'lost'}`, () => {
      expect(nextLiveness(before, event)).to.deep.equal(after);
    });
  }

  it('never loses a node within its lost-period, and always loses it after', () => {
    fc.assert(
      fc.property(
        fc.nat(1e9),
        fc.integer({ min: 1, max: 1e6 }),
        fc.nat(2e6),
        (atMs, period, later) => {
          const heard = nextLiveness(lost, { kind: 'beat', atMs, lostPeriodMs: period });
          const then = nextLiveness(heard, { kind: 'tick', atMs: atMs + later });
          expect(then.kind).to.equal(later < period ? 'live' : 'lost');
        },
      ),
    );
  });
});
