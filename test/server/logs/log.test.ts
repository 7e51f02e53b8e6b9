import { expect } from 'chai';
import fc from 'fast-check';
import { newBytesOf, nextPlace } from '../../../server/logs/log.ts';

describe('what is new of a piece of logs', () => {
  it('makes the same logs of any pieces, in any order, sent any number of times', () => {
    const plan = fc.record({
      text: fc.uint8Array({ minLength: 1, maxLength: 40 }),
      pieces: fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 30 }),
    });
    fc.assert(
      fc.property(plan, ({ text, pieces }) => {
        let stored: Uint8Array = new Uint8Array();
        for (const [from, length] of pieces) {
          const offsetBytes = Math.min(from, stored.length);
          const bytes = text.subarray(offsetBytes, offsetBytes + length);
          const size = { sizeBytes: stored.length, maxBytes: text.length };
          stored = Buffer.concat([stored, newBytesOf({ offsetBytes, bytes }, size)]);
          expect([...stored]).to.deep.equal([...text.subarray(0, stored.length)]);
        }
      }),
    );
  });

  for (const [title, offsetBytes, reason] of [
    ['a gap', 6, 'OFFSET_MISMATCH'],
    ['one byte beyond the bound', 8, 'LOGS_TOO_LARGE'],
    ['what lies beyond any bound', Number.MAX_SAFE_INTEGER, 'LOGS_TOO_LARGE'],
  ] as const) {
    it(`is nothing where there is ${title}`, () => {
      const piece = { offsetBytes, bytes: Uint8Array.of(1, 2, 3) };
      expect(() => newBytesOf(piece, { sizeBytes: 5, maxBytes: 10 }))
        .to.throw()
        .with.property('reason', reason);
    });
  }
});

describe('where a reader of logs goes on', () => {
  const attempts = [
    { attemptId: 'a-1', sizeBytes: 3 },
    { attemptId: 'a-2', sizeBytes: 0 },
    { attemptId: 'a-3', sizeBytes: 5 },
  ];

  it('is the next attempt that logged something, from its beginning', () => {
    expect(nextPlace({ attemptId: 'a-1', offsetBytes: 3 }, attempts)).to.deep.equal({
      attemptId: 'a-3',
      offsetBytes: 0,
    });
    expect(nextPlace({ attemptId: 'a-3', offsetBytes: 5 }, attempts)).to.equal(null);
    expect(nextPlace({ attemptId: null, offsetBytes: 9 }, attempts)).to.deep.equal({
      attemptId: 'a-1',
      offsetBytes: 0,
    });
  });
});
