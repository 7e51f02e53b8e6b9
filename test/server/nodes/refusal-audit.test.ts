import { expect } from 'chai';
import fc from 'fast-check';
import { RefusalAudit } from '../../../server/nodes/refusal-audit.ts';

describe('refused beats in the audit log', () => {
  it('have an entry at once, one a node and minute, and the next says how many had none', () => {
    const audit = new RefusalAudit();
    const entry = (unlisted: number) => ({ nodeId: 'n-a', reason: 'BAD_MAC', unlisted });
    expect(audit.note('n-a', 'BAD_MAC', 0)).to.deep.equal(entry(0));
    expect(audit.note('n-a', 'BAD_MAC', 1)).to.equal(null);
    expect(audit.note('n-b', 'REPLAYED', 1)).to.include({ nodeId: 'n-b', unlisted: 0 });
    expect(audit.note('n-a', 'BAD_MAC', 59_999)).to.equal(null);
    expect(audit.note('n-a', 'BAD_MAC', 60_000)).to.deep.equal(entry(2));
    expect(audit.note('n-a', 'BAD_MAC', 180_000)).to.deep.equal(entry(0));
  });

  it('have another at once where one could not be written, and it counts what that one told', () => {
    const audit = new RefusalAudit();
    const entry = (unlisted: number) => ({ nodeId: 'n-a', reason: 'BAD_MAC', unlisted });
    audit.note('n-a', 'BAD_MAC', 0);
    expect(audit.note('n-a', 'BAD_MAC', 1)).to.equal(null);
    const unwritten = audit.note('n-a', 'BAD_MAC', 60_000);
    expect(unwritten).to.deep.equal(entry(1));
    expect(audit.note('n-a', 'BAD_MAC', 60_001)).to.equal(null);
    audit.unnote(unwritten!);
    expect(audit.note('n-a', 'BAD_MAC', 60_002)).to.deep.equal(entry(3));
    expect(audit.note('n-a', 'BAD_MAC', 60_003)).to.equal(null);
  });

  it('account for every refusal but those of the last minute', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(600_000), { minLength: 1 }), (times) => {
        const audit = new RefusalAudit();
        const sorted = times.toSorted((left, right) => left - right);
        const entries = sorted.map((atMs) => audit.note('n-a', 'BAD_MAC', atMs));
        const listed = entries.filter((entry) => entry !== null);
        const minutes = sorted.map((atMs) => Math.floor(atMs / 60_000));
        const inLast = minutes.filter((minute) => minute === minutes.at(-1)).length;
        expect(listed).to.have.length(new Set(minutes).size);
        const told = listed.reduce((sum, { unlisted }) => sum + 1 + unlisted, 0);
        expect(told).to.equal(sorted.length - inLast + 1);
      }),
    );
  });
});
