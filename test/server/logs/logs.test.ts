import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Grant } from '#gen/gapjunction/job/v1/bill_pb';
import { LocalAnnouncements } from '../../../server/jobs/announcements.ts';
import { Logs } from '../../../server/logs/logs.ts';
import { query } from '../../../server/store/query.ts';
import { TestClock } from '../../fakes/clock.ts';
import type { ReceivedOrder } from '../../fakes/scripted-node.ts';
import { expectRefusal } from '../expect-refusal.ts';
import { onEachWorld, type TestClient, type WorkNode, type WorkWorld } from '../work-world.ts';

onEachWorld('the logs of a job', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  let node: WorkNode;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
    node = await world.node();
    node.connect(1);
  });
  afterEach(() => world.reset());
  after(() => world.close());

  const LOGGED = { grants: [Grant.DEBUG_LOGS], limits: { logBytes: 200_000n } };

  async function running(
    spec: Parameters<TestClient['submit']>[0] = LOGGED,
  ): Promise<{ jobId: string; attemptId: string; order: ReceivedOrder }> {
    const { jobId } = await client.submit(spec);
    const order = await node.nextOrder();
    node.acknowledge(order);
    return { jobId, attemptId: order.order.attemptId, order };
  }

  it('are the same however often a piece is sent', async () => {
    const { jobId, attemptId } = await running();
    expect(await node.appendLogs(attemptId, 0, 'one ')).to.equal(4n);
    expect(await node.appendLogs(attemptId, 0, 'one ')).to.equal(4n);
    expect(await node.appendLogs(attemptId, 2, 'e two')).to.equal(7n);
    expect(await client.logs(jobId)).to.equal('one two');
    const [first] = await Array.fromAsync(
      client.tailLogs(jobId, { offsetBytes: 4n, noFollow: true }),
    );
    expect(first).to.deep.equal({ attemptId, offsetBytes: 4n, chunk: Buffer.from('two') });
  });

  it('are followed while the guest runs, through two attempts, to the end of the job', async () => {
    const first = await running();
    const messages = client.tailLogs(first.jobId)[Symbol.asyncIterator]();
    const next = async () => {
      const { value } = await messages.next();
      return `${value.attemptId} ${value.offsetBytes} ${Buffer.from(value.chunk).toString()}`;
    };
    await node.appendLogs(first.attemptId, 0, 'here');
    expect(await next()).to.equal(`${first.attemptId} 0 here`);
    const waiting = next();
    await node.appendLogs(first.attemptId, 4, ' I am');
    expect(await waiting).to.equal(`${first.attemptId} 4  I am`);
    await world.fleet.lose(node.nodeId);
    const other = await world.node();
    other.connect(1);
    const order = await other.nextOrder();
    other.acknowledge(order);
    await other.appendLogs(order.order.attemptId, 0, 'again');
    expect(await next()).to.equal(`${order.order.attemptId} 0 again`);
    const last = messages.next();
    await other.complete(order);
    expect((await last).done).to.equal(true);
    expect(await client.logs(first.jobId, first.attemptId)).to.equal('here I amagain');
  });

  it('are refused from whoever does not hold the attempt, or holds it no more', async () => {
    const { attemptId, jobId, order } = await running();
    const other = await world.node();
    await expectRefusal(
      other.appendLogs(attemptId, 0, 'forged'),
      'FAILED_PRECONDITION',
      'ATTEMPT_STALE',
    );
    await expectRefusal(
      node.appendLogs('a-nobodys', 0, 'forged'),
      'FAILED_PRECONDITION',
      'ATTEMPT_STALE',
    );
    await node.complete(order);
    await expectRefusal(
      node.appendLogs(attemptId, 0, 'late'),
      'FAILED_PRECONDITION',
      'ATTEMPT_STALE',
    );
    expect(await client.logs(jobId)).to.equal('');
  });

  it('take neither a gap nor a byte more than the order allows', async () => {
    const { attemptId } = await running({ ...LOGGED, limits: { logBytes: 10n } });
    const gap = node.appendLogs(attemptId, 3, 'gap');
    const refusal = await expectRefusal(gap, 'FAILED_PRECONDITION', 'OFFSET_MISMATCH');
    expect(refusal.metadata).to.deep.equal({ offset: '0' });
    await node.appendLogs(attemptId, 0, '0123456789');
    const more = node.appendLogs(attemptId, 10, 'x');
    await expectRefusal(more, 'INVALID_ARGUMENT', 'LOGS_TOO_LARGE');
  });

  it('are nobody else’s, and nobody’s where the job did not ask for them', async () => {
    const silent = await running({ grants: [] });
    await Promise.all(
      [node.appendLogs(silent.attemptId, 0, 'x'), client.logs(silent.jobId)].map((call) =>
        expectRefusal(call, 'FAILED_PRECONDITION', 'LOGS_NOT_GRANTED'),
      ),
    );
    await node.complete(silent.order);
    node.offer(1);
    const { jobId, attemptId } = await running();
    await node.appendLogs(attemptId, 0, 'mine');
    const stranger = await world.client();
    await Promise.all(
      [stranger.logs(jobId), client.logs(jobId, silent.attemptId)].map((call) =>
        expectRefusal(call, 'NOT_FOUND', 'NOT_FOUND'),
      ),
    );
  });

  it('that come byte by byte make few rows, sealed, and are read in chunks of 64 KiB', async () => {
    const { jobId, attemptId } = await running();
    for (let at = 0; at < 30; at += 1) await node.appendLogs(attemptId, at, 'x');
    for (let at = 30; at < 150_000; at += 50_000) {
      await node.appendLogs(attemptId, at, 'y'.repeat(50_000));
    }
    const rows = await world.store.read((em) =>
      query<{ sealed: Uint8Array }>(
        em,
        'select sealed from attempt_log_chunk where attempt_id = $1',
        [attemptId],
      ),
    );
    expect(rows.length).to.be.lessThan(5);
    for (const { sealed } of rows) expect(Buffer.from(sealed).includes('yyyyyyyy')).to.equal(false);
    expect(await client.logs(jobId)).to.equal('x'.repeat(30) + 'y'.repeat(150_000));
    for await (const { chunk } of client.tailLogs(jobId, { noFollow: true })) {
      expect(chunk?.length).to.be.within(1, 65_536);
    }
  });

  it('reach a reader at another replica within 5 s, also where the announcement was lost', async () => {
    const { jobId, attemptId } = await running();
    const clock = new TestClock(0);
    const other = new Logs({
      store: world.store,
      announcements: new LocalAnnouncements(),
      clock,
      random: randomBytes,
    });
    const { clientId, context } = client;
    const from = { clientId, jobId, attemptId: '', offsetBytes: 0n, follow: true };
    const pieces = other.tail({ ...from, signal: context.signal });
    await node.appendLogs(attemptId, 0, 'one ');
    expect(Buffer.from((await pieces.next()).value?.bytes ?? []).toString()).to.equal('one ');
    const next = pieces.next();
    // What was there is read, and the reader waits.
    await node.appendLogs(attemptId, 4, 'two');
    clock.advance(5_000);
    expect(Buffer.from((await next).value?.bytes ?? []).toString()).to.equal('two');
    await pieces.return();
  });

  it('that are erased while they are read do not pass for all of them', async () => {
    const { jobId, attemptId, order } = await running();
    for (const offset of [0, 5_000]) await node.appendLogs(attemptId, offset, 'z'.repeat(5_000));
    await node.complete(order);
    await client.outcome(jobId);
    const messages = client.tailLogs(jobId, { noFollow: true })[Symbol.asyncIterator]();
    expect((await messages.next()).value.chunk).to.have.length(5_000);
    await world.retention.acknowledge({ clientId: client.clientId, jobId });
    await expectRefusal(messages.next(), 'FAILED_PRECONDITION', 'LOGS_ERASED');
  });

  it('cost a reader that stops reading nothing, and end when it goes away', async () => {
    const { jobId, attemptId } = await running();
    await node.appendLogs(attemptId, 0, 'one');
    const gone = new AbortController();
    const messages = client.tailLogs(jobId, {}, gone.signal)[Symbol.asyncIterator]();
    await messages.next();
    await node.appendLogs(attemptId, 3, 'two');
    gone.abort();
    expect((await messages.next()).done).to.equal(true);
  });
});
