import { expect } from 'chai';
import { mayCall, nextStanding, takesWork } from '../../../server/nodes/standing.ts';

describe('the standing of a node', () => {
  const table = [
    ['enrolled', 'revoke', 'revoked'],
    ['enrolled', 'cordon', 'cordoned'],
    ['enrolled', 'drain', 'draining'],
    ['enrolled', 'uncordon', 'enrolled'],
    ['enrolled', 'replace', 'enrolled'],
    ['cordoned', 'revoke', 'revoked'],
    ['cordoned', 'cordon', 'cordoned'],
    ['cordoned', 'drain', 'draining'],
    ['cordoned', 'uncordon', 'enrolled'],
    ['cordoned', 'replace', 'cordoned'],
    ['draining', 'revoke', 'revoked'],
    ['draining', 'cordon', 'cordoned'],
    ['draining', 'drain', 'draining'],
    ['draining', 'uncordon', 'enrolled'],
    ['draining', 'replace', 'draining'],
    ['revoked', 'revoke', 'revoked'],
    ['revoked', 'cordon', null],
    ['revoked', 'drain', null],
    ['revoked', 'uncordon', null],
    ['revoked', 'replace', 'enrolled'],
  ] as const;
  for (const [standing, event, next] of table) {
    it(`${standing} + ${event} = ${next ?? 'refused'}`, () => {
      expect(nextStanding(standing, event)).to.equal(next);
    });
  }

  it('gives work to the enrolled alone, and lets the cordoned and draining finish', () => {
    const standings = ['enrolled', 'cordoned', 'draining', 'revoked'] as const;
    expect(standings.map(takesWork)).to.deep.equal([true, false, false, false]);
    expect(standings.map(mayCall)).to.deep.equal([true, true, true, false]);
  });
});
