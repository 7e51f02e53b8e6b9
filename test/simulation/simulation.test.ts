import { expect } from 'chai';
import { whenAll } from '../all.ts';
import { Database } from './database.ts';
import { Identities } from './identities.ts';
import { runSeed, type Outcome } from './run-seed.ts';

/** Of every run; the others run when everything does. */
const FEW_SEEDS = 1;
const MANY_SEEDS = 50;

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
  const firstOf = new Map<number, Outcome>();
  /** What came of the first run of the seed. */
  async function firstRun(seed: number): Promise<Outcome> {
    const outcome = firstOf.get(seed) ?? (await run(seed));
    firstOf.set(seed, outcome);
    return outcome;
  }

  function loses(seeds: number, from: number): void {
    for (let seed = from; seed < from + seeds; seed++) {
      it(`loses no job and pays nobody twice (simulate --seeds 1 --from ${seed})`, async () => {
        const { violations } = await firstRun(seed);
        expect(violations).to.deep.equal([]);
      });
    }
  }

  loses(FEW_SEEDS, 1);

  it('a seed that failed fails again in the same way: whatever ran before, all happens as it did', async () => {
    const [first, , again] = [await firstRun(1), await firstRun(2), await run(1)];
    expect(again.digest).to.equal(first.digest);
    expect(again.kills).to.equal(first.kills);
  });

  whenAll('at length', () => loses(MANY_SEEDS - FEW_SEEDS, FEW_SEEDS + 1));
});
