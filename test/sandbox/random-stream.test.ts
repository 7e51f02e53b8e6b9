import { expect } from 'chai';
import fc from 'fast-check';
import { RandomStream } from '../../sandbox/wasi/random-stream.ts';
import { SEED } from './guests.ts';

describe('random bytes of a guest', () => {
  it('are one stream, however they are asked for', () => {
    const whole = new Uint8Array(60_000);
    new RandomStream(SEED).readInto(whole);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20_000 }), { maxLength: 3 }), (lengths) => {
        const stream = new RandomStream(SEED);
        let at = 0;
        for (const length of lengths) {
          const part = new Uint8Array(length);
          stream.readInto(part);
          expect(Buffer.compare(part, whole.subarray(at, at + length))).to.equal(0);
          at += length;
        }
      }),
    );
  });

  it('are other ones under another seed', () => {
    const [one, other] = [new Uint8Array(16), new Uint8Array(16)];
    new RandomStream(SEED).readInto(one);
    new RandomStream(new Uint8Array(32)).readInto(other);
    expect([...one]).to.not.deep.equal([...other]);
  });
});
