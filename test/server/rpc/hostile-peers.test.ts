// All that a peer may do to one listener, in one file: each case needs the same port, and a new one is dear.
import { once } from 'node:events';
import { constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { pino } from 'pino';
import { BillingService } from '#gen/gapjunction/billing/v1/billing_pb';
import { ClientAdminService } from '#gen/gapjunction/admin/v1/client_admin_pb';
import { Health, HealthCheckResponse_ServingStatus } from '#gen/grpc/health/v1/health_pb';
import { RpcError } from '../../../server/rpc/error.ts';
import { healthService } from '../../../server/rpc/health.ts';
import type { CallContext } from '../../../server/rpc/service.ts';
import { implement } from '../../../server/rpc/service.ts';
import type { IssuedCertificate } from '../../fakes/authority.ts';
import { TestClock } from '../../fakes/clock.ts';
import { failureOf } from '../../fakes/failure.ts';
import { startListener, type TestListener } from '../../fakes/listener.ts';

const ID = 'aaaaaaaaaaaaaaaaaaaa';
const GET_BALANCE = '/gapjunction.billing.v1.BillingService/GetBalance';
const SECRET = 'password=hunter2';

describe('the port, towards peers that mean no good', () => {
  const clock = new TestClock(Date.now());
  const health = healthService(new Set(['gapjunction.billing.v1.BillingService']));
  const logged: string[] = [];
  let rpc: TestListener;
  let client: IssuedCertificate;
  let handle: (context: CallContext) => Promise<object>;

  const billing = implement(BillingService, { getBalance: (_, context) => handle(context) });
  const neverCalled = async () => ({});
  const admin = implement(ClientAdminService, {
    issueCertificate: neverCalled,
    listClients: neverCalled,
    creditClient: neverCalled,
    setClientQuota: neverCalled,
  });

  before(async () => {
    rpc = await startListener({
      services: [billing, admin, health.implementation],
      clock,
      limits: { maxUncertifiedConnections: 3 },
      log: pino({ level: 'info' }, { write: (line) => void logged.push(line) }),
    });
    client = await rpc.authority.client(`c-${ID}`);
  });
  after(() => rpc.stop());
  beforeEach(() => {
    handle = async () => ({ availableMicrocents: 1n });
  });

  it('closes connections that never shake hands, which would keep all nodes out for ever', async () => {
    const impatient = await startListener({
      services: [health.implementation],
      limits: { maxConnections: 2, handshakeTimeoutMs: 50 },
    });
    try {
      const silent = connectTcp(impatient.listener.port, '127.0.0.1').resume();
      const halfHello = connectTcp(impatient.listener.port, '127.0.0.1').resume();
      halfHello.write(Buffer.from([0x16, 3, 1, 1, 0]));
      await Promise.all([once(silent, 'close'), once(halfHello, 'close')]);
      const { status } = await impatient.clientFor(Health, null).check({});
      expect(status).to.equal(HealthCheckResponse_ServingStatus.SERVING);
    } finally {
      await impatient.stop();
    }
  });

  const balance = () => rpc.clientFor(BillingService, client).getBalance({});

  /** A call on bare HTTP/2: its request bytes as given, and the trailers that end it. */
  async function rawCall(options: {
    readonly body?: Buffer;
    readonly headers?: object;
    readonly leaveOpen?: boolean;
  }) {
    const session = await rpc.http2(client);
    const stream = session.request({
      ':method': 'POST',
      ':path': GET_BALANCE,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...options.headers,
    });
    const status = new Promise<Record<string, unknown>>((resolve) => {
      stream.on('trailers', resolve);
      stream.on('response', (headers) => {
        if ('grpc-status' in headers) resolve(headers);
      });
    });
    stream.on('error', () => undefined);
    stream.resume();
    if (options.body !== undefined) stream.write(options.body);
    if (options.leaveOpen !== true) stream.end();
    return { session, stream, status };
  }
  /** A message in its frame: a byte for compression, four for the length. */
  function frame(body: Buffer, compressed = 0): Buffer {
    const head = Buffer.from([compressed, 0, 0, 0, 0]);
    head.writeUInt32BE(body.length, 1);
    return Buffer.concat([head, body]);
  }

  it('tells a stranger nothing of an unexpected failure, and the operator all of it', async () => {
    handle = async () => {
      throw new Error(`connecting to the database: ${SECRET}`);
    };
    const failure = await failureOf(balance());
    expect(failure.code).to.equal('Internal');
    expect(JSON.stringify(failure)).not.to.contain(SECRET);
    const requestId = failure.metadata['request_id'] ?? 'none';
    const line = logged.find((text) => text.includes(requestId));
    expect(line).to.contain(SECRET);
  });

  it('lives on when a handler answers what is no message', async () => {
    handle = async () => ({ availableMicrocents: 'many' });
    expect((await failureOf(balance())).code).to.equal('Internal');
    handle = async () => ({ availableMicrocents: 1n });
    expect((await balance()).availableMicrocents).to.equal(1n);
  });

  it('lives on when a peer resets its connection in the middle of many calls', async () => {
    for (let round = 0; round < 10; round++) {
      const session = await rpc.http2(client);
      session.on('error', () => undefined);
      for (let call = 0; call < 20; call++) {
        const stream = session.request({
          ':method': 'POST',
          ':path': GET_BALANCE,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        stream.on('error', () => undefined);
        stream.end(frame(Buffer.alloc(0)));
      }
      await new Promise((resolve) => session.ping(resolve));
      session.socket.destroy();
    }
    expect((await balance()).availableMicrocents).to.equal(1n);
  });

  it('passes on code, reason, metadata and violations of an expected failure', async () => {
    handle = async () => {
      throw new RpcError('FAILED_PRECONDITION', 'BALANCE_TOO_LOW', 'holding 5: there are 3', {
        metadata: { needed: '5' },
        fieldViolations: [{ field: 'limits.fuel', description: 'is too much' }],
        cause: new Error(SECRET),
      });
    };
    expect(await failureOf(balance())).to.deep.equal({
      code: 'FailedPrecondition',
      reason: 'BALANCE_TOO_LOW',
      message: 'holding 5: there are 3',
      metadata: { needed: '5' },
      violations: [{ field: 'limits.fuel', description: 'is too much' }],
    });
  });

  it('names each field that breaks a rule of the contract', async () => {
    const operator = await rpc.authority.operator(`o-${ID}`);
    const failure = await failureOf(
      rpc.clientFor(ClientAdminService, operator).creditClient({ requestId: 'r' }),
    );
    expect(failure).to.include({ code: 'InvalidArgument', reason: 'INVALID_REQUEST' });
    expect(failure.violations.map(({ field }) => field)).to.deep.equal([
      'client_id',
      'amount_microcents',
    ]);
  });

  it('refuses bytes that are no such message, two messages, and none', async () => {
    const bodies = [
      frame(Buffer.from([0xff, 0xff])),
      Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]),
      Buffer.alloc(0),
    ];
    for (const body of bodies) {
      const { status } = await rawCall({ body });
      expect((await status)['grpc-status']).to.equal('3');
    }
  });

  it('refuses a message beyond 4 MiB, also one that only becomes so', async () => {
    const announced = await rawCall({ body: Buffer.from([0, 0x00, 0x40, 0x00, 0x01]) });
    expect((await announced.status)['grpc-status']).to.equal('8');
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const packed = await rawCall({
      body: frame(bomb, 1),
      headers: { 'grpc-encoding': 'gzip' },
    });
    expect((await packed.status)['grpc-status']).to.equal('8');
  });

  it('ends a request of which half was sent', async () => {
    const { status } = await rawCall({ body: Buffer.from([0, 0, 0]), leaveOpen: true });
    // A whole call on another connection goes through first, so the half one has been seen.
    await balance();
    clock.advance(45_000);
    expect((await status)['grpc-status']).to.equal('4');
  });

  it("keeps to the caller's deadline, and tells the handler", async () => {
    const calls = rpc.clientFor(BillingService, client);
    // Makes the connection, which the deadline is not to include.
    await calls.getBalance({});
    const aborted = Promise.withResolvers<void>();
    handle = async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted.resolve();
      return {};
    };
    const call = calls.getBalance({}, { timeoutMs: 1_000 });
    expect((await failureOf(call)).code).to.equal('DeadlineExceeded');
    await aborted.promise;
  });

  it('gives up on a handler that never answers, where the caller set no deadline', async () => {
    const started = Promise.withResolvers<AbortSignal>();
    handle = async ({ signal }) => {
      started.resolve(signal);
      return new Promise(() => undefined);
    };
    const call = failureOf(balance());
    const signal = await started.promise;
    clock.advance(61_000);
    expect(await call).to.include({ code: 'DeadlineExceeded', reason: 'CALL_STALLED' });
    expect(signal.aborted).to.equal(true);
  });

  it('takes a sane request id from its caller, and no other', async () => {
    const ids: string[] = [];
    handle = async ({ requestId }) => {
      ids.push(requestId);
      return {};
    };
    for (const id of ['my-request.1', 'x'.repeat(65), 'a b']) {
      await rpc
        .clientFor(BillingService, client)
        .getBalance({}, { headers: { 'x-request-id': id } });
    }
    expect(ids[0]).to.equal('my-request.1');
    expect(ids.slice(1)).to.satisfy((made: string[]) =>
      made.every((id) => /^[0-9a-f]{16}$/.test(id)),
    );
  });

  it('speaks TLS 1.3 and HTTP/2 alone', async () => {
    const old = rpc.socket({ maxVersion: 'TLSv1.2' }).catch((error: Error) => error);
    expect(await old).to.be.instanceOf(Error);
    const plain = await rpc.socket({ ALPNProtocols: undefined });
    plain.resume();
    await once(plain, 'close');
  });

  it('closes a stranger after 10 s, but not one that asks for health or whose certificate is good', async () => {
    const stranger = await rpc.http2(null);
    const watcher = await rpc.http2(null);
    const known = await rpc.http2(client);
    const watch = watcher.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Watch',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    watch.end(frame(Buffer.alloc(0)));
    await once(watch, 'data');
    const closed = once(stranger, 'close');
    clock.advance(11_000);
    await closed;
    // An answered ping proves that the other two still stand.
    for (const session of [watcher, known]) {
      await new Promise<void>((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)));
      });
    }
    watch.close(constants.NGHTTP2_CANCEL);
    watcher.destroy();
    await once(watcher, 'close');
  });

  it('lets only so many strangers in, and still its own people', async () => {
    const strangers = await Promise.all([rpc.socket(), rpc.socket(), rpc.socket()]);
    const outcome = await rpc.socket().then(
      async (socket) => {
        socket.resume();
        await once(socket, 'close');
        return 'closed';
      },
      () => 'closed',
    );
    expect(outcome).to.equal('closed');
    await balance();
    for (const socket of strangers) socket.destroy();
  });

  it('answers health to anyone, by service, and says so when it stops', async () => {
    const anyone = rpc.clientFor(Health, null);
    expect((await anyone.check({})).status).to.equal(HealthCheckResponse_ServingStatus.SERVING);
    const named = await anyone.check({ service: 'gapjunction.billing.v1.BillingService' });
    expect(named.status).to.equal(HealthCheckResponse_ServingStatus.SERVING);
    expect((await failureOf(anyone.check({ service: 'nothing' }))).code).to.equal('NotFound');
    const watch = anyone.watch({})[Symbol.asyncIterator]();
    expect((await watch.next()).value.status).to.equal(HealthCheckResponse_ServingStatus.SERVING);
    health.setServing(false);
    expect((await watch.next()).value.status).to.equal(
      HealthCheckResponse_ServingStatus.NOT_SERVING,
    );
    health.setServing(true);
  });
});
