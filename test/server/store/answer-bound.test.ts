import { expect } from 'chai';
import { AnswerBound, AnswerTimeout } from '../../../server/store/answer-bound.ts';
import { expectedFailure } from '../../../server/store/failure.ts';
import { TestClock } from '../../fakes/clock.ts';

/** A connection whose database answers when the test says so. */
class SilentClient {
  isDestroyed = false;
  readonly answers: (() => void)[] = [];
  readonly connection = { stream: { destroy: () => (this.isDestroyed = true) } };
  query(..._args: readonly unknown[]): unknown {
    return new Promise<string>((resolve) => this.answers.push(() => resolve('answer')));
  }
}

describe('a statement that is not answered', () => {
  const begin = () => {
    const clock = new TestClock(0);
    const bound = new AnswerBound(clock, 1_000);
    const pool = { Client: SilentClient };
    bound.apply(pool);
    return { clock, bound, client: new pool.Client() };
  };
  const failureOf = (work: unknown) =>
    (work as Promise<unknown>).then(
      () => null,
      (error: unknown) => error,
    );

  it('ends its connection, and is told as a database that is away', async () => {
    const { clock, client } = begin();
    const failure = failureOf(client.query('select 1', []));
    clock.advance(999);
    expect(client.isDestroyed).to.equal(false);
    clock.advance(1);
    expect(client.isDestroyed).to.equal(true);
    expect(await failure).to.be.instanceOf(AnswerTimeout);
    expect(expectedFailure(await failure)?.reason).to.equal('DATABASE_UNAVAILABLE');
  });

  it('in time costs its connection nothing afterwards', async () => {
    const { clock, client } = begin();
    const answer = client.query('select 1', []);
    client.answers[0]?.();
    expect(await answer).to.equal('answer');
    clock.advance(2_000);
    expect(client.isDestroyed).to.equal(false);
  });

  it('may be one that waits for a lock, or part of a migration: those take as long as they take', async () => {
    const { clock, client, bound } = begin();
    const waiting = client.query('select pg_advisory_lock(7)');
    const migrated = bound.without(async () => client.query('update job set priority = 0', []));
    clock.advance(3_600_000);
    expect(client.isDestroyed).to.equal(false);
    for (const answer of client.answers) answer();
    expect(await Promise.all([waiting, migrated])).to.deep.equal(['answer', 'answer']);
  });
});
