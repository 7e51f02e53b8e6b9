import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { pino } from 'pino';
import {
  type EarningsService,
  GetEarningsRequestSchema,
} from '#gen/gapjunction/billing/v1/billing_pb';
import { systemClock } from '../../../server/clock.ts';
import { creditClient, holdForJob, settleJob } from '../../../server/ledger/ledger-store.ts';
import { earningsService } from '../../../server/payouts/earnings-service.ts';
import type { CallContext, Caller, Handlers } from '../../../server/rpc/service.ts';
import { openStore, type OpenStore } from '../../../server/store/open.ts';
import { storeTemplate } from '../../fakes/store-template.ts';

const certified = {
  serial: '1',
  keyId: new Uint8Array(32),
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  chain: [],
};

function callOf(caller: Caller): CallContext {
  const { signal } = new AbortController();
  return { caller, requestId: 'r', address: '127.0.0.1', signal, log: pino({ level: 'silent' }) };
}

describe('EarningsService', () => {
  let store: OpenStore;
  before(async () => {
    const template = await storeTemplate();
    store = await openStore({ kind: 'memory' }, { clock: systemClock, exclusive: true, template });
    await store.transaction(async (em) => {
      const client = { clientId: 'c-a', jobId: 'j-a' };
      const credit = { ...client, requestId: 'r-a', operatorId: 'o-a', microcents: 1000n };
      await creditClient(em, credit);
      await holdForJob(em, { ...client, microcents: 1000n });
      const amounts = { chargeMicrocents: 500n, nodeShareMicrocents: 400n };
      await settleJob(em, { ...client, nodeId: 'n-a', ...amounts });
    });
  });
  after(() => store.close());

  const earnings = (caller: Caller) => {
    const handlers = earningsService({ store }).handlers as unknown as Handlers<
      typeof EarningsService
    >;
    return handlers.getEarnings(create(GetEarningsRequestSchema), callOf(caller));
  };

  it('tells a node what it has earned, and nothing of what others have', async () => {
    expect(await earnings({ kind: 'node', nodeId: 'n-a', ...certified })).to.deep.equal({
      pendingMicrocents: 400n,
      settledJobs: 1n,
    });
    expect(await earnings({ kind: 'node', nodeId: 'n-b', ...certified })).to.deep.equal({
      pendingMicrocents: 0n,
      settledJobs: 0n,
    });
  });

  it('tells a client nothing, even if the door let it in', async () => {
    const asking = earnings({ kind: 'client', clientId: 'c-a', ...certified });
    expect(await asking.catch(String)).to.match(/handling a call of a node/);
  });
});
