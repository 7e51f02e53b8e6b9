import { expect } from 'chai';
import fc from 'fast-check';

import { certificateStanding, renewalTimeMs } from '../../../agent/identity/renewal.ts';

const DAY_MS = 86_400_000;
const certificate = { notBeforeMs: 1_000_000, notAfterMs: 1_000_000 + DAY_MS };

describe('the time of a renewal', () => {
  it('is half of the life for the middle of the range', () => {
    expect(renewalTimeMs(certificate, 0.5)).to.equal(1_000_000 + DAY_MS / 2);
  });

  it('lies within ten percent of half of the life, for any certificate and any chance', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 41 }),
        fc.integer({ min: 1_000, max: 2 ** 35 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (notBeforeMs, lifeMs, random) => {
          const validity = { notBeforeMs, notAfterMs: notBeforeMs + lifeMs };
          const atMs = renewalTimeMs(validity, random);
          // A millisecond for what a double of this size cannot say.
          expect(atMs - notBeforeMs).to.be.within(0.45 * lifeMs - 1, 0.55 * lifeMs + 1);
        },
      ),
    );
  });

  it('lets a machine that was off come back for 7 days after the end, and not longer', () => {
    const { notAfterMs } = certificate;
    expect(certificateStanding(notAfterMs - 1, certificate)).to.equal('valid');
    expect(certificateStanding(notAfterMs, certificate)).to.equal('recoverable');
    expect(certificateStanding(notAfterMs + 7 * DAY_MS - 1, certificate)).to.equal('recoverable');
    expect(certificateStanding(notAfterMs + 7 * DAY_MS, certificate)).to.equal('ended');
  });
});
