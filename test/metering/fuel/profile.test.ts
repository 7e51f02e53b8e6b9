import { createHash } from 'node:crypto';

import { expect } from 'chai';

import { GJ_0_DIGEST_HEX, GJ_0_DOCUMENT, GJ_0_PROFILE } from '../../../metering/metering.ts';

describe('the profile document', () => {
  const text = new TextDecoder().decode(GJ_0_DOCUMENT);

  it('has the digest that stands in prices, orders and receipts: another text is another profile', () => {
    expect(createHash('sha256').update(GJ_0_DOCUMENT).digest('hex')).to.equal(GJ_0_DIGEST_HEX);
  });

  it('names itself, and says what it does not fix yet', () => {
    expect(text.split('\n')[0]).to.equal(`Gap Junction profile ${GJ_0_PROFILE}`);
    const missing = text.slice(text.indexOf('What this profile does not fix'));
    for (const subject of ['Instantiation', 'Bulk lengths', 'Depth', 'NaN', 'Traps']) {
      expect(missing).to.include(`${subject}:`);
    }
  });
});
