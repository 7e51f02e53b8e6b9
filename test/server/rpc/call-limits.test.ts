import { expect } from 'chai';
import fc from 'fast-check';
import { AddressCounts } from '../../../server/rpc/address-counts.ts';
import { Buckets, CallCounts } from '../../../server/rpc/call-limits.ts';

describe('buckets of calls', () => {
  it('let a burst through, then so many a second, and say exactly when the next one may come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 50 }),
        (burst, perSecond) => {
          const buckets = new Buckets({ perSecond, burst });
          let nowMs = 1_000_000;
          for (let call = 0; call < burst; call++) expect(buckets.take('k', nowMs)).to.equal(0);
          for (let call = 0; call < 20; call++) {
            const waitMs = buckets.take('k', nowMs);
            expect(waitMs).to.be.within(1, Math.ceil(1_000 / perSecond));
            // A moment earlier is too early.
            if (waitMs > 1) expect(buckets.take('k', nowMs + waitMs - 1)).to.be.greaterThan(0);
            nowMs += waitMs;
            expect(buckets.take('k', nowMs)).to.equal(0);
          }
        },
      ),
    );
  });

  it('never let more through than the burst and the rate allow, whenever calls come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 }), (pausesMs) => {
        const buckets = new Buckets({ perSecond: 10, burst: 5 });
        let nowMs = 0;
        let admitted = 0;
        for (const pauseMs of pausesMs) {
          nowMs += pauseMs;
          if (buckets.take('k', nowMs) === 0) admitted++;
          expect(admitted).to.be.at.most(5 + nowMs / 100);
        }
      }),
    );
  });

  it('of one caller are not those of another', () => {
    const buckets = new Buckets({ perSecond: 1, burst: 1 });
    expect(buckets.take('a', 0)).to.equal(0);
    expect(buckets.take('a', 0)).to.be.greaterThan(0);
    expect(buckets.take('b', 0)).to.equal(0);
  });
});

describe('streams of a certificate', () => {
  it('have a place again when one ends', () => {
    const rate = { perSecond: 1, burst: 1 };
    const counts = new CallCounts({
      perCertificate: rate,
      perAddress: rate,
      maxStreamsPerCertificate: 2,
    });
    const ends = [counts.openStream('/s', 'a'), counts.openStream('/s', 'a')];
    expect(() => counts.openStream('/s', 'a')).to.throw('streams_per_certificate');
    counts.openStream('/s', 'b');
    ends[0]?.();
    counts.openStream('/s', 'a');
  });
});

describe('connections of an address', () => {
  const limits = { maxConnectionsPerAddress: 3, maxHandshakesPerAddress: 2 };

  it('are bounded, those in their handshake by less, and each that closes makes room', () => {
    const counts = new AddressCounts(limits);
    const first = counts.enter('192.0.2.1');
    const second = counts.enter('192.0.2.1');
    expect(counts.enter('192.0.2.1')).to.equal(null);
    first?.shakenHands();
    const third = counts.enter('192.0.2.1');
    expect(third).not.to.equal(null);
    second?.shakenHands();
    third?.shakenHands();
    expect(counts.enter('192.0.2.1')).to.equal(null);
    expect(counts.enter('192.0.2.2')).not.to.equal(null);
    first?.leave();
    expect(counts.enter('192.0.2.1')).not.to.equal(null);
  });

  it('count for the whole block of an IPv6 subscriber', () => {
    const counts = new AddressCounts(limits);
    counts.enter('2001:db8::1');
    counts.enter('2001:db8::2');
    expect(counts.enter('2001:db8::3')).to.equal(null);
  });
});
