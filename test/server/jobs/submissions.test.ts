import { expect } from 'chai';

import { Submissions } from '../../../server/jobs/submissions.ts';

describe('the submissions of a client', () => {
  const open = new AbortController().signal;

  interface Named {
    readonly clientId: string;
    readonly name: string;
  }

  /** Batches that end when they are told to; tells which began. */
  function line(refused: readonly string[] = []) {
    const begun: string[] = [];
    const ends = new Map<string, () => void>();
    const submissions = new Submissions<Named, string>(async (batch) => {
      const names = batch.map(({ name }) => name).join(' ');
      begun.push(names);
      await new Promise<void>((resolve) => ends.set(names, resolve));
      return batch.map(({ name }) =>
        refused.includes(name)
          ? { status: 'rejected', reason: new Error(`no ${name}`) }
          : { status: 'fulfilled', value: `job ${name}` },
      );
    });
    return {
      begun,
      submit: (clientId: string, name: string, signal = open): Promise<string> =>
        submissions.submit({ clientId, name }, signal),
      end: async (names: string): Promise<void> => {
        ends.get(names)?.();
        await new Promise<void>((resolve) => setImmediate(resolve));
      },
    };
  }

  it('that come while one is under way are made together, and hold up no other client', async () => {
    const { submit, begun, end } = line();
    const all = ['1', '2', '3'].map((name) => submit('c-a', name));
    void submit('c-b', 'other');
    await end('');
    expect(begun).to.deep.equal(['1', 'other']);
    await end('1');
    expect(begun).to.deep.equal(['1', 'other', '2 3']);
    await end('2 3');
    expect(await Promise.all(all)).to.deep.equal(['job 1', 'job 2', 'job 3']);
  });

  it('are sixteen at a time, in their order', async () => {
    const { submit, begun, end } = line();
    const names = Array.from({ length: 20 }, (_, at) => String(at));
    const all = names.map((name) => submit('c-a', name));
    await end('');
    await end('0');
    await end(names.slice(1, 17).join(' '));
    await end(names.slice(17).join(' '));
    expect(await Promise.all(all)).to.deep.equal(names.map((name) => `job ${name}`));
    expect(begun.map((batch) => batch.split(' ').length)).to.deep.equal([1, 16, 3]);
  });

  it('end each in its own way', async () => {
    const { submit, end } = line(['2']);
    const outcomes = Promise.allSettled(['1', '2', '3'].map((name) => submit('c-a', name)));
    await end('');
    await end('1');
    await end('2 3');
    const [first, second, third] = await outcomes;
    expect([first?.status, second?.status, third?.status]).to.deep.equal([
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
  });

  it('all fail where their batch does, and the next ones go on', async () => {
    let isAway = true;
    const submissions = new Submissions<Named, string>(async (batch) => {
      if (isAway) throw new Error('the database is away');
      return batch.map(({ name }) => ({ status: 'fulfilled', value: name }));
    });
    const failing = await Promise.allSettled(
      ['1', '2', '3'].map((name) => submissions.submit({ clientId: 'c-a', name }, open)),
    );
    expect(failing.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected', 'rejected']);
    isAway = false;
    expect(await submissions.submit({ clientId: 'c-a', name: '4' }, open)).to.equal('4');
  });

  it('are not begun for a caller who has gone meanwhile', async () => {
    const { submit, begun, end } = line();
    const gone = new AbortController();
    const first = submit('c-a', '1');
    const refused = submit('c-a', 'gone', gone.signal).catch((cause: unknown) => cause);
    const last = submit('c-a', 'last');
    gone.abort(new Error('the caller has gone'));
    await end('');
    await end('1');
    await end('last');
    expect(await refused).to.equal(gone.signal.reason);
    expect(await Promise.all([first, last])).to.deep.equal(['job 1', 'job last']);
    expect(begun).to.deep.equal(['1', 'last']);
  });
});
