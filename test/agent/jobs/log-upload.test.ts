import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { expect } from 'chai';

import {
  AppendLogsResponseSchema,
  type AppendLogsRequest,
} from '#gen/gapjunction/node/v1/dispatch_pb';
import type { Connection } from '../../../agent/control-plane/connection.ts';
import { LogUpload } from '../../../agent/jobs/log-upload.ts';
import { silentLog } from '../../fakes/agent.ts';
import { refusal } from '../../fakes/failure.ts';

/** A control plane that keeps logs by offset, and fails as a test says. */
class LogKeeper {
  text = '';
  calls = 0;
  fail: (call: number) => ConnectError | null = () => null;

  readonly link = {
    connection: () => Promise.resolve({ client: () => this } as unknown as Connection),
  };

  async appendLogs({ offsetBytes, chunk }: Pick<AppendLogsRequest, 'offsetBytes' | 'chunk'>) {
    const error = this.fail(++this.calls);
    if (error !== null && error.code !== Code.Unavailable) throw error;
    const offset = Number(offsetBytes);
    if (offset > this.text.length) {
      throw refusal(Code.FailedPrecondition, 'OFFSET_MISMATCH', {
        offset: String(this.text.length),
      });
    }
    this.text += Buffer.from(chunk)
      .toString()
      .slice(this.text.length - offset);
    // The bytes are stored, and the answer is lost.
    if (error !== null) throw error;
    return create(AppendLogsResponseSchema, { nextOffsetBytes: BigInt(this.text.length) });
  }
}

describe('sending logs', () => {
  const now = {
    now: () => 0,
    after: (_: number, task: () => void) => (setImmediate(task), () => {}),
  };

  function uploadTo(keeper: LogKeeper): LogUpload {
    const { signal } = new AbortController();
    const parts = { link: keeper.link, clock: now, random: () => 0, log: silentLog, signal };
    return new LogUpload(parts, { attemptId: 'a-1', headers: {} });
  }

  it('loses and doubles nothing when answers are lost and the other side forgot some', async () => {
    const keeper = new LogKeeper();
    keeper.fail = (call) => (call % 2 === 1 ? refusal(Code.Unavailable, 'CUT') : null);
    const upload = uploadTo(keeper);
    upload.push(Buffer.from('one '));
    upload.push(Buffer.from('two '));
    await upload.finish(Buffer.from('one two three'));
    expect(keeper.text).to.equal('one two three');
    keeper.text = 'one ';
    await upload.finish(Buffer.from('one two three four'));
    expect(keeper.text).to.equal('one two three four');
  });

  it('stops where nobody wants them any more', async () => {
    const keeper = new LogKeeper();
    keeper.fail = () => refusal(Code.FailedPrecondition, 'ATTEMPT_STALE');
    const upload = uploadTo(keeper);
    await upload.finish(Buffer.from('late'));
    await upload.finish(Buffer.from('later'));
    expect(keeper.calls).to.equal(1);
  });

  for (const [what, failure] of [
    ['is away', refusal(Code.Unavailable, 'DATABASE_UNAVAILABLE')],
    ['has a full disk', refusal(Code.ResourceExhausted, 'STORAGE_FULL')],
    // As connect-node tells of ECONNRESET, and of EPIPE or EHOSTUNREACH.
    ['is cut off in the middle of a call', new ConnectError('ECONNRESET', Code.Aborted)],
    ['cannot be reached', new ConnectError('EHOSTUNREACH', Code.Internal)],
  ] as const) {
    it(`waits for a control plane that ${what}, however long that is`, async () => {
      const keeper = new LogKeeper();
      keeper.fail = (call) => (call <= 50 ? failure : null);
      await uploadTo(keeper).finish(Buffer.from('late'));
      expect(keeper.text).to.equal('late');
    });
  }

  for (const failure of [
    refusal(Code.Aborted, 'BUSY'),
    refusal(Code.Internal, 'INTERNAL', { request_id: 'r-1' }),
    refusal(Code.ResourceExhausted, 'STORAGE_FULL', { quota: 'blob_bytes' }),
  ]) {
    it(`keeps no owner from his pay: after some failures as ${failure.rawMessage} it ends without them`, async () => {
      const keeper = new LogKeeper();
      keeper.fail = () => failure;
      await uploadTo(keeper).finish(Buffer.from('never'));
      expect(keeper.text).to.equal('');
      expect(keeper.calls).to.equal(5);
    });
  }
});
