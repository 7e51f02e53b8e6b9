import { expect } from 'chai';

import { LOOP, specOf, wasm } from './guests.ts';
import { withPool } from './pool.ts';

describe('how far a guest is', () => {
  const { pool } = withPool(1);

  it('is told once a second while it runs, and never more than it burns', async () => {
    const told: bigint[] = [];
    const spec = specOf(await wasm(LOOP), { limits: { epochs: 140, fuel: 2n ** 62n } });
    const beganMs = performance.now();
    const outcome = await pool().run('a client', spec, { onProgress: (fuel) => told.push(fuel) });
    const tookSeconds = (performance.now() - beganMs) / 1_000;
    expect(told.length).to.be.within(1, Math.floor(tookSeconds));
    for (const fuel of told) expect(fuel > 0n && fuel < outcome.fuel).to.equal(true);
  });
});
