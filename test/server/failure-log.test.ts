import { expect } from 'chai';
import { pino } from 'pino';
import { failureLog } from '../../server/failure-log.ts';
import { RpcError } from '../../server/rpc/error.ts';

describe('a failure in the background', () => {
  const logged = (cause: unknown): Record<string, unknown> => {
    const lines: string[] = [];
    const log = pino({}, { write: (line) => void lines.push(line) });
    let counted = 0;
    failureLog(
      log,
      () => void counted++,
      () => 0,
    )('writing beats', cause);
    expect(lines).to.have.length(1);
    expect(counted).to.equal(1);
    return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  };

  it('is a warning without a stack while the database is away', () => {
    const gone = new Error('connect ECONNREFUSED');
    const line = logged(new RpcError('UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'x', { cause: gone }));
    expect(line).to.include({
      level: 40,
      msg: 'writing beats',
      reason: 'DATABASE_UNAVAILABLE',
      cause: 'connect ECONNREFUSED',
    });
    expect(line).not.to.have.property('err');
  });

  it('is an error with its stack otherwise', () => {
    const line = logged(new TypeError('a mistake of ours'));
    expect(line).to.include({ level: 50, msg: 'writing beats' });
    expect(line['err']).to.have.property('stack');
  });

  it('is told once a minute of an outage, of each thing that cannot be done, and counted each time', () => {
    const lines: { readonly msg: string; readonly unlistedBefore: number }[] = [];
    const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) });
    let [counted, nowMs] = [0, 0];
    const fail = failureLog(
      log,
      () => void counted++,
      () => nowMs,
    );
    const gone = new RpcError('UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'x');
    for (nowMs = 0; nowMs <= 60_000; nowMs += 1_000) {
      fail(`acknowledging the attempt 'a-${nowMs}'`, gone);
      fail('sweeping leases', gone);
    }
    expect(lines.map(({ msg, unlistedBefore }) => [msg, unlistedBefore])).to.deep.equal([
      ["acknowledging the attempt 'a-0'", 0],
      ['sweeping leases', 0],
      ["acknowledging the attempt 'a-60000'", 59],
      ['sweeping leases', 59],
    ]);
    expect(counted).to.equal(122);
  });
});
