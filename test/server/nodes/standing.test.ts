import { expect } from 'chai';
import { mayCall, nextStanding, takesWork } from '../../../server/nodes/standing.ts';

describe('the standing of a node', () => {
  const table = [
    ['enrolled', 'revoke', 'revoked'],
    ['enrolled', 'drain', 'draining'],
    ['enrolled', 'resume', 'enrolled'],
    ['enrolled', 'replace', 'enrolled'],
    ['draining', 'revoke', 'revoked'],
    ['draining', 'drain', 'draining'],
    ['draining', 'resume', 'enrolled'],
    ['draining', 'replace', 'draining'],
    ['revoked', 'revoke', 'revoked'],
    ['revoked', 'drain', null],
    ['revoked', 'resume', null],
    ['revoked', 'replace', 'enrolled'],
  ] as const;
  for (const [standing, event, next] of table) {
    it(`${standing} + ${event} = ${next ?? 'refused'}`, () => {
      expect(nextStanding(standing, event)).to.equal(next);
    });
  }

  it('gives work to the enrolled alone, and lets the draining finish', () => {
    const standings = ['enrolled', 'draining', 'revoked'] as const;
    expect(standings.map(takesWork)).to.deep.equal([true, false, false]);
    expect(standings.map(mayCall)).to.deep.equal([true, true, false]);
  });
});
