import { expect } from 'chai';
import { RpcError } from '../../../server/rpc/error.ts';
import { memoryLimiter } from '../../../server/rpc/limiter.ts';
import { enrolmentLimit } from '../../../server/rpc/limits.ts';

const KEY = new Uint8Array(32);

/** How many of so many tries at once are let through. */
async function admitted(tries: number, attempt: () => Promise<void>): Promise<number> {
  let count = 0;
  for (let index = 0; index < tries; index++) {
    try {
      await attempt();
      count++;
    } catch (error) {
      expect(error).to.be.instanceOf(RpcError).and.to.include({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'RATE_LIMITED',
      });
      const retryAfterMs = Number((error as RpcError).metadata['retry_after_ms']);
      expect(retryAfterMs).to.be.within(1, 60_000);
    }
  }
  return count;
}

describe('the limit on enrolments', () => {
  const limit = () =>
    enrolmentLimit({
      newLimiter: memoryLimiter,
      perAddressPerSecond: 1,
      burstPerAddress: 10,
      perKeyPerMinute: 10,
    });

  it('lets a burst of an address through and then one a second', async () => {
    const enrol = limit();
    expect(await admitted(30, () => enrol('192.0.2.1'))).to.be.within(11, 12);
    expect(await admitted(1, () => enrol('192.0.2.2'))).to.equal(1);
  });

  it('counts a key by itself, wherever it comes from', async () => {
    const enrol = limit();
    let host = 0;
    expect(await admitted(15, () => enrol(`192.0.2.${host++}`, KEY))).to.equal(10);
    expect(
      await admitted(1, () =>
        enrol(
          '192.0.2.1',
          KEY.map(() => 1),
        ),
      ),
    ).to.equal(1);
  });

  it('takes the addresses of one IPv6 subscriber for one, and two subscribers for two', async () => {
    const enrol = limit();
    let host = 0;
    expect(await admitted(30, () => enrol(`2001:db8::${(host++).toString(16)}`))).to.be.below(13);
    expect(await admitted(1, () => enrol('2001:db8:0:0:5::1'))).to.equal(0);
    expect(await admitted(1, () => enrol('2001:db8:0:1::1'))).to.equal(1);
  });
});
