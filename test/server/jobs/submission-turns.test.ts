import { expect } from 'chai';

import { SubmissionTurns } from '../../../server/jobs/submission-turns.ts';

describe('the submissions of a client', () => {
  const open = new AbortController().signal;

  /** Work that ends when it is told to; tells when it began. */
  function tasks(turns: SubmissionTurns) {
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const all = new Map<string, Promise<string>>();
    return {
      begun,
      all,
      begin: (clientId: string, name: string, signal = open): void => {
        const task = turns.take(clientId, signal, async () => {
          begun.push(name);
          await new Promise<void>((resolve) => ends.set(name, resolve));
          return name;
        });
        all.set(name, task);
      },
      end: async (name: string): Promise<void> => {
        ends.get(name)?.();
        await all.get(name);
      },
    };
  }

  it('are four at a time, in their order, and hold up no other client', async () => {
    const { begin, begun, end } = tasks(new SubmissionTurns());
    for (const name of ['1', '2', '3', '4', '5', '6']) begin('c-a', name);
    begin('c-b', 'other');
    await Promise.resolve();
    expect(begun).to.deep.equal(['1', '2', '3', '4', 'other']);
    await end('2');
    await end('1');
    expect(begun).to.deep.equal(['1', '2', '3', '4', 'other', '5', '6']);
  });

  it('go on after one that failed', async () => {
    const turns = new SubmissionTurns();
    const failure = new Error('no money');
    const failing = Array.from({ length: 9 }, () =>
      turns.take('c-a', open, () => Promise.reject(failure)).catch((cause: unknown) => cause),
    );
    expect(await Promise.all(failing)).to.deep.equal(failing.map(() => failure));
    expect(await turns.take('c-a', open, async () => 'done')).to.equal('done');
  });

  it('are not begun for a caller who has gone meanwhile', async () => {
    const { begin, begun, end, all } = tasks(new SubmissionTurns());
    const gone = new AbortController();
    for (const name of ['1', '2', '3', '4']) begin('c-a', name);
    begin('c-a', 'gone', gone.signal);
    begin('c-a', 'last');
    const refused = all.get('gone')?.catch((cause: unknown) => cause);
    gone.abort(new Error('the caller has gone'));
    await end('1');
    expect(await refused).to.equal(gone.signal.reason);
    await end('2');
    expect(begun).to.deep.equal(['1', '2', '3', '4', 'last']);
  });
});
