import { expect } from 'chai';

import { whenAll } from '../all.ts';
import { runLoad } from './run-load.ts';

/** Two minutes are eight beats of each. */
const AGENTS = 2_000;
const SECONDS = 120;
/** An interval is 15 s and at most a tenth more. */
const LONGEST_INTERVAL_SECONDS = 16.5;

/** Making, connecting and measuring, on a machine that does other things, too. */
const TIMEOUT_MS = 600_000;

whenAll('a fleet of two thousand nodes on one replica', () => {
  it('has no honest beat refused, and costs the server little memory a node', async function () {
    this.timeout(TIMEOUT_MS);
    const result = await runLoad({
      agents: AGENTS,
      seconds: SECONDS,
      rate: 0,
      parts: 'real',
      ramp: 150,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    process.stdout.write(`      ${JSON.stringify(result)}\n`);
    expect(result.problems).to.deep.equal([]);
    expect(result.refused).to.equal(0);
    expect(result.beats).to.be.at.least(
      AGENTS * Math.floor(result.seconds / LONGEST_INTERVAL_SECONDS),
    );
    expect(result.bytesPerAgent).to.be.below(160 * 1024);
  });
});
