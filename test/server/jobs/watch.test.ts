import { expect } from 'chai';
import { JobState } from '#gen/gapjunction/job/v1/job_pb';
import { onEachWorld, type TestClient, type WatchMessage, type WorkWorld } from '../work-world.ts';

onEachWorld('watching a job', (openWorld) => {
  let world: WorkWorld;
  let client: TestClient;
  before(async () => {
    world = await openWorld();
  });
  beforeEach(async () => {
    client = await world.client();
  });
  afterEach(() => world.reset());
  after(() => world.close());

  /** Reads one message and is cut, again and again, going on behind what it saw; also where nothing is new. */
  async function watchInPieces(jobId: string): Promise<WatchMessage[]> {
    const seen: WatchMessage[] = [];
    for (;;) {
      for await (const message of client.watch(jobId, seen.at(-1)?.job?.revision)) {
        seen.push(message);
        if (message.job?.state === JobState.ENDED) return seen;
        break;
      }
    }
  }

  it('goes on behind the revision that was seen last, through cuts and a start of the server', async () => {
    const { jobId } = await client.submit();
    const watched = watchInPieces(jobId);
    const first = await world.node();
    first.connect(1);
    first.acknowledge(await first.nextOrder());
    await client.until(jobId, ({ attempts }) => attempts?.[0] !== undefined);
    await world.restartPlacement();
    await world.fleet.lose(first.nodeId);
    const second = await world.node();
    second.connect(1);
    const order = await second.nextOrder();
    second.acknowledge(order);
    await second.complete(order);

    const messages = await watched;
    const revisions = messages.map(({ job }) => job?.revision ?? 0n);
    expect(revisions).to.deep.equal([...new Set(revisions)].toSorted((a, b) => Number(a - b)));
    const last = messages.at(-1);
    expect(last?.bill).to.not.equal(undefined);
    expect(last?.job?.attempts).to.have.length(2);
    expect(last?.job).to.deep.equal(await client.job(jobId));
    // Whoever was cut right before the end has it sent once more, with the bill.
    const again = await Array.fromAsync(client.watch(jobId, last?.job?.revision));
    expect(again).to.deep.equal([last]);
  });
});
