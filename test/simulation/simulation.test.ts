import { expect } from 'chai';
import { whenAll } from '../all.ts';
import { Database } from './database.ts';
import { Identities } from './identities.ts';
import { runSeed } from './run-seed.ts';

const SEEDS = 50;

describe('the whole system under faults that follow from a seed', () => {
  let database: Database;
  let identities: Identities;

  before(async () => {
    database = await Database.open();
    identities = await Identities.make();
  });
  after(async () => {
    identities.dispose();
    await database.close();
  });

  const run = (seed: number) => runSeed(seed, { database, identities, print: null });

  it('loses no job and pays nobody twice; the same seed does the same again, whatever ran in between', async () => {
    // Short ones, of different faults.
    const [first, other, again] = [await run(5), await run(8), await run(5)];
    expect([...first.violations, ...other.violations]).to.deep.equal([]);
    expect(first.jobs).to.be.greaterThan(0);
    expect(again.digest).to.equal(first.digest);
    expect(other.digest).not.to.equal(first.digest);
  });

  whenAll('at length', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      it(`loses no job and pays nobody twice (npm run -s simulate -- --seeds 1 --from ${seed})`, async () => {
        const { violations } = await run(seed);
        expect(violations).to.deep.equal([]);
      });
    }
  });
});
