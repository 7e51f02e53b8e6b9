import { expect } from 'chai';
import { prepareStatements } from '../../../server/store/prepared-postgresql.ts';

/** As PostgreSQL's driver after its connection broke. */
class BrokenClient {
  static readonly Query = class {
    callback = () => undefined;
    submit = () => undefined;
    handleCommandComplete = () => undefined;
  };
  readonly told: unknown[] = [];
  async query(..._args: readonly unknown[]): Promise<unknown> {
    throw new Error('Connection terminated unexpectedly');
  }
  async end(): Promise<void> {
    this.told.push('end');
  }
}

describe('a connection that breaks', () => {
  const broken = (): BrokenClient => {
    const pool = { Client: BrokenClient };
    prepareStatements(pool);
    return new pool.Client();
  };
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => null,
      (error: Error) => error.message,
    );

  it('at the begin of a transaction, which is sent with its first statement, ends', async () => {
    const client = broken();
    expect(await failureOf(client.query('begin', []))).to.equal(null);
    expect(await failureOf(client.query('select 1', []))).to.contain('terminated');
    expect(await failureOf(client.query('rollback', []))).to.equal(null);
    expect(client.told).to.deep.equal(['end']);
  });

  it('within a transaction has rolled it back, and ends', async () => {
    const client = broken();
    expect(await failureOf(client.query('select 1', []))).to.contain('terminated');
    expect(await failureOf(client.query('rollback', []))).to.equal(null);
    expect(client.told).to.deep.equal(['end']);
  });

  it('at the commit has not committed as far as anybody knows', async () => {
    expect(await failureOf(broken().query('commit', []))).to.contain('terminated');
  });
});
