// What one caller may take from all others: calls, streams, connections.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { expect } from 'chai';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { JobService } from '#gen/gapjunction/job/v1/job_pb';
import { implement, type Handlers } from '../../../server/rpc/service.ts';
import { healthService } from '../../../server/rpc/health.ts';
import { Health } from '#gen/grpc/health/v1/health_pb';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { TestClock } from '../../fakes/clock.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const CALLS = {
  perCertificate: { perSecond: 10, burst: 20 },
  perAddress: { perSecond: 100, burst: 200 },
  maxStreamsPerCertificate: 10,
};

/** A service that there is not. */
const NOBODY = { service: 'nobody' };

describe('the port, towards callers that want it all', () => {
  const clock = new TestClock(Date.now());
  let rpc: TestListener;
  let greedy: IssuedCertificate;
  let modest: IssuedCertificate;
  let openStreams = 0;

  const billing = implement(BillingService, { getBalance: async () => ({}) });
  const jobs = implement(JobService, {
    async *watchJob(_, { signal }) {
      openStreams++;
      yield {};
      if (!signal.aborted) await once(signal, 'abort');
      openStreams--;
    },
  } as Partial<Handlers<typeof JobService>> as Handlers<typeof JobService>);

  before(async () => {
    rpc = await startListener({
      services: [billing, withAll(jobs), healthService(new Set()).implementation],
      clock,
      limits: { calls: CALLS, maxConnectionsPerAddress: 30, maxHandshakesPerAddress: 5 },
    });
    greedy = await rpc.authority.client(`c-${'a'.repeat(20)}`);
    modest = await rpc.authority.client(`c-${'b'.repeat(20)}`);
  });
  after(() => rpc.stop());
  // Every bucket is full again.
  beforeEach(() => clock.advance(5_000));

  it('a certificate that calls too often is told when to come again, and costs no other its calls', async () => {
    const calls = rpc.clientFor(BillingService, greedy);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, () => calls.getBalance({})),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.length(20);
    const refused = await failureOf(calls.getBalance({}));
    expect(refused).to.include({ code: 'ResourceExhausted', reason: 'RATE_LIMITED' });
    expect(refused.metadata).to.include({
      limit: 'calls_per_second_per_certificate',
      retry_after_ms: '100',
    });
    await rpc.clientFor(BillingService, modest).getBalance({});
    clock.advance(100);
    await calls.getBalance({});
  });

  it('an address that calls without a certificate is limited, too', async () => {
    const health = rpc.clientFor(Health, null);
    const reasons: string[] = [];
    for (let call = 0; call < 210; call++)
      reasons.push((await failureOf(health.check(NOBODY))).reason);
    expect(reasons.filter((reason) => reason === 'RATE_LIMITED')).to.have.length(10);
  });

  it('a client that opens thousands of streams has as many as it may, and the next client has its own', async () => {
    const abort = new AbortController();
    const refusals: Promise<string>[] = [];
    // Over three connections, since one has 32 at a time.
    const connections = [0, 1, 2].map(() => rpc.clientFor(JobService, greedy));
    let firsts = 0;
    const open = async (index: number): Promise<string> => {
      try {
        const watch = connections[index % 3]!.watchJob({ jobId: 'j' }, { signal: abort.signal });
        for await (const _ of watch) firsts++;
        return 'ended';
      } catch (error) {
        // Time passes with each refusal, or the bucket of the address is soon empty for the next client, too.
        clock.advance(100);
        return String(error);
      }
    };
    for (let index = 0; index < 2_000; index++) {
      refusals.push(open(index));
    }
    const other = rpc.clientFor(JobService, modest).watchJob({ jobId: 'j' });
    const { value } = await other[Symbol.asyncIterator]().next();
    expect(value).not.to.equal(undefined);
    expect(openStreams).to.be.at.most(CALLS.maxStreamsPerCertificate + 1);
    abort.abort();
    const all = await Promise.all(refusals);
    expect(firsts).to.be.at.most(CALLS.maxStreamsPerCertificate);
    expect(all.some((text) => text.includes('streams_per_certificate'))).to.equal(true);
  });

  it('connections of one address that never shake hands are closed beyond a few', async () => {
    const sockets = Array.from({ length: 12 }, () =>
      connectTcp(rpc.listener.port, '127.0.0.1').resume(),
    );
    const closed: number[] = [];
    await new Promise<void>((resolve) => {
      sockets.forEach((socket, index) =>
        socket
          .on('error', () => undefined)
          .once('close', () => {
            if (closed.push(index) === 7) resolve();
          }),
      );
    });
    expect(sockets.filter(({ destroyed }) => !destroyed)).to.have.length(5);
    for (const socket of sockets) socket.destroy();
  });
});

/** Handlers that no test calls. */
function withAll(implementation: ReturnType<typeof implement>): ReturnType<typeof implement> {
  const none = async () => ({});
  const handlers = Object.fromEntries(
    implementation.service.methods.map(({ localName }) => [
      localName,
      implementation.handlers[localName] ?? none,
    ]),
  );
  return { ...implementation, handlers };
}
