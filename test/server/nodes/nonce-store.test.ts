import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { memoryNonceStore, NonceStoreUnavailable } from '../../../server/nodes/nonce-store.ts';
import { TestClock } from '../../fakes/clock.ts';
import { nonceStoreContract } from './nonce-store.contract.ts';

describe('nonces in this process', () => {
  nonceStoreContract(async () => memoryNonceStore({ clock: new TestClock(0) }));

  it('are kept for 125 s, longer than a frame can be within the window', async () => {
    const clock = new TestClock(0);
    const nonces = memoryNonceStore({ clock });
    const nonce = randomBytes(16);
    await nonces.claim('n-a', nonce);
    clock.advance(124_999);
    expect(await nonces.claim('n-a', nonce)).to.equal(false);
    clock.advance(1);
    expect(await nonces.claim('n-a', nonce)).to.equal(true);
  });

  it('refuse rather than forget when there are too many, and go on when old ones end', async () => {
    const clock = new TestClock(0);
    const nonces = memoryNonceStore({ clock, maxClaims: 2 });
    const [one, two, three] = [randomBytes(16), randomBytes(16), randomBytes(16)];
    await nonces.claim('n-a', one);
    await nonces.claim('n-a', two);
    expect(() => nonces.claim('n-a', three)).to.throw(NonceStoreUnavailable);
    expect(await nonces.claim('n-a', one)).to.equal(false);
    clock.advance(125_000);
    expect(await nonces.claim('n-a', three)).to.equal(true);
  });
});
