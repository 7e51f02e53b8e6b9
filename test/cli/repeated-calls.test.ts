// What a command does about calls that it may make again, and about one that it had to give up.
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type ServiceImpl,
} from '@connectrpc/connect';
import { expect } from 'chai';

import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { BlobService } from '#gen/gapjunction/blob/v1/blob_pb';
import { JobService, type JobSpecSchema } from '#gen/gapjunction/job/v1/job_pb';

import { creditClient } from '../../cli/admin/credit.ts';
import type { Connection } from '../../cli/connection.ts';
import { describeFailure } from '../../cli/failure.ts';
import { cancelJob } from '../../cli/job/cancel.ts';
import { jobSubmitCommand, submitJob } from '../../cli/job/submit.ts';
import { pushModule } from '../../cli/module/push.ts';
import { refusal, thrownBy } from '../fakes/failure.ts';
import { WaitingClock } from '../fakes/waiting-clock.ts';

const away = (): ConnectError => new ConnectError('it is away', Code.Unavailable);

describe('a command whose control plane was away', () => {
  const NO_SPEC: MessageInitShape<typeof JobSpecSchema> = {};

  function connectionTo(
    jobs: Partial<ServiceImpl<typeof JobService>>,
    clients: Partial<ServiceImpl<typeof ClientAdminService>> = {},
  ): Connection {
    const transport = createRouterTransport(({ service }) => {
      service(JobService, jobs);
      service(ClientAdminService, clients);
      service(BlobService, {
        getUploadOffset: () => ({ complete: true }),
        upload: async () => ({}),
      });
    });
    return { client: (service) => createClient(service, transport), close: () => {} };
  }

  /** Answers so from the second call on. */
  function onSecondCall<T>(answer: T): () => T {
    let calls = 0;
    return () => {
      if (++calls === 1) throw away();
      return answer;
    };
  }

  for (const [what, failure] of [
    ['could not be reached', away()],
    ['failed', refusal(Code.Internal, 'INTERNAL', { request_id: 'x' })],
  ] as const) {
    it(`says how to submit the job once where the control plane ${what}`, async () => {
      const asked = new Set<string>();
      const connection = connectionTo({
        submitJob: ({ requestId }) => {
          asked.add(requestId);
          throw failure;
        },
      });
      const error = await thrownBy(submitJob(connection, NO_SPEC, { clock: new WaitingClock() }));
      const [requestId] = asked;
      expect(asked.size).to.equal(1);
      expect(describeFailure(error).message).to.contain(failure.rawMessage);
      expect(describeFailure(error).message).to.contain(`--request-id ${requestId}`);
    });
  }

  it('says how to credit once', async () => {
    const connection = connectionTo(
      {},
      {
        creditClient: () => {
          throw away();
        },
      },
    );
    const credit = { clientId: 'c-1', amountMicrocents: 1n };
    const options = { requestId: 'mine', clock: new WaitingClock() };
    const error = await thrownBy(creditClient(connection, credit, options));
    expect(describeFailure(error).message).to.contain('--request-id mine');
  });

  it('says nothing of that where the job was refused', async () => {
    const connection = connectionTo({
      submitJob: () => {
        throw refusal(Code.FailedPrecondition, 'BALANCE_TOO_LOW');
      },
    });
    const error = await thrownBy(submitJob(connection, NO_SPEC));
    expect(describeFailure(error).message).not.to.contain('--request-id');
  });

  for (const [what, requestId] of [
    ['no', ''],
    ['65', 'x'.repeat(65)],
  ] as const) {
    it(`refuses a request id of ${what} characters before it connects`, async () => {
      const command = jobSubmitCommand()
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      const parsed = command.parseAsync(['a.wasm', '--request-id', requestId], { from: 'user' });
      expect(await thrownBy(parsed)).to.have.property('code', 'commander.invalidArgument');
    });
  }

  it('registers a module', async () => {
    const connection = connectionTo({
      registerModule: onSecondCall({ module: { entries: [] } }),
    });
    expect(await pushModule(connection, Buffer.from('module'))).to.have.property('entries');
  });

  it('cancels a job', async () => {
    const connection = connectionTo({ cancelJob: onSecondCall({ job: { jobId: 'j-1' } }) });
    expect(await cancelJob(connection, 'j-1')).to.have.property('jobId', 'j-1');
  });
});
