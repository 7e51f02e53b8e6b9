// What every nonce store must keep, whatever it is made of.
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { NonceStore } from '../../../server/nodes/nonce-store.ts';

export function nonceStoreContract(open: () => Promise<NonceStore>): void {
  let nonces: NonceStore;
  before(async () => {
    nonces = await open();
  });
  after(() => nonces.close());

  it('grants a nonce once', async () => {
    const nonce = randomBytes(16);
    expect(await nonces.claim('n-a', nonce)).to.equal(true);
    expect(await nonces.claim('n-a', nonce)).to.equal(false);
    expect(await nonces.claim('n-a', Buffer.from(nonce))).to.equal(false);
  });

  it('grants a nonce to one of many who ask at once', async () => {
    const nonce = randomBytes(16);
    const claims = await Promise.all(
      Array.from({ length: 50 }, async () => nonces.claim('n-a', nonce)),
    );
    expect(claims.filter(Boolean)).to.have.length(1);
  });

  it("does not take one node's nonce for another's", async () => {
    const nonce = randomBytes(16);
    expect(await nonces.claim('n-a', nonce)).to.equal(true);
    expect(await nonces.claim('n-b', nonce)).to.equal(true);
  });

  it('tells nonces apart by their last bit', async () => {
    const nonce = randomBytes(16);
    const other = Buffer.from(nonce);
    other[15] = (other[15] ?? 0) ^ 1;
    expect(await nonces.claim('n-a', nonce)).to.equal(true);
    expect(await nonces.claim('n-a', other)).to.equal(true);
  });
}
