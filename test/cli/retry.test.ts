// Calls that are safe to repeat, while a control plane is away.
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';

import { Retries, untilThere } from '../../cli/retry.ts';
import { refusal, thrownBy } from '../fakes/failure.ts';
import { WaitingClock } from '../fakes/waiting-clock.ts';

const away = (): ConnectError => new ConnectError('it is away', Code.Unavailable);

describe('a call that is safe to repeat', () => {
  let clock: WaitingClock;
  beforeEach(() => {
    clock = new WaitingClock();
  });

  /** Fails with `error` until so many milliseconds have passed. */
  const backAfter = (ms: number, error: () => ConnectError) => async () => {
    if (clock.now() < ms) throw error();
    return 'answer';
  };

  it('is repeated while a database or the network is away for 30 s, and what it leaves starts again', async () => {
    expect(await untilThere(backAfter(45_000, away), { clock })).to.equal('answer');
  });

  it('is given up after a minute, however long each try takes', async () => {
    let calls = 0;
    const slow = async (): Promise<never> => {
      calls++;
      clock.pass(15_000);
      throw away();
    };
    expect(await thrownBy(untilThere(slow, { clock }))).to.have.property('code', Code.Unavailable);
    expect(calls).to.equal(5);
  });

  for (const error of [
    refusal(Code.ResourceExhausted, 'RATE_LIMITED', { retry_after_ms: '3000' }),
    refusal(Code.ResourceExhausted, 'CHECKER_BUSY', { retry_after_ms: '3000' }),
  ]) {
    it(`is made again after ${error.rawMessage} when that asks for it`, async () => {
      expect(
        await untilThere(
          backAfter(1, () => error),
          { clock },
        ),
      ).to.equal('answer');
      expect(clock.waits).to.deep.equal([3_000]);
    });
  }

  it('waits for no refusal longer than 10 s', async () => {
    const error = refusal(Code.ResourceExhausted, 'RATE_LIMITED', { retry_after_ms: '86400000' });
    await untilThere(
      backAfter(1, () => error),
      { clock },
    );
    expect(clock.waits).to.deep.equal([10_000]);
  });

  it('is made again after two transactions met', async () => {
    const error = refusal(Code.Aborted, 'TRANSACTION_CONFLICT');
    expect(
      await untilThere(
        backAfter(1, () => error),
        { clock },
      ),
    ).to.equal('answer');
  });

  for (const error of [
    refusal(Code.ResourceExhausted, 'QUOTA_EXCEEDED', { retry_after_ms: '3000' }),
    refusal(Code.Internal, 'INTERNAL'),
  ]) {
    it(`is not made again after ${error.rawMessage}`, async () => {
      expect(
        await thrownBy(
          untilThere(
            backAfter(1, () => error),
            { clock },
          ),
        ),
      ).to.equal(error);
      expect(clock.waits).to.deep.equal([]);
    });
  }

  it('counts a quiet stream that lasted for no failure in a row', async () => {
    const retries = new Retries({ clock, mayBeQuiet: true });
    for (let hour = 0; hour < 24; hour++) {
      clock.pass(3_600_000);
      expect(await retries.again(away())).to.equal(true);
    }
  });
});
