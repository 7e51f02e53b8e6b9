import { expect } from 'chai';
import { PassedOver } from '../../../server/jobs/passed-over.ts';

const job = (jobId: string) => ({ jobId, priority: 0, submittedMs: 1 });
const look = (clientId: string, jobIds: readonly string[], isEnd = false) => ({
  clientId,
  jobs: jobIds.map(job),
  isEnd,
});
const NOTHING = { placed: new Set<string>(), passedOver: new Set<string>() };

describe('clients whose first jobs no free node may take', () => {
  it('are looked at further down next time, and from the start after their last job', () => {
    const passedOver = new PassedOver();
    passedOver.learn([look('c', ['j-1', 'j-2'])], {
      ...NOTHING,
      passedOver: new Set(['j-1', 'j-2']),
    });
    expect(passedOver.next()).to.deep.equal({
      excluded: [],
      cursors: [{ clientId: 'c', ...job('j-2') }],
    });
    passedOver.learn([look('c', ['j-3'], true)], { ...NOTHING, passedOver: new Set(['j-3']) });
    expect(passedOver.next().cursors).to.deep.equal([]);
  });

  it('are as all others once one of their jobs was placed', () => {
    const passedOver = new PassedOver();
    passedOver.learn([look('c', ['j-1'])], { ...NOTHING, passedOver: new Set(['j-1']) });
    passedOver.learn([look('c', ['j-2', 'j-3'])], {
      placed: new Set(['j-3']),
      passedOver: new Set(['j-2']),
    });
    expect(passedOver.next()).to.deep.equal({ excluded: [], cursors: [] });
  });

  it('are not those for whom there was merely no slot left', () => {
    const passedOver = new PassedOver();
    passedOver.learn([look('c', ['j-1'])], NOTHING);
    expect(passedOver.next()).to.deep.equal({ excluded: [], cursors: [] });
  });

  it('leave their places to others, and each comes up again, however many they are', () => {
    const passedOver = new PassedOver();
    const clients = Array.from({ length: 100 }, (_, index) => `c-${index}`);
    const lookAt = (some: readonly string[]) =>
      passedOver.learn(
        some.map((clientId) => look(clientId, [`j-${clientId}`])),
        { ...NOTHING, passedOver: new Set(some.map((clientId) => `j-${clientId}`)) },
      );
    lookAt(clients);
    const seen = new Set<string>();
    for (let choice = 0; choice < 13; choice++) {
      const { excluded } = passedOver.next();
      expect(excluded).to.have.length(92);
      const again = clients.filter((clientId) => !excluded.includes(clientId));
      for (const clientId of again) seen.add(clientId);
      lookAt(again);
    }
    expect(seen.size).to.equal(100);
  });
});
