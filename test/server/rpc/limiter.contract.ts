// What limiters must keep, wherever they count. `make` answers two that share what they count.
import { expect } from 'chai';
import type { Limiter, LimiterOptions } from '../../../server/rpc/limiter.ts';

export function limiterContract(
  make: (options: LimiterOptions) => readonly [Limiter, Limiter],
): void {
  let prefixes = 0;
  const fresh = (points: number, durationSeconds = 60) =>
    make({ keyPrefix: `contract-${++prefixes}`, points, durationSeconds });

  it('lets a key have its points, and says how long to wait for more', async () => {
    const [one, two] = fresh(3);
    expect(await one.take('a')).to.equal(null);
    expect(await two.take('a', 2)).to.equal(null);
    expect(await one.take('a')).to.be.within(1, 60_000);
    expect(await two.take('a')).to.be.within(1, 60_000);
  });

  it('counts each key by itself, and each limiter', async () => {
    const [one] = fresh(1);
    expect(await one.take('a')).to.equal(null);
    expect(await one.take('b')).to.equal(null);
    const [other] = fresh(1);
    expect(await other.take('a')).to.equal(null);
  });

  it('lets no more through when many ask at once', async () => {
    const [one, two] = fresh(10);
    const waits = await Promise.all(
      Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? one : two).take('a')),
    );
    expect(waits.filter((wait) => wait === null)).to.have.length(10);
  });
}
