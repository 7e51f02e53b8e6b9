import { Writable } from 'node:stream';
import { expect } from 'chai';
import { pino } from 'pino';
import { JobEnd } from '#gen/gapjunction/job/v1/bill_pb';
import { jobLog } from '../../../server/jobs/job-log.ts';
import { onEachWorld, type WorkWorld } from '../work-world.ts';

onEachWorld('the way of a job in the log', (openWorld) => {
  let world: WorkWorld;
  before(async () => {
    world = await openWorld();
  });
  afterEach(() => world.reset());
  after(() => world.close());

  /** The lines as an operator's log has them, without level and time. */
  function lines(): readonly object[] {
    const written: string[] = [];
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        written.push(chunk.toString());
        done();
      },
    });
    const step = jobLog(pino({ base: null, timestamp: false }, sink));
    for (const one of world.steps) step(one);
    return written.map((line) => {
      const { level: _level, ...said } = JSON.parse(line) as { readonly level: number };
      return said;
    });
  }

  it('leads from the call that submitted it to each node that had it, and to its end', async () => {
    const [client, first, second] = [await world.client(), await world.node(), await world.node()];
    const { clientId } = client;
    first.connect(1);
    const { jobId } = await client.submit();
    const failing = await first.nextOrder();
    await first.complete(failing, { end: JobEnd.NODE_FAULT, endDetail: 'SANDBOX_DIED' });
    await first.disconnect();
    second.connect(1);
    const order = await second.nextOrder();
    await second.complete(order);
    await client.outcome(jobId);
    // What the test's calls have as their x-request-id.
    const requestId = 'test';
    const at = (node: typeof first, { order: { attemptId } }: typeof order) => ({
      jobId,
      attemptId,
      nodeId: node.nodeId,
    });
    expect(lines()).to.deep.equal([
      { requestId, jobId, clientId, msg: 'a job was submitted' },
      { requestId, ...at(first, failing), msg: 'a job was ordered from a node' },
      { failure: 'SANDBOX_DIED', ...at(first, failing), msg: 'an attempt ended unpaid' },
      { requestId, ...at(second, order), msg: 'a job was ordered from a node' },
      { jobId, end: 'SUCCEEDED', msg: 'a job ended' },
    ]);
  });
});
